"""One answer on its way out, and the end of a connection, neither of which a thread waits for.

What a client does not take at once waits in memory for the poller (``app/worker.py``) to send it.
A connection that ends is closed for sending first, and what still comes is thrown away for a
while: a client that is still sending would take a connection closed under it for a failure of the
network, and never hear the answer (RFC 9112, section 9.6).
"""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator

#: So long a client that has its answer may take to end its connection.
LINGER_SECONDS = 2.0
#: The same for one that still sends a body that was refused.
HEAR_OUT_SECONDS = 20.0
_PIECE_BYTES = 256 * 1024
#: Pieces that one connection may bring before the others have their turn.
_PIECES_A_TURN = 4


def pieces(sock: socket.socket) -> Iterator[bytes]:
    """What has come by now; an empty piece where the client has ended.

    Raises:
        OSError: the client is gone.
    """
    with contextlib.suppress(BlockingIOError):
        for _ in range(_PIECES_A_TURN):
            yield sock.recv(_PIECE_BYTES)


class Outbox:
    """What an answer is written to: sends what the client takes, and keeps the rest.

    Attributes:
        waiting: bytes that are kept.
    """

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._kept: list[memoryview] = []
        self.waiting = 0

    def sendall(self, data: bytes, flags: int = 0) -> None:
        """Send or keep all of it.

        Raises:
            OSError: the client is gone.
        """
        view = memoryview(data)
        if not self._kept:
            view = view[self._send(view, flags) :]
        if view:
            self._kept.append(view)
            self.waiting += len(view)

    def flush(self) -> bool:
        """Send what the client takes now; whether that was all.

        Raises:
            OSError: the client is gone.
        """
        while self._kept:
            view = self._kept[0]
            sent = self._send(view)
            self.waiting -= sent
            if sent < len(view):
                self._kept[0] = view[sent:]
                return False
            del self._kept[0]
        return True

    def _send(self, view: memoryview, flags: int = 0) -> int:
        try:
            return self._sock.send(view, flags | socket.MSG_DONTWAIT)
        except BlockingIOError:
            return 0


class Farewell:
    """The end of a connection: nothing more goes out, and what comes is thrown away."""

    def __init__(self, sock: socket.socket, most: int) -> None:
        """``most``: bytes that are thrown away."""
        self._sock = sock
        self._left = most

    def begin(self) -> bool:
        """Say that nothing more comes from here; whether anybody still listens."""
        try:
            self._sock.setblocking(False)
            self._sock.shutdown(socket.SHUT_WR)
        except OSError:
            return False
        return True

    def ended(self) -> bool:
        """Throw away what came; whether the client has ended, or has sent too much."""
        try:
            for piece in pieces(self._sock):
                self._left -= len(piece)
                if not piece or self._left <= 0:
                    return True
        except OSError:
            return True
        return False
