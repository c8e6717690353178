"""The page /pacs: what waits, what failed, in which order to look; and nobody's identity."""

from __future__ import annotations

import re
import stat
import time
from dataclasses import replace
from pathlib import Path

import pytest
from flask.testing import FlaskClient

from app import create_app
from app.pacs.node import open_queue
from app.pacs.page import ago
from app.pacs.peers import read_peers
from app.pacs.put_aside import NO_LONGER_CONFIGURED, bury_unknown, discard
from app.pacs.queue import Outcome, Queue
from app.pacs.settings import PacsSettings
from app.settings import Settings
from tests.pacs.fakes import load_fake


@pytest.fixture
def client(
    pacs_settings: PacsSettings, models: Path, monkeypatch: pytest.MonkeyPatch
) -> FlaskClient:
    assert pacs_settings.spool is not None
    settings = replace(pacs_settings, destinations=read_peers("archive=dicom://A@h,web=http://w/x"))
    monkeypatch.setattr(PacsSettings, "from_environment", classmethod(lambda _: settings))
    return create_app(Settings(models=models), load=load_fake).test_client()


@pytest.fixture
def queue(pacs_settings: PacsSettings) -> Queue:
    assert pacs_settings.spool is not None
    pacs_settings.spool.mkdir()
    return open_queue(pacs_settings.spool)


def add(queue: Queue, key: str, outcome: Outcome) -> None:
    queue.admit(key, "bundle", lambda: None)
    work = queue.claim()
    assert work is not None
    queue.finish(work, outcome, ["archive", "web"])
    queue.release(work)


def page(client: FlaskClient) -> str:
    answer = client.get("/pacs", headers={"Accept": "text/html"})
    assert answer.status_code == 200
    return " ".join(re.sub(r"<[^>]+>", " ", answer.get_data(as_text=True)).split())


def test_without_a_spool_there_is_no_page(models: Path) -> None:
    client = create_app(Settings(models=models), load=load_fake).test_client()
    assert client.get("/pacs").status_code == 404
    assert b'href="/pacs"' not in client.get("/").data


def test_before_the_first_node_the_page_says_how_to_start_one(client: FlaskClient) -> None:
    assert "flask --app app pacs-node" in page(client)
    assert b'href="/pacs"' in client.get("/").data


def test_triage_order_is_infection_first_and_the_rest_as_they_came(
    client: FlaskClient, queue: Queue
) -> None:
    add(queue, "a", Outcome("normal", 0.05, "bundle"))
    add(queue, "b", Outcome("infected", 0.91, "bundle"))
    add(queue, "c", Outcome("uncertain", 0.4, "bundle"))
    add(queue, "d", Outcome(code="unreadable_image"))
    text = page(client)
    order = [
        text.index(words)
        for words in (
            "Signs of infection 91.0%",
            "Not read: unreadable_image",
            "Uncertain: needs a reader 40.0%",
            "No sign of infection found 5.0%",
        )
    ]
    assert order == sorted(order)
    assert "healthy" not in text.lower()


def test_destinations_and_failures_are_shown_and_can_be_retried(
    client: FlaskClient, queue: Queue
) -> None:
    for key in "ab":
        add(queue, key, Outcome("normal", 0.05, "bundle"))
    for letter in queue.due_deliveries("web", 5):
        queue.not_delivered(letter, "report: cannot understand (0xC000)", None)
    queue.note_health("archive", "it does not answer")
    text = page(client)
    assert "archive Unreachable for under a minute: it does not answer 2 0" in text
    assert "report: cannot understand (0xC000)" in text
    answer = client.post("/pacs/retry", data={"film": "1"}, follow_redirects=True)
    assert b"1 will be tried again" in answer.data
    assert len(queue.due_deliveries("web", 5)) == 1
    assert b"1 will be tried again" in client.post("/pacs/retry", follow_redirects=True).data
    assert len(queue.due_deliveries("web", 5)) == 2


def test_what_is_not_shown_is_counted_and_can_be_shown(client: FlaskClient, queue: Queue) -> None:
    with queue.writing() as db:
        now = time.time()
        for number in range(300):
            decision = "infected" if number % 3 == 0 else "normal"
            db.execute(
                "INSERT INTO work (key, state, due, received, finished, urgent, decision) "
                "VALUES (?, 'delivering', ?, ?, ?, ?, ?)",
                (str(number), now, now, now + number / 1000, decision == "infected", decision),
            )
        db.execute(
            "INSERT INTO delivery (work, destination, state, due, reason) "
            "SELECT id, 'web', 'dead', due, 'no' FROM work WHERE id > 140"
        )
        db.execute("UPDATE delivery SET reason = 'never' WHERE work <= 143")
    text = page(client)
    assert "50 of 100 with signs of infection and 50 of 200 others are shown." in text
    assert text.count("No sign of infection found under a minute ago") == 50
    assert text.count("Signs of infection under a minute ago") == 50
    assert text.index(" 300 No sign of") < text.index(" 299 No sign of")
    assert " 1 Signs of infection" not in text
    newest = "157 films, not delivered to web no (0 attempts at most) Retry 157 "
    newest += "Which, newest first: 50 of 157 shown 300 299 298"
    assert newest in text
    other = "3 films, not delivered to web never (0 attempts at most) Retry 3 "
    assert text.index(newest) < text.index(other + "Which, newest first 143 142 141")
    whole = client.get("/pacs?all=1").get_data(as_text=True)
    assert " shown" not in whole
    assert 'name="film" value="144"' in whole
    assert "<tr><td>1</td>" in whole


