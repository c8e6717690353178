"""Sending results: C-STORE to a DICOM node; ``stow`` sends to a DICOMweb server."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.uid import (
    ComprehensiveSRStorage,
    ExplicitVRLittleEndian,
    GrayscaleSoftcopyPresentationStateStorage,
    ImplicitVRLittleEndian,
    JPEGBaseline8Bit,
    SecondaryCaptureImageStorage,
)
from pynetdicom import AE, evt
from pynetdicom.association import Association
from pynetdicom.events import Event

from app.pacs.connections import send_at_once
from app.pacs.peers import Peer
from app.pacs.sender import NoAnswerError, RefusedError, Sender, UnreachableError, uncompressed
from app.pacs.settings import PacsSettings
from app.pacs.statuses import describe, is_stored
from app.pacs.stow import StowSender
from app.pacs.tls import client_tls
from app.settings import SettingsError

# It quotes what it sends or is answered, which names patients.
logging.getLogger("pynetdicom").setLevel(logging.CRITICAL + 1)

RESULT_CLASSES = (
    ComprehensiveSRStorage,
    SecondaryCaptureImageStorage,
    GrayscaleSoftcopyPresentationStateStorage,
)


class StoreSender:
    """C-STORE over one association, which is kept while there is more to send."""

    def __init__(self, peer: Peer, settings: PacsSettings) -> None:
        self._peer = peer
        self._settings = settings
        self._association: Association | None = None
        self._stored: set[str] = set()  # of films that are not stored whole

    def send(self, paths: Sequence[Path]) -> None:
        association = self._association
        if association is None or not association.is_established:
            association = self._association = associate(self._peer, self._settings, RESULT_CLASSES)
        uids, refusals = [], []
        for path in paths:
            dataset = dcmread(path)
            uids.append(str(dataset.SOPInstanceUID))
            if uids[-1] in self._stored:
                continue
            try:
                self._store(path.stem, dataset, association)
            except RefusedError as refusal:  # one object does not keep the others from arriving
                refusals.append(refusal)
            else:
                self._stored.add(uids[-1])
        if refusals:
            raise RefusedError.of(refusals)
        self._stored.difference_update(uids)

    def _store(self, kind: str, dataset: Dataset, association: Association) -> None:
        accepted = {context.abstract_syntax for context in association.accepted_contexts}
        if dataset.SOPClassUID not in accepted:
            raise RefusedError(
                f"{kind}: this kind of object is not accepted; "
                f"take `{kind}` out of XRAY_PACS_RESULTS",
                for_good=True,
            )
        try:
            answer = association.send_c_store(_as_accepted(dataset, association))
        except ValueError:
            raise RefusedError(f"{kind}: it cannot be sent in any way that is accepted") from None
        if "Status" not in answer:
            self.close()
            raise NoAnswerError(f"{kind}: no answer")
        if not is_stored(answer.Status):
            raise RefusedError(f"{kind}: {describe(answer.Status)}")

    def close(self) -> None:
        association, self._association = self._association, None
        if association is not None and association.is_established:
            association.release()


def _as_accepted(dataset: Dataset, association: Association) -> Dataset:
    """A capture is JPEG; where the peer does not take that, the same picture uncompressed."""
    syntax = dataset.file_meta.TransferSyntaxUID
    accepted = {
        context.transfer_syntax[0]
        for context in association.accepted_contexts
        if context.abstract_syntax == dataset.SOPClassUID
    }
    return dataset if syntax in accepted else uncompressed(dataset)


def associate(peer: Peer, settings: PacsSettings, classes: Sequence[str]) -> Association:
    """Open an association.

    Raises:
        UnreachableError: nobody answers, or we are rejected.
    """
    entity = AE(settings.title)
    entity.acse_timeout = settings.acse_timeout
    entity.dimse_timeout = settings.dimse_timeout
    entity.network_timeout = settings.network_timeout
    entity.connection_timeout = settings.acse_timeout
    entity.maximum_pdu_size = settings.max_pdu
    for sop_class in classes:
        entity.add_requested_context(sop_class, [ExplicitVRLittleEndian, ImplicitVRLittleEndian])
        if sop_class == SecondaryCaptureImageStorage:  # a context of its own: each gets one syntax
            entity.add_requested_context(sop_class, JPEGBaseline8Bit)
    try:
        tls = (client_tls(settings), peer.host) if peer.tls else None
    except SettingsError as error:
        raise UnreachableError(str(error).rstrip(".")) from None
    association = entity.associate(
        peer.host,
        peer.port,
        ae_title=peer.ae_title,
        max_pdu=settings.max_pdu,
        tls_args=tls,
        evt_handlers=[(evt.EVT_CONN_OPEN, _opened)],
    )
    if not association.is_established:
        if association.is_rejected:
            raise UnreachableError("it rejects the association")
        raise UnreachableError("it does not answer")
    _keep_answers(association)
    return association


def _keep_answers(association: Any) -> None:
    """Let no answer of the peer be lost that comes quickly.

    The association's own thread looks for requests of the peer. While it is just being told to
    pause it may take the answer to ours instead, and drop it
    (https://github.com/pydicom/pynetdicom/issues/435): whoever asked then waits for the time-out.
    """

    serve = association._serve_request

    def give_back(message: Any, context: int) -> None:
        if message.is_valid_request:
            serve(message, context)
            return
        waiting = association.dimse.msg_queue
        with waiting.mutex:  # to the front: a query has several answers, in their order
            waiting.queue.appendleft((context, message))
            waiting.unfinished_tasks += 1
            waiting.not_empty.notify()

    association._serve_request = give_back


def _opened(event: Event) -> None:
    connection: Any = event.assoc.dul.socket
    send_at_once(connection.socket)


def sender(peer: Peer, settings: PacsSettings) -> Sender:
    """The way to a destination."""
    if peer.kind == "dicom":
        return StoreSender(peer, settings)
    return StowSender(peer, settings)
