"""One request on its way in: its headers, and its body as it comes.

A thread gets it when all of it is here, so that no thread ever waits for a client
(``app/worker.py``). A body in chunks (RFC 9112, section 7.1) is put together on the way and goes
on with its length, as a proxy that buffers requests would pass it on.
"""

from __future__ import annotations

import contextlib
import re
import socket
from typing import Protocol

from app.refusals import BAD_CHUNKS, TOO_LONG, UNKNOWN_CODING, Refusal

#: Headers that have not ended by then are none of a client of this service.
MAX_HEADER_BYTES = 32 * 1024
#: A chunk's first line, with its extensions; or one of the fields after the last chunk.
_MAX_LINE_BYTES = 4096
#: Chunks may be this small on average, beyond some: each costs time, however little it brings.
_LEAST_CHUNK_BYTES = 64
_FREE_CHUNKS = 1024

_TOKEN = rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_FIELD = _TOKEN + rb":[\t -~\x80-\xff]*"
#: What is understood here; of anything else gunicorn's parser says what is wrong.
_HEAD = re.compile(_TOKEN + rb" [!-~\x80-\xff]+ HTTP/1\.([01])\r\n(?:" + _FIELD + rb"\r\n)*\r\n")
_FRAMING = re.compile(
    rb"\r\n(content-length|transfer-encoding):[ \t]*([^\r]*?)[ \t]*(?=\r\n)", re.IGNORECASE
)
_SIZE = re.compile(rb"\d{1,18}")
_EXPECT = re.compile(rb"\r\nexpect:[ \t]*100-continue[ \t]*(?=\r\n)", re.IGNORECASE)
_CLOSE = re.compile(rb"\r\nconnection:[^\r]*\bclose\b", re.IGNORECASE)
_CHUNK = re.compile(rb"([0-9a-f]{1,12})(?:[ \t]*;[\t -~\x80-\xff]*)?", re.IGNORECASE)
_TRAILER = re.compile(_FIELD)
_EMPTY_LINES = re.compile(rb"(?:\r\n)*")
#: Before a request, as clients once sent one after a body (RFC 9112, section 2.2).
_MOST_EMPTY_LINES = 8


class ChunkError(ValueError):
    """A body in chunks that is none."""


class _Body(Protocol):
    """Takes a body's bytes; what comes after its end is no part of it."""

    ended: bool

    def take(self, data: bytes) -> tuple[list[bytes], bytes]:
        """The parts of the body in ``data``, and what is left of ``data`` after its end."""
        ...


class _Length:
    """A body of a known length."""

    def __init__(self, size: int) -> None:
        self._left = size
        self.ended = not size

    def take(self, data: bytes) -> tuple[list[bytes], bytes]:
        part, rest = data[: self._left], data[self._left :]
        self._left -= len(part)
        self.ended = not self._left
        return [part] if part else [], rest


class Chunks:
    """A body in chunks, which says with each how long that one is (RFC 9112, section 7.1)."""

    def __init__(self) -> None:
        self.ended = False
        self._left = 0  # of the chunk that is coming
        self._open = b""  # a line that has not ended
        self._expects = self._size
        self._chunks = self._bytes = self._trailers = 0

    def take(self, data: bytes) -> tuple[list[bytes], bytes]:
        """As ``_Body`` says.

        Raises:
            ChunkError: what came is no chunk, or the chunks are unreasonably small.
        """
        data, at, parts = self._open + data, 0, []
        while not self.ended:
            if self._left:
                part = data[at : at + self._left]
                if not part:
                    break
                parts.append(part)
                at += len(part)
                self._left -= len(part)
                continue
            end = data.find(b"\r\n", at, at + _MAX_LINE_BYTES)
            if end < 0:
                if len(data) - at >= _MAX_LINE_BYTES:
                    raise ChunkError("a line without an end")
                break
            line, at = data[at:end], end + 2
            self._expects(line)
        self._open = b"" if self.ended else data[at:]
        return parts, data[at:] if self.ended else b""

    def _size(self, line: bytes) -> None:
        match = _CHUNK.fullmatch(line)
        if not match:
            raise ChunkError("no length of a chunk")
        self._left = int(match[1], 16)
        self._chunks += 1
        self._bytes += self._left
        if self._chunks > _FREE_CHUNKS + self._bytes // _LEAST_CHUNK_BYTES:
            raise ChunkError("chunks too small")
        self._expects = self._end_of_chunk if self._left else self._trailer

    def _end_of_chunk(self, line: bytes) -> None:
        if line:
            raise ChunkError("a chunk longer than it said")
        self._expects = self._size

    def _trailer(self, line: bytes) -> None:
        self._trailers += len(line)
        if self._trailers > MAX_HEADER_BYTES or (line and not _TRAILER.fullmatch(line)):
            raise ChunkError("no fields, or too many")
        self.ended = not line


