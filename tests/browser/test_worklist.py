"""The list of films while they are read: its order, its rows under the pointer, what it exports."""

from __future__ import annotations

from typing import Any

import pytest

from tests.browser.conftest import Held, choose, dicom, exported, jpeg, row_of, rows, until_read

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


def names(page: Any) -> list[str]:
    """Of the rows from above; their text, for a row that has just moved is not yet laid out."""
    return [str(row.text_content()) for row in rows(page).locator(".name").all()]


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


def test_whoever_steps_through_the_list_while_films_are_read_misses_none(page: Any) -> None:
    """Each film is more probable than all before it, so that an order of them would turn."""
    count = 6
    answer_with(
        page,
        *(
            {"decision": "infected" if n == 4 else "normal", "infection_probability": 0.1 + n / 100}
            for n in range(count)
        ),
    )
    held = Held(page)  # stands before the route above: one film after the other is let through
    choose(page, *(jpeg(f"{n}.jpg", 200, n) for n in range(count)))
    chosen = page.locator("[role=option][aria-selected=true] .name")
    seen = [chosen.text_content()]
    for n in range(count - 1):
        held.until(n + 1)
        held.waiting[n].fallback()
        page.locator("[role=option][class*=decision]", has_text=f"{n}.jpg").wait_for()
        page.keyboard.press("ArrowDown")
        seen.append(chosen.text_content())
    assert seen == [f"{n}.jpg" for n in range(count)]
    assert names(page) == seen  # the list stood still
    urgent = page.get_by_role("button", name="1 with signs of infection")
    urgent.click()
    assert names(page) == ["4.jpg"]
    assert urgent.is_hidden()
    page.locator("[data-filter]").select_option("")
    held.waiting[count - 1].fallback()
    until_read(page, count)
    assert names(page) == [f"{n}.jpg" for n in (4, 5, 3, 2, 1, 0)]
    assert urgent.is_hidden()


def test_rows_are_moved_by_the_one_ordering_alone(page: Any) -> None:
    """All rows at every reading: nine hundred films took twice as long as their readings."""
    page.evaluate("""() => {
        window.moved = 0;
        new MutationObserver((changes) => {
            for (const change of changes) window.moved += change.addedNodes.length;
        }).observe(document.querySelector("[data-list]"), { childList: true });
    }""")
    count = 20
    choose(page, *(jpeg(f"{n}.jpg", 200, n) for n in range(count)))
    until_read(page, count)
    assert count <= page.evaluate("window.moved") <= 2 * count


def test_the_selected_film_stays_in_sight_when_the_list_is_put_in_order(page: Any) -> None:
    count = 24
    answer_with(
        page,
        *({"decision": "normal", "infection_probability": 0.1 + n / 100} for n in range(count)),
    )
    choose(page, *(jpeg(f"{n}.jpg", 200, n) for n in range(count)))
    until_read(page, count)
    chosen = page.locator("[role=option][aria-selected=true]")
    assert chosen.locator(".name").text_content() == "0.jpg"  # the last one now
    row, films = chosen.bounding_box(), page.locator("[data-list]").bounding_box()
    assert films["y"] <= row["y"]
    assert row["y"] + row["height"] <= films["y"] + films["height"] + 1


def test_a_row_can_be_clicked_while_films_are_read(page: Any) -> None:
    held = Held(page)
    choose(page, *(jpeg(f"{n}.jpg", 200, n) for n in range(6)))
    held.until(3)
    last = rows(page).nth(5)
    last.hover()
    page.mouse.down()
    held.let_go()  # films end, and the order changes, between press and release
    until_read(page, 3)
    page.mouse.up()
    page.locator("[role=option][aria-selected=true]", has_text="5.jpg").wait_for()
    # And the rows that were kept in place go where they belong.
    until_read(page, 6)
    shares = [float(text.rstrip("%")) for text in rows(page).locator("b").all_text_contents()]
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


def test_a_warned_reading_does_not_look_like_a_sound_one(page: Any) -> None:
    choose(page, jpeg("sound.jpg"))
    page.wait_for_selector("#decision")
    choose(page, dicom("warned.dcm", PatientAge="071Y"))  # among the films of children
    warned = row_of(page, "warned.dcm")
    words = "The patient's age does not fit"
    warned.get_by_text(words).wait_for()
    assert warned.locator(".warned .icon").is_visible()
    assert page.locator(".warned").count() == 1
    assert f"Warning: {words}" in page.locator("[data-announce]").inner_text()
    page.locator("[data-filter]").select_option("warned")
    assert names(page) == ["warned.dcm"]
    warned.click()
    assert f"({words})" in page.title()


def test_of_many_films_few_are_announced_and_the_end_with_its_counts(page: Any) -> None:
    page.evaluate("""() => {
        window.said = [];
        const place = document.querySelector("[data-announce]");
        new MutationObserver(() => said.push(place.textContent))
            .observe(place, { childList: true });
    }""")
    choose(page, *(jpeg(f"{n}.jpg", 200, n) for n in range(22)))
    until_read(page, 22)
    page.wait_for_timeout(100)
    said = page.evaluate("said")
    assert said[-1].endswith(" 22 read.")
    assert len(said) <= 5  # the beginning, the one in sight, 20 and 10 left, the end
    assert page.get_by_role("status").filter(has_text="%").count() <= 1  # the zoom is none


def test_files_of_a_reading_and_of_a_filtered_list_say_what_they_hold(page: Any) -> None:
    choose(page, jpeg("one.jpg"), dicom("warned.dcm", PatientAge="071Y"))
    page.locator("[role=option] .warned").wait_for()
    row_of(page, "one.jpg").click()
    page.wait_for_selector("#decision")
    with page.expect_download() as saved:
        page.locator("[data-export=json]").click()
    assert saved.value.suggested_filename == "one.jpg.json"
    page.locator("[data-filter]").select_option("warned")
    assert page.locator("[data-csv]").inner_text() == "CSV (1 shown)"
    page.locator("[data-filter]").select_option("")
    assert page.locator("[data-csv]").inner_text() == "CSV"


def test_an_empty_drop_gets_a_word_and_a_dropped_word_none(page: Any) -> None:
    drop = """(kind) => {
        const transfer = new DataTransfer();
        if (kind === "file") transfer.items.add(new File([""], ".hidden"));
        else transfer.setData("text/plain", "a word");
        dispatchEvent(new DragEvent("drop", { dataTransfer: transfer, cancelable: true }));
    }"""
    word = page.get_by_text("No film was found there.").first
    page.wait_for_selector(".scripted")
    page.evaluate(drop, "word")
    page.wait_for_timeout(200)
    assert word.is_hidden()
    page.evaluate(drop, "file")
    word.wait_for()
    choose(page, jpeg())
    word.wait_for(state="hidden")
