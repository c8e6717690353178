"""gunicorn's threaded worker, whose threads never wait for a client.

The stock worker gives a thread to a connection as soon as it sends a byte; the thread then waits
for the rest, and for the client to take the answer: as many clients that send or read a byte a
second as there are threads stop the service. Here the poller collects a whole request
(``app/arrival.py``) before a thread sees it, and sends what a client does not take of its answer
(``app/leaving.py``) after the thread has gone on. So slow clients cost memory (bounded) and a
socket (bounded), but no thread, and each has a deadline.

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

from gunicorn.workers.gthread import STOP_KEEPALIVE_LINGER, ThreadWorker
from structlog.contextvars import clear_contextvars

from app.allocator import give_back
from app.arrival import Arrival
from app.balance import Share
from app.connection import Connection, give_body, let_go
from app.leaving import HEAR_OUT_SECONDS, LINGER_SECONDS, Farewell, pieces
from app.refusals import FAILED, TOO_MANY, TOO_SLOW, Refusal, refusal_of
from app.settings import Settings

#: What all connections together may hold while they arrive.
MAX_ARRIVING_BYTES = 512 * 1024 * 1024
#: What all answers together may hold that their clients have not taken; the last one may alone.
MAX_LEAVING_BYTES = 256 * 1024 * 1024
#: A client may take its answer as slowly as this, bytes a second, beside the usual seconds.
_LEAST_RATE = 64 * 1024
#: Of a body that is refused so many times the largest one is heard out.
_HEAR_OUT_FACTOR = 4
#: After that long without a film, what films took goes back to the system; the poller looks each
#: second. The next film takes its pages anew (docs/performance.md).
_QUIET_SECONDS = 2.0

_PERSON = re.compile(rb"\r\naccept:[^\r]*text/html", re.IGNORECASE)


class BufferingWorker(ThreadWorker):  # type: ignore[misc]
    """See the module."""

    worker_connections: int

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.share: Share | None = None  # set by the master, before it forks
        super().__init__(*args, **kwargs)
        settings = Settings.from_environment()
        self._seconds = settings.request_seconds
        # The overhead of a form, as app/http.py counts it, and the headers fit twice.
        self._most = settings.max_upload_bytes + 2**20
        # Beyond these a thread would only say what the poller can say.
        self._most_posts = settings.read_at_once + settings.max_waiting
        self._posts: set[Connection] = set()
        self._arriving: dict[Connection, Arrival] = {}
        self._arriving_bytes = 0
        self._leaving: dict[Connection, None] = {}  # in the order in which they began to
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
        try:
            client, address = listener.accept()
        except (BlockingIOError, ConnectionAbortedError):
            return
        except OSError:  # no more files can be open: not more connections than there are
            self.worker_connections = max(1, min(self.worker_connections, self.nr_conns))
            self.log.warning("Connections are limited to %d", self.worker_connections)
            return
        self.nr_conns += 1
        self._watch(Connection(self.cfg, client, address, listener.getsockname()))

    def on_client_socket_readable(self, conn: Connection, client: Any) -> None:
        """The next request on a kept connection."""
        self.poller.unregister(client)
        self.keepalived_conns.remove(conn)
        self._watch(conn)

    def murder_pending(self) -> None:
        """Also end what comes or goes too slowly, and tidy up; the poller calls it each second."""
        super().murder_pending()
        now = time.monotonic()
        # In the order of arrival, which is that of the deadlines.
        for conn, arrival in list(self._arriving.items()):
            idle = not arrival.size and not self.alive
            if arrival.deadline > now and not idle:
                if self.alive:
                    break
                continue
            self._drop(conn, TOO_SLOW if arrival.size else None)
        for conn in [conn for conn in self._leaving if conn.deadline <= now]:
            self._end(conn)
        resting = not self._posts and not self._arriving_bytes
        if resting and self._last_work is not None and now - self._last_work > _QUIET_SECONDS:
            give_back()
            self._last_work = None

    def handle_request(self, req: Any, conn: Connection) -> Any:
        """In a thread, as the stock worker; with a body that arrived whole."""
        req.outbox = conn.outbox
        give_body(req, conn.body)
        conn.body = b""
        if conn.cut or (self.share and not self.share.ready):
            # What follows is no request; or it may find a worker that has loaded.
            req.force_close()
        try:
            return super().handle_request(req, conn)
        finally:
            let_go(req)

    def handle_error(self, req: Any, client: socket.socket, addr: Any, exc: Exception) -> None:
        """In a thread: say what is wrong with a request as Flask would."""
        clear_contextvars()  # of the request before, which this thread answered
        refusal = refusal_of(exc)
        if refusal is FAILED:
            self.log.exception("Error handling request")
        else:
            self.log.warning("Refused: %s", refusal.status)
        self._count(refusal)
        with contextlib.suppress(OSError):
            client.send(refusal.encode(), socket.MSG_DONTWAIT)

    def finish_request(self, conn: Connection, fs: Any) -> None:
        """A thread is done with a connection."""
        if conn in self._posts:
            self._posts.remove(conn)
            self._last_work = time.monotonic()
        conn.keeps = not fs.cancelled() and not fs.exception() and bool(fs.result())
        self._send_off(conn)

    def _watch(self, conn: Connection, begun: bytes = b"") -> None:
        """Wait for a request, of which ``begun`` is here already."""
        conn.sock.setblocking(False)
        self._arriving[conn] = Arrival(conn.sock, time.monotonic() + self._seconds, self._most)
        self.poller.register(conn.sock, selectors.EVENT_READ, partial(self._receive, conn))
        if not begun or not self._take(conn, begun):
            # Mostly the bytes are there already, which saves a turn of the poller.
            self._receive(conn, conn.sock)

    def _receive(self, conn: Connection, client: socket.socket) -> None:
        if conn not in self._arriving:
            return  # it made room for another one in this turn
        try:
            for piece in pieces(client):
                if not piece:
                    self._drop(conn)
                    return
                if self._take(conn, piece):
                    return
        except OSError:
            self._drop(conn)

    def _take(self, conn: Connection, piece: bytes) -> bool:
        """Add to a request what came; whether it need not be watched any longer."""
        arrival = self._arriving[conn]
        before = arrival.size
        arrival.add(piece)
        self._arriving_bytes += arrival.size - before
        if arrival.refusal:
            self._drop(conn, arrival.refusal)
        elif arrival.complete:
            self._hand_over(conn)
        while self._arriving_bytes > MAX_ARRIVING_BYTES:  # whoever takes longest makes room
            self._drop(next(one for one, other in self._arriving.items() if other.size), TOO_MANY)
        return conn not in self._arriving

    def _hand_over(self, conn: Connection) -> None:
        arrival = self._arriving[conn]
        if arrival.head.startswith(b"POST "):
            # A person gets a page, which Flask makes; there are threads to spare for that.
            if len(self._posts) >= self._most_posts and not _PERSON.search(arrival.head):
                self._refuse(conn)
                return
            self._posts.add(conn)
        self._forget(conn)
        conn.parser.unreader.unread(arrival.head)
        conn.body, conn.surplus, conn.cut = arrival.body(), arrival.surplus, arrival.cut
        self.enqueue_req(conn)

    def _refuse(self, conn: Connection) -> None:
        """Say that the queue is full, and listen on where the request was read to its end."""
        arrival = self._arriving[conn]
        if not arrival.keeps:
            self._drop(conn, TOO_MANY)
            return
        self._forget(conn)
        conn.surplus, conn.keeps = arrival.surplus, True
        self._say(conn, TOO_MANY)

    def _say(self, conn: Connection, refusal: Refusal) -> None:
        self._count(refusal)
        try:
            conn.outbox.sendall(refusal.encode(close=not conn.keeps))
        except OSError:
            self._end(conn)
        else:
            self._send_off(conn)

    def _count(self, refusal: Refusal) -> None:
        self.wsgi.extensions["metrics"].count_refusal(refusal.code)

    def _forget(self, conn: Connection) -> None:
        """Watch no longer for a request."""
        self._arriving_bytes -= self._arriving.pop(conn).size
        self.poller.unregister(conn.sock)

    def _drop(self, conn: Connection, last_words: Refusal | None = None) -> None:
        """End a connection whose request has not arrived."""
        self._forget(conn)
        conn.keeps = conn.cut = False
        if last_words:
            self._say(conn, last_words)
        else:
            self._end(conn)

    def _send_off(self, conn: Connection) -> None:
        """Let the client take what it has not yet of its answer."""
        if not conn.outbox.waiting:
            self._answered(conn)
            return
        slowest = self._seconds + conn.outbox.waiting / _LEAST_RATE
        self._leave(conn, slowest, selectors.EVENT_WRITE, self._send_on)
        answers = [other for other in self._leaving if other.outbox.waiting]
        waiting = sum(other.outbox.waiting for other in answers)
        for other in answers[:-1]:  # whoever has taken longest makes room
            if waiting <= MAX_LEAVING_BYTES:
                break
            waiting -= other.outbox.waiting
            self._end(other)

    def _leave(self, conn: Connection, seconds: float, event: int, then: Any) -> None:
        """Watch a connection that has still to take its answer, or to end."""
        if conn.sock.fileno() < 0:  # gunicorn has closed it
            self._end(conn)
            return
        conn.sock.setblocking(False)
        conn.deadline = time.monotonic() + seconds
        self._leaving[conn] = None
        self.poller.register(conn.sock, event, partial(then, conn))

    def _left(self, conn: Connection) -> None:
        del self._leaving[conn]
        self.poller.unregister(conn.sock)

    def _send_on(self, conn: Connection, _: socket.socket) -> None:
        try:
            if not conn.outbox.flush():
                return
        except OSError:
            self._end(conn)
            return
        self._left(conn)
        self._answered(conn)

    def _answered(self, conn: Connection) -> None:
        """The client has its answer: wait for its next request, or for its end."""
        if not conn.keeps:
            farewell = Farewell(conn.sock, _HEAR_OUT_FACTOR * self._most)
            if farewell.begin():
                seconds = HEAR_OUT_SECONDS if conn.cut else LINGER_SECONDS
                self._leave(conn, seconds, selectors.EVENT_READ, partial(self._hear_out, farewell))
            else:
                self._end(conn)
        elif conn.surplus:
            begun, conn.surplus = conn.surplus, b""
            # Later, so that a thousand requests at once are not a thousand calls deep.
            self.method_queue.defer(self._watch, conn, begun)
        else:
            self._keep(conn)

    def _keep(self, conn: Connection) -> None:
        conn.sock.setblocking(False)
        conn.set_timeout()
        if not self.alive:
            conn.timeout = min(conn.timeout, time.monotonic() + STOP_KEEPALIVE_LINGER)
        self.keepalived_conns.append(conn)
        self.poller.register(
            conn.sock, selectors.EVENT_READ, partial(self.on_client_socket_readable, conn)
        )

    def _hear_out(self, farewell: Farewell, conn: Connection, _: socket.socket) -> None:
        if farewell.ended():
            self._end(conn)

    def _end(self, conn: Connection) -> None:
        if conn.ended:
            return  # it made room for another one in this turn
        if conn in self._leaving:
            self._left(conn)
        conn.ended = True
        self.nr_conns -= 1
        conn.close()
