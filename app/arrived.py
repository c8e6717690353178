"""What gunicorn's parser reads a request from: bytes that are here already, then the socket.

The stock class copies all that it still holds at every read. A body of 7 MB that is taken in
pieces of 64 KB is copied a hundred times over: half a second for a DICOM file that takes 40 ms to
read.
"""

from __future__ import annotations

import io
import time

from gunicorn.http.body import LengthReader
from gunicorn.http.message import Request
from gunicorn.http.unreader import SocketUnreader

from app.http import WholeBody

#: What is handed out to whoever does not say how much: the headers fit, mostly.
_PIECE_BYTES = 8192


class DeadlineUnreader(SocketUnreader):  # type: ignore[misc]
    """Hands out what is held without copying the rest; reads from a socket until a deadline.

    Attributes:
        deadline: of the monotonic clock, for reads from the socket, however the bytes trickle.
    """

    deadline = 0.0

    def __init__(self, sock: object) -> None:
        super().__init__(sock)
        self._held: bytes | bytearray = b""
        self._place = 0  # where what is still to be handed out begins
        self._next = b""  # comes after it

    @property
    def buf(self) -> io.BytesIO:
        """What is held; the worker looks here whether another request came with the last one."""
        return io.BytesIO(b"".join((memoryview(self._held)[self._place :], self._next)))

    @buf.setter
    def buf(self, _: io.BytesIO) -> None:
        """The stock class makes one at the start; nothing is kept in it here."""

    def hold(self, head: bytes, body: bytes) -> None:
        """Hand out these two; the second as it is to whoever asks for all of it."""
        self._held, self._place, self._next = head, 0, body
        self._go_on()

    def chunk(self, size_hint: int | None = None) -> bytes:
        left = self.deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError("the request did not arrive in time")
        self.sock.settimeout(left)
        try:
            piece: bytes = super().chunk(size_hint)
        finally:
            self.sock.settimeout(None)
        return piece

    def read(self, size: int | None = None, read_ahead: int | None = None) -> bytes:
        """As the stock class: ``size`` bytes, fewer at the end, or some where none is given."""
        if size is None or size < 0:
            return self._take(_PIECE_BYTES) if self.holds(1) else self.chunk(read_ahead)
        pieces, missing = [self._take(size)], size
        while missing := missing - len(pieces[-1]):
            piece = self._take(missing) or self.chunk(max(size, read_ahead or 0) - size + missing)
            if not piece:
                break
            if len(piece) > missing:
                self.unread(piece[missing:])
                piece = piece[:missing]
            pieces.append(piece)
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def unread(self, data: bytes | bytearray) -> None:
        """Put bytes back before what is held."""
        start = self._place - len(data)
        if start >= 0 and self._held[start : self._place] == data:
            self._place = start  # they come from there
            return
        rest = memoryview(self._held)[self._place :]
        self._held = bytes(data) + rest if len(rest) else data
        self._place = 0

    def take_buffered(self) -> bytes:
        taken = self.buf.getvalue()
        self.hold(b"", b"")
        return taken

    def holds(self, size: int) -> bool:
        """Whether that many bytes can be read without waiting."""
        return len(self._held) - self._place + len(self._next) >= size

    def _take(self, size: int) -> bytes:
        """So many bytes, or fewer where a piece ends."""
        held = self._held
        if not self._place and len(held) <= size and isinstance(held, bytes):
            self._place, taken = len(held), held
        else:
            start, self._place = self._place, min(self._place + size, len(held))
            taken = bytes(memoryview(held)[start : self._place])
        self._go_on()
        return taken

    def _go_on(self) -> None:
        if self._place == len(self._held):
            self._held, self._place, self._next = self._next, 0, b""


def keep_whole(req: Request) -> None:
    """Let the application have a body that is here in one piece.

    In pieces, each of gunicorn's and Werkzeug's buffers copies all of it: eight times over, 7 ms
    of a DICOM file's reading. One that ``hold`` was given is handed over without any copy.
    """
    reader = req.body.reader
    if isinstance(reader, LengthReader) and isinstance(reader.unreader, DeadlineUnreader):
        size = reader.length
        if size and reader.unreader.holds(size):
            req.body = WholeBody(reader.read(size))


def let_go(req: Request) -> None:
    """Free the body of an answered request.

    gunicorn keeps the request until the next one on its connection has arrived, or, where there
    is none, until the garbage collector comes by: four connections held four DICOM files more.
    """
    if isinstance(req.body, WholeBody):
        req.body.seek(0)
        req.body.truncate()
