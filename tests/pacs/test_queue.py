"""The spool and the queue: durable, private, once each."""

from __future__ import annotations

import errno
import os
import stat
import time
from pathlib import Path
from typing import Any

import pytest

from app.pacs.housekeeping import disposable, tidy, unknown
from app.pacs.queue import LOST, Outcome, Queue
from app.pacs.spool import Spool, SpoolFullError


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    return Spool(tmp_path / "spool", 0, in_node=True)


@pytest.fixture
def queue(tmp_path: Path) -> Queue:
    return Queue(tmp_path / "queue.sqlite")


def admit(queue: Queue, key: str) -> bool:
    return queue.admit(key, "bundle", lambda: None)


def test_everything_on_disk_is_its_owners_only(spool: Spool, tmp_path: Path) -> None:
    old = os.umask(0)
    try:
        queue = Queue(spool.root / "queue.sqlite")
        admit(queue, "a")
        spool.accept(spool.stage(b"film"), "a")
        spool.write_results("a", {"report": b"result"})
    finally:
        os.umask(old)
    for path in [spool.root, *spool.root.rglob("*")]:
        assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0, path


def test_a_film_is_flushed_before_it_gets_its_name(
    spool: Spool, monkeypatch: pytest.MonkeyPatch
) -> None:
    events: list[str] = []
    real_fsync, real_replace = os.fsync, os.replace

    def fsync(descriptor: int) -> None:
        kind = "folder" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "file"
        events.append(f"flush {kind}")
        real_fsync(descriptor)

    def replace(source: Any, target: Any) -> None:
        events.append("rename")
        real_replace(source, target)

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(os, "replace", replace)
    spool.accept(spool.stage(b"film"), "key")
    assert events == ["flush file", "rename", "flush folder"]
    assert spool.received("key").read_bytes() == b"film"


