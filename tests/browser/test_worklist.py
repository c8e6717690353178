"""The list of films while they are read: its order, its rows under the pointer, what it exports."""

from __future__ import annotations

import csv
import io
from typing import Any

import pytest

from tests.browser.conftest import Held, choose, jpeg, rows

pytestmark = [pytest.mark.browser, pytest.mark.slow]


def answer_with(page: Any, *readings: dict[str, Any]) -> None:
    """Let the server's answers say these things of the films, in the order they are sent."""
    left = list(readings)

    def change(route: Any) -> None:
        answer = route.fetch()
        body = answer.json()
        body["reading"].update(left.pop(0))
        route.fulfill(response=answer, json=body)

    page.route("**/station/reading", change)


def exported(page: Any) -> list[dict[str, str]]:
    with page.expect_download() as download:
        page.get_by_role("button", name="CSV").click()
    return list(csv.DictReader(io.StringIO(download.value.path().read_text("utf-8-sig"))))


def names(page: Any) -> list[str]:
    return [row.inner_text() for row in rows(page).locator(".name").all()]


def test_infected_films_stand_above_uncertain_ones_of_a_higher_probability(page: Any) -> None:
    answer_with(
        page,
        {"decision": "uncertain", "infection_probability": 0.6},
        {"decision": "normal", "infection_probability": 0.7},
        {"decision": "infected", "infection_probability": 0.4},
    )
    for name in ("uncertain", "normal", "infected"):
        choose(page, jpeg(name))
        page.locator("[role=option]", has=page.locator("b:not(:empty)"), has_text=name).wait_for()
    assert names(page) == ["infected", "uncertain", "normal"]


def test_a_row_can_be_clicked_while_films_are_read(page: Any) -> None:
    held = Held(page)
    choose(page, *(jpeg(f"{n}.jpg", 200, n) for n in range(6)))
    held.until(3)
    last = rows(page).nth(5)
    last.hover()
    page.mouse.down()
    held.let_go()  # films end, and the order changes, between press and release
    page.locator("[role=option][class*=decision]").nth(2).wait_for()
    page.mouse.up()
    page.locator("[role=option][aria-selected=true]", has_text="5.jpg").wait_for()
    # And the rows that were kept in place go where they belong.
    page.locator("[role=option][class*=decision]").nth(5).wait_for()
    shares = [float(text.rstrip("%")) for text in rows(page).locator("b").all_inner_texts()]
    assert shares == sorted(shares, reverse=True)


def test_nothing_of_an_earlier_reading_stays_when_the_next_one_fails(
    page: Any, complaints: list[str]
) -> None:
    choose(page, jpeg("film.jpg"))
    page.wait_for_selector("#decision")
    page.get_by_role("button", name="Heatmap").click()
    page.locator("[data-heat-name]").wait_for()
    page.route("**/station/reading", lambda route: route.abort())
    page.get_by_role("button", name="Read as adult").click()
    page.get_by_role("heading", name="The server did not answer").wait_for()
    assert page.title().startswith("film.jpg")
    assert page.locator("[data-heat-name]").is_hidden()
    assert page.locator("[data-map]").is_hidden()
    (row,) = exported(page)
    assert (row["decision"], row["words"]) == ("no reading", "No answer")
    assert row["infection_probability"] == row["model"] == ""
    complaints.clear()


def test_a_cleared_list_leaves_no_film_in_the_title(page: Any) -> None:
    before = page.title()
    choose(page, jpeg("film.jpg"))
    page.wait_for_selector("#decision")
    assert page.title() != before
    page.get_by_role("button", name="Clear the list").click()
    assert page.title() == before
