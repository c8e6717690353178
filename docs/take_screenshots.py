"""Take the screenshots in docs/screenshots again.

    python docs/take_screenshots.py [--models models] [--out docs/screenshots]

Starts the application with the shipped bundles, reads the sample radiograph of the package
pydicom-data (MIT) in a real Chromium and saves what it shows. No other radiograph may
appear in these pictures.
"""

from __future__ import annotations

import argparse
import os
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

from playwright.sync_api import Browser, sync_playwright

ROOT = Path(__file__).resolve().parent.parent
CHROMIUM = os.environ.get("CHROMIUM", "/usr/bin/chromium")

# name → (width, height, colour scheme, page, whole page)
SHOTS = {
    "start-dark": (1280, 800, "dark", "start", False),
    "start-light": (1280, 800, "light", "start", False),
    "reading-dark": (1440, 900, "dark", "reading", False),
    "reading-light": (1440, 900, "light", "reading", False),
    "heatmap-dark": (1440, 900, "dark", "heatmap", False),
    "side-by-side-wide": (1920, 1080, "dark", "both", False),
    "reading-phone": (360, 780, "dark", "heatmap", True),
    "start-phone": (360, 780, "light", "start", True),
    "reading-4k": (3840, 2160, "dark", "both", False),
    "keys": (1440, 900, "dark", "keys", False),
    "refusal": (1280, 800, "light", "refusal", False),
    "plain": (1440, 900, "light", "plain", False),
    "print": (794, 1123, "light", "print", False),
    "models": (1280, 800, "light", "models", False),
    "model": (1280, 1000, "dark", "model", False),
    "api": (1280, 1000, "light", "docs", False),
}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_until_ready(address: str, seconds: float = 120) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            urllib.request.urlopen(f"{address}/readyz", timeout=5)
            return
        except OSError:  # nothing listens yet, or it is too busy to answer
            time.sleep(0.3)
    raise SystemExit("the application did not become ready")


def take(browser: Browser, address: str, name: str, folder: Path) -> None:
    width, height, scheme, page_name, whole = SHOTS[name]
    context = browser.new_context(
        viewport={"width": width, "height": height},
        color_scheme=scheme,  # type: ignore[arg-type]
        java_script_enabled=page_name != "plain",
    )
    page = context.new_page()
    paths = {"models": "/models", "docs": "/docs"}
    page.goto(address + paths.get(page_name, "/"))
    if page_name in ("reading", "heatmap", "both", "keys", "plain", "print"):
        page.get_by_role("button", name="sample").click()
        page.wait_for_selector("#decision")
    if page_name == "refusal":
        page.set_input_files(
            "#file", {"name": "report.pdf", "mimeType": "application/pdf", "buffer": b"%PDF-1.7\n"}
        )
        page.wait_for_selector("[data-result] .refusal")
    elif page_name == "model":
        page.goto(address + "/models")
        page.locator(".cards a").first.click()
        page.wait_for_selector(".card")
    elif page_name in ("reading", "heatmap", "both", "keys", "print"):
        page.locator("[data-scale]", has_text="×").wait_for()  # the film is there
        page.wait_for_timeout(500)
        key = {"heatmap": "h", "both": "s", "keys": "?"}.get(page_name)
        if key:
            page.keyboard.press(key)
        page.wait_for_timeout(500)
    if page_name == "print":
        page.pdf(path=folder / "report.pdf", prefer_css_page_size=True)
        page.emulate_media(media="print")
    page.mouse.move(0, 0)
    page.screenshot(path=folder / f"{name}.png", full_page=whole)
    context.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--models", type=Path, default=ROOT / "models")
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "screenshots")
    parser.add_argument("names", nargs="*", help=f"some of: {', '.join(SHOTS)}")
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    port = free_port()
    environment = {**os.environ, "PORT": str(port), "HOST": "127.0.0.1"}
    environment["XRAY_MODELS"] = str(arguments.models.resolve())
    server = subprocess.Popen(
        [sys.executable, "-m", "gunicorn", "app:create_app()"], cwd=ROOT, env=environment
    )
    try:
        address = f"http://127.0.0.1:{port}"
        wait_until_ready(address)
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(
                executable_path=CHROMIUM, args=["--no-sandbox", "--hide-scrollbars"]
            )
            for name in arguments.names or SHOTS:
                take(browser, address, name, arguments.out)
            browser.close()
    finally:
        server.terminate()
        server.wait(timeout=30)


if __name__ == "__main__":
    main()
