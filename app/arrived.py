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

    @property
    def buf(self) -> io.BytesIO:
        """What is held; the worker looks here whether another request came with the last one."""
        return io.BytesIO(memoryview(self._held)[self._place :])

    @buf.setter
    def buf(self, _: io.BytesIO) -> None:
        """The stock class makes one at the start; nothing is kept in it here."""

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
        held = len(self._held) - self._place
        if size is None or size < 0:
            return self._take(_PIECE_BYTES) if held else self.chunk(read_ahead)
        if self.holds(size):
            return self._take(size)
        pieces = [self._take(held)]
        while held < size:
            piece = self.chunk(max(size, read_ahead or 0) - held)
            if not piece:
                return b"".join(pieces)
            pieces.append(piece)
            held += len(piece)
        self.unread(b"".join(pieces))
        return self._take(size)

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
        return self._take(len(self._held))

    def holds(self, size: int) -> bool:
        """Whether that many bytes can be read without waiting."""
        return len(self._held) - self._place >= size

    def _take(self, size: int) -> bytes:
        end = min(self._place + size, len(self._held))
        taken = bytes(memoryview(self._held)[self._place : end])
        if end == len(self._held):
            self._held, self._place = b"", 0
        else:
            self._place = end
        return taken


def keep_whole(req: Request) -> None:
    """Let the application have a body that is here in one piece.

    In pieces, each of gunicorn's and Werkzeug's buffers copies all of it: eight times over, 7 ms
    of a DICOM file's reading.
    """
    reader = req.body.reader
    if isinstance(reader, LengthReader) and isinstance(reader.unreader, DeadlineUnreader):
        size = reader.length
        if size and reader.unreader.holds(size):
            req.body = WholeBody(reader.read(size))
