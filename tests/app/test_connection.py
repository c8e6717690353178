"""What the parser and the application read a request from."""

from __future__ import annotations

import pytest
from gunicorn.config import Config
from gunicorn.http.message import Request
from gunicorn.workers.gthread import ThreadWorker
from werkzeug.exceptions import RequestEntityTooLarge

from app.connection import HeadUnreader, give_body
from app.http import MemoryRequest, WholeBody
from app.worker import BufferingWorker

HEAD = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n"


def request_of(head: bytes) -> Request:
    unreader = HeadUnreader()
    unreader.unread(head)
    request = Request(Config(), unreader, ("127.0.0.1", 1), 1)
    assert not unreader.take_buffered()
    return request


def test_the_body_is_handed_over_whole_and_without_a_copy() -> None:
    body = b"01234"
    request = request_of(HEAD)
    give_body(request, body)
    assert request.body.read() is body
    assert not request.should_close()


@pytest.mark.parametrize(
    ("head", "body"),
    [(HEAD, b""), (HEAD, b"012"), (HEAD.replace(b"Content-Length: 5\r\n", b""), b"01234")],
    ids=["cut", "shorter", "not announced"],
)
def test_where_parser_and_poller_differ_nothing_more_is_read(head: bytes, body: bytes) -> None:
    request = request_of(head)
    give_body(request, body)
    assert request.should_close()


def test_a_request_without_a_body_keeps_its_connection() -> None:
    request = request_of(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    give_body(request, b"")
    assert not request.should_close()
    assert request.body.read() == b""


def test_a_body_is_let_go_when_it_is_answered_or_fails(monkeypatch) -> None:
    class Holder:
        body = b"01234"
        outbox = None
        cut = False

    request = request_of(HEAD)
    worker = object.__new__(BufferingWorker)
    worker.share = None

    def fail(self: ThreadWorker, req: Request, conn: object) -> None:
        assert req.body.read() == b"01234"
        raise OSError

    monkeypatch.setattr(ThreadWorker, "handle_request", fail)
    with pytest.raises(OSError):  # noqa: PT011  # the one above
        worker.handle_request(request, Holder())
    assert request.body.getbuffer().nbytes == 0
    assert request.body.read() == b""  # as gunicorn does before the next request


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
