"""gunicorn's threaded worker, with requests that arrive in the poller instead of in threads.

The stock worker gives a thread to a connection as soon as it sends a byte, and the thread
then waits for the rest: as many clients that send a byte a second as there are threads stop
the service. Here the poller collects a whole request, headers and body, before a thread sees
it, so slow clients cost memory (bounded) and a socket (bounded), but no thread, and each has
a deadline. A proxy that buffers requests, such as nginx, does the same in front.

The poller also refuses what finds the queue full: at several times the load that can be
read, telling each client so in Flask would itself take a good part of the cores.
"""

from __future__ import annotations

import contextlib
import re
import selectors
import socket
import time
from functools import partial
from typing import Any

from gunicorn import http
from gunicorn.workers.gthread import TConn, ThreadWorker

from app.allocator import give_back
from app.arrived import DeadlineUnreader, keep_whole, let_go
from app.balance import Share
from app.refusals import TOO_LONG, TOO_MANY, TOO_SLOW, Refusal
from app.settings import Settings

#: Headers that have not ended by then are none of a client of this service.
MAX_HEADER_BYTES = 32 * 1024
#: What all connections together may hold while they arrive.
MAX_ARRIVING_BYTES = 512 * 1024 * 1024
_PIECE_BYTES = 256 * 1024
#: Pieces that one connection may bring before the others have their turn.
_PIECES_A_TURN = 4
#: After that long without a film, what films took goes back to the system; the poller looks each
#: second. The next film takes its pages anew (docs/performance.md).
_QUIET_SECONDS = 2.0

_LENGTH = re.compile(rb"\r\ncontent-length:[ \t]*(\d{1,18})[ \t]*(?=\r\n)", re.IGNORECASE)
_CHUNKED = re.compile(rb"\r\ntransfer-encoding:", re.IGNORECASE)
_EXPECT = re.compile(rb"\r\nexpect:[ \t]*100-continue[ \t]*(?=\r\n)", re.IGNORECASE)


_PERSON = re.compile(rb"\r\naccept:[^\r]*text/html", re.IGNORECASE)
_CLOSE = re.compile(rb"\r\nconnection:[ \t]*close", re.IGNORECASE)


class Arrival:
    """One request on its way in.

    Attributes:
        conn: gunicorn's connection.
        deadline: of the monotonic clock.
        size: bytes that are here.
        data: the first of them, the headers at least; all of a chunked request.
    """

    def __init__(self, conn: TConn, deadline: float) -> None:
        self.conn = conn
        self.deadline = deadline
        self.size = 0
        self.data = bytearray()
        self._rest: list[bytes] = []  # joined once: a buffer that grows moves again and again
        self._head_bytes = 0
        self._expected: int | None = None  # bytes in all, once the headers are in
        self._chunked = False
        self._all_kept = True

    def add(self, piece: bytes) -> None:
        """Take what came."""
        self.size += len(piece)
        if self._expected is None:
            self.data += piece
        else:
            self._rest.append(piece)

    def parts(self) -> tuple[bytes, bytes]:
        """All that is here: the headers, and the body in one piece."""
        with memoryview(self.data) as data:
            end = self._head_bytes
            return bytes(data[:end]), b"".join((data[end:], *self._rest))

    def complete(self, most: int) -> bool:
        """Whether a thread can go on without waiting.

        Args:
            most: bytes of a body that is kept; a longer one is not waited for, because it is
                refused by its announced length.
        """
        if self._expected is None and not self._chunked:
            end = self.data.find(b"\r\n\r\n")
            if end < 0:
                return False
            self._read_headers(end + 4, most)
        if self._chunked:
            # The last chunk is empty, and so is the line after the trailers. The same bytes
            # within a body only mean that a thread waits for the rest, up to the deadline.
            return self.data.endswith(b"\r\n\r\n") or self.size > most
        return self.size >= (self._expected or 0)

    @property
    def whole(self) -> bool:
        """Whether the request and nothing else is here."""
        return not self._chunked and self.size == self._expected and self._all_kept

    @property
    def endless(self) -> bool:
        """Whether headers come and come."""
        in_headers = self._expected is None and not self._chunked
        return in_headers and self.size > MAX_HEADER_BYTES

    def _read_headers(self, size: int, most: int) -> None:
        head = bytes(self.data[:size])
        if _EXPECT.search(head):
            # The client waits to be told to send its body; no thread need tell it again.
            self.conn.sock.send(b"HTTP/1.1 100 Continue\r\n\r\n")
            kept = _EXPECT.sub(b"", head)
            self.data[:size] = kept
            self.size -= size - len(kept)
            size = len(kept)
        self._head_bytes = size
        length = _LENGTH.search(head)
        self._chunked = bool(_CHUNKED.search(head))
        announced = int(length[1]) if length else 0
        self._all_kept = announced <= most
        if not self._chunked:
            self._expected = size + (announced if self._all_kept else 0)


