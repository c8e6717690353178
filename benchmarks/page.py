"""Measure the page in a real Chromium: drop to reading, windowing, weight of the first load.

    python benchmarks/page.py [--models models] [--films 20]

The film is drawn, so the gate is off; nothing here says how good a reading is.
"""

from __future__ import annotations

import argparse
import base64
import os
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Any

from playwright.sync_api import sync_playwright

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from tests.phantoms import chest_phantom, encode_jpeg  # noqa: E402
from tests.server import running_server  # noqa: E402

CHROMIUM = os.environ.get("CHROMIUM", "/usr/bin/chromium")

# From the drop to the frame after the reading's words stand in the page.
DROP = """async (text) => {
    const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
    const transfer = new DataTransfer();
    transfer.items.add(new File([bytes], "film.jpg", {type: "image/jpeg"}));
    const began = performance.now();
    const shown = new Promise((resolve) => {
        new MutationObserver((changes, observer) => {
            if (!document.querySelector("[data-reading] #decision")) return;
            observer.disconnect();
            requestAnimationFrame(() => resolve(performance.now() - began));
        }).observe(document.querySelector("[data-reading]"), {childList: true});
    });
    document.querySelector("footer").dispatchEvent(
        new DragEvent("drop", {dataTransfer: transfer, bubbles: true, cancelable: true}));
    return await shown;
}"""

# The time between frames while the window is dragged.
WINDOWING = """async () => {
    const level = document.querySelector("[data-level]");
    const frame = () => new Promise((resolve) => requestAnimationFrame(resolve));
    const times = [];
    for (let step = 0; step < 40; step += 1) {
        const began = performance.now();
        level.value = String(80 + step * 2);
        level.dispatchEvent(new Event("input"));
        await frame();
        await frame();
        times.push((performance.now() - began) / 2);
    }
    return times;
}"""


def drop(page: Any, film: bytes) -> float:
    """Milliseconds from the drop to the reading, on a page that was cleared before."""
    clear = page.locator("[data-clear]")
    if clear.is_visible():
        clear.click()
    return float(page.evaluate(DROP, base64.b64encode(film).decode("ascii")))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--models", type=Path, default=ROOT / "models")
    parser.add_argument("--films", type=int, default=20)
    arguments = parser.parse_args()
    films = [encode_jpeg(chest_phantom(2048, seed), 90) for seed in range(3)]
    large = encode_jpeg(chest_phantom(3000), 90)
    with (
        tempfile.TemporaryDirectory() as folder,
        running_server(arguments.models, Path(folder, "log"), XRAY_GATE="off") as server,
        sync_playwright() as playwright,
    ):
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1440, "height": 900})
        weight = []
        page.on("response", lambda response: weight.append(len(response.body())))
        page.goto(server.address, wait_until="networkidle")
        print(f"first load: {sum(weight) / 1024:.0f} KB uncompressed in {len(weight)} requests")
        page.locator("input[name=model]").first.check()
        drop(page, films[0])  # the first one warms up
        times = sorted(drop(page, films[n % len(films)]) for n in range(arguments.films))
        print(
            f"drop to reading, 2048 x 2048 JPEG of {len(films[0]) / 1e6:.1f} MB, "
            f"{len(times)} times: median {statistics.median(times):.0f} ms, "
            f"slowest {times[-1]:.0f} ms"
        )
        drop(page, large)
        page.locator("[data-scale]", has_text="3000 × 3000").wait_for()
        for name in ("Fit", "1:1"):
            page.get_by_role("button", name=name).click()
            frames = page.evaluate(WINDOWING)
            print(
                f"windowing 3000 x 3000 at {name}: median {statistics.median(frames):.1f} ms/frame"
            )
        browser.close()


if __name__ == "__main__":
    main()