def test_a_full_disk_leaves_nothing_behind(spool: Spool, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(SpoolFullError):
        spool.stage(b"film")
    with pytest.raises(SpoolFullError):
        spool.write_results("key", {"report": b"result"})
    assert [path for path in spool.root.rglob("*") if path.is_file()] == []


def test_the_watermark_refuses_before_the_disk_is_full(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool", 2**60)
    with pytest.raises(SpoolFullError):
        spool.stage(b"film")


def test_a_film_is_admitted_once(queue: Queue) -> None:
    accepted: list[str] = []
    assert queue.admit("a", None, lambda: accepted.append("a"))
    assert not queue.admit("a", None, lambda: accepted.append("again"))
    assert accepted == ["a"]


def test_a_film_whose_file_was_lost_is_taken_again(queue: Queue) -> None:
    admit(queue, "a")
    work = queue.claim()
    assert work is not None
    queue.postpone(work, 3000, "spool_full")
    queue.fail(work, LOST)
    queue.release(work)
    kept: list[str] = []
    assert not queue.knows("a")
    assert queue.admit("a", "other", lambda: kept.append("a"), received=7.0)
    assert kept == ["a"]
    assert queue.knows("a")
    again = queue.claim()
    assert again is not None
    assert (again.id, again.bundle, again.attempts) == (work.id, "other", 1)
    assert again.received == 7.0
    queue.fail(again, "internal_error")
    assert queue.knows("a")  # its file is there, and a retry reads it


def test_a_film_whose_file_cannot_be_kept_is_not_queued(queue: Queue) -> None:
    def fail() -> None:
        raise OSError(errno.EIO, "no")

    with pytest.raises(OSError, match="no"):
        queue.admit("a", None, fail)
    assert not queue.knows("a")


def test_two_readers_never_claim_the_same_film(queue: Queue) -> None:
    for key in "abc":
        admit(queue, key)
    claimed = [queue.claim() for _ in range(4)]
    assert [work.key if work else None for work in claimed] == ["a", "b", "c", None]


def test_a_film_that_was_being_read_in_a_crash_is_read_again(queue: Queue, tmp_path: Path) -> None:
    admit(queue, "a")
    assert queue.claim() is not None
    after_the_crash = Queue(tmp_path / "queue.sqlite")
    work = after_the_crash.claim()
    assert work is not None
    assert (work.key, work.attempts) == ("a", 2)


def test_a_postponed_film_waits(queue: Queue) -> None:
    admit(queue, "a")
    work = queue.claim()
    assert work is not None
    queue.postpone(work, 1000, "internal_error")
    queue.release(work)
    assert queue.claim() is None
    queue.postpone(work, -1, "spool_full", count=False)
    again = queue.claim()
    assert again is not None
    # The first attempt counts twice no more: the second wait was not the film's fault.
    assert again.attempts == 1


def test_a_clock_that_goes_back_parks_nothing(
    queue: Queue, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now)
    finished(queue, "a", "normal", ["archive"])
    admit(queue, "b")
    admit(queue, "c")
    waits = queue.claim()
    assert waits is not None
    queue.postpone(waits, 3600, "spool_full")
    queue.release(waits)
    (letter,) = queue.due_deliveries("archive", 10)
    queue.not_delivered(letter, "no", 3600)
    assert queue.due_deliveries("archive", 10) == []
    now -= 86_400
    assert len(queue.due_deliveries("archive", 10)) == 1
    claimed = [queue.claim() for _ in range(3)]
    assert [work.key if work else None for work in claimed] == ["b", "c", None]


def finished(queue: Queue, key: str, decision: str, destinations: list[str]) -> int:
    admit(queue, key)
    work = queue.claim()
    assert work is not None
    queue.finish(work, Outcome(decision, 0.5, "bundle"), destinations)
    queue.release(work)
    return work.id


def test_infection_is_delivered_first_and_normal_never_later(queue: Queue) -> None:
    for key, decision in (("a", "uncertain"), ("b", "normal"), ("c", "infected"), ("d", "normal")):
        finished(queue, key, decision, ["archive"])
    assert [letter.key for letter in queue.due_deliveries("archive", 10)] == ["c", "a", "b", "d"]


def test_a_film_is_done_after_its_last_delivery(queue: Queue) -> None:
    finished(queue, "a", "normal", ["one", "two"])
    (first,) = queue.due_deliveries("one", 10)
    (second,) = queue.due_deliveries("two", 10)
    assert not queue.delivered(first)
    assert disposable(queue, 0, {"a"}) == []
    assert queue.delivered(second)
    assert disposable(queue, -1, {"a", "unknown"}) == ["a"]
    assert unknown(queue, {"a", "unknown"}) == ["unknown"]
    assert disposable(queue, 1000, {"a"}) == []


def test_a_film_with_a_dead_letter_is_kept_for_a_retry(queue: Queue) -> None:
    finished(queue, "a", "normal", ["one", "two"])
    (second,) = queue.due_deliveries("two", 10)
    queue.not_delivered(second, "refused", None)
    (first,) = queue.due_deliveries("one", 10)
    assert not queue.delivered(first)
    assert disposable(queue, -1, {"a"}) == []


def test_health_remembers_since_when(queue: Queue) -> None:
    queue.note_health("one", "down")
    before = queue.reading().execute("SELECT since FROM health").fetchone()[0]
    queue.note_health("one", "still down")
    row = queue.reading().execute("SELECT since, reason FROM health").fetchone()
    assert (row["since"], row["reason"]) == (before, "still down")
    queue.note_health("one", None)
    assert queue.reading().execute("SELECT since FROM health").fetchone()[0] > before


def test_what_a_crash_left_unfinished_is_cleared_but_not_a_pull_under_way(
    spool: Spool, tmp_path: Path
) -> None:
    mine = spool.stage(b"mine")
    other = Spool(tmp_path / "spool", 0).stage(b"a pull's")
    old = Spool(tmp_path / "spool", 0).stage(b"an old pull's")
    os.utime(old, (0, 0))
    spool.clear_unfinished()
    assert (mine.exists(), other.exists(), old.exists()) == (False, True, False)


@pytest.mark.parametrize(
    ("days", "retention_days", "kept", "known"),
    [
        (40, 60, True, True),
        (40, 0, False, False),
        (40, 35, False, False),
        (29, 0, False, True),  # or it would be read once more when it is sent again
    ],
)
def test_a_film_is_known_as_long_as_its_files_or_the_history(
    spool: Spool, tmp_path: Path, days: int, retention_days: float, kept: bool, known: bool
) -> None:
    queue = Queue(tmp_path / "queue.sqlite")
    finished(queue, "a", "normal", ["archive"])
    (letter,) = queue.due_deliveries("archive", 1)
    queue.delivered(letter)
    spool.accept(spool.stage(b"film"), "a")
    with queue.writing() as db:
        db.execute("UPDATE work SET finished = finished - ? * 86400", (days,))
    tidy(queue, spool, retention_seconds=retention_days * 86_400, history_days=30)
    assert spool.keys() == ({"a"} if kept else set())
    assert queue.knows("a") == known
