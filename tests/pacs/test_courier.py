"""A courier alone: one bad letter and one bad hour stop nothing but themselves."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from app.pacs.delivery import Courier
from app.pacs.metrics import NodeMetrics
from app.pacs.queue import Outcome, Queue
from app.pacs.sender import NoAnswerError, RefusedError, UnreachableError
from app.pacs.spool import Spool


@dataclass
class Scripted:
    """A sender that fails as it is told, letter by letter; None: it delivers."""

    script: list[Exception | None]
    sent: list[str] = field(default_factory=list)
    closed: int = 0

    def send(self, paths: Sequence[Path]) -> None:
        error = self.script.pop(0) if self.script else None
        if error is not None:
            raise error
        self.sent.append(paths[0].parent.name)

    def close(self) -> None:
        self.closed += 1


@dataclass
class Post:
    """A queue with letters, and the courier that takes them."""

    queue: Queue
    spool: Spool
    sender: Scripted
    courier: Courier

    def write(self, *keys: str) -> None:
        for key in keys:
            self.queue.admit(key, None, lambda: None)
            work = self.queue.claim()
            assert work is not None
            self.spool.write_results(key, {"report": b"report"})
            self.queue.finish(work, Outcome("normal", 0.1, "bundle"), ["archive"])
            self.queue.release(work)

    def deliver(self) -> float:
        return self.courier.deliver_due(threading.Event())

    def health(self) -> list[str | None]:
        rows = self.queue.reading().execute("SELECT reason FROM health")
        return [row["reason"] for row in rows]

    def letters(self) -> list[tuple[str, int, str | None]]:
        rows = self.queue.reading().execute("SELECT state, attempts, reason FROM delivery")
        return [tuple(row) for row in rows]


@pytest.fixture
def post(tmp_path: Path) -> Callable[..., Post]:
    def make(*script: Exception | None) -> Post:
        spool = Spool(tmp_path / "spool", 0)
        queue = Queue(spool.root / "queue.sqlite")
        sender = Scripted(list(script))
        courier = Courier(
            "archive",
            sender,
            queue,
            spool,
            NodeMetrics(queue, spool),
            retry_seconds=5.0,
            max_attempts=20,
            retain=False,
        )
        return Post(queue, spool, sender, courier)

    return make


def test_a_letter_that_cannot_be_sent_stops_none_behind_it(
    post: Callable[..., Post], said: list
) -> None:
    letters = post(KeyError("Zwölfender"))
    letters.write("bad", "good")
    letters.deliver()
    assert letters.sender.sent == ["good"]
    assert letters.letters() == [("waiting", 1, "KeyError"), ("delivered", 0, None)]
    assert letters.sender.closed == 1  # whatever it holds is opened anew
    assert [line["reason"] for line in said] == ["KeyError"]
    assert "Zwölfender" not in str(said)


def test_an_error_of_the_queue_is_no_fault_of_the_letter(
    post: Callable[..., Post], monkeypatch: pytest.MonkeyPatch
) -> None:
    letters = post()
    letters.write("a")

    def full(_: object) -> bool:
        raise OSError("the disk is full")

    monkeypatch.setattr(letters.queue, "delivered", full)
    for _ in range(3):
        with pytest.raises(OSError, match="disk"):
            letters.deliver()
    assert letters.letters() == [("waiting", 0, None)]
    assert letters.sender.sent == ["a"]  # it need not be sent again
    monkeypatch.undo()
    letters.write("b")
    letters.deliver()
    assert letters.letters() == [("delivered", 0, None)] * 2
    assert letters.sender.sent == ["a", "b"]


def test_a_courier_whose_disk_is_full_says_so_and_waits_longer_each_time(
    post: Callable[..., Post], monkeypatch: pytest.MonkeyPatch, said: list
) -> None:
    letters, stop, waits = post(), threading.Event(), []
    letters.write("a")
    with letters.queue.writing() as db:
        pages = db.execute("PRAGMA page_count").fetchone()[0]

    def wait(stop: threading.Event, seconds: float) -> None:
        waits.append(seconds)
        if len(waits) == 8:
            stop.set()

    def full(_: object) -> bool:
        with letters.queue.writing() as db:  # as the system says it of a full disk
            db.execute(f"PRAGMA max_page_count = {pages}")
            db.execute("UPDATE work SET code = zeroblob(?)", (pages * 4096,))
        return True

    monkeypatch.setattr(letters.queue, "delivered", full)
    monkeypatch.setattr(letters.courier, "_pause", wait)
    letters.courier.run(stop)
    assert waits == [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0]
    errors = [line["error"] for line in said if line["event"] == "queue failed"]
    assert errors == ["disk full"] * 8


def test_a_destination_that_cannot_be_reached_is_tried_every_minute(
    post: Callable[..., Post],
) -> None:
    letters = post(*[UnreachableError("it does not answer")] * 12)
    letters.write("a")
    waits = [letters.deliver() for _ in range(12)]
    assert waits == [5.0, 10.0, 20.0, 40.0, *[60.0] * 8]
    assert letters.letters() == [("waiting", 0, None)]


def test_after_an_answer_the_waiting_begins_anew(post: Callable[..., Post]) -> None:
    down = UnreachableError("it does not answer")
    letters = post(down, down, down, RefusedError("no"), down)
    letters.write("a", "b")
    assert [letters.deliver() for _ in range(4)] == [5.0, 10.0, 20.0, 5.0]


def test_a_destination_that_refuses_answers(post: Callable[..., Post]) -> None:
    letters = post(UnreachableError("it does not answer"), RefusedError("no"))
    letters.write("a")
    letters.deliver()
    assert letters.health() == ["it does not answer"]
    letters.deliver()
    assert letters.health() == [None]
    assert letters.letters() == [("waiting", 1, "no")]


def test_a_film_that_silences_the_destination_stops_none_behind_it(
    post: Callable[..., Post],
) -> None:
    letters = post(*[NoAnswerError("report: no answer")] * 3)
    letters.write("bad", "worse", "worst", "good")
    assert letters.deliver() == 0.0
    assert letters.health() == ["report: no answer"]
    for _ in range(3):
        letters.deliver()
    assert letters.sender.sent == ["good"]
    # Nothing may be wrong with the others, so they never become dead.
    assert letters.letters() == [("waiting", 0, "report: no answer")] * 3 + [("delivered", 0, None)]


def test_what_was_tried_in_vain_stands_behind_what_was_not(post: Callable[..., Post]) -> None:
    letters = post(*[NoAnswerError("report: no answer")] * 2)
    letters.write("bad", "worse")
    for _ in range(2):
        letters.deliver()
    with letters.queue.writing() as db:
        db.execute("UPDATE delivery SET due = 1, urgent = 1")
    letters.write("good")
    assert [letter.key for letter in letters.queue.due_deliveries("archive", 9)] == [
        *("good", "bad", "worse")
    ]


def test_a_silent_destination_stays_down_while_its_letters_wait(post: Callable[..., Post]) -> None:
    letters = post(NoAnswerError("report: no answer"))
    letters.write("a")
    letters.deliver()
    assert letters.deliver() == 1.0  # nothing is due
    assert letters.health() == ["report: no answer"]


def test_what_is_refused_for_good_is_dead_at_once(post: Callable[..., Post]) -> None:
    letters = post(RefusedError("not accepted", for_good=True))
    letters.write("a")
    letters.deliver()
    assert letters.letters() == [("dead", 1, "not accepted")]


def test_results_that_are_gone_say_nothing_about_the_destination(
    post: Callable[..., Post],
) -> None:
    letters = post()
    letters.write("a")
    letters.spool.discard("a")
    letters.deliver()
    assert letters.letters() == [("waiting", 1, "the results are no longer in the spool")]
    assert letters.health() == []


def test_a_destination_that_nobody_tries_any_more_is_not_called_down(
    post: Callable[..., Post],
) -> None:
    letters = post(UnreachableError("it does not answer"))
    letters.queue.note_health("web", "it does not answer")
    letters.write("a")
    letters.deliver()
    with letters.queue.writing() as db:
        db.execute("DELETE FROM delivery")
    letters.deliver()
    assert letters.health() == ["it does not answer"]  # that of the other one
    letters.write("b")
    letters.deliver()
    letters.deliver()
    assert None in letters.health()
