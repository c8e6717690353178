"""What gunicorn sends for an answer."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from types import SimpleNamespace

import pytest
from gunicorn.config import Config

from app.leaving import Outbox
from app.server import PlainResponse

HEADERS = [("Content-Type", "text/plain"), ("Content-Length", "5")]


@pytest.fixture
def ends() -> Iterator[tuple[socket.socket, socket.socket]]:
    """A TCP connection: only there do packets wait for more."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        far = socket.create_connection(listener.getsockname())
        near, _ = listener.accept()
    with near, far:
        yield near, far


def answer(near: socket.socket, method: str = "GET") -> PlainResponse:
    request = SimpleNamespace(
        method=method, version=(1, 1), should_close=lambda: False, outbox=Outbox(near)
    )
    return PlainResponse(request, near, Config())


def test_headers_and_body_come_together(ends) -> None:
    near, far = ends
    write = answer(near).start_response("200 OK", HEADERS)
    write(b"hello")
    far.settimeout(5)
    got = far.recv(4096)
    assert got.startswith(b"HTTP/1.1 200 OK\r\n")
    assert got.endswith(b"\r\n\r\nhello")
    assert b"Server:" not in got


@pytest.mark.parametrize(
    ("method", "status", "headers"),
    [
        ("HEAD", "200 OK", HEADERS),
        ("GET", "304 Not Modified", []),
        ("GET", "200 OK", [("Content-Length", "0")]),
    ],
)
def test_headers_without_a_body_wait_for_nothing(
    ends, method: str, status: str, headers: list[tuple[str, str]]
) -> None:
    near, far = ends
    response = answer(near, method)
    response.start_response(status, headers)
    response.close()
    far.settimeout(0.15)  # what waits for more is sent after 200 ms all the same
    assert far.recv(4096).endswith(b"\r\n\r\n")
