"""New connections go to the worker that has the fewest, and wait for nobody long."""

from __future__ import annotations

import os
import time

import pytest

from app import balance
from app.balance import LONGEST_WAIT, Balance, Share, usual_workers
from app.settings import Settings


def ready(shared: Balance, connections: int = 0) -> Share:
    share = shared.join()
    share.ready = True
    share.has(connections)
    return share


def test_who_has_more_leaves_it_to_who_has_fewer() -> None:
    shared = Balance()
    one, other = ready(shared, 2), ready(shared, 1)
    assert one.leaves_it()
    assert not other.leaves_it()
    other.has(2)
    assert not one.leaves_it()
    assert not other.leaves_it()
    one.has(1)
    assert other.leaves_it()


def test_a_worker_alone_takes_everything() -> None:
    assert not ready(Balance(), 1000).leaves_it()


def test_who_still_loads_takes_nothing_while_another_reads() -> None:
    shared = Balance()
    busy, loading = ready(shared, 30), shared.join()
    end = time.monotonic() + 3 * LONGEST_WAIT
    while time.monotonic() < end:
        assert loading.leaves_it()
        assert not busy.leaves_it()
    loading.ready = True
    assert not loading.leaves_it()
    assert busy.leaves_it()


@pytest.mark.parametrize("how", ["ends", "is full", "died"])
def test_who_still_loads_answers_where_nobody_reads(how: str) -> None:
    shared = Balance()
    other, loading, another = ready(shared, 3), shared.join(), shared.join()
    another.has(2)
    assert loading.leaves_it()
    if how == "died":
        shared.leave(other)
    else:
        other.accepts(False)
    assert not loading.leaves_it()


def test_a_dead_worker_s_place_is_not_ready_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(balance, "_PLACES", 2)  # so that the next worker gets that very place
    shared = Balance()
    loading, dead = shared.join(), ready(shared)
    shared.leave(dead)
    assert shared.join().place == dead.place
    assert not loading.leaves_it()


@pytest.mark.parametrize("how", ["ended", "died"])
def test_nobody_waits_for_who_accepts_nothing(how: str) -> None:
    shared = Balance()
    one, other = ready(shared, 5), ready(shared, 0)
    assert one.leaves_it()
    if how == "ended":
        other.accepts(False)
        other.has(0)  # the connections that it still had are closed
    else:
        shared.leave(other)
    assert not one.leaves_it()


def test_the_next_worker_begins_where_a_dead_one_was() -> None:
    shared = Balance()
    one, dead = ready(shared, 1), ready(shared, 7)
    shared.leave(dead)
    ready(shared, 0)
    assert one.leaves_it()


def test_what_nobody_takes_is_taken_and_then_nobody_waited_for() -> None:
    shared = Balance()
    one, _stuck = ready(shared, 1), ready(shared, 0)
    began = time.monotonic()
    while one.leaves_it():
        assert time.monotonic() - began < 50 * LONGEST_WAIT
    assert time.monotonic() - began >= LONGEST_WAIT
    assert not one.leaves_it()


def test_it_waits_for_each_connection_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    """Others took what it left before: that is no reason to take this one."""
    shared = Balance()
    one, _ = ready(shared, 1), ready(shared, 0)
    clock = [0.0]
    monkeypatch.setattr(balance.time, "monotonic", lambda: clock[0])
    for _ in range(100):
        clock[0] += LONGEST_WAIT
        assert one.leaves_it()


def test_another_process_sees_it() -> None:
    shared = Balance()
    one, other = ready(shared, 3), ready(shared, 3)
    child = os.fork()
    if not child:
        other.has(1)
        os._exit(0)
    os.waitpid(child, 0)
    assert one.leaves_it()


def test_workers_without_a_place_take_what_comes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(balance, "_PLACES", 1)
    shared = Balance()
    ready(shared, 0)
    extra = ready(shared, 9)
    assert not extra.leaves_it()
    shared.leave(extra)


@pytest.mark.parametrize(
    ("cores", "limit", "store", "workers"),
    [
        (1, "", "memory://", 1),
        (2, "", "memory://", 2),
        (64, "", "memory://", 2),
        (2, "10/minute", "memory://", 1),
        (2, "10/minute", "redis://h:6379/0", 2),
    ],
)
def test_workers_unless_somebody_says(
    monkeypatch: pytest.MonkeyPatch, cores: int, limit: str, store: str, workers: int
) -> None:
    monkeypatch.setattr("os.cpu_count", lambda: cores)
    assert usual_workers(Settings(rate_limit=limit, rate_limit_store=store)) == workers
