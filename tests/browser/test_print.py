"""What comes out of the printer: named, captioned, and never an empty sheet."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest

from tests.browser.conftest import LETTER, choose, dicom, forgive_refusals, jpeg

pytestmark = [pytest.mark.browser, pytest.mark.slow]


def print_out(page: Any) -> None:
    """Make the page look as it is printed, on paper of A4 less its margins."""
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    page.emulate_media(media="print")
    page.set_viewport_size({"width": 703, "height": 1032})


def test_a_printed_map_says_what_it_shows_and_what_it_does_not(page: Any) -> None:
    choose(page, jpeg())
    page.wait_for_selector("#decision")
    page.get_by_role("button", name="Heatmap").click()
    menu = page.locator("[data-map]")
    label = menu.locator("option").nth(1).inner_text()
    menu.select_option(index=1)
    page.locator("[data-heat-name]").wait_for()
    print_out(page)
    caption = page.locator("[data-prints] figcaption").nth(1).inner_text()
    assert f"Where the model looked: {label}." in caption
    assert "Not how far a disease reaches" in caption


def test_a_printed_refusal_names_its_file_and_has_no_button(
    page: Any, complaints: list[str]
) -> None:
    choose(page, LETTER)
    page.locator("[data-result] .refusal").wait_for()
    print_out(page)
    head = page.locator(".print-head")
    assert head.is_visible()
    assert "letter.pdf" in head.inner_text()
    assert page.locator("#problem").is_visible()
    assert page.get_by_text("Try another file").is_hidden()
    assert page.locator("[data-prints] img").count() == 0
    forgive_refusals(complaints)


def test_the_empty_page_is_no_blank_sheet(page: Any) -> None:
    print_out(page)
    assert page.get_by_role("heading", name="Read a chest radiograph").is_visible()
    assert page.get_by_text("Good to know").is_visible()
    assert page.get_by_role("button").count() == 0


def test_without_javascript_both_films_are_printed_at_one_size(
    open_page: Callable[..., Any],
) -> None:
    page = open_page(java_script_enabled=False)
    page.get_by_label("Adult").check()
    page.get_by_label("Draw the heatmap even").check()
    page.locator("#file").set_input_files(jpeg())
    page.get_by_role("button", name="Read the radiograph").click()
    page.wait_for_selector("#decision")
    page.emulate_media(media="print")
    page.set_viewport_size({"width": 703, "height": 1032})
    first, second = (image.bounding_box() for image in page.locator(".stage img").all())
    assert first["width"] == pytest.approx(second["width"], abs=1)
    assert first["height"] == pytest.approx(second["height"], abs=1)
    assert first["y"] == pytest.approx(second["y"], abs=1)
    verdict = page.locator(".verdict").bounding_box()
    for figure in page.locator(".stage figure").all():
        box = figure.bounding_box()
        assert box["y"] + box["height"] <= verdict["y"] + 1


WARNED = [{}, {"PatientAge": "071Y"}, {"PatientAge": "071Y", "ViewPosition": "LL"}]


@pytest.mark.parametrize("fields", WARNED, ids=lambda fields: f"{len(fields)} warnings")
@pytest.mark.parametrize("script", [True, False], ids=["station", "plain"])
def test_a_reading_is_one_page_whatever_it_warns_of(
    open_page: Callable[..., Any], script: bool, fields: dict[str, str]
) -> None:
    page = open_page(java_script_enabled=script)
    page.get_by_label("Child").check()
    page.locator("#file").set_input_files(dicom(PixelSpacing=[0.5, 0.5], **fields))
    if not script:
        page.get_by_label("Draw the heatmap even").check()
        page.get_by_role("button", name="Read the radiograph").click()
    page.wait_for_selector("#decision")
    assert page.locator(".warnings li").count() >= len(fields)
    page.wait_for_timeout(500)  # the film is drawn
    pages = re.findall(rb"/Type\s*/Page\b", page.pdf(prefer_css_page_size=True))
    assert len(pages) == 1