class Arrival:
    """One request on its way in.

    Attributes:
        deadline: of the monotonic clock.
        head: the request line and the headers, once they are here; with a length instead of
            chunks.
        surplus: what came after the request: the beginning of the next one.
        size: bytes that are held.
        complete: a thread can have it.
        cut: the body is too long, or where it ends would be a guess: no more of it is waited
            for. ``body`` is empty then, and what still comes is no request.
        keeps: another request may follow.
        refusal: why no thread need see it.
    """

    def __init__(self, sock: socket.socket, deadline: float, most: int) -> None:
        """``most``: bytes of a body that is kept; a longer one is not waited for."""
        self.deadline = deadline
        self.head = self.surplus = b""
        self.size = 0
        self.complete = self.cut = self.keeps = False
        self.refusal: Refusal | None = None
        self._sock = sock
        self._most = most
        self._early = bytearray()
        self._empty_lines = 0
        self._body: _Body = _Length(0)
        self._parts: list[bytes] = []  # joined once: a buffer that grows moves again and again
        self._body_bytes = 0
        self._chunked = False

    def add(self, data: bytes) -> None:
        """Take what came."""
        if not self.head:
            data = self._add_early(data)
        if not self.head or self.cut or self.refusal:
            return
        try:
            parts, rest = self._body.take(data)
        except ChunkError:
            self.refusal = BAD_CHUNKS
            return
        self._parts += parts
        self._body_bytes += sum(map(len, parts))
        if self._body_bytes > self._most:
            self._cut()
        elif self._body.ended:
            self.surplus = rest
            self.complete = True
        if self.complete and self._chunked:
            self.head = _FRAMING.sub(b"\r\nContent-Length: %d" % self._body_bytes, self.head)
        self.size = len(self.head) + (self._body_bytes if self._parts else 0)

    def body(self) -> bytes:
        """All of the body in one piece."""
        if self.cut:
            return b""
        return self._parts[0] if len(self._parts) == 1 else b"".join(self._parts)

    def _add_early(self, data: bytes) -> bytes:
        """The part of ``data`` that comes after the headers."""
        early = self._early
        early += data
        if match := _EMPTY_LINES.match(early):
            self._empty_lines += match.end() // 2
            del early[: match.end()]
        # The end may have come in two pieces.
        end = early.find(b"\r\n\r\n", max(0, len(early) - len(data) - 3))
        self.size = len(early)
        if end < 0:
            if self.size > MAX_HEADER_BYTES or self._empty_lines > _MOST_EMPTY_LINES:
                self.refusal = TOO_LONG
            return b""
        rest = bytes(early[end + 4 :])
        self._read_head(bytes(early[: end + 4]), awaited=not rest)
        early.clear()
        self.size = len(self.head)
        return rest

    def _read_head(self, head: bytes, *, awaited: bool) -> None:
        self.head = _EXPECT.sub(b"", head)
        understood, framing = _HEAD.fullmatch(head), _FRAMING.findall(head)
        current = understood is not None and understood[1] == b"1"
        name, value = framing[0] if framing else (b"content-length", b"0")
        coded = name.lower() == b"transfer-encoding"
        if not understood or len(framing) > 1 or (coded and not current):
            self._cut()
        elif coded and value.lower() != b"chunked":
            self.refusal = UNKNOWN_CODING
        elif coded:
            self._chunked = True
            self._body = Chunks()
        elif not _SIZE.fullmatch(value) or int(value) > self._most:
            self._cut()  # refused by its announced length
        else:
            self._body = _Length(int(value))
        self.keeps = current and not self.cut and not _CLOSE.search(head)
        waits = _EXPECT.search(head) and current and not self._body.ended
        if waits and awaited:
            # The client waits to be told to send its body; no thread need tell it again.
            with contextlib.suppress(OSError):
                self._sock.send(b"HTTP/1.1 100 Continue\r\n\r\n")

    def _cut(self) -> None:
        self._parts.clear()
        self.complete = self.cut = True
