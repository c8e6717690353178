"""The page in a real Chromium: with and without JavaScript, no console error, no CSP report."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from app.presentation import DECISION_WORDS
from tests.conftest import write_tiny_bundle
from tests.phantoms import chest_phantom, encode_dicom, encode_jpeg
from tests.server import Server, running_server

playwright_api = pytest.importorskip("playwright.sync_api", reason="needs the package playwright")

CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium") or "/usr/bin/chromium"

pytestmark = [
    pytest.mark.browser,
    pytest.mark.slow,
    pytest.mark.skipif(not Path(CHROMIUM).exists(), reason="needs Chromium (set CHROMIUM)"),
]

CHILDREN = "pediatric-pneumonia"
ADULTS = "covid19-radiography"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("browser-models")
    write_tiny_bundle(
        folder / CHILDREN, population={"label": "Children", "min_age_years": 1, "max_age_years": 5}
    )
    write_tiny_bundle(folder / ADULTS, population={"label": "Adults", "min_age_years": 18})
    with running_server(folder, tmp_path_factory.mktemp("log") / "log") as running:
        yield running


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with playwright_api.sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield chromium
        chromium.close()


@pytest.fixture
def complaints() -> list[str]:
    """What the browser reported; a test that ends with any has failed."""
    return []


@pytest.fixture
def page(browser: Any, server: Server, complaints: list[str]) -> Iterator[Any]:
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    page = context.new_page()
    page.on(
        "console",
        lambda message: complaints.append(message.text) if message.type == "error" else None,
    )
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.goto(server.address)
    yield page
    context.close()
    assert complaints == []


def jpeg(size: int = 500) -> dict[str, Any]:
    film = encode_jpeg(chest_phantom(size))
    return {"name": "film.jpg", "mimeType": "image/jpeg", "buffer": film}


def decision(page: Any) -> str:
    return str(page.locator("#decision").inner_text())


def test_a_file_becomes_a_reading(page: Any) -> None:
    page.get_by_label("Child").check()
    page.get_by_label("Radiograph", exact=True).set_input_files(jpeg())
    preview = page.locator("[data-preview] img")
    preview.wait_for(state="visible")
    page.get_by_role("button", name="Read the radiograph").click()
    page.wait_for_selector("#decision")
    assert decision(page) in DECISION_WORDS.values()
    film = page.locator(".film img")
    assert film.evaluate("image => image.complete && image.naturalWidth") == 500
    assert page.locator(".facts").get_by_role("link").inner_text() == f"{CHILDREN} 0.0.1"
    assert page.get_by_label("Child").is_checked()


def test_the_views_switch_without_a_request(page: Any) -> None:
    page.get_by_label("Adult").check()
    page.locator("#file").set_input_files(jpeg())
    page.get_by_role("button", name="Read the radiograph").click()
    page.wait_for_selector("#decision")
    film, heatmap = page.locator(".film"), page.locator(".heatmap")
    assert (film.is_visible(), heatmap.is_visible()) == (True, False)
    page.get_by_text("Heatmap", exact=True).click()
    assert (film.is_visible(), heatmap.is_visible()) == (False, True)
    page.keyboard.press("ArrowRight")
    assert (film.is_visible(), heatmap.is_visible()) == (True, True)
    left, right = film.bounding_box(), heatmap.bounding_box()
    assert right["x"] >= left["x"] + left["width"]


def test_dicom_is_read_and_its_age_mismatch_warned_about(page: Any) -> None:
    film = encode_dicom(chest_phantom(400).astype(np.uint16) * 257, fields={"PatientAge": "071Y"})
    page.get_by_label("Child").check()
    page.locator("#file").set_input_files(
        {"name": "film.dcm", "mimeType": "application/dicom", "buffer": film}
    )
    page.get_by_role("button", name="Read the radiograph").click()
    page.wait_for_selector("#decision")
    assert "71 years" in page.locator(".warnings").inner_text()


def test_a_dropped_file_is_taken_and_another_cannot_replace_the_page(page: Any) -> None:
    drop = """([selector, name, type]) => {
        const transfer = new DataTransfer();
        transfer.items.add(new File([new Uint8Array([1, 2, 3])], name, {type}));
        const options = {dataTransfer: transfer, bubbles: true, cancelable: true};
        const event = new DragEvent("drop", options);
        document.querySelector(selector).dispatchEvent(event);
        return event.defaultPrevented;
    }"""
    assert page.evaluate(drop, ["[data-drop]", "dropped.dcm", "application/dicom"]) is True
    assert page.locator("#file").evaluate("input => input.files[0].name") == "dropped.dcm"
    assert page.locator("[data-preview]").is_hidden()  # Chromium cannot show DICOM
    assert page.evaluate(drop, ["footer", "stray.jpg", "image/jpeg"]) is True


def test_the_patient_must_be_chosen(page: Any) -> None:
    page.locator("#file").set_input_files(jpeg())
    page.get_by_role("button", name="Read the radiograph").click()
    assert page.locator("#decision").count() == 0
    assert page.locator("input[name=model]").first.evaluate("radio => !radio.validity.valid")


def test_a_refusal_says_what_to_do_and_looks_like_no_reading(
    page: Any, complaints: list[str]
) -> None:
    page.get_by_label("Child").check()
    page.locator("#file").set_input_files(
        {"name": "letter.pdf", "mimeType": "application/pdf", "buffer": b"%PDF-1.7\n"}
    )
    page.get_by_role("button", name="Read the radiograph").click()
    page.wait_for_selector("#problem")
    assert page.get_by_role("alert").is_visible()
    assert page.locator(".verdict").count() == 0
    page.get_by_role("link", name="Try another file").click()
    page.wait_for_selector("#file")
    # Chromium reports the refusal's own status; that is all it may report.
    assert all("status of 415" in complaint for complaint in complaints)
    complaints.clear()


def test_the_sample_is_one_click_away(page: Any) -> None:
    button = page.get_by_role("button", name="sample radiograph")
    if button.count() == 0:
        pytest.skip("the package pydicom-data is not installed")
    button.click()
    page.wait_for_selector("#decision")
    assert page.locator(".sample").is_visible()


@pytest.mark.parametrize("scheme", ["dark", "light"])
@pytest.mark.parametrize("width", [360, 1920])
def test_no_page_scrolls_sideways(browser: Any, server: Server, width: int, scheme: str) -> None:
    context = browser.new_context(viewport={"width": width, "height": 800}, color_scheme=scheme)
    page = context.new_page()
    overflow = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
    for path in ("/", "/models", f"/models/{CHILDREN}", "/docs"):
        page.goto(server.address + path)
        assert page.evaluate(overflow) == 0, path
    page.goto(server.address)
    page.get_by_label("Child").check()
    page.locator("#file").set_input_files(jpeg(900))
    assert page.evaluate(overflow) == 0
    page.get_by_role("button", name="Read the radiograph").click()
    page.wait_for_selector("#decision")
    assert page.evaluate(overflow) == 0
    dark = page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(12, 15, 18)"
    assert dark is (scheme == "dark")
    context.close()


def test_everything_works_without_javascript(browser: Any, server: Server) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(server.address)
    page.get_by_label("Adult").check()
    page.locator("#file").set_input_files(jpeg())
    page.get_by_role("button", name="Read the radiograph").click()
    page.wait_for_selector("#decision")
    assert decision(page) in DECISION_WORDS.values()
    page.get_by_text("Heatmap", exact=True).click()
    assert page.locator(".heatmap").is_visible()
    context.close()
