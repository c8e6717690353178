"""What clients do not take waits, and no call waits for them."""

from __future__ import annotations

import pytest

from app.leaving import Farewell, Outbox


def test_what_the_client_does_not_take_is_kept_and_sent_in_order(ends) -> None:
    near, far = ends
    outbox = Outbox(near)
    sent = [bytes([number]) * 300_000 for number in range(8)]
    for piece in sent:
        outbox.sendall(piece)  # would wait for ever with the stock socket
    whole = b"".join(sent)
    assert 0 < outbox.waiting < len(whole)
    assert not outbox.flush()
    got = b""
    while len(got) < len(whole):
        got += far.recv(65_536)
        outbox.flush()
    assert got == whole
    assert not outbox.waiting
    assert outbox.flush()


def test_a_client_that_is_gone_is_an_error(ends) -> None:
    near, far = ends
    outbox = Outbox(near)
    outbox.sendall(bytes(2_000_000))
    far.close()
    with pytest.raises(OSError):  # noqa: PT011  # whichever of them
        outbox.flush()


def test_a_client_that_still_sends_hears_that_nothing_more_comes(ends) -> None:
    near, far = ends
    farewell = Farewell(near, 1_000_000)
    assert farewell.begin()
    assert far.recv(10) == b""
    far.sendall(bytes(100_000))
    assert not farewell.ended()
    far.close()
    assert farewell.ended()


def test_it_is_not_heard_for_ever(ends) -> None:
    near, far = ends
    farewell = Farewell(near, 100_000)
    farewell.begin()
    far.sendall(bytes(100_000))
    assert farewell.ended()


def test_there_is_no_farewell_from_a_closed_connection(ends) -> None:
    ends[0].close()
    assert not Farewell(ends[0], 1).begin()
