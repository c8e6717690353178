"""The bounded queue before the readings."""

from __future__ import annotations

import json
import threading
import time

import pytest
from gunicorn.http.errors import InvalidHTTPVersion, LimitRequestHeaders

from app import errors, refusals
from app.admission import Admission, usual_at_once
from app.errors import OverloadedError


def occupy(admission: Admission, count: int) -> tuple[threading.Event, list[threading.Thread]]:
    """Hold or wait for ``count`` places, until the event is set."""
    release = threading.Event()

    def hold() -> None:
        with admission.turn():
            release.wait(30)

    threads = [threading.Thread(target=hold) for _ in range(count)]
    for thread in threads:
        thread.start()
    end = time.monotonic() + 10
    while admission.inside < count:
        assert time.monotonic() < end
        time.sleep(0.001)
    return release, threads


def finish(release: threading.Event, threads: list[threading.Thread]) -> None:
    release.set()
    for thread in threads:
        thread.join()


def test_no_more_at_once_than_there_are_places() -> None:
    admission = Admission(at_once=2, waiting=20, seconds=10)
    lock, now, most = threading.Lock(), 0, 0

    def read() -> None:
        nonlocal now, most
        with admission.turn():
            with lock:
                now += 1
                most = max(most, now)
            time.sleep(0.005)
            with lock:
                now -= 1

    threads = [threading.Thread(target=read) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == 2
    assert admission.inside == 0


def test_past_the_queue_the_refusal_is_immediate() -> None:
    admission = Admission(at_once=1, waiting=2, seconds=60)
    release, threads = occupy(admission, 3)
    began = time.monotonic()
    with pytest.raises(OverloadedError), admission.turn():
        pytest.fail("there was no place")
    assert time.monotonic() - began < 1
    finish(release, threads)
    with admission.turn():
        assert admission.inside == 1


def test_nobody_waits_longer_than_the_limit() -> None:
    admission = Admission(at_once=1, waiting=2, seconds=0.05)
    release, threads = occupy(admission, 1)
    with pytest.raises(OverloadedError, match="No reading could begin"), admission.turn():
        pytest.fail("there was no place")
    assert admission.inside == 1
    finish(release, threads)


def test_a_failed_reading_leaves_its_place() -> None:
    admission = Admission(at_once=1, waiting=0, seconds=1)
    for _ in range(3):
        with pytest.raises(ZeroDivisionError), admission.turn():
            raise ZeroDivisionError
    assert admission.inside == 0


def test_whoever_counts_the_waiting_hears_every_change() -> None:
    told: list[int] = []
    admission = Admission(at_once=1, waiting=2, seconds=60, tell=told.append)
    with admission.turn():
        assert told == []  # nobody waits
    release, threads = occupy(admission, 3)
    with pytest.raises(OverloadedError), admission.turn():
        pytest.fail("there was no place")
    finish(release, threads)
    assert told == [1, 2, 1, 0]


@pytest.mark.parametrize(
    "refusal",
    [value for value in vars(refusals).values() if isinstance(value, refusals.Refusal)]
    + [
        refusals.refusal_of(error("x"))
        for error in (LimitRequestHeaders, InvalidHTTPVersion, KeyError)
    ],
    ids=lambda refusal: refusal.status,
)
def test_answers_before_flask_look_like_those_of_flask(refusal: refusals.Refusal) -> None:
    head, _, body = refusal.encode(close=False).partition(b"\r\n\r\n")
    problem = json.loads(body)
    assert set(problem) == {"type", "title", "status", "detail", "code", "request_id", "error"}
    assert problem["error"] == problem["detail"]
    known = errors.PROBLEMS[problem["code"]]
    assert problem["title"] == known.title
    assert problem["status"] == int(refusal.status[:3])
    assert known.status == problem["status"] or problem["code"] == "invalid_parameter"
    assert f"X-Request-ID: {problem['request_id']}".encode() in head
    assert (b"Retry-After: 2" in head) is (known.status == 503)
    assert f"Content-Length: {len(body)}".encode() in head


@pytest.mark.parametrize(
    ("cores", "workers", "at_once"), [(2, 1, 3), (2, 2, 2), (8, 3, 4), (None, 1, 2)]
)
def test_a_worker_reads_one_more_than_it_has_cores(
    monkeypatch: pytest.MonkeyPatch, cores: int | None, workers: int, at_once: int
) -> None:
    monkeypatch.setattr("os.cpu_count", lambda: cores)
    assert usual_at_once(workers) == at_once
