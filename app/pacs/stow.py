"""DICOMweb: a client that waits for nobody for ever, and results sent by STOW-RS."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

import requests
import urllib3
from dicomweb_client import DICOMwebClient
from pydicom import dcmread
from pydicom.dataset import Dataset
from requests.adapters import HTTPAdapter
from requests.exceptions import ChunkedEncodingError, InvalidJSONError, ReadTimeout

from app.pacs.peers import Peer
from app.pacs.sender import NoAnswerError, RefusedError, UnreachableError, uncompressed
from app.pacs.settings import PacsSettings
from app.pacs.statuses import DUPLICATE, describe

# Both quote what they send or are answered, which names patients.
for _logger in ("dicomweb_client", "urllib3"):
    logging.getLogger(_logger).setLevel(logging.CRITICAL + 1)

# PS3.18 Table 10.5.3-1: the referenced transfer syntax is not supported.
_SYNTAX_NOT_SUPPORTED = 0xC122
#: It has the object already; the second is how Azure's service says so.
_DUPLICATES = {DUPLICATE, 0xB00E}
#: More than an account of what was stored ever takes.
_MOST_ANSWERED_BYTES = 2**24


class _SyntaxNotTakenError(RefusedError):
    """The destination does not take an object in the way it is compressed."""


class _WithTimeout(HTTPAdapter):
    """A server that never answers must not hold its queue for ever.

    Args:
        seconds: for each step of a request.
        whole: whether the whole body of the answer must come within them too.
    """

    def __init__(self, seconds: float, *, whole: bool) -> None:
        super().__init__()
        self._seconds = seconds
        self._whole = whole

    def send(self, *arguments: Any, **options: Any) -> requests.Response:
        options["timeout"] = self._seconds  # the client asks for 20, whatever is set
        if not self._whole:
            return super().send(*arguments, **options)
        response = super().send(*arguments, **{**options, "stream": True})
        try:
            body = self._body(response.raw)
        except urllib3.exceptions.HTTPError as error:
            response.raw.close()
            raise ChunkedEncodingError(type(error).__name__) from None
        response.raw = urllib3.HTTPResponse(BytesIO(body), preload_content=False)
        return response

    def _body(self, raw: urllib3.HTTPResponse) -> bytes:
        end = time.monotonic() + self._seconds
        body = bytearray()
        while piece := raw.read1(2**16, decode_content=True):
            body += piece
            if time.monotonic() > end or len(body) > _MOST_ANSWERED_BYTES:
                raw.close()
                raise ReadTimeout
        return bytes(body)


def web_client(peer: Peer, settings: PacsSettings, *, whole: bool = False) -> DICOMwebClient:
    """A client of a DICOMweb server that neither waits for ever nor tries again by itself.

    Args:
        whole: whether the whole of an answer must come within the time-out, not each piece.
    """
    session = requests.Session()
    session.trust_env = False
    if peer.username:
        session.auth = (peer.username, peer.password)
    if settings.tls_authorities is not None:
        session.verify = str(settings.tls_authorities)
    if settings.tls_certificate is not None and settings.tls_key is not None:
        session.cert = (str(settings.tls_certificate), str(settings.tls_key))
    for scheme in ("http://", "https://"):
        session.mount(scheme, _WithTimeout(settings.dimse_timeout, whole=whole))
    client = DICOMwebClient(url=peer.url, session=session)
    client.set_http_retry_params(retry=False)
    return client


class StowSender:
    """STOW-RS: the results of one film in one request (PS3.18 §10.5)."""

    def __init__(self, peer: Peer, settings: PacsSettings) -> None:
        self._client = web_client(peer, settings, whole=True)
        self._stored: set[str] = set()  # of films that are not stored whole

    def send(self, paths: Sequence[Path]) -> None:
        objects = [dcmread(path) for path in paths]
        try:
            self._store(self._left(objects))
        except _SyntaxNotTakenError:
            self._store([uncompressed(dataset) for dataset in self._left(objects)])
        self._stored.difference_update(str(dataset.SOPInstanceUID) for dataset in objects)

    def _left(self, objects: Sequence[Dataset]) -> list[Dataset]:
        return [dataset for dataset in objects if str(dataset.SOPInstanceUID) not in self._stored]

    def _store(self, objects: Sequence[Dataset]) -> None:
        try:
            account = self._client.store_instances(objects)
        except requests.HTTPError as error:
            if error.response is None:  # it is never raised without one
                raise
            account = _account_of_failure(error.response)
        except InvalidJSONError:
            raise RefusedError("its answer cannot be understood") from None
        except OSError as error:  # those of requests, and what it says of our TLS files
            raise _silence(error) from None
        self._judge(account, objects)

    def _judge(self, account: Dataset, objects: Sequence[Dataset]) -> None:
        """Take the server at its word (PS3.18 §10.5.3): object by object."""
        stored = _uids(account.get("ReferencedSOPSequence") or ())
        failed = []
        for item in account.get("FailedSOPSequence") or ():
            if item.get("FailureReason") in _DUPLICATES:
                stored |= _uids([item])
            else:
                failed.append(int(item.get("FailureReason") or 0))
        self._stored |= stored & _uids(objects, "SOPInstanceUID")
        if failed:
            refused = _SyntaxNotTakenError if _SYNTAX_NOT_SUPPORTED in failed else RefusedError
            raise refused(f"{len(failed)} of {len(objects)} objects: {describe(failed[0])}")
        if len(stored) != len(objects):
            raise RefusedError(f"it says it stored {len(stored)} of {len(objects)} objects")

    def close(self) -> None:
        """Nothing stays open that would matter."""


def _uids(items: Sequence[Dataset], keyword: str = "ReferencedSOPInstanceUID") -> set[str]:
    return {str(item.get(keyword) or "") for item in items}


def _account_of_failure(response: requests.Response) -> Dataset:
    """What a server says of the objects of a request that it did not, or not all, follow.

    Raises:
        UnreachableError, RefusedError: it says nothing of them.
    """
    status = response.status_code
    said = f"it answers with status {status}"
    if status == 415:
        raise _SyntaxNotTakenError(said)
    if status in (401, 403, 429) or status >= 500:
        raise UnreachableError(said)
    try:
        account = Dataset.from_json(response.json())
    except Exception:  # pydicom raises nearly every type on foreign JSON
        account = Dataset()
    if not account.get("FailedSOPSequence"):
        raise RefusedError(said)
    return account


def _silence(error: OSError) -> Exception:
    """Nobody there, or somebody who took the request and does not answer it."""
    words = f"it does not answer ({type(error).__name__})"
    dropped = bool(error.args) and isinstance(error.args[0], urllib3.exceptions.ProtocolError)
    if dropped or isinstance(error, ReadTimeout | ChunkedEncodingError):
        return NoAnswerError(words)
    return UnreachableError(words)
