"""axe-core finds nothing to complain about, and nothing scrolls sideways, in any state."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.browser.conftest import CHILDREN, LETTER, choose, forgive_refusals, jpeg, row_of
from tests.server import Server

axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="needs axe-core")

pytestmark = [pytest.mark.browser, pytest.mark.slow]

DESKTOP = {"viewport": {"width": 1280, "height": 900}}
PHONE = {"viewport": {"width": 360, "height": 740}}
OVERFLOW = "document.documentElement.scrollWidth - document.documentElement.clientWidth"


def assert_accessible(page: Any, state: str) -> None:
    # Swagger UI's own markup skips a heading level and misuses a role; the rest is ours.
    results = axe.Axe().run(page, context={"exclude": [[".swagger-ui"]]})
    found = [
        f"{violation['id']}: {node['target']} {node.get('failureSummary', '')}"
        for violation in results.response["violations"]
        for node in violation["nodes"]
    ]
    assert found == [], state
    assert page.evaluate(OVERFLOW) == 0, state


@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
@pytest.mark.parametrize("scheme", ["dark", "light"])
def test_every_page(
    open_page: Callable[..., Any],
    server: Server,
    scheme: str,
    size: dict[str, Any],
    complaints: list[str],
) -> None:
    page = open_page(color_scheme=scheme, **size)
    assert_accessible(page, "start")
    for path in ("/models", f"/models/{CHILDREN}", "/docs", "/nothing"):
        page.goto(server.address + path)
        assert_accessible(page, path)
    forgive_refusals(complaints)


@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
@pytest.mark.parametrize("scheme", ["dark", "light"])
def test_every_state_of_the_station(
    open_page: Callable[..., Any], scheme: str, size: dict[str, Any], complaints: list[str]
) -> None:
    page = open_page(color_scheme=scheme, **size)
    choose(page, jpeg("b.jpg", seed=1), patient=None)
    page.locator("[data-result] .refusal").wait_for()
    assert_accessible(page, "child or adult")
    page.locator("[data-result] [data-read-as]").first.click()
    page.wait_for_selector("#decision")
    choose(page, LETTER)
    assert_accessible(page, "reading")
    for view, name in {"h": "heatmap", "s": "side by side"}.items():
        page.locator("[data-list]").focus()
        page.keyboard.press(view)
        page.wait_for_timeout(200)
        assert_accessible(page, name)
    page.keyboard.press("?")
    assert_accessible(page, "help")
    page.keyboard.press("Escape")
    row_of(page, "kind of file").click()
    page.locator("[data-result] .refusal").wait_for()
    assert_accessible(page, "refused")
    forgive_refusals(complaints)


@pytest.mark.parametrize("scheme", ["dark", "light"])
def test_the_plain_pages(open_page: Callable[..., Any], scheme: str, complaints: list[str]) -> None:
    page = open_page(color_scheme=scheme, **PHONE)
    page.route("**/static/js/**", lambda route: route.abort())
    page.reload()
    choose(page, jpeg())
    page.get_by_role("button", name="Read the radiograph").click()
    page.wait_for_selector("#decision")
    assert_accessible(page, "plain result")
    complaints.clear()  # the scripts that this test keeps away


def test_the_keyboard_reaches_everything(page: Any) -> None:
    choose(page, jpeg())
    page.wait_for_selector("#decision")
    page.locator("[data-list]").focus()
    reached = set()
    for _ in range(60):
        page.keyboard.press("Tab")
        reached.add(page.evaluate("document.activeElement.outerHTML.slice(0, 160)"))
    everything = page.evaluate(
        """[...document.querySelectorAll(
            "button, select, canvas[tabindex], input[type=range], a[href]")]
            .filter((e) => e.checkVisibility() && !e.disabled)
            .map((e) => e.outerHTML.slice(0, 160))"""
    )
    assert set(everything) <= reached
