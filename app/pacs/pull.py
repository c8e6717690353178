"""Fetching what nobody sent: C-FIND and C-MOVE, or QIDO-RS and WADO-RS.

C-MOVE lets the archive send to the node, which must run and be known to the archive. WADO-RS
fetches into this process, which puts each film into the same spool and queue.
"""

from __future__ import annotations

from collections import Counter
from io import BytesIO

import requests
from pydicom.dataset import Dataset
from pydicom.uid import UID
from pynetdicom.sop_class import (  # type: ignore[attr-defined]
    StudyRootQueryRetrieveInformationModelFind,
    StudyRootQueryRetrieveInformationModelMove,
)

from app.pacs.destinations import UnreachableError, associate, web_client
from app.pacs.intake import Intake
from app.pacs.peers import Peer
from app.pacs.routing import SOP_CLASSES, MalformedObjectError
from app.pacs.settings import PacsSettings
from app.pacs.statuses import PENDING_STATUSES, RetrieveStatus, describe

#: PS3.18 §8.7.3.5.2: any transfer syntax, as the archive has it.
_AS_STORED = (("application/dicom", "*"),)


class PullError(Exception):
    """The pull failed; the text says why, without identity."""


def pull(
    peer: Peer,
    settings: PacsSettings,
    intake: Intake,
    *,
    study: str | None = None,
    accession: str | None = None,
) -> Counter[str]:
    """Fetch the films of a study, found by its UID or its accession number.

    Returns:
        What became of how many objects: ``moved``, or ``queued``, ``duplicate``, ``dropped``.

    Raises:
        PullError: the archive cannot be reached, refuses, or has no such study.
    """
    if (study is None) == (accession is None):
        raise PullError("Say either the study's UID or its accession number.")
    if study is not None and not UID(study).is_valid:
        raise PullError("The study's UID is not a valid UID.")
    try:
        if peer.kind == "dicom":
            return _pull_dicom(peer, settings, study, accession)
        return _pull_web(peer, settings, intake, study, accession)
    except UnreachableError as error:
        raise PullError(f"The archive cannot be used: {error}.") from None
    except requests.HTTPError as error:
        status = error.response.status_code if error.response is not None else "unknown"
        raise PullError(f"The archive answers with status {status}.") from None
    except requests.RequestException as error:
        raise PullError(f"The archive does not answer ({type(error).__name__}).") from None


def _pull_dicom(
    peer: Peer, settings: PacsSettings, study: str | None, accession: str | None
) -> Counter[str]:
    find = StudyRootQueryRetrieveInformationModelFind
    move = StudyRootQueryRetrieveInformationModelMove
    association = associate(peer, settings, [find, move])
    try:
        query = Dataset()
        query.QueryRetrieveLevel = "STUDY"
        query.StudyInstanceUID = study or ""
        query.AccessionNumber = accession or ""
        studies = []
        for answer, found in association.send_c_find(query, find):
            _check(answer, "search")
            if found is not None and found.get("StudyInstanceUID"):
                studies.append(str(found.StudyInstanceUID))
        if not studies:
            raise PullError("The archive has no such study.")
        counts: Counter[str] = Counter()
        for uid in studies:
            wanted = Dataset()
            wanted.QueryRetrieveLevel = "STUDY"
            wanted.StudyInstanceUID = uid
            last = Dataset()
            for answer, _ in association.send_c_move(wanted, settings.title, move):
                _check(answer, "move")
                last = answer
            counts["moved"] += int(last.get("NumberOfCompletedSuboperations") or 0)
            # An archive sends all of a study; of other classes than ours none is accepted.
            counts["not accepted"] += int(last.get("NumberOfFailedSuboperations") or 0)
        return counts
    finally:
        if association.is_established:
            association.release()


_MOVED_WITH_FAILURES = 0xB000


def _check(answer: Dataset, what: str) -> None:
    if "Status" not in answer:
        raise PullError(f"The archive gave no answer to the {what}.")
    status = int(answer.Status)
    fine = status == RetrieveStatus.SUCCESS or status in PENDING_STATUSES
    if not fine and status != _MOVED_WITH_FAILURES:
        raise PullError(f"The archive refused the {what}: {describe(status)}.")


def _pull_web(
    peer: Peer,
    settings: PacsSettings,
    intake: Intake,
    study: str | None,
    accession: str | None,
) -> Counter[str]:
    client = web_client(peer, settings)
    wanted = {"StudyInstanceUID": study} if study else {"AccessionNumber": accession}
    found = client.search_for_studies(search_filters=wanted)
    studies = [_value(item, "0020000D") for item in found]
    if not any(studies):
        raise PullError("The archive has no such study.")
    counts: Counter[str] = Counter()
    for uid in filter(None, studies):
        for item in client.search_for_instances(uid):
            if _value(item, "00080016") not in SOP_CLASSES:
                counts["not accepted"] += 1
                continue
            dataset = client.retrieve_instance(
                uid, _value(item, "0020000E"), _value(item, "00080018"), media_types=_AS_STORED
            )
            buffer = BytesIO()
            dataset.save_as(buffer, enforce_file_format=True)
            try:
                counts[intake.take([buffer.getvalue()]).taken] += 1
            except MalformedObjectError:
                counts["malformed"] += 1
    return counts


def _value(item: dict[str, dict[str, list[str]]], tag: str) -> str:
    values = item.get(tag, {}).get("Value") or [""]
    return str(values[0])
