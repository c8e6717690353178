"""Whose model reads a film: what stood when it was dropped, and what was answered since."""

from __future__ import annotations

from typing import Any

import pytest

from tests.browser.conftest import (
    ADULTS,
    CHILDREN,
    Held,
    choose,
    dicom,
    exported,
    jpeg,
    row_of,
    rows,
)

pytestmark = [pytest.mark.browser, pytest.mark.slow]


def models(page: Any) -> dict[str, str]:
    """Name of the film → the model that read it, once all have been read."""
    page.locator("[data-count]", has_text="left").wait_for(state="detached")
    return {line["file"]: line["model"] for line in exported(page)}


def test_films_that_wait_keep_the_choice_that_stood_when_they_were_dropped(page: Any) -> None:
    held = Held(page)
    choose(page, *(dicom(f"{n}.dcm", PatientAge="060Y") for n in range(6)), patient="Adult")
    held.until(3)
    page.get_by_label("Child").check()
    held.let_go()
    assert set(models(page).values()) == {ADULTS}


def test_an_answer_goes_for_films_without_an_age_alone(page: Any) -> None:
    held = Held(page)
    with_age = [dicom(f"{n}.dcm", PatientAge="060Y") for n in range(5)]
    choose(page, jpeg("a.jpg"), *with_age, dicom("none.dcm"), jpeg("b.jpg"), patient=None)
    held.until(3)
    page.locator("[data-result]").get_by_role("button", name="Child").click()
    held.let_go()
    found = models(page)
    assert {found.pop(name) for name in ("a.jpg", "b.jpg", "none.dcm")} == {CHILDREN}
    assert set(found.values()) == {ADULTS}


def test_an_answer_stays_in_sight_goes_for_later_films_and_can_be_taken_back(page: Any) -> None:
    choose(page, jpeg("a.jpg"), patient=None)
    page.locator("[data-result]").get_by_role("button", name="Child").click()
    page.wait_for_selector("#decision")
    assert page.get_by_label("By file").is_checked()
    line = page.locator("[data-answered]")
    assert "No age in the file: Child." in line.inner_text()
    choose(page, jpeg("b.jpg"), patient=None)
    assert models(page)["b.jpg"] == CHILDREN

    page.get_by_label("Adult").check()  # an answer that means nothing now is out of sight
    assert line.is_hidden()
    page.get_by_label("By file").check()
    line.get_by_role("button", name="Ask again").click()
    choose(page, jpeg("c.jpg"), patient=None)
    rows(page).get_by_text("Child or adult?").wait_for()

    row_of(page, "c.jpg").click()
    page.locator("[data-result]").get_by_role("button", name="Adult").click()
    page.get_by_role("button", name="Clear the list").click()
    choose(page, jpeg("d.jpg"), patient=None)
    page.locator("[data-result] .refusal").wait_for()  # a new list is a new question
