"""What the parser reads from, against the bytes that were sent."""

from __future__ import annotations

import random
import socket
import time
from collections.abc import Iterator

import pytest
from gunicorn.config import Config
from gunicorn.http.message import Request
from gunicorn.http.unreader import SocketUnreader
from gunicorn.workers.gthread import ThreadWorker
from werkzeug.exceptions import RequestEntityTooLarge

from app.arrived import DeadlineUnreader, keep_whole
from app.http import MemoryRequest, WholeBody
from app.worker import BufferingWorker


@pytest.fixture
def ends() -> Iterator[tuple[DeadlineUnreader, socket.socket]]:
    near, far = socket.socketpair()
    with near, far:
        unreader = DeadlineUnreader(near)
        unreader.deadline = time.monotonic() + 10
        yield unreader, far


@pytest.mark.parametrize("seed", range(20))
def test_every_byte_comes_once_and_in_order(ends, seed: int) -> None:
    """The same calls as to the stock class; part of the bytes is held, part still to come."""
    unreader, far = ends
    chance = random.Random(seed)
    sent = chance.randbytes(60_000)
    cut = chance.choice([0, 1, 20_000, len(sent)])
    apart = chance.randrange(cut + 1)
    if seed % 2:
        unreader.hold(sent[:apart], sent[apart:cut])
    else:
        unreader.unread(bytearray(sent[:cut]))
    far.sendall(sent[cut:])
    far.close()
    got = b""
    while True:
        size = chance.choice([None, -1, 1, 100, 8192, 50_000])
        piece = unreader.read(size)
        assert size is None or size < 0 or len(piece) <= size
        if not piece:
            break
        if chance.random() < 0.3:  # a parser puts back what it did not need
            keep = chance.randrange(len(piece) + 1)
            unreader.unread(piece[keep:])
            piece = piece[:keep]
        got += piece
    assert got == sent


def test_a_read_waits_for_all_that_it_asked_for(ends) -> None:
    unreader, far = ends
    unreader.unread(b"abc")
    far.sendall(b"defgh")
    assert unreader.buf.getvalue() == b"abc"
    assert unreader.read(5) == b"abcde"
    far.close()
    assert unreader.read(10) == b"fgh"
    assert unreader.read(10) == b""


def test_what_trickles_in_has_a_deadline(ends) -> None:
    unreader, _ = ends
    unreader.deadline = time.monotonic() + 0.05
    with pytest.raises(TimeoutError):
        unreader.read(1)


def test_a_large_body_is_not_copied_at_every_read(ends) -> None:
    def seconds(reader: SocketUnreader) -> float:
        reader.unread(bytearray(8 << 20))
        began = time.process_time()
        for _ in range((8 << 20) // 16_384):
            assert len(reader.read(16_384)) == 16_384
        return time.process_time() - began

    near, far = socket.socketpair()
    with near, far:
        assert seconds(ends[0]) < seconds(SocketUnreader(near)) / 5


def request_of(unreader: DeadlineUnreader, sent: bytes) -> Request:
    unreader.unread(sent)
    return Request(Config(), unreader, ("127.0.0.1", 1), 1)


HEAD = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n"


def test_a_body_that_is_here_is_handed_over_whole_and_the_next_request_stays(ends) -> None:
    unreader, _ = ends
    request = request_of(unreader, HEAD + b"01234" + b"GET / HTTP/1.1\r\n")
    keep_whole(request)
    assert isinstance(request.body, WholeBody)
    assert request.body.read() == b"01234"
    assert unreader.take_buffered() == b"GET / HTTP/1.1\r\n"


def test_a_body_that_arrived_apart_from_its_headers_is_never_copied(ends) -> None:
    unreader, _ = ends
    body = bytes(5)
    unreader.hold(HEAD, body)
    assert unreader.buf.getvalue() == HEAD + body
    request = Request(Config(), unreader, ("127.0.0.1", 1), 1)
    keep_whole(request)
    assert request.body.read() is body
    assert not unreader.holds(1)


def test_a_body_is_let_go_when_it_is_answered_or_fails(ends, monkeypatch) -> None:
    unreader, _ = ends
    unreader.hold(HEAD, b"01234")
    request = Request(Config(), unreader, ("127.0.0.1", 1), 1)
    worker = object.__new__(BufferingWorker)
    worker.share = None

    def fail(self: ThreadWorker, req: Request, conn: object) -> None:
        assert req.body.read() == b"01234"
        raise OSError

    monkeypatch.setattr(ThreadWorker, "handle_request", fail)
    with pytest.raises(OSError):  # noqa: PT011  # the one above
        worker.handle_request(request, None)
    assert request.body.getbuffer().nbytes == 0
    assert request.body.read() == b""  # as gunicorn does before the next request


@pytest.mark.parametrize(
    "sent",
    [
        HEAD + b"012",
        HEAD.replace(b"5", b"0"),
        HEAD.replace(b"Content-Length: 5", b"Transfer-Encoding: chunked")
        + b"3\r\n012\r\n0\r\n\r\n",
    ],
    ids=["to come", "empty", "chunked"],
)
def test_any_other_body_is_read_as_it_comes(ends, sent: bytes) -> None:
    unreader, far = ends
    request = request_of(unreader, sent)
    keep_whole(request)
    assert not isinstance(request.body, WholeBody)
    far.close()
    assert request.body.read() == (b"" if b": 0" in sent else b"012")


def test_the_application_gets_a_whole_body_without_a_copy_and_within_its_limit() -> None:
    sent = b"x" * 100
    environ = {
        "REQUEST_METHOD": "POST",
        "CONTENT_LENGTH": "100",
        "CONTENT_TYPE": "image/png",
        "wsgi.input_terminated": True,
        "wsgi.input": WholeBody(sent),
    }
    assert MemoryRequest(environ).get_data(cache=False) is sent
    small = MemoryRequest(environ)
    small.max_content_length = 99
    with pytest.raises(RequestEntityTooLarge):
        small.get_data()
