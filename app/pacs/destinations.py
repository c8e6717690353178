"""Sending results: C-STORE to a DICOM node, STOW-RS to a DICOMweb server."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import requests
from dicomweb_client import DICOMwebClient
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
from requests.adapters import HTTPAdapter

from app.pacs.connections import send_at_once
from app.pacs.peers import Peer
from app.pacs.sender import NoAnswerError, RefusedError, Sender, UnreachableError
from app.pacs.settings import PacsSettings
from app.pacs.statuses import describe, is_stored
from app.pacs.tls import client_tls
from app.settings import SettingsError

# All of them quote what they send or are answered, which names patients.
for _logger in ("pynetdicom", "dicomweb_client", "urllib3"):
    logging.getLogger(_logger).setLevel(logging.CRITICAL + 1)

RESULT_CLASSES = (
    ComprehensiveSRStorage,
    SecondaryCaptureImageStorage,
    GrayscaleSoftcopyPresentationStateStorage,
)
# PS3.18 Table 10.5.3-1: the referenced transfer syntax is not supported.
_SYNTAX_NOT_SUPPORTED = 0xC122


class _SyntaxNotTakenError(RefusedError):
    """The destination does not take an object in the way it is compressed."""


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
    return dataset if syntax in accepted else _uncompressed(dataset)


def _uncompressed(dataset: Dataset) -> Dataset:
    if dataset.file_meta.TransferSyntaxUID.is_compressed:
        dataset.decompress(generate_instance_uid=False)
    return dataset


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


class _WithTimeout(HTTPAdapter):
    """A server that never answers must not hold its queue for ever."""

    def __init__(self, seconds: float) -> None:
        super().__init__()
        self._seconds = seconds

    def send(self, *arguments: Any, **options: Any) -> requests.Response:
        options["timeout"] = options.get("timeout") or self._seconds
        return super().send(*arguments, **options)


def web_client(peer: Peer, settings: PacsSettings) -> DICOMwebClient:
    """A client of a DICOMweb server that neither waits for ever nor tries again by itself."""
    session = requests.Session()
    session.trust_env = False
    if peer.username:
        session.auth = (peer.username, peer.password)
    if settings.tls_authorities is not None:
        session.verify = str(settings.tls_authorities)
    if settings.tls_certificate is not None and settings.tls_key is not None:
        session.cert = (str(settings.tls_certificate), str(settings.tls_key))
    for scheme in ("http://", "https://"):
        session.mount(scheme, _WithTimeout(settings.dimse_timeout))
    client = DICOMwebClient(url=peer.url, session=session)
    client.set_http_retry_params(retry=False)
    return client


class StowSender:
    """STOW-RS: the results of one film in one request (PS3.18 §10.5)."""

    def __init__(self, peer: Peer, settings: PacsSettings) -> None:
        self._client = web_client(peer, settings)

    def send(self, paths: Sequence[Path]) -> None:
        objects = [dcmread(path) for path in paths]
        try:
            self._store(objects)
        except _SyntaxNotTakenError:
            self._store([_uncompressed(dataset) for dataset in objects])

    def _store(self, objects: Sequence[Dataset]) -> None:
        try:
            answer = self._client.store_instances(objects)
        except requests.HTTPError as error:
            status = error.response.status_code if error.response is not None else 0
            if status == 415:
                raise _SyntaxNotTakenError(f"it answers with status {status}") from None
            if status in (401, 403, 429) or status >= 500:
                raise UnreachableError(f"it answers with status {status}") from None
            raise RefusedError(f"it answers with status {status}") from None
        except requests.exceptions.InvalidJSONError:
            raise RefusedError("its answer cannot be understood") from None
        except OSError as error:  # those of requests, and what it says of our TLS files
            raise UnreachableError(f"it does not answer ({type(error).__name__})") from None
        failed = answer.get("FailedSOPSequence") or ()
        stored = {item.ReferencedSOPInstanceUID for item in answer.get("ReferencedSOPSequence", ())}
        if failed:
            reason = int(failed[0].get("FailureReason") or 0)
            refused = _SyntaxNotTakenError if reason == _SYNTAX_NOT_SUPPORTED else RefusedError
            raise refused(f"{len(failed)} of {len(objects)} objects: {describe(reason)}")
        if len(stored) != len(objects):
            raise RefusedError(f"it says it stored {len(stored)} of {len(objects)} objects")

    def close(self) -> None:
        """Nothing stays open that would matter."""


def sender(peer: Peer, settings: PacsSettings) -> Sender:
    """The way to a destination."""
    if peer.kind == "dicom":
        return StoreSender(peer, settings)
    return StowSender(peer, settings)
