"""The storage service class provider: C-ECHO and C-STORE over associations (PS3.4 §B)."""

from __future__ import annotations

import socket
import threading
import time
from typing import Any

import structlog
from pydicom.uid import (
    JPEG2000,
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    JPEGLSNearLossless,
    RLELossless,
)
from pynetdicom import evt
from pynetdicom.events import Event
from pynetdicom.pdu import P_DATA_TF
from pynetdicom.sop_class import Verification  # type: ignore[attr-defined]
from structlog.stdlib import BoundLogger

from app.pacs.connections import CallerServer, CallingEntity, EagerConnection
from app.pacs.intake import Intake
from app.pacs.metrics import TOO_LARGE, NodeMetrics
from app.pacs.routing import SOP_CLASSES, MalformedObjectError
from app.pacs.settings import PacsSettings
from app.pacs.spool import SpoolFullError
from app.pacs.statuses import StoreStatus
from app.pacs.tls import server_tls

log: BoundLogger = structlog.get_logger("app.pacs.scp")

#: What cxr.dicom reads, in the order of preference where a peer leaves the choice.
TRANSFER_SYNTAXES: tuple[UID, ...] = (
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEGLosslessSV1,
    JPEGLossless,
    JPEGLSLossless,
    JPEG2000Lossless,
    RLELossless,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLSNearLossless,
    JPEG2000,
)

# PS3.8 §9.3.4: rejected permanently by the service user; calling, or called, AE title not
# recognized.
_REJECTED_PERMANENT, _BY_USER, _CALLING_TITLE, _CALLED_TITLE = 0x01, 0x01, 0x03, 0x07


class StorageProvider:
    """Listens, and answers each C-STORE after the film is safe."""

    def __init__(self, settings: PacsSettings, intake: Intake, metrics: NodeMetrics) -> None:
        self._settings = settings
        self._intake = intake
        self._metrics = metrics
        self._server: CallerServer | None = None

    @property
    def port(self) -> int:
        """The port that it listens on."""
        assert self._server is not None, "not started"
        return int(self._server.server_address[1])

    def start(self) -> None:
        """Listen, in a thread of its own.

        Raises:
            OSError: the address cannot be listened on.
            SettingsError: a TLS file cannot be used.
        """
        settings = self._settings
        entity = CallingEntity(settings.title)
        entity.require_called_aet = True
        entity.maximum_associations = settings.max_associations
        entity.maximum_pdu_size = settings.max_pdu
        entity.acse_timeout = settings.acse_timeout
        entity.dimse_timeout = settings.dimse_timeout
        entity.network_timeout = settings.network_timeout
        entity.add_supported_context(Verification)
        for sop_class in SOP_CLASSES:
            entity.add_supported_context(sop_class, list(TRANSFER_SYNTAXES))
        server: Any = entity.make_server(
            (settings.host, settings.port),
            ssl_context=server_tls(settings),
            evt_handlers=[
                (evt.EVT_CONN_OPEN, EagerConnection.take_over, [settings.max_pdu]),
                (evt.EVT_REQUESTED, self._check_caller),
                (evt.EVT_ACCEPTED, self._count, ["accepted"]),
                (evt.EVT_REJECTED, self._rejected),
                (evt.EVT_C_ECHO, self._echo),
                (evt.EVT_C_STORE, self._store),
                (evt.EVT_PDU_RECV, self._bound),
                (evt.EVT_DIMSE_RECV, self._forget_size),
            ],
            server_class=CallerServer,
        )
        server.callers = settings.callers
        server.metrics = self._metrics
        entity._servers.append(server)
        self._server = server
        threading.Thread(target=server.serve_forever, name="scp", daemon=True).start()

    def stop(self) -> None:
        """Accept nothing more and end the associations."""
        if self._server is None:
            return
        server, self._server = self._server, None
        associations = server.active_associations
        server.shutdown()
        for association in associations:
            association.abort()

    def _check_caller(self, event: Event) -> None:
        """Reject whoever is unknown by title and address together."""
        request: Any = event.assoc.requestor
        title = str(request.primitive.calling_ae_title).strip()
        if self._settings.callers.knows(title, request.address_info.address):
            return
        self._turned_away("unknown_caller", "unknown caller")
        event.assoc.acse.send_reject(_REJECTED_PERMANENT, _BY_USER, _CALLING_TITLE)
        event.assoc.kill()

    def _count(self, event: Event, result: str) -> None:
        self._metrics.associations.labels(result).inc()

    def _rejected(self, event: Event) -> None:
        """Count what the library itself rejects, by the reason that it gave."""
        answer: Any = event.assoc.acceptor.primitive
        if (answer.result_source, answer.diagnostic) == (_BY_USER, _CALLED_TITLE):
            self._turned_away("called_title", "called AE title is not ours")
        else:
            self._turned_away("too_many", "too many associations")

    def _turned_away(self, result: str, reason: str) -> None:
        self._metrics.associations.labels(result).inc()
        log.warning("association rejected", reason=reason)

    def _bound(self, event: Event) -> None:
        """End the connection of a peer that sends an object beyond the limit."""
        pdu = event.pdu
        if not isinstance(pdu, P_DATA_TF):
            return
        association: Any = event.assoc
        size = getattr(association, "xray_bytes", 0) + pdu.pdu_length
        association.xray_bytes = size
        # Room for the command set and the headers of the fragments beside the object.
        if size > self._settings.max_object_bytes + 2**20:
            log.warning("association ended", reason="object too large")
            self._metrics.stores.labels(TOO_LARGE).inc()
            connection = association.dul.socket.socket
            if connection is not None:
                connection.shutdown(socket.SHUT_RDWR)

    def _forget_size(self, event: Event) -> None:
        association: Any = event.assoc
        association.xray_bytes = 0

    def _echo(self, event: Event) -> int:
        return StoreStatus.SUCCESS

    def _store(self, event: Event) -> int:
        began = time.perf_counter()
        status = self._answer(event)
        self._metrics.stores.labels(status.name).inc()
        self._metrics.store_seconds.observe(time.perf_counter() - began)
        return int(status)

    def _answer(self, event: Event) -> StoreStatus:
        try:
            receipt = self._intake.take(
                event.encoded_dataset(),
                expected_instance=str(event.request.AffectedSOPInstanceUID),  # type: ignore[union-attr]
            )
        except MalformedObjectError:
            log.warning("object refused", reason="malformed")
            return StoreStatus.CANNOT_UNDERSTAND
        except SpoolFullError:
            log.error("object refused", reason="spool full")
            return StoreStatus.OUT_OF_RESOURCES
        except Exception as error:  # the disk or the database: the sender must try again
            log.error("object refused", reason=type(error).__name__)
            return StoreStatus.OUT_OF_RESOURCES
        self._metrics.films.labels(receipt.taken, receipt.reason).inc()
        return StoreStatus.SUCCESS
