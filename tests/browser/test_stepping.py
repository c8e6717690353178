"""From film to film in the viewer: tools, focus and memory, and what two fingers do."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.browser.conftest import Held, choose, dicom, jpeg, row_of, rows, shown, until_read
from tests.browser.test_viewer import drag, shade

pytestmark = [pytest.mark.browser, pytest.mark.slow]

FILM = "**/station/film"


@pytest.fixture
def measured(open_page: Callable[..., Any]) -> Any:
    """A page that shows a film with a spacing, at one film pixel a screen pixel, and the ruler."""
    page = open_page(has_touch=True)
    choose(page, dicom(PixelSpacing=[0.5, 0.5]))
    page.wait_for_selector("#decision")
    shown(page, "300 × 300")
    page.keyboard.press("1")
    page.get_by_role("button", name="Ruler").click()
    return page


def test_after_the_ruler_a_film_without_a_spacing_is_windowed(measured: Any) -> None:
    choose(measured, jpeg("b.jpg", 200))
    row_of(measured, "b.jpg").click()
    shown(measured, "200 × 200")
    window = measured.get_by_role("button", name="Window")
    assert window.get_attribute("aria-pressed") == "true"
    before = shade(measured, 0.5, 0.5)
    drag(measured, 0, 90)
    assert shade(measured, 0.5, 0.5) != before


def test_the_focus_stays_on_a_tool_while_the_next_film_is_fetched(page: Any) -> None:
    choose(page, *(dicom(f"{n}.dcm", PixelSpacing=[0.5, 0.5]) for n in range(2)))
    until_read(page, 2)
    shown(page, "300 × 300")
    held = Held(page, FILM)
    ruler = page.get_by_role("button", name="Ruler")
    ruler.focus()
    page.keyboard.press("ArrowDown")
    held.until(1)
    page.wait_for_timeout(100)
    focused = "document.activeElement.dataset.tool"
    assert page.evaluate(focused) == "ruler"
    page.keyboard.press("Enter")  # there is nothing to measure yet
    assert ruler.get_attribute("aria-pressed") == "false"
    page.get_by_role("button", name="Keyboard shortcuts").click()
    page.get_by_role("dialog").wait_for()  # help is there without a film
    page.keyboard.press("Escape")
    held.let_go()
    shown(page, "300 × 300")
    ruler.click()
    assert ruler.get_attribute("aria-pressed") == "true"


def test_a_window_made_by_hand_is_called_that(page: Any) -> None:
    choose(page, jpeg())
    page.wait_for_selector("#decision")
    shown(page, "400 × 400")
    words = "document.querySelector('[data-preset]').selectedOptions[0]?.textContent"
    assert page.evaluate(words) == "As filed"
    drag(page, 40, 40)
    assert page.evaluate(words) == "By hand"
    page.locator("[data-list]").focus()
    page.keyboard.press("n")  # the presets begin anew
    assert page.evaluate(words) == "As filed"


class Fingers:
    """Touches on the film, at places from its middle."""

    def __init__(self, page: Any) -> None:
        box = page.locator("[data-canvas]").bounding_box()
        self.middle = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
        self.session = page.context.new_cdp_session(page)

    def __call__(self, kind: str, *places: tuple[float, float]) -> None:
        x, y = self.middle
        points = [{"x": x + dx, "y": y + dy, "id": n} for n, (dx, dy) in enumerate(places)]
        self.session.send(
            "Input.dispatchTouchEvent", {"type": f"touch{kind}", "touchPoints": points}
        )


def pinch(page: Any) -> None:
    fingers = Fingers(page)
    fingers("Start", (-40, 0))
    fingers("Start", (-40, 0), (40, 0))
    fingers("Move", (-60, 0), (60, 0))
    fingers("Move", (-80, 0), (80, 0))
    fingers("End", (-80, 0))
    fingers("Move", (-60, 30))
    fingers("End")


def test_pinching_with_the_ruler_measures_nothing(measured: Any) -> None:
    words = measured.locator("[data-measured]")
    zoom = measured.locator("[data-zoom]")
    pinch(measured)
    assert words.inner_text() == ""
    assert zoom.inner_text() != "100%"
    # And a measurement that stood before stands after it.
    measured.get_by_role("button", name="1:1").click()
    drag(measured, 100, 0)
    assert words.inner_text() == "50.0 mm"
    pinch(measured)
    assert words.inner_text() == "50.0 mm"


def test_a_touch_that_the_system_takes_away_measures_nothing(measured: Any) -> None:
    fingers = Fingers(measured)
    fingers("Start", (0, 0))
    fingers("Move", (60, 0))
    fingers("Cancel")
    assert measured.locator("[data-measured]").inner_text() == ""
    drag(measured, 100, 0)
    assert measured.locator("[data-measured]").inner_text() == "50.0 mm"


DECODED = """async () => {
    window.Film = (await import("/static/js/film.js")).Film;
}"""


def decoded(page: Any) -> int:
    """How many decoded films are in the page's memory."""
    page.evaluate(DECODED)
    session = page.context.new_cdp_session(page)
    prototype = session.send("Runtime.evaluate", {"expression": "Film.prototype"})
    found = session.send(
        "Runtime.queryObjects", {"prototypeObjectId": prototype["result"]["objectId"]}
    )
    count = session.send(
        "Runtime.callFunctionOn",
        {
            "objectId": found["objects"]["objectId"],
            "functionDeclaration": "function () { return this.length; }",
            "returnByValue": True,
        },
    )
    session.detach()
    return int(count["result"]["value"])


def test_films_that_are_passed_over_are_not_fetched_to_the_end_or_kept(page: Any) -> None:
    choose(page, *(dicom(f"{n}.dcm") for n in range(9)))
    until_read(page, 9)
    held = Held(page, FILM)
    for count in range(1, 8):
        page.keyboard.press("ArrowDown")
        held.until(count)
    failed: list[str] = []
    page.on("requestfailed", lambda request: failed.append(request.url))
    held.let_go()
    rows(page).nth(7).and_(page.locator("[aria-selected=true]")).wait_for()
    shown(page, "300 × 300")
    page.wait_for_timeout(300)
    assert decoded(page) <= 3
