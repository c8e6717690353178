"""Real gunicorn and clients that are slow, deaf or wrong: what the others see meanwhile."""

from __future__ import annotations

import json
import socket
import time
from contextlib import ExitStack

import psutil
import pytest

from tests.end_to_end.wire import FILM, answer_of, head, post
from tests.server import Server, fetch, status

pytestmark = pytest.mark.slow


def part_of(number: int) -> bytes:
    """The beginning of a request, of which more would have to come."""
    whole = head(len(FILM))
    coded = whole.replace(b"Content-Length: %d" % len(FILM), b"Transfer-Encoding: chunked")
    get = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n"
    return (
        whole,
        whole[:20],
        coded,  # ends like a body that ends
        coded + b"4\r\n\r\n\r\n",  # and so does this
        get + b"Content-Length: 5\r\n\r\n",
        get + b"Transfer-Encoding: chunked\r\n\r\n",
    )[number % 6]


def test_slow_clients_hold_no_thread_and_are_told(server: Server) -> None:
    """Five times as many as there are threads."""
    with ExitStack() as stack:
        slow = [
            stack.enter_context(socket.create_connection(("127.0.0.1", server.port), timeout=30))
            for _ in range(60)
        ]
        for number, client in enumerate(slow):
            client.sendall(part_of(number))
        began = time.monotonic()
        while time.monotonic() - began < 1:
            for client in slow[:2]:  # a byte at a time
                client.sendall(b"x")
            assert post(server, FILM)[0] == 200
            assert status(f"{server.address}/healthz") == 200
            time.sleep(0.2)
        answers = [answer_of(client) for client in slow]
    assert time.monotonic() - began < 20
    assert {answer.split(b"\r\n")[0] for answer in answers} == {b"HTTP/1.1 408 Request Timeout"}
    assert b'"code": "request_timeout"' in answers[0]
    assert f'xray_refusals_total{{code="request_timeout"}} {len(slow)}.0' in fetch(
        f"{server.address}/metrics"
    )


def answers_at_once(server: Server) -> bool:
    """Whether somebody else is served while others misbehave."""
    began = time.monotonic()
    assert status(f"{server.address}/healthz") == 200
    return time.monotonic() - began < 4  # else only after all of them, or never


def test_what_comes_after_a_request_holds_no_thread(server: Server) -> None:
    get = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"
    with ExitStack() as stack:
        slow = [
            stack.enter_context(socket.create_connection(("127.0.0.1", server.port), timeout=30))
            for _ in range(60)
        ]
        for number, client in enumerate(slow):
            client.sendall(get + (b"\r\n", get[:9])[number % 2])
        for client in slow:
            assert client.recv(4096).startswith(b"HTTP/1.1 200")
        assert answers_at_once(server)
        for number, client in enumerate(slow):  # what had begun goes on
            client.sendall((get, get[9:])[number % 2])
            assert client.recv(4096).startswith(b"HTTP/1.1 200")


def test_bodies_that_are_refused_hold_no_thread(server: Server) -> None:
    """Announced, larger than any film, and never sent."""
    with ExitStack() as stack:
        slow = []
        for number in range(60):
            client = socket.create_connection(("127.0.0.1", server.port), timeout=30)
            slow.append(stack.enter_context(client))
            method = (b"PUT", b"GET", b"POST")[number % 3]
            client.sendall(head(10**9).replace(b"POST", method) + bytes(1000))
        for number, client in enumerate(slow):
            # A film that finds the queue full is refused for that.
            expected = ({b"405"}, {b"405"}, {b"413", b"503"})[number % 3]
            assert client.recv(12)[-3:] in expected
        assert answers_at_once(server)