def test_what_failed_alike_is_tried_again_together(client: FlaskClient, queue: Queue) -> None:
    for key in "abc":
        add(queue, key, Outcome("normal", 0.05, "bundle"))
    for letter, reason in zip(queue.due_deliveries("web", 5), ("no", "no", "never"), strict=True):
        queue.not_delivered(letter, reason, None)
    for reason in ("film_lost", "unreadable"):
        queue.admit(reason, "bundle", lambda: None)
        work = queue.claim()
        assert work is not None
        queue.fail(work, reason)
    for form, letters, lost in (
        ({"destination": "web", "reason": "no"}, 2, 0),
        ({"destination": "web", "reason": "never", "film": "1"}, 0, 0),
        ({"destination": "", "reason": "film_lost"}, 0, 1),
    ):
        answer = client.post("/pacs/retry", data=form, follow_redirects=True)
        assert f"{letters + lost} will be tried again".encode() in answer.data
    assert len(queue.due_deliveries("web", 5)) == 2
    text = page(client)
    assert "1 film, not delivered to web never" in text
    assert "1 film, not read unreadable" in text


def test_letters_that_nobody_delivers_have_no_button(client: FlaskClient, queue: Queue) -> None:
    queue.admit("a", "bundle", lambda: None)
    work = queue.claim()
    assert work is not None
    queue.finish(work, Outcome("normal", 0.05, "bundle"), ["old"])
    bury_unknown(queue, ["archive", "web"])
    answer = client.get("/pacs", headers={"Accept": "text/html"}).get_data(as_text=True)
    assert NO_LONGER_CONFIGURED in answer
    assert 'value="1"' not in answer
    assert b"0 will be tried again" in client.post("/pacs/retry", follow_redirects=True).data
    assert NO_LONGER_CONFIGURED in page(client)
    discard(queue)
    assert "5.0% bundle under a minute ago Let go" in page(client)


def test_to_look_at_the_page_changes_nothing_and_opens_the_queue_once(
    client: FlaskClient, queue: Queue, pacs_settings: PacsSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    spool = pacs_settings.spool
    assert spool is not None
    spool.chmod(0o755)
    opened: list[Path] = []

    def counted(path: Path) -> Queue:
        opened.append(path)
        return open_queue(path)

    monkeypatch.setattr("app.pacs.page.open_queue", counted)
    for _ in range(3):
        assert "GB are free" in page(client)
    assert len(opened) == 1
    assert stat.S_IMODE(spool.stat().st_mode) == 0o755
    assert [path for path in spool.iterdir() if path.is_dir()] == []


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Sec-Fetch-Site": "cross-site", "Origin": "https://elsewhere.example"}, 400),
        ({"Sec-Fetch-Site": "same-site"}, 400),
        ({"Origin": "https://elsewhere.example"}, 400),
        ({"Origin": "http://["}, 400),
        ({"Origin": "null"}, 400),
        ({"Origin": "http://localhost"}, 303),
        ({"Sec-Fetch-Site": "same-origin", "Origin": "http://localhost"}, 303),
    ],
)
def test_another_site_cannot_press_the_button(
    client: FlaskClient, queue: Queue, headers: dict[str, str], status: int
) -> None:
    assert client.post("/pacs/retry", headers=headers).status_code == status


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(5, "under a minute"), (60, "1 minute"), (7300, "2 hours"), (200_000, "2 days")],
)
def test_spans_in_words(seconds: float, words: str) -> None:
    assert ago(seconds) == words


def test_a_damaged_queue_is_a_sentence(client: FlaskClient, pacs_settings: PacsSettings) -> None:
    assert pacs_settings.spool is not None
    pacs_settings.spool.mkdir()
    (pacs_settings.spool / "queue.sqlite").write_bytes(b"no database" * 100)
    answer = client.get("/pacs", headers={"Accept": "text/html"})
    assert answer.status_code == 503
    assert "The queue cannot be read: file is not a database" in answer.get_data(as_text=True)
