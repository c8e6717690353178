"""Windows of every size: nothing lies on a control, and nothing on the scale bar."""

from __future__ import annotations

import io
import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.browser.conftest import CHROMIUM, choose, dicom, jpeg, until_read
from tests.server import Server

pytestmark = [pytest.mark.browser, pytest.mark.slow]

# What lies where a control's middle is, when that was scrolled into sight.
COVERED = """() => {
    const found = [];
    const controls = "button, select, a[href], input:not([type=file]), [role=option]";
    for (const control of document.querySelectorAll(controls)) {
        if (!control.checkVisibility() || control.closest(".skip, .put-away")) continue;
        control.scrollIntoView({ block: "center" });
        const box = control.getBoundingClientRect();
        const top = document.elementFromPoint(box.x + box.width / 2, box.y + box.height / 2);
        if (control.contains(top) || top?.contains(control) || control.labels?.[0]?.contains(top)) {
            continue;
        }
        found.push(`${control.outerHTML.slice(0, 80)} under ${top?.outerHTML.slice(0, 60)}`);
    }
    return found;
}"""

OVERLAPS = """() => {
    const film = document.querySelector("[data-screen]").getBoundingClientRect();
    return [...document.querySelectorAll(".viewer-pane > :not([data-screen])")].filter((part) => {
        const box = part.getBoundingClientRect();
        return box.bottom > film.top + 1 && box.top < film.bottom - 1;
    }).map((part) => part.className);
}"""

SIZES = [(390, 844), (959, 700), (960, 600), (1000, 700), (1100, 700), (1280, 620), (1280, 680)]
SIZES += [(1440, 900), (1920, 600)]


@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
def test_every_control_can_be_seen_and_clicked(
    open_page: Callable[..., Any], size: tuple[int, int]
) -> None:
    page = open_page(viewport={"width": size[0], "height": size[1]})
    choose(page, jpeg(), jpeg("b.jpg", seed=1))
    until_read(page, 2)
    for view in ("Film", "Side by side"):
        page.get_by_role("button", name=view, exact=True).click()
        page.wait_for_timeout(200)
        assert page.evaluate(OVERLAPS) == []
        assert page.evaluate(COVERED) == []
    film = page.locator("[data-screen]").bounding_box()
    assert film["height"] >= 170
    assert film["width"] >= 350
    icons = page.locator(".tools .icon").all()
    assert {icon.bounding_box()["width"] for icon in icons} == {20}


@pytest.mark.parametrize("width", [960, 1024, 1280, 1440])
def test_the_bars_leave_the_film_its_height(open_page: Callable[..., Any], width: int) -> None:
    page = open_page(viewport={"width": width, "height": 720})
    choose(page, dicom(PixelSpacing=[0.5, 0.5]))
    page.wait_for_selector("#decision")
    for bar in page.locator(".tools").all():
        assert bar.bounding_box()["height"] < 60  # one row
    assert page.get_by_role("button", name="Window", exact=True).is_visible()


@pytest.mark.parametrize("view", ["Film", "Side by side"])
@pytest.mark.parametrize("width", [320, 390, 1024, 1440])
def test_the_scale_bar_keeps_clear_of_the_words_in_the_corners(
    open_page: Callable[..., Any], width: int, view: str
) -> None:
    page = open_page(viewport={"width": width, "height": 900})
    choose(page, dicom(PixelSpacing=[0.5, 0.5]))
    page.wait_for_selector("#decision")
    page.get_by_role("button", name=view, exact=True).click()
    corners = page.locator(".corner:is([data-levels], [data-scale])")
    canvas = page.locator("[data-canvas]")
    canvas.scroll_into_view_if_needed()
    page.wait_for_timeout(200)
    origin = canvas.bounding_box()
    words = [corner.bounding_box() for corner in corners.all()]
    drawn = page.evaluate("""() => {
        const canvas = document.querySelector("[data-canvas]");
        const { data, width } = canvas.getContext("2d")
            .getImageData(0, 0, canvas.width, canvas.height);
        const places = [];
        for (let at = 0; at < data.length; at += 4) {
            if (data[at] === 0xff && data[at + 1] === 0xe0 && data[at + 2] === 0x8a) {
                places.push([(at / 4) % width, Math.floor(at / 4 / width)]);
            }
        }
        return places;
    }""")
    assert len(drawn) > 30  # the bar is there
    for box in words:
        left, top = box["x"] - origin["x"], box["y"] - origin["y"]
        for x, y in drawn:
            inside = left <= x <= left + box["width"] and top <= y <= top + box["height"]
            assert not inside


def picture(locator: Any) -> Counter[tuple[int, ...]]:
    """How often each colour is seen in an element."""
    image = Image.open(io.BytesIO(locator.screenshot())).convert("RGB")
    return Counter(tuple(pixel) for pixel in np.asarray(image).reshape(-1, 3).tolist())


def test_what_is_chosen_shows_in_forced_colours(open_page: Callable[..., Any]) -> None:
    page = open_page(forced_colors="active")
    choose(page, jpeg(), jpeg("b.jpg", seed=1))
    until_read(page, 2)
    page.get_by_label("Child").focus()  # no row is outlined for the keyboard
    chosen = picture(page.locator("[data-tool=window]")).most_common(1)[0][0]
    pairs = [
        ("[role=option][aria-selected=true]", "[role=option][aria-selected=false]"),
        ("[data-tool=window]", "[data-tool=pan]"),
        ("[data-view=film]", "[data-view=both]"),
        (".bar nav [aria-current]", ".bar nav a:not([aria-current])"),
        (".zones .here", ".zones li:not(.here)"),
    ]
    for one, other in pairs:
        found = [picture(page.locator(each).first)[chosen] for each in (one, other)]
        assert found[0] > 2 * found[1] + 30, one


def test_words_twice_as_large_stay_on_the_page(
    server: Server, tmp_path: Path, browser: Any
) -> None:
    settings = {"webkit": {"webprefs": {"default_font_size": 32}}}
    (tmp_path / "Default").mkdir()
    (tmp_path / "Default" / "Preferences").write_text(json.dumps(settings))
    context = browser.browser_type.launch_persistent_context(
        tmp_path,
        executable_path=CHROMIUM,
        args=["--no-sandbox"],
        viewport={"width": 390, "height": 844},
    )
    try:
        page = context.new_page()
        page.goto(server.address)
        width = "document.documentElement.scrollWidth"
        assert page.evaluate(width) == 390
        choose(page, jpeg())
        page.wait_for_selector("#decision")
        assert page.evaluate(width) == 390
        for button in page.locator(".pickers button:visible").all():
            assert button.bounding_box()["x"] >= 0
        ticks = [tick.bounding_box() for tick in page.locator(".scale .level").all()]
        for words in page.locator(".scale text").all():
            top = words.bounding_box()["y"]
            assert all(top >= tick["y"] + tick["height"] - 3 for tick in ticks)
    finally:
        context.close()