def test_clients_that_take_no_answer_hold_no_thread(server: Server) -> None:
    get = b"GET /docs/swagger/js/swagger-ui-bundle.js HTTP/1.1\r\nHost: localhost\r\n\r\n"
    with ExitStack() as stack:
        deaf = []
        for number in range(60):
            client = stack.enter_context(socket.socket())
            if number < 59:
                client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
            client.settimeout(30)
            client.connect(("127.0.0.1", server.port))
            client.sendall(get * 12)
            deaf.append(client)
        # Whoever listens late, but in time, gets all of it.
        time.sleep(0.5)
        answer = deaf[-1].recv(4096)
        length = int(answer.split(b"Content-Length: ")[1].split(b"\r\n")[0])
        assert length > 1_000_000
        while len(answer) < length and (piece := deaf[-1].recv(65536)):
            answer += piece
        assert len(answer) > length
        assert answers_at_once(server)
        assert post(server, FILM)[0] == 200
        assert psutil.Process(server.workers()[0]).memory_info().rss < 1e9


def test_a_client_that_does_not_end_keeps_nobody_waiting(server: Server) -> None:
    get = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    with ExitStack() as stack:
        for _ in range(10):
            client = socket.create_connection(("127.0.0.1", server.port), timeout=30)
            stack.enter_context(client).sendall(get)
            assert answer_of(client).startswith(b"HTTP/1.1 200")  # and stays open from here
        assert answers_at_once(server)


@pytest.mark.parametrize(
    ("sent", "expected", "code"),
    [
        (b"zz\r\nabc\r\n0\r\n\r\n", 400, "invalid_parameter"),
        (b"3\r\nabcd\r\n0\r\n\r\n", 400, "invalid_parameter"),
        (b"3\r\nabc\r\n0\r\n\r\n", 415, "unsupported_format"),
    ],
)
def test_a_body_in_chunks_that_are_none_is_the_clients_fault(
    server: Server, sent: bytes, expected: int, code: str
) -> None:
    request = head(0, "Connection: close\r\n")
    request = request.replace(b"Content-Length: 0", b"Transfer-Encoding: chunked")
    with socket.create_connection(("127.0.0.1", server.port), timeout=30) as client:
        client.sendall(request + sent)
        answer = answer_of(client)
    assert answer.startswith(b"HTTP/1.1 %d" % expected)
    assert json.loads(answer.partition(b"\r\n\r\n")[2])["code"] == code


@pytest.mark.parametrize(
    ("sent", "expected"),
    [
        (b"GET /" + b"a" * 9000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n", 414),
        (b"GET / HTTP/1.1\r\nHost: localhost\r\nA: " + b"a" * 9000 + b"\r\n\r\n", 431),
        (b"GET / HTTP/1.1\r\nHost: localhost\r\nExpect: all\r\n\r\n", 417),
        (b"GET / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: lzw\r\n\r\n", 501),
        (b"GET / HTTP/1.1\r\nHost: localhost\r\nno header\r\n\r\n", 400),
        (b"nonsense\r\n\r\n", 400),
    ],
)
def test_what_is_no_request_gets_a_problem_too(server: Server, sent: bytes, expected: int) -> None:
    with socket.create_connection(("127.0.0.1", server.port), timeout=30) as client:
        client.sendall(sent)
        header, _, body = answer_of(client).partition(b"\r\n\r\n")
    assert header.startswith(b"HTTP/1.1 %d " % expected)
    assert b"application/problem+json" in header
    assert json.loads(body)["status"] == expected


@pytest.mark.parametrize(
    "framing",
    [
        b"1.2\r\nHost: localhost\r\nTransfer-Encoding: chunked",
        b"1.0\r\nHost: localhost\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked",
        b"1.1\r\nHost: localhost\r\nContent-Length: 0\r\nContent-Length: 40",
        b"1.1\r\nHost: localhost\r\nContent-Length: 999999999",
    ],
)
def test_no_request_is_made_of_what_may_be_a_body(server: Server, framing: bytes) -> None:
    get = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"
    with socket.create_connection(("127.0.0.1", server.port), timeout=30) as client:
        client.sendall(b"POST /predict HTTP/" + framing + b"\r\n\r\n" + get)
        answer = answer_of(client)
    assert answer.count(b"X-Request-ID: ") == 1
    assert answer[9:10] == b"4"
    assert b"Connection: close" in answer
