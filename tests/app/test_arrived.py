"""What the parser reads from, against the bytes that were sent."""

from __future__ import annotations

import random
import socket
import time
from collections.abc import Iterator

import pytest
from gunicorn.http.unreader import SocketUnreader

from app.arrived import DeadlineUnreader


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
