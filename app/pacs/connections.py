"""Connections from callers: who may open one, and how their bytes come in."""

from __future__ import annotations

import socket
import ssl
import sys
import time
from typing import Any

import structlog
from pynetdicom import AE
from pynetdicom.association import Association
from pynetdicom.events import Event
from pynetdicom.transport import AssociationSocket, ThreadedAssociationServer
from structlog.stdlib import BoundLogger

from app.pacs.metrics import NodeMetrics
from app.pacs.peers import Callers

log: BoundLogger = structlog.get_logger("app.pacs.scp")

#: Connections beyond the associations served are turned away politely up to this multiple,
#: after that they are closed at once: each costs two threads.
_CONNECTIONS_PER_ASSOCIATION = 4
#: Beside the object's bytes a protocol data unit holds headers; a request for an association,
#: whose length nobody negotiates, holds at most some hundred kilobytes.
_PDU_OVERHEAD = 2**20
#: Bytes that are taken from the system at once, as far as they have come.
_READ_AHEAD = 2**19
#: Bytes a second at which a protocol data unit must come at least, beyond the network time-out.
_LEAST_RATE = 2**14
#: States in which the library's clock runs until a peer has said who it is, or has gone
#: (PS3.8 Table 9-10).
_AWAITING_REQUEST, _AWAITING_CLOSE = "Sta2", "Sta13"


def send_at_once(connection: socket.socket) -> None:
    """Do not hold a small write back until the one before it is acknowledged (RFC 896).

    A request is several writes, and a peer may wait 40 ms before it acknowledges one.
    """
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


class CallingEntity(AE):
    """Counts an association from its request on: a connection that says nothing is none yet."""

    @property
    def active_associations(self) -> list[Association]:
        """Those that have been asked for."""
        return [found for found in super().active_associations if found.requestor.primitive]


class CallerServer(ThreadedAssociationServer):
    """Closes what comes from nowhere we know, and never waits for a client when accepting."""

    callers: Callers
    metrics: NodeMetrics
    daemon_threads = True
    request_queue_size = 128

    def get_request(self) -> tuple[socket.socket, Any]:
        # The library would shake hands here, where one silent client stops all others.
        listening: Any = self.socket
        connection, address = listening.accept()
        send_at_once(connection)
        connection.settimeout(self.ae.network_timeout)
        if self.ssl_context is not None:
            connection = self.ssl_context.wrap_socket(
                connection, server_side=True, do_handshake_on_connect=False
            )
        return connection, address

    def verify_request(self, request: Any, client_address: Any) -> bool:
        if not self.callers.knows_address(client_address[0]):
            self.metrics.associations.labels("unknown_address").inc()
            log.warning("connection refused", reason="unknown address")
            return False
        most = _CONNECTIONS_PER_ASSOCIATION * self.ae.maximum_associations
        if len(self.active_associations) >= most:
            self.metrics.associations.labels("too_many").inc()
            return False
        return True

    def finish_request(self, request: Any, client_address: Any) -> None:
        if isinstance(request, ssl.SSLSocket):
            request.settimeout(self.ae.acse_timeout)
            try:
                request.do_handshake()
            except OSError:  # the peer's affair; an SSLError is one too
                self.metrics.associations.labels("no_handshake").inc()
                log.warning("connection failed", reason="no handshake")
                self.shutdown_request(request)
                return
            request.settimeout(self.ae.network_timeout)
        super().finish_request(request, client_address)

    def handle_error(self, request: Any, client_address: Any) -> None:
        # The default prints a traceback, whose words may quote what was sent.
        self.metrics.associations.labels("failed").inc()
        error = sys.exception()
        log.error("connection failed", error=type(error).__name__)


class EagerConnection(AssociationSocket):
    """Takes all that has come in one go, and gives it out in pieces.

    The library asks the system three times for each protocol data unit and reads 4096 bytes at a
    time: for a film of 8 MB it lets go of the interpreter two thousand times, and each time
    waits for whoever computes meanwhile.
    """

    most: int
    waiting: memoryview
    room: memoryview

    @classmethod
    def take_over(cls, event: Event, max_pdu: int) -> None:
        """Make the connection that was just opened one of these; handles ``EVT_CONN_OPEN``."""
        connection: Any = event.assoc.dul.socket
        connection.__class__ = cls
        connection.most = max_pdu + _PDU_OVERHEAD
        connection.room = memoryview(bytearray(_READ_AHEAD))
        connection.waiting = connection.room[:0]

    @property
    def ready(self) -> bool:
        """Whether there is anything to read, here or in the system."""
        if self.socket is not None and self._is_connected and len(self.waiting):
            return True
        return super().ready

    def recv(self, nr_bytes: int) -> bytearray:
        """So many bytes; fewer where the connection ends before.

        Raises:
            OSError: they did not come in time, or a protocol data unit announces more than
                ``most`` bytes, for which no memory is taken: the connection then ends.
        """
        if nr_bytes > self.most:
            raise OSError("a protocol data unit beyond what was negotiated")
        end = time.monotonic() + self._patience(nr_bytes)
        data = bytearray(nr_bytes)
        view = memoryview(data)
        done = 0
        while done < nr_bytes:
            if not len(self.waiting):
                read = self._more(end)
                if not read:
                    return data[:done]
                self.waiting = self.room[:read]
            piece = self.waiting[: nr_bytes - done]
            view[done : done + len(piece)] = piece
            self.waiting = self.waiting[len(piece) :]
            done += len(piece)
        return data

    def _patience(self, nr_bytes: int) -> float:
        """Seconds in which so many bytes must have come.

        The library looks at its clock between protocol data units alone: whoever sends one byte
        now and then would stay for ever within one.
        """
        provider = self.assoc.dul
        if provider.state_machine.current_state in (_AWAITING_REQUEST, _AWAITING_CLOSE):
            return provider.artim_timer.remaining
        return (self.assoc.network_timeout or 0.0) + nr_bytes / _LEAST_RATE

    def _more(self, end: float) -> int:
        """Take what has come, or what comes until then; 0: the connection has ended."""
        connection = self.socket
        assert connection is not None, "nobody reads from a closed connection"
        seconds = end - time.monotonic()
        if seconds <= 0:
            raise TimeoutError("a protocol data unit that takes too long")
        connection.settimeout(seconds)
        try:
            return connection.recv_into(self.room)
        finally:
            connection.settimeout(self.assoc.network_timeout)  # what is sent waits for so long
