"""A request on its way in, against the bytes that were sent."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator

import pytest

from app.arrival import MAX_HEADER_BYTES, Arrival

HOST = b"POST /predict HTTP/1.1\r\nHost: x\r\n"
BODY = bytes(range(256)) * 40
NEXT = b"GET /healthz HTTP/1.1\r\nHo"
MOST = 20_000


@pytest.fixture
def arrival(ends) -> Arrival:
    return Arrival(ends[0], 0.0, MOST)


def chunked(body: bytes, size: int, trailer: bytes = b"") -> bytes:
    pieces = [body[at : at + size] for at in range(0, len(body), size)]
    chunks = [b"%x;name=value\r\n%s\r\n" % (len(piece), piece) for piece in pieces]
    return b"".join(chunks) + b"0\r\n" + trailer + b"\r\n"


def feed(arrival: Arrival, sent: bytes, sizes: Iterator[int]) -> bytes:
    """Add ``sent`` in pieces until the arrival wants no more; what was not added."""
    at = 0
    while at < len(sent) and not arrival.complete and not arrival.refusal:
        size = next(sizes)
        arrival.add(sent[at : at + size])
        at += size
    return sent[at:]


REQUESTS = {
    "length": HOST + b"Content-Length: %d\r\n\r\n" % len(BODY) + BODY,
    "chunks": HOST + b"Transfer-Encoding: chunked\r\n\r\n" + chunked(BODY, 1000),
    "trailer": HOST + b"Transfer-Encoding: Chunked\r\n\r\n" + chunked(BODY, 3000, b"A: b\r\n"),
    "after empty lines": b"\r\n\r\n" + HOST + b"Content-Length: %d\r\n\r\n" % len(BODY) + BODY,
    "a body like an end": HOST
    + b"Transfer-Encoding: chunked\r\n\r\n"
    + b"4\r\n\r\n\r\n\r\n0\r\n\r\n",
    "none": b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
}


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("name", REQUESTS)
def test_however_it_is_cut_the_request_ends_where_it_ends(arrival, name: str, seed: int) -> None:
    chance = random.Random(seed)
    sizes = iter(lambda: chance.choice([1, 3, 700, 5000, 50_000]), 0)
    left = feed(arrival, REQUESTS[name] + NEXT, sizes)
    assert arrival.complete
    assert not arrival.cut
    expected = {"none": b"", "a body like an end": b"\r\n\r\n"}.get(name, BODY)
    assert arrival.body() == expected
    assert arrival.surplus + left == NEXT
    assert arrival.size == len(arrival.head) + len(expected)
    # To the parser every body has a length, which is its own.
    assert b"ransfer" not in arrival.head
    if expected:
        assert arrival.head.count(b"\r\nContent-Length: %d\r\n" % len(expected)) == 1


@pytest.mark.parametrize("name", REQUESTS)
def test_nobody_is_given_a_request_before_its_last_byte(arrival, name: str) -> None:
    arrival.add(REQUESTS[name][:-1])
    assert not arrival.complete
    arrival.add(REQUESTS[name][-1:])
    assert arrival.complete


def test_a_body_that_arrived_apart_from_its_headers_is_never_copied(arrival) -> None:
    arrival.add(HOST + b"Content-Length: %d\r\n\r\n" % len(BODY))
    arrival.add(BODY)
    assert arrival.body() is BODY


@pytest.mark.parametrize(
    "coded",
    [
        b"zz\r\n",
        b"-1\r\n",
        b"\r\n",
        b"3\r\nabcd\r\n",
        b"3\r\nabc0\r\n",
        b"f" * 5000,
        b"0\r\n" + b"A: %s\r\n" % (b"a" * 4000) * 9,
        b"0\r\nno field\r\n\r\n",
        b"5 \r\nabcde\r\n",
        b"1;\r\r\na\r\n",
        b"1\r\nx\r\n" * 2000,
    ],
    ids=[
        "no number",
        "below 0",
        "empty",
        "long",
        "no end",
        "endless",
        "trailers",
        "no trailer",
        "blank",
        "bare CR",
        "crumbs",
    ],
)
def test_chunks_that_are_none_are_refused(arrival, coded: bytes) -> None:
    arrival.add(HOST + b"Transfer-Encoding: chunked\r\n\r\n")
    assert not arrival.refusal
    feed(arrival, coded, iter(lambda: 1000, 0))
    assert arrival.refusal
    assert arrival.refusal.code == "invalid_parameter"
    assert not arrival.complete


@pytest.mark.parametrize(
    "head",
    [
        b"Content-Length: %d" % (MOST + 1),
        b"Content-Length: 0000000000000000005",
        b"Content-Length: 0\r\nContent-Length: 5",
        b"Content-Length: 5, 5",
        b"Content-Length: +5",
        b"Content-Length : 5",
        b"Content-Length:\r\n 5",
        b"X: a\nContent-Length: 5",
        b"X: a\rContent-Length: 5",
        b"X: \0",
        b"no field",
        b"Transfer-Encoding: chunked\r\nTransfer-Encoding: gzip",
        b"Transfer-Encoding: chunked\r\nContent-Length: 5",
        b"Transfer-Encoding : chunked",
        b"Transfer-Encoding: \x0bchunked",
        b"Transfer-Encoding: chunked\x0c",
    ],
)
def test_what_is_refused_by_its_headers_is_not_waited_for(arrival, head: bytes) -> None:
    arrival.add(HOST + head + b"\r\n\r\nabc")
    assert arrival.complete
    assert arrival.cut
    assert arrival.body() == b""
    assert not arrival.surplus
    assert not arrival.keeps
    assert head in arrival.head  # gunicorn's parser or Flask says what is wrong with it


@pytest.mark.parametrize(
    "coding", [b"gzip", b"gzip, chunked", b"chunked, chunked", b"identity", b""]
)
def test_no_other_transfer_coding_is_read(arrival, coding: bytes) -> None:
    arrival.add(HOST + b"Transfer-Encoding: " + coding + b"\r\n\r\n0\r\n\r\n")
    assert arrival.refusal
    assert arrival.refusal.status.startswith("501")
    assert not arrival.complete


@pytest.mark.parametrize("version", [b"1.0", b"1.2", b"2.0"])
def test_chunks_of_another_version_are_not_guessed_at(arrival, version: bytes) -> None:
    arrival.add(HOST.replace(b"1.1", version) + b"Transfer-Encoding: chunked\r\n\r\n")
    assert arrival.cut


@pytest.mark.parametrize(
    ("version", "connection", "keeps"),
    [
        (b"1.1", b"keep-alive", True),
        (b"1.1", b"close", False),
        (b"1.1", b"x, Close", False),
        (b"1.0", b"keep-alive", False),
    ],
)
def test_another_request_may_follow_or_not(
    arrival, version: bytes, connection: bytes, keeps: bool
) -> None:
    arrival.add(HOST.replace(b"1.1", version) + b"Connection: " + connection + b"\r\n\r\n")
    assert arrival.complete
    assert arrival.keeps is keeps


def test_empty_lines_without_end_are_refused_and_cost_little(arrival) -> None:
    began = time.process_time()
    arrival.add(b"\r\n" * 1_000_000)
    assert arrival.refusal
    assert time.process_time() - began < 1  # one by one: a minute


def test_chunks_beyond_the_limit_are_not_kept(arrival) -> None:
    arrival.add(HOST + b"Transfer-Encoding: chunked\r\n\r\n")
    feed(arrival, chunked(bytes(2 * MOST), 1000), iter(lambda: 1000, 0))
    assert arrival.cut
    assert arrival.body() == b""
    length = int(arrival.head.split(b"Content-Length: ")[1].split(b"\r\n")[0])
    assert MOST < length < MOST + 1100


def test_headers_without_an_end_are_refused(arrival) -> None:
    feed(arrival, b"GET / HTTP/1.1\r\nA: " + bytes(2 * MAX_HEADER_BYTES), iter(lambda: 1000, 0))
    assert arrival.refusal
    assert arrival.size < MAX_HEADER_BYTES + 2000


EXPECTS = b"Expect: 100-continue\r\n"


def test_a_client_that_asks_is_told_to_go_on_and_flask_need_not_know(ends, arrival) -> None:
    arrival.add(HOST + EXPECTS + b"Content-Length: 5\r\n\r\n")
    assert ends[1].recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
    assert b"Expect" not in arrival.head


@pytest.mark.parametrize(
    "sent",
    [
        HOST.replace(b"1.1", b"1.0") + EXPECTS + b"Content-Length: 5\r\n\r\n",
        HOST + EXPECTS + b"\r\n",
        HOST + EXPECTS + b"Content-Length: 5\r\n\r\n0",
        HOST + EXPECTS + b"Content-Length: %d\r\n\r\n" % (MOST + 1),
    ],
    ids=["HTTP/1.0", "no body", "sends already", "too large"],
)
def test_nobody_else_is_told_to_go_on(ends, arrival, sent: bytes) -> None:
    """RFC 9110, section 10.1.1."""
    arrival.add(sent)
    ends[1].setblocking(False)
    with pytest.raises(BlockingIOError):
        ends[1].recv(100)
