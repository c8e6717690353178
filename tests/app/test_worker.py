"""Answers that their clients do not take: kept for a while, and within bounds."""

from __future__ import annotations

import errno
import os
import selectors
import socket
import time
from collections.abc import Iterator
from concurrent.futures import Future
from types import SimpleNamespace
from typing import Any

import pytest
from gunicorn.config import Config

from app import worker as module
from app.connection import Connection
from app.worker import BufferingWorker

ANSWER = bytes(3_000_000)


@pytest.fixture
def worker() -> Iterator[BufferingWorker]:
    made = BufferingWorker(0, os.getpid(), [], None, 30, Config(), None)
    made.alive = True
    made.poller = selectors.DefaultSelector()
    made.method_queue.init()
    yield made
    made.tmp.close()
    made.poller.close()
    made.method_queue.close()


@pytest.fixture
def connect(worker: BufferingWorker) -> Iterator[Any]:
    """Makes connections; each with the client's end of it."""
    ends: list[socket.socket] = []

    def one() -> tuple[Connection, socket.socket]:
        near, far = socket.socketpair()
        ends.extend((near, far))
        far.settimeout(5)
        worker.nr_conns += 1
        return Connection(worker.cfg, near, ("127.0.0.1", 1), ("127.0.0.1", 2)), far

    yield one
    for end in ends:
        end.close()


def answered(worker: BufferingWorker, conn: Connection, *, keeps: bool) -> None:
    """As when a thread has written its answer."""
    conn.outbox.sendall(ANSWER)
    done: Future[bool] = Future()
    done.set_result(keeps)
    worker.finish_request(conn, done)


def turn(worker: BufferingWorker) -> None:
    for key, _ in worker.poller.select(0):
        key.data(key.fileobj)


@pytest.mark.parametrize("keeps", [True, False])
def test_the_rest_of_an_answer_is_sent_on_and_then_the_connection_goes_its_way(
    worker: BufferingWorker, connect: Any, keeps: bool
) -> None:
    conn, far = connect()
    answered(worker, conn, keeps=keeps)
    got = 0
    while got < len(ANSWER):
        turn(worker)
        got += len(far.recv(65_536))
    turn(worker)
    assert not conn.outbox.waiting
    assert (conn in worker.keepalived_conns) is keeps
    if not keeps:
        assert far.recv(10) == b""  # nothing more comes
        far.close()
        turn(worker)
        assert worker.nr_conns == 0


def test_whoever_takes_longest_makes_room(
    worker: BufferingWorker, connect: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MAX_LEAVING_BYTES", int(2.5 * len(ANSWER)))
    clients = [connect() for _ in range(4)]
    for conn, _ in clients:
        answered(worker, conn, keeps=True)
    assert [conn.sock.fileno() >= 0 for conn, _ in clients] == [False, False, True, True]
    assert worker.nr_conns == 2


def test_one_large_answer_alone_makes_room_for_nobody(
    worker: BufferingWorker, connect: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MAX_LEAVING_BYTES", len(ANSWER) // 3)
    conn, _ = connect()
    answered(worker, conn, keeps=True)
    assert conn.sock.fileno() >= 0


def test_an_answer_may_be_taken_slowly_and_not_for_ever(
    worker: BufferingWorker, connect: Any
) -> None:
    conn, _ = connect()
    before = time.monotonic()
    answered(worker, conn, keeps=True)
    # 30 seconds, and one for every 64 KiB that the client has not taken yet.
    assert conn.deadline - before == pytest.approx(30 + conn.outbox.waiting / 65_536, abs=1)
    worker.murder_pending()
    assert worker.nr_conns == 1
    conn.deadline = time.monotonic() - 1
    worker.murder_pending()
    assert worker.nr_conns == 0
    assert conn.sock.fileno() < 0


def test_a_client_that_does_not_end_is_left_after_a_while(
    worker: BufferingWorker, connect: Any
) -> None:
    conn, far = connect()
    done: Future[bool] = Future()
    done.set_result(False)
    worker.finish_request(conn, done)
    assert far.recv(10) == b""
    assert worker.nr_conns == 1
    assert conn.deadline - time.monotonic() < 3
    conn.deadline = 0.0
    worker.murder_pending()
    assert worker.nr_conns == 0


def test_one_that_still_sends_a_refused_body_is_heard_out_for_longer(
    worker: BufferingWorker, connect: Any
) -> None:
    conn, far = connect()
    conn.cut = True
    done: Future[bool] = Future()
    done.set_result(False)
    worker.finish_request(conn, done)
    for _ in range(20):
        far.sendall(bytes(100_000))
        turn(worker)
    assert worker.nr_conns == 1
    assert conn.deadline - time.monotonic() > 15


def test_a_connection_that_made_room_is_ended_once(
    worker: BufferingWorker, connect: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The poller may hold an event of it still, from the same turn."""
    conn, far = connect()
    answered(worker, conn, keeps=True)
    far.recv(1_000_000)
    (ready, _), *_ = worker.poller.select(1)
    monkeypatch.setattr(module, "MAX_LEAVING_BYTES", 1)
    answered(worker, connect()[0], keeps=True)
    assert worker.nr_conns == 1
    ready.data(ready.fileobj)
    assert worker.nr_conns == 1


def test_whoever_sends_longest_makes_room_for_other_films(
    worker: BufferingWorker, connect: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    refused: list[str] = []
    monkeypatch.setattr(worker, "_count", lambda refusal: refused.append(refusal.code))
    monkeypatch.setattr(module, "MAX_ARRIVING_BYTES", 250_000)
    head = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n"
    clients = [connect() for _ in range(3)]
    for conn, far in clients:
        far.sendall(head + bytes(100_000))
        worker._watch(conn)
    assert refused == ["overloaded"]
    assert clients[0][1].recv(12) == b"HTTP/1.1 503"
    assert list(worker._arriving) == [conn for conn, _ in clients[1:]]
    assert worker._arriving_bytes == sum(each.size for each in worker._arriving.values())
    worker._receive(clients[0][0], clients[0][0].sock)  # an event from the same turn


def test_no_more_files_is_no_end(worker: BufferingWorker, monkeypatch: pytest.MonkeyPatch) -> None:
    class Full:
        def accept(self) -> None:
            raise OSError(errno.EMFILE, "Too many open files")

    said: list[str] = []
    worker.log = SimpleNamespace(warning=lambda text, *_: said.append(text))
    worker.nr_conns = 40
    worker.accept(Full())
    assert worker.worker_connections == 40
    assert said
