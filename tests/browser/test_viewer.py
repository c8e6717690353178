"""The viewer in a real Chromium: what a drag, a key or a button does to the pixels shown."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tests.browser.conftest import choose, jpeg, shown
from tests.phantoms import encode_dicom

pytestmark = [pytest.mark.browser, pytest.mark.slow]

SIDE = 256


def ramp() -> dict[str, Any]:
    """A film whose 12-bit values climb from left to right; its window shows the upper half."""
    line = (np.arange(SIDE, dtype=np.uint16) * 16).astype(np.uint16)
    fields = {
        "WindowCenter": 3072,
        "WindowWidth": 2048,
        "PixelSpacing": [0.5, 0.5],
        "PatientAge": "004Y",
    }
    data = encode_dicom(np.tile(line, (SIDE, 1)), bits_stored=12, fields=fields)
    return {"name": "ramp.dcm", "mimeType": "application/dicom", "buffer": data}


GREY = """([x, y]) => new Promise((resolve) => requestAnimationFrame(() =>
    requestAnimationFrame(() => {
        const canvas = document.querySelector("[data-canvas]");
        const context = canvas.getContext("2d");
        const at = [x * canvas.width, y * canvas.height].map(Math.round);
        resolve([...context.getImageData(...at, 1, 1).data.slice(0, 3)]);
    })))"""


def shade(page: Any, x: float, y: float) -> list[int]:
    """RGB of the canvas at these shares of its width and height."""
    return list(page.evaluate(GREY, [x, y]))


def film_share(page: Any, x: float) -> float:
    """The share of the canvas's width where the film's share ``x`` lies, when it is fitted."""
    box = page.locator("[data-canvas]").bounding_box()
    film = min(box["width"], box["height"])
    return (box["width"] / 2 + (x - 0.5) * film) / box["width"]


@pytest.fixture
def viewer(open_page: Callable[..., Any]) -> Any:
    """A page that shows the ramp."""
    page = open_page()
    choose(page, ramp(), patient=None)
    page.wait_for_selector("#decision")
    shown(page, "256 × 256")
    return page


def drag(page: Any, dx: float, dy: float, button: str = "left") -> None:
    box = page.locator("[data-canvas]").bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down(button=button)
    page.mouse.move(x + dx, y + dy, steps=4)
    page.mouse.up(button=button)


def test_the_file_s_own_window_is_shown_first(viewer: Any) -> None:
    assert shade(viewer, film_share(viewer, 0.4), 0.5)[0] == 0
    middle = shade(viewer, film_share(viewer, 0.75), 0.5)[0]
    assert 120 <= middle <= 136
    assert "Level 3,072" in viewer.locator("[data-levels]").inner_text()


def test_windowing_brings_back_what_the_file_s_window_cuts_off(viewer: Any) -> None:
    # The depth is kept: below the window the film was black, and now it is not.
    viewer.locator("[data-preset]").select_option(label="Full range")
    dark = shade(viewer, film_share(viewer, 0.25), 0.5)[0]
    assert 58 <= dark <= 70
    neighbour = shade(viewer, film_share(viewer, 0.4), 0.5)[0]
    assert neighbour > dark + 25


def test_dragging_changes_the_window(viewer: Any) -> None:
    at = film_share(viewer, 0.75)
    before = shade(viewer, at, 0.5)[0]
    drag(viewer, 0, 90)
    darker = shade(viewer, at, 0.5)[0]
    assert darker < before - 20
    drag(viewer, 0, -180)
    assert shade(viewer, at, 0.5)[0] > before + 20
    words = viewer.locator("[data-levels]").inner_text()
    drag(viewer, 90, 0)
    assert viewer.locator("[data-levels]").inner_text() != words


def test_invert_rotate_and_reset(viewer: Any) -> None:
    right = film_share(viewer, 0.9)
    before = shade(viewer, right, 0.5)[0]
    viewer.keyboard.press("i")
    assert shade(viewer, right, 0.5)[0] == 255 - before
    viewer.keyboard.press("i")
    viewer.keyboard.press("r")  # the bright side is below now
    assert shade(viewer, 0.5, 0.9)[0] > 150
    assert shade(viewer, 0.5, 0.1)[0] == 0
    viewer.keyboard.press("Escape")
    assert shade(viewer, right, 0.5)[0] == before


def test_zoom_keeps_the_place_under_the_pointer(viewer: Any) -> None:
    box = viewer.locator("[data-canvas]").bounding_box()
    share = film_share(viewer, 0.8)
    before = shade(viewer, share, 0.5)[0]
    viewer.mouse.move(box["x"] + share * box["width"], box["y"] + box["height"] / 2)
    for _ in range(4):
        viewer.mouse.wheel(0, -200)
    viewer.wait_for_timeout(300)
    assert abs(shade(viewer, share, 0.5)[0] - before) <= 4
    assert shade(viewer, share - 0.2, 0.5)[0] > 60  # the ramp is flatter now
    zoom = viewer.locator("[data-zoom]").inner_text()
    viewer.keyboard.press("1")
    assert viewer.locator("[data-zoom]").inner_text() == "100%"
    viewer.keyboard.press("f")
    assert viewer.locator("[data-zoom]").inner_text() not in (zoom, "100%")


def test_the_film_moves_with_the_middle_button_and_the_keys(viewer: Any) -> None:
    for _ in range(6):
        viewer.keyboard.press("+")
    centre = shade(viewer, 0.5, 0.5)[0]
    drag(viewer, -150, 0, button="middle")
    moved = shade(viewer, 0.5, 0.5)[0]
    assert moved > centre + 10
    for _ in range(4):
        viewer.keyboard.press("Shift+ArrowLeft")
    assert shade(viewer, 0.5, 0.5)[0] < moved - 10


def test_the_ruler_measures_in_millimetres(viewer: Any) -> None:
    viewer.keyboard.press("1")  # one film pixel a screen pixel, half a millimetre each
    viewer.get_by_role("button", name="Ruler").click()
    drag(viewer, 100, 0)
    assert viewer.locator("[data-measured]").inner_text() == "50.0 mm"


def test_the_ruler_measures_by_keyboard(viewer: Any) -> None:
    viewer.keyboard.press("1")
    viewer.keyboard.press("l")
    viewer.locator("[data-canvas]").focus()
    viewer.keyboard.press("Enter")
    for _ in range(5):
        viewer.keyboard.press("Shift+ArrowRight")
    viewer.keyboard.press("Enter")
    assert viewer.locator("[data-measured]").inner_text() == "50.0 mm"


def test_without_a_spacing_there_is_no_ruler(page: Any) -> None:
    choose(page, jpeg())
    page.wait_for_selector("#decision")
    assert page.get_by_role("button", name="Ruler").is_disabled()


COLOURS = """() => new Promise((resolve) => requestAnimationFrame(() =>
    requestAnimationFrame(() => {
        const canvas = document.querySelector("[data-canvas]");
        const side = Math.min(canvas.width, canvas.height) / 2;
        const left = Math.round((canvas.width - side) / 2);
        const top = Math.round((canvas.height - side) / 2);
        const { data } = canvas.getContext("2d").getImageData(left, top, side, side);
        let most = 0;
        for (let index = 0; index < data.length; index += 4) {
            const rgb = [data[index], data[index + 1], data[index + 2]];
            most = Math.max(most, Math.max(...rgb) - Math.min(...rgb));
        }
        resolve(most);
    })))"""


def colours(page: Any) -> int:
    """How far apart the colour channels are, at most, in the middle of the canvas."""
    return int(page.evaluate(COLOURS))


HEATED = """() => {
    const layer = document.createElement("canvas");
    layer.width = layer.height = 64;
    const context = layer.getContext("2d");
    context.fillStyle = "rgb(255, 0, 0)";
    context.fillRect(0, 0, 64, 64);
    return layer.toDataURL();
}"""


@pytest.fixture
def heated(open_page: Callable[..., Any]) -> Any:
    """A reading whose heatmap covers the whole film, whatever the network says."""
    page = open_page()
    layer = page.evaluate(HEATED)

    def with_layer(route: Any) -> None:
        answer = route.fetch()
        body = answer.json()
        assert body["layer"].startswith("data:image/png;base64,")
        route.fulfill(response=answer, json={**body, "layer": layer})

    page.route("**/station/reading", with_layer)
    choose(page, jpeg())
    page.wait_for_selector("#decision")
    page.wait_for_timeout(300)
    return page


def test_the_heatmap_lies_over_the_film_as_strongly_as_asked(heated: Any) -> None:
    assert colours(heated) == 0
    heated.keyboard.press("h")
    strong = colours(heated)
    assert strong > 60
    assert heated.locator("[data-heat-name]").is_visible()  # words, not colour alone
    heated.locator("[data-opacity]").fill("10")
    assert 0 < colours(heated) < strong / 2
    heated.keyboard.press("h")
    assert colours(heated) == 0


def test_side_by_side_shows_film_and_heatmap(heated: Any) -> None:
    heated.keyboard.press("s")
    left, right = shade(heated, 0.25, 0.5), shade(heated, 0.75, 0.5)
    assert max(left) == min(left)
    assert max(right) - min(right) > 60


def test_blinking_can_be_stopped_and_stepped(heated: Any) -> None:
    heated.keyboard.press("b")
    name = heated.locator("[data-heat-name]")
    name.wait_for(state="hidden")
    name.wait_for(state="visible")
    heated.get_by_role("button", name="Film", exact=True).click()
    assert colours(heated) == 0


def test_who_wants_no_motion_blinks_by_hand(open_page: Callable[..., Any]) -> None:
    page = open_page(reduced_motion="reduce")
    choose(page, jpeg())
    page.wait_for_selector("#decision")
    page.wait_for_timeout(300)
    page.keyboard.press("b")
    name = page.locator("[data-heat-name]")
    page.wait_for_timeout(1300)
    assert name.is_visible()
    page.keyboard.press("b")
    assert name.is_hidden()


def test_every_shortcut_is_in_the_help_and_letters_can_be_switched_off(viewer: Any) -> None:
    viewer.keyboard.press("?")
    help_ = viewer.get_by_role("dialog")
    assert help_.locator("kbd").count() >= 25
    help_.get_by_label("Single-letter shortcuts").uncheck()
    viewer.keyboard.press("Escape")
    assert help_.count() == 0
    invert = viewer.locator("[data-do=invert]")
    viewer.keyboard.press("i")
    assert invert.get_attribute("aria-pressed") == "false"
    invert.focus()
    viewer.keyboard.press("Enter")
    assert invert.get_attribute("aria-pressed") == "true"
