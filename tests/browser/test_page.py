"""The page's way of working in a real Chromium: films in, readings out, nothing lost."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from app.presentation import DECISION_WORDS
from tests.browser.conftest import (
    ADULTS,
    CHILDREN,
    LETTER,
    Held,
    choose,
    dicom,
    exported,
    forgive_refusals,
    jpeg,
    row_of,
    rows,
    until_read,
)
from tests.server import Server

pytestmark = [pytest.mark.browser, pytest.mark.slow]


def decision(page: Any) -> str:
    return str(page.locator("#decision").inner_text())


def test_a_file_becomes_a_reading(page: Any) -> None:
    choose(page, jpeg(), patient="Child")
    page.wait_for_selector("#decision")
    assert decision(page) in DECISION_WORDS.values()
    assert f"{CHILDREN} 0.0.1" in page.locator(".facts").inner_text()
    assert page.locator("[role=option] .thumb :is(canvas, img)").count() == 1
    assert "400 × 400" in page.locator("[data-scale]").inner_text()
    assert page.title().startswith(decision(page))
    words = page.locator("[data-announce]").inner_text()
    assert "film.jpg" in words
    assert decision(page) in words


def test_a_film_chosen_before_the_scripts_have_come_is_read(page: Any) -> None:
    scripts = Held(page, "**/js/station.js")
    page.reload(wait_until="commit")
    choose(page, jpeg())
    scripts.until(1)
    scripts.let_go()
    page.wait_for_selector("#decision")
    assert rows(page).count() == 1


def test_several_films_are_sorted_filtered_and_stepped_through(
    page: Any, complaints: list[str]
) -> None:
    choose(page, *(jpeg(f"film-{seed}.jpg", 300, seed) for seed in range(5)), LETTER)
    until_read(page, 5)
    row_of(page, "kind of file").wait_for()
    shares = page.evaluate(
        "[...document.querySelectorAll('[role=option] b')].map(b => parseFloat(b.textContent))"
    )
    read = [share for share in shares if not math.isnan(share)]
    assert len(read) == 5
    assert read == sorted(read, reverse=True)
    assert math.isnan(shares[-1])  # what has no reading comes last

    first = rows(page).nth(0)
    first.click()
    page.keyboard.press("ArrowDown")
    assert rows(page).nth(1).get_attribute("aria-selected") == "true"
    page.keyboard.press("End")
    page.locator("[data-result] .refusal").wait_for()
    page.keyboard.press("Home")
    assert first.get_attribute("aria-selected") == "true"

    page.locator("[data-filter]").select_option("refused")
    assert rows(page).count() == 1
    page.locator("[data-filter]").select_option("")
    page.locator("[data-sort]").select_option("added")
    assert [rows(page).nth(n).locator(".name").text_content() for n in range(5)] == [
        f"film-{n}.jpg" for n in range(5)
    ]
    forgive_refusals(complaints)


def test_a_list_of_one_film_has_nothing_to_filter(page: Any) -> None:
    choose(page, jpeg())
    page.wait_for_selector("#decision")
    assert page.locator("[data-list-tools]").is_hidden()
    choose(page, jpeg("second.jpg"))
    until_read(page, 2)
    assert page.locator("[data-list-tools]").is_visible()
    page.get_by_role("button", name="Clear the list").click()
    choose(page, jpeg())
    page.wait_for_selector("#decision")
    assert page.locator("[data-list-tools]").is_hidden()


def test_a_reload_clears_the_list_and_the_page_says_so(page: Any) -> None:
    choose(page, jpeg())
    page.wait_for_selector("#decision")
    assert "Reloading clears it; nothing is stored" in page.locator(".list-foot").inner_text()
    page.reload()
    assert page.locator("[data-worklist]").is_hidden()
    assert page.context.cookies() == []
    assert page.evaluate("localStorage.length + sessionStorage.length") == 0


def test_a_link_does_not_cost_the_worklist(page: Any) -> None:
    asked = []

    def stay(dialog: Any) -> None:
        asked.append(dialog.type)
        dialog.dismiss()

    page.on("dialog", stay)
    choose(page, jpeg())
    with page.expect_popup() as card:  # the card opens beside the list
        page.get_by_role("link", name="What it can and cannot do").click()
    card.value.close()
    page.get_by_role("link", name="Models").click()
    page.wait_for_timeout(300)
    assert asked == ["beforeunload"]
    assert rows(page).count() == 1

    page.get_by_role("button", name="Clear the list").click()
    page.get_by_role("link", name="Models").click()
    page.get_by_role("heading", name="Models", level=1).wait_for()
    assert asked == ["beforeunload"]  # an empty list has nothing to lose


def test_an_unknown_patient_is_asked_for_once(page: Any) -> None:
    choose(page, jpeg("a.jpg"), jpeg("b.jpg", seed=1), patient=None)
    ask = page.locator("[data-result] .refusal")
    ask.wait_for()
    assert page.locator("#decision").count() == 0
    ask.get_by_role("button", name="Adult").click()
    until_read(page, 2)
    assert f"{ADULTS} 0.0.1" in page.locator(".facts").inner_text()
    assert page.get_by_label("By file").is_checked()


@pytest.mark.parametrize(("age", "model"), [("004Y", CHILDREN), ("071Y", ADULTS)])
def test_the_age_in_a_dicom_file_chooses_the_model(page: Any, age: str, model: str) -> None:
    choose(page, dicom(PatientAge=age), patient=None)
    page.wait_for_selector("#decision")
    assert f"{model} 0.0.1" in page.locator(".facts").inner_text()


def test_an_age_that_does_not_fit_warns_and_the_other_model_is_a_click_away(page: Any) -> None:
    choose(page, dicom(PatientAge="071Y"), patient="Child")
    page.wait_for_selector("#decision")
    assert "71 years" in page.locator(".warnings").inner_text()
    page.get_by_role("button", name="Read as adult").click()
    page.locator(".facts", has_text=ADULTS).wait_for()
    assert page.locator(".warnings").count() == 0


DROP = """async ([selector, files]) => {
    const transfer = new DataTransfer();
    for (const [name, type, bytes] of files) {
        transfer.items.add(new File([new Uint8Array(bytes)], name, {type}));
    }
    const options = {dataTransfer: transfer, bubbles: true, cancelable: true};
    const event = new DragEvent("drop", options);
    document.querySelector(selector).dispatchEvent(event);
    return event.defaultPrevented;
}"""


def test_films_can_be_dropped_anywhere(page: Any) -> None:
    page.get_by_label("Child").check()
    film = list(jpeg(size=200)["buffer"])
    assert page.evaluate(DROP, ["footer", [["dropped.jpg", "image/jpeg", film]]]) is True
    page.wait_for_selector("#decision")
    assert rows(page).locator(".name").text_content() == "dropped.jpg"


def test_films_of_a_folder_come_in_order_and_are_told_apart(page: Any, tmp_path: Path) -> None:
    film = jpeg(size=200)["buffer"]
    for name in ("ROE^JANE/S1/IM1.jpg", "DOE^JOHN/S1/IM10.jpg", "DOE^JOHN/S1/IM1.jpg"):
        (tmp_path / "films" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "films" / name).write_bytes(film)
    (tmp_path / "films" / "DOE^JOHN" / "S1" / "IM9.jpg").write_bytes(film)
    page.get_by_label("Child").check()
    page.locator("[data-folder]").set_input_files(tmp_path / "films")
    until_read(page, 4)
    page.locator("[data-sort]").select_option("added")
    names = [f"films/DOE^JOHN/S1/IM{n}.jpg" for n in (1, 9, 10)] + ["films/ROE^JANE/S1/IM1.jpg"]
    assert rows(page).locator(".name").all_text_contents() == names
    assert [line["file"] for line in exported(page)] == names


def test_a_film_can_be_pasted(page: Any) -> None:
    page.get_by_label("Child").check()
    paste = """(bytes) => {
        const data = new DataTransfer();
        data.items.add(new File([new Uint8Array(bytes)], "pasted.jpg", {type: "image/jpeg"}));
        dispatchEvent(new ClipboardEvent("paste", {clipboardData: data}));
    }"""
    page.evaluate(paste, list(jpeg(size=200)["buffer"]))
    page.wait_for_selector("#decision")


def test_a_refusal_looks_like_no_reading_and_says_what_to_do(
    page: Any, complaints: list[str]
) -> None:
    choose(page, LETTER)
    refusal = page.locator("[data-result] .refusal")
    refusal.wait_for()
    assert refusal.get_attribute("data-code") == "unsupported_format"
    assert page.locator(".verdict").count() == 0
    assert page.locator("[data-exports]").is_hidden()
    with page.expect_file_chooser():
        refusal.get_by_role("link", name="Try another file").click()
    page.get_by_text("This file cannot be shown").wait_for()  # refused as a film too
    forgive_refusals(complaints)


def test_a_server_that_is_gone_can_be_asked_again(page: Any, complaints: list[str]) -> None:
    page.route("**/station/reading", lambda route: route.abort())
    choose(page, jpeg())
    page.get_by_role("heading", name="The server did not answer").wait_for()
    page.unroute("**/station/reading")
    complaints.clear()
    page.get_by_role("button", name="Read it again").click()
    page.wait_for_selector("#decision")


def test_a_busy_server_is_asked_again_by_itself(page: Any, complaints: list[str]) -> None:
    answers = iter([503, 429])

    def busy_at_first(route: Any) -> None:
        status = next(answers, None)
        if status is None:
            route.continue_()
        else:
            route.fulfill(status=status, headers={"Retry-After": "1"}, body="busy")

    page.route("**/station/reading", busy_at_first)
    choose(page, jpeg())
    page.wait_for_selector("#decision")
    assert next(answers, "used up") == "used up"
    forgive_refusals([c for c in complaints if "status of 5" not in c])
    complaints.clear()


def test_no_more_than_three_are_read_at_once(page: Any) -> None:
    page.evaluate(
        """() => {
            const send = XMLHttpRequest.prototype.send;
            window.most = 0;
            let now = 0;
            XMLHttpRequest.prototype.send = function (body) {
                now += 1;
                window.most = Math.max(window.most, now);
                this.addEventListener("readystatechange", () => {
                    now -= Number(this.readyState === XMLHttpRequest.DONE);
                });
                send.call(this, body);
            };
        }"""
    )
    choose(page, *(jpeg(f"{seed}.jpg", 200, seed) for seed in range(8)))
    until_read(page, 8)
    assert 2 <= page.evaluate("window.most") <= 3


def test_the_sample_is_one_click_away(page: Any) -> None:
    button = page.get_by_role("button", name="sample radiograph")
    if button.count() == 0:
        pytest.skip("the package pydicom-data is not installed")
    button.click()
    page.wait_for_selector("#decision")
    assert page.locator(".sample").is_visible()
    assert f"{ADULTS} 0.0.1" in page.locator(".facts").inner_text()


def test_readings_can_be_taken_along(page: Any, complaints: list[str]) -> None:
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    choose(page, jpeg("=formula.jpg"), LETTER)
    page.locator("[role=option][class*=decision]").click()
    page.wait_for_selector("#decision")
    row_of(page, "kind of file").wait_for()
    with page.expect_download() as download:
        page.get_by_role("button", name="JSON").click()
    reading = json.loads(download.value.path().read_text("utf-8"))
    assert DECISION_WORDS[reading["decision"]] == decision(page)
    assert reading["model"]["name"] == CHILDREN

    table = exported(page)
    assert [row["decision"] for row in table] == [reading["decision"], "no reading"]
    assert table[0]["file"] == "'=formula.jpg"
    assert float(table[0]["infection_probability"]) == reading["infection_probability"]

    page.get_by_role("button", name="Copy text").click()
    page.get_by_role("button", name="Copied").wait_for()
    words = page.evaluate("navigator.clipboard.readText()")
    assert words.startswith(decision(page))
    assert "Not a medical device." in words
    forgive_refusals(complaints)


def test_a_reading_prints_on_one_page(page: Any) -> None:
    choose(page, jpeg())
    page.wait_for_selector("#decision")
    page.wait_for_timeout(300)  # the heatmap's picture
    pdf = page.pdf(prefer_css_page_size=True)
    assert pdf.count(b"/Type /Page\n") == 1
    assert page.locator("[data-prints] img").count() == 2
    assert page.locator("[data-prints] img").first.evaluate("i => i.complete && i.naturalWidth > 0")
    page.emulate_media(media="print")
    assert page.locator("#decision").is_visible()
    assert page.locator(".foot", has_text="Not a medical device").is_visible()
    assert page.locator("[data-canvas]").is_hidden()


def test_everything_needed_works_without_javascript(open_page: Callable[..., Any]) -> None:
    page = open_page(java_script_enabled=False)
    page.get_by_label("Adult").check()
    page.locator("#file").set_input_files(jpeg())
    page.get_by_role("button", name="Read the radiograph").click()
    page.wait_for_selector("#decision")
    assert decision(page) in DECISION_WORDS.values()
    page.get_by_text("Heatmap", exact=True).click()
    assert page.locator(".heatmap").is_visible()


@pytest.mark.parametrize("missing", ["Array.prototype.at", "window.HTMLDialogElement"])
def test_an_old_browser_keeps_the_plain_form(open_page: Callable[..., Any], missing: str) -> None:
    page = open_page()
    page.add_init_script(f"delete {missing}")
    page.reload()
    page.get_by_label("Adult").check()
    page.locator("#file").set_input_files(jpeg())
    page.get_by_role("button", name="Read the radiograph").click()
    page.wait_for_url("**/")
    page.wait_for_selector("#decision")
    assert decision(page) in DECISION_WORDS.values()
    assert page.locator("[data-canvas]").count() == 0  # the result's own page, no station


def test_without_javascript_an_unknown_patient_is_asked_for(
    open_page: Callable[..., Any], complaints: list[str]
) -> None:
    page = open_page(java_script_enabled=False)
    choose(page, jpeg(), patient="By file")
    page.get_by_role("button", name="Read the radiograph").click()
    page.get_by_role("heading", name="Child or adult?").wait_for()
    forgive_refusals(complaints)


def test_the_theme_can_be_chosen_and_stays(page: Any, server: Server) -> None:
    ground = "getComputedStyle(document.body).backgroundColor"
    before = page.evaluate(ground)
    page.get_by_role("button", name="Dark or light").click()
    after = page.evaluate(ground)
    assert after != before
    page.goto(f"{server.address}/models")
    assert page.evaluate(ground) == after
