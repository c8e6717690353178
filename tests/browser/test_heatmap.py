"""The heatmap's menu never names a map that is not the one drawn."""

from __future__ import annotations

from typing import Any

import pytest

from tests.browser.conftest import Held, choose, jpeg

pytestmark = [pytest.mark.browser, pytest.mark.slow]


@pytest.fixture
def heated(page: Any) -> Any:
    """A page with a reading whose heatmap is shown."""
    choose(page, jpeg())
    page.wait_for_selector("#decision")
    page.get_by_role("button", name="Heatmap").click()
    page.locator("[data-heat-name]").wait_for()
    return page


def chosen(page: Any) -> str:
    return str(page.locator("[data-map] option:checked").inner_text())


def test_a_map_that_cannot_be_had_leaves_the_menu_at_the_one_drawn(
    heated: Any, complaints: list[str]
) -> None:
    heated.route("**/station/reading", lambda route: route.abort())
    heated.locator("[data-map]").select_option(index=1)
    heated.locator("[data-map-failed]").wait_for()
    assert chosen(heated) == "All signs"
    assert heated.locator("[data-heat-name]").is_visible()
    assert "could not be drawn" in heated.locator("[data-announce]").inner_text()
    heated.unroute("**/station/reading")
    heated.locator("[data-map]").select_option(index=1)
    heated.locator("[data-heat-name]").wait_for()
    assert heated.locator("[data-map-failed]").is_hidden()
    complaints.clear()


def test_while_a_map_is_under_way_none_is_drawn_and_the_last_choice_counts(heated: Any) -> None:
    held = Held(heated)
    menu = heated.locator("[data-map]")
    menu.focus()
    menu.select_option(index=1)
    held.until(1)
    assert heated.locator("[data-heat-name]").is_hidden()
    assert heated.get_by_text("Drawing this map").is_visible()
    menu.select_option(index=2)
    held.until(2)
    late, last = held.waiting
    last.continue_()
    heated.locator("[data-heat-name]").wait_for()
    wanted = menu.locator("option").nth(2).inner_text()
    assert chosen(heated) == wanted
    with heated.expect_response("**/station/reading"):
        late.continue_()
    heated.wait_for_timeout(200)
    assert chosen(heated) == wanted
    assert heated.evaluate("document.activeElement.matches('[data-map]')")  # the keyboard's place
