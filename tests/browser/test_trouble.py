"""A server that is busy, gone, restarted or silent: what failed can be asked for again."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.browser.conftest import (
    LETTER,
    Held,
    choose,
    dicom,
    forgive_refusals,
    jpeg,
    row_of,
    rows,
    shown,
    until_read,
)

pytestmark = [pytest.mark.browser, pytest.mark.slow]

READING, FILM = "**/station/reading", "**/station/film"
BROKEN = """<section class="refusal" data-code="internal_error"><h1>Something went wrong here</h1>
    <p><a class="secondary" href="/" data-another>Try another file</a></p></section>"""


def broken(route: Any) -> None:
    route.fulfill(status=500, content_type="text/html", body=BROKEN)


def test_films_that_a_broken_server_refused_are_all_read_again_by_one_click(
    page: Any, complaints: list[str]
) -> None:
    page.route(READING, broken)
    choose(page, *(jpeg(f"{n}.jpg", 200, n) for n in range(3)))
    rows(page).get_by_text("Something went wrong here").nth(2).wait_for()
    page.locator("[data-count]").get_by_text("0 read, 3 without an answer", exact=True).wait_for()
    panel = page.locator("[data-result]")
    assert panel.get_by_text("Try another file").count() == 0
    assert panel.get_by_role("button", name="Read it again").is_visible()
    page.unroute(READING)
    page.get_by_role("button", name="Read 3 again").click()
    until_read(page, 3)
    assert page.locator("[data-count]").inner_text() == "3 read"
    assert page.locator("[data-read-all]").is_hidden()
    complaints.clear()


def test_what_is_refused_before_the_application_is_told_in_its_words(
    page: Any, complaints: list[str]
) -> None:
    problem = {"title": "The request came too slowly", "detail": "Send it again."}
    page.route(
        READING,
        lambda route: route.fulfill(
            status=408, content_type="application/problem+json", body=json.dumps(problem)
        ),
    )
    choose(page, jpeg())
    panel = page.locator("[data-result] .refusal")
    panel.get_by_role("heading", name="The request came too slowly").wait_for()
    assert "Send it again." in panel.inner_text()
    assert rows(page).locator(".words").inner_text() == "The request came too slowly"
    page.unroute(READING)
    panel.get_by_role("button", name="Read it again").click()
    page.wait_for_selector("#decision")
    forgive_refusals(complaints)


def test_a_restart_of_seconds_costs_no_reading(page: Any, complaints: list[str]) -> None:
    broken_off = iter(range(6))  # three films, twice
    page.route(
        READING,
        lambda route: route.continue_() if next(broken_off, None) is None else route.abort(),
    )
    choose(page, *(jpeg(f"{n}.jpg", 200, n) for n in range(5)))
    until_read(page, 5)
    assert next(broken_off, None) is None
    complaints.clear()


def test_the_head_of_the_list_says_what_became_of_the_films(
    page: Any, complaints: list[str]
) -> None:
    page.clock.install()
    choose(page, jpeg("0.jpg"), LETTER)
    page.wait_for_selector("#decision")
    page.route(READING, lambda route: route.abort())
    choose(page, *(jpeg(f"{n}.jpg", 200, n) for n in range(1, 8)))
    count = page.locator("[data-count]")
    count.get_by_text("1 read, 1 refused, 7 left", exact=True).wait_for()
    for _ in range(5):  # the pauses of the first three; the others are not waited for
        page.clock.run_for(9000)
        page.wait_for_timeout(200)
    count.get_by_text("1 read, 7 without an answer, 1 refused", exact=True).wait_for()
    page.unroute(READING)
    page.get_by_role("button", name="Read 7 again").click()
    count.get_by_text("8 read, 1 refused", exact=True).wait_for()
    complaints.clear()


def test_a_file_that_is_gone_is_not_blamed_on_the_server(
    page: Any, tmp_path: Path, complaints: list[str]
) -> None:
    held = Held(page)
    films = [tmp_path / f"{n}.jpg" for n in range(4)]
    for n, film in enumerate(films):
        film.write_bytes(jpeg(size=200, seed=n)["buffer"])
    page.get_by_label("Child").check()
    page.locator("#file").set_input_files(films)
    held.until(3)
    films[3].unlink()
    held.let_go()
    row = row_of(page, "3.jpg")
    row.get_by_text("File no longer there").wait_for()
    row.click()
    page.get_by_role("heading", name="The file is no longer there").wait_for()
    assert page.get_by_role("button", name="Read it again").count() == 0
    assert page.locator("[data-read-all]").is_hidden()
    page.locator("[data-film-state=missing]").wait_for()
    complaints.clear()


BODIES = """() => {
    window.bodies = { now: 0, most: 0 };
    const began = () => {
        bodies.now += 1;
        bodies.most = Math.max(bodies.most, bodies.now);
    };
    const { open, send } = XMLHttpRequest.prototype;
    XMLHttpRequest.prototype.open = function (...what) {  // before the page's own listeners
        this.upload.addEventListener("load", () => (bodies.now -= 1));
        open.apply(this, what);
    };
    XMLHttpRequest.prototype.send = function (body) {
        began();
        send.call(this, body);
    };
    const before = window.fetch;
    window.fetch = (...what) => {
        began();
        return before(...what).finally(() => (bodies.now -= 1));
    };
}"""


def test_on_a_slow_line_one_body_goes_up_at_a_time(page: Any) -> None:
    films = [dicom(f"{n}.dcm", PatientAge="060Y") for n in range(4)]
    page.evaluate(BODIES)
    session = page.context.new_cdp_session(page)
    session.send("Network.enable")
    slow = {"offline": False, "latency": 0, "downloadThroughput": -1}
    session.send(
        "Network.emulateNetworkConditions",
        {**slow, "uploadThroughput": len(films[0]["buffer"]) / 2},
    )
    choose(page, films[0], patient="Adult")  # with its film, and says how slow the line is
    page.wait_for_selector("#decision")
    shown(page, "300 × 300")
    page.evaluate("bodies.most = 0")
    choose(page, *films[1:], patient="Adult")
    row_of(page, "1.dcm").click()
    until_read(page, 4)
    shown(page, "300 × 300")
    assert page.evaluate("bodies.most") == 1


def test_a_body_that_came_too_slowly_is_sent_once_more(page: Any, complaints: list[str]) -> None:
    late = iter([True])
    page.route(
        READING,
        lambda route: (
            route.fulfill(status=408, content_type="application/problem+json", body="{}")
            if next(late, False)
            else route.continue_()
        ),
    )
    choose(page, jpeg())
    page.wait_for_selector("#decision")
    forgive_refusals(complaints)


def test_a_server_that_hangs_is_given_up(page: Any) -> None:
    page.clock.install()
    held = Held(page)
    choose(page, jpeg())
    held.until(1)
    page.clock.run_for(100_000)
    page.get_by_role("heading", name="The server did not answer").wait_for(timeout=5000)
    assert page.get_by_role("button", name="Read it again").is_visible()


def test_a_film_that_could_not_be_fetched_is_no_film_that_cannot_be_shown(
    page: Any, complaints: list[str]
) -> None:
    page.route(FILM, lambda route: route.abort())
    choose(page, dicom(), patient="Adult")
    page.wait_for_selector("#decision")
    page.get_by_text("The film could not be fetched").wait_for()
    assert page.get_by_text("This file cannot be shown").is_hidden()
    page.unroute(FILM)
    rows(page).first.click()  # the selected one, once more
    shown(page, "300 × 300")
    assert page.get_by_text("The film could not be fetched").is_hidden()
    complaints.clear()


def test_a_film_that_the_server_could_not_send_comes_with_the_reading(
    page: Any, complaints: list[str]
) -> None:
    held = Held(page)
    page.route(FILM, broken)
    choose(page, dicom(), patient="Adult")
    page.get_by_text("The film could not be fetched").wait_for()
    page.unroute(FILM)
    held.let_go()
    page.wait_for_selector("#decision")
    shown(page, "300 × 300")
    complaints.clear()


def test_a_button_fetches_the_film_again(page: Any, complaints: list[str]) -> None:
    page.route(FILM, broken)
    choose(page, dicom(), patient="Adult")
    page.wait_for_selector("#decision")
    page.unroute(FILM)
    page.get_by_role("button", name="Fetch it again").click()
    shown(page, "300 × 300")
    complaints.clear()


def test_a_file_without_a_film_cannot_be_shown(page: Any, complaints: list[str]) -> None:
    choose(page, LETTER)
    page.get_by_text("This file cannot be shown").wait_for()
    assert page.get_by_text("The film could not be fetched").is_hidden()
    forgive_refusals(complaints)