class BufferingWorker(ThreadWorker):  # type: ignore[misc]
    """See the module."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.share: Share | None = None  # set by the master, before it forks
        super().__init__(*args, **kwargs)
        settings = Settings.from_environment()
        self._seconds = settings.request_seconds
        # The overhead of a form, as app/http.py counts it, and the headers fit twice.
        self._most = settings.max_upload_bytes + 2**20
        # Beyond these a thread would only say what the poller can say.
        self._most_posts = settings.read_at_once + settings.max_waiting
        self._posts: set[TConn] = set()
        self._arriving: dict[TConn, Arrival] = {}
        self._arriving_bytes = 0
        self._last_work: float | None = None  # since memory was given back

    @property
    def nr_conns(self) -> int:
        """Connections that are open, as gunicorn counts them; the other workers know it."""
        return self._connections

    @nr_conns.setter
    def nr_conns(self, number: int) -> None:
        self._connections = number
        if self.share:
            self.share.has(number)

    def set_accept_enabled(self, enabled: bool) -> None:
        """Take new connections, or none: gunicorn calls it on full workers and at the end."""
        super().set_accept_enabled(enabled)
        if self.share:
            self.share.accepts(enabled)

    def accept(self, listener: Any) -> None:
        """A new connection: watch it, or leave it to a worker that has fewer."""
        if self.share and self.share.leaves_it():
            return
        if self.cfg.is_ssl:
            super().accept(listener)
            return
        try:
            client, address = listener.accept()
        except (BlockingIOError, ConnectionAbortedError):
            return
        self.nr_conns += 1
        conn = TConn(self.cfg, client, address, listener.getsockname())
        conn.parser = http.get_parser(self.cfg, client, address)
        conn.parser.unreader = DeadlineUnreader(client)
        self._watch(conn)

    def on_client_socket_readable(self, conn: TConn, client: Any) -> None:
        """The next request on a kept connection."""
        if self.cfg.is_ssl:
            super().on_client_socket_readable(conn, client)
            return
        self.poller.unregister(client)
        self.keepalived_conns.remove(conn)
        self._watch(conn)

    def murder_pending(self) -> None:
        """Also end what came too slowly, and tidy up; the poller calls this every second."""
        super().murder_pending()
        now = time.monotonic()
        # In the order of arrival, which is that of the deadlines.
        for arrival in list(self._arriving.values()):
            idle = not arrival.size and not self.alive
            if arrival.deadline > now and not idle:
                if self.alive:
                    break
                continue
            self._drop(arrival, TOO_SLOW if arrival.size else None)
        resting = not self._posts and not self._arriving_bytes
        if resting and self._last_work is not None and now - self._last_work > _QUIET_SECONDS:
            give_back()
            self._last_work = None

    def handle(self, conn: TConn) -> Any:
        """In a thread: what is still to be read has a deadline as well."""
        unreader = getattr(conn.parser, "unreader", None)
        if isinstance(unreader, DeadlineUnreader):
            unreader.deadline = time.monotonic() + self._seconds
        return super().handle(conn)

    def handle_request(self, req: Any, conn: TConn) -> Any:
        """As the stock worker, with a body that arrived whole."""
        keep_whole(req)
        if self.share and not self.share.ready:
            # The next request may find a worker that has loaded.
            req.force_close()
        try:
            return super().handle_request(req, conn)
        finally:
            let_go(req)

    def _watch(self, conn: TConn) -> None:
        conn.sock.setblocking(False)
        arrival = Arrival(conn, time.monotonic() + self._seconds)
        self._arriving[conn] = arrival
        self.poller.register(conn.sock, selectors.EVENT_READ, partial(self._receive, arrival))
        # Mostly the bytes are there already, which saves a turn of the poller.
        self._receive(arrival, conn.sock)

    def _receive(self, arrival: Arrival, client: socket.socket) -> None:
        try:
            for _ in range(_PIECES_A_TURN):
                piece = client.recv(_PIECE_BYTES)
                if not piece:
                    self._drop(arrival)
                    return
                before = arrival.size
                arrival.add(piece)
                complete = arrival.complete(self._most)
                self._arriving_bytes += arrival.size - before
                if complete:
                    self._hand_over(arrival)
                    return
                if arrival.endless:
                    self._drop(arrival, TOO_LONG)
                    return
                if self._arriving_bytes > MAX_ARRIVING_BYTES:
                    self._drop(arrival, TOO_MANY)
                    return
        except BlockingIOError:
            pass
        except OSError:
            self._drop(arrival)

    def _hand_over(self, arrival: Arrival) -> None:
        conn = arrival.conn
        if arrival.data.startswith(b"POST "):
            head = bytes(arrival.data[: arrival.data.find(b"\r\n\r\n") + 2])
            # A person gets a page, which Flask makes; there are threads to spare for that.
            if len(self._posts) >= self._most_posts and not _PERSON.search(head):
                self._refuse(arrival, closing=bool(_CLOSE.search(head)))
                return
            self._posts.add(conn)
        self._forget(arrival)
        conn.parser.unreader.hold(*arrival.parts())
        conn.initialized = True
        conn.sock.setblocking(True)
        self.enqueue_req(conn)

    def finish_request(self, conn: TConn, fs: Any) -> None:
        """A thread is done with a connection."""
        if conn in self._posts:
            self._posts.remove(conn)
            self._last_work = time.monotonic()
        super().finish_request(conn, fs)

    def _refuse(self, arrival: Arrival, *, closing: bool) -> None:
        """Say that the queue is full, and listen on where the request was read to its end."""
        if closing or not arrival.whole:
            self._drop(arrival, TOO_MANY)
            return
        try:
            arrival.conn.sock.send(TOO_MANY.encode(close=False))
        except OSError:
            self._drop(arrival)
            return
        self._count(TOO_MANY)
        self._forget(arrival)
        conn = arrival.conn
        conn.set_timeout()
        self.keepalived_conns.append(conn)
        self.poller.register(
            conn.sock, selectors.EVENT_READ, partial(self.on_client_socket_readable, conn)
        )

    def _forget(self, arrival: Arrival) -> None:
        del self._arriving[arrival.conn]
        self._arriving_bytes -= arrival.size
        self.poller.unregister(arrival.conn.sock)

    def _drop(self, arrival: Arrival, last_words: Refusal | None = None) -> None:
        self._forget(arrival)
        self.nr_conns -= 1
        if last_words:
            self._count(last_words)
            with contextlib.suppress(OSError):
                arrival.conn.sock.send(last_words.encode())
        arrival.conn.close()

    def _count(self, refusal: Refusal) -> None:
        self.wsgi.extensions["metrics"].count_refusal(refusal.code)
