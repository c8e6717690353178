"""Fetching what nobody sent: C-FIND and C-MOVE, or QIDO-RS and WADO-RS.

C-MOVE lets the archive send to the node, which must run and be known to the archive. WADO-RS
fetches into this process, which puts each film into the same spool and queue.
"""

from __future__ import annotations

from collections import Counter
from io import BytesIO
from typing import Any

import requests
from dicomweb_client import DICOMwebClient
from pydicom.dataset import Dataset
from pydicom.uid import UID
from pynetdicom.association import Association
from pynetdicom.sop_class import (  # type: ignore[attr-defined]
    StudyRootQueryRetrieveInformationModelFind,
    StudyRootQueryRetrieveInformationModelMove,
)
from pynetdicom.status import STATUS_PENDING, STATUS_SUCCESS, code_to_category

from app.pacs.destinations import associate
from app.pacs.intake import Intake
from app.pacs.peers import Peer
from app.pacs.routing import SOP_CLASSES, MalformedObjectError
from app.pacs.sender import UnreachableError
from app.pacs.settings import PacsSettings
from app.pacs.spool import SpoolFullError
from app.pacs.statuses import describe
from app.pacs.stow import web_client

_FIND = StudyRootQueryRetrieveInformationModelFind
_MOVE = StudyRootQueryRetrieveInformationModelMove
#: What of the counts of a pull must not be passed over.
FAILURES = ("failed", "malformed")
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
        What became of how many objects: ``moved``, or ``queued``, ``duplicate``, ``dropped``;
        ``not accepted``: of other classes than films, and not fetched; those of ``FAILURES``.

    Raises:
        PullError: the keys are not one study's, the archive cannot be reached, refuses, or has
            no such study, or the films cannot be kept.
    """
    _check_keys(study, accession)
    try:
        if peer.kind == "dicom":
            return _pull_dicom(peer, settings, study, accession)
        return _pull_web(peer, settings, intake, study, accession)
    except PullError:
        raise
    except UnreachableError as error:
        raise PullError(f"The archive cannot be used: {error}.") from None
    except requests.HTTPError as error:
        status = error.response.status_code if error.response is not None else "unknown"
        raise PullError(f"The archive answers with status {status}.") from None
    except requests.RequestException as error:
        raise PullError(f"The archive does not answer ({type(error).__name__}).") from None
    except SpoolFullError:
        raise PullError("There is no room for the films on the spool's disk.") from None
    except Exception as error:  # the archive's answer, the disk; its words may quote the film
        raise PullError(f"The pull failed ({type(error).__name__}).") from None


def _check_keys(study: str | None, accession: str | None) -> None:
    """An empty key, or one with wildcards (PS3.4 §C.2.2.2), would match a whole archive."""
    if (study is None) == (accession is None):
        raise PullError("Say either the study's UID or its accession number.")
    if study is not None and not UID(study).is_valid:
        raise PullError("The study's UID is not a valid UID.")
    if accession is not None and (not accession.strip() or set("*?\\") & set(accession)):
        raise PullError("The accession number must be given whole, without *, ? and \\.")


def _pull_dicom(
    peer: Peer, settings: PacsSettings, study: str | None, accession: str | None
) -> Counter[str]:
    association = associate(peer, settings, [_FIND, _MOVE])
    try:
        studies = _find(association, "STUDY", StudyInstanceUID=study, AccessionNumber=accession)
        if not studies:
            raise PullError("The archive has no such study.")
        counts: Counter[str] = Counter()
        for found in studies:
            _move_films(association, settings, found.StudyInstanceUID, counts)
        return counts
    finally:
        if association.is_established:
            association.release()


def _move_films(
    association: Association, settings: PacsSettings, study: str, counts: Counter[str]
) -> None:
    """Have the films of a study moved, series by series, and nothing else.

    A whole study may hold objects of other classes, such as our own results: the node does not
    accept these, and some archives then give up the move.
    """
    keys = {"StudyInstanceUID": study}
    for series in _find(association, "SERIES", **keys, SeriesInstanceUID="", Modality=""):
        keys["SeriesInstanceUID"] = series.SeriesInstanceUID
        images = _find(association, "IMAGE", **keys, SOPInstanceUID="", SOPClassUID="")
        modality = str(series.get("Modality") or "")
        films = [
            str(image.SOPInstanceUID) for image in images if is_film(image, modality, settings)
        ]
        counts["not accepted"] += len(images) - len(films)
        if films:
            wanted = _query("IMAGE", **keys, SOPInstanceUID=films)
            last = Dataset()
            for answer, _ in association.send_c_move(wanted, settings.title, _MOVE):
                _check(answer, "move")
                last = answer
            counts["moved"] += int(last.get("NumberOfCompletedSuboperations") or 0)
            counts["failed"] += int(last.get("NumberOfFailedSuboperations") or 0)


def is_film(image: Dataset, modality: str, settings: PacsSettings) -> bool:
    """Whether an answer at IMAGE level is of one of our classes.

    An archive need not tell the class (PS3.4 Table C.6-4: an optional key); then the modality of
    the series, which it must tell (Table C.6-3), says it.
    """
    sop_class = image.get("SOPClassUID")
    return sop_class in SOP_CLASSES if sop_class else modality in settings.modalities


def _find(association: Association, level: str, **keys: Any) -> list[Dataset]:
    """What the archive has at a level: the answers that name it."""
    unique = {"STUDY": "StudyInstanceUID", "SERIES": "SeriesInstanceUID", "IMAGE": "SOPInstanceUID"}
    answers = []
    for answer, found in association.send_c_find(_query(level, **keys), _FIND):
        _check(answer, "search")
        if found is not None and found.get(unique[level]):
            answers.append(found)
    return answers


def _query(level: str, **keys: Any) -> Dataset:
    query = Dataset()
    query.QueryRetrieveLevel = level
    for keyword, value in keys.items():
        setattr(query, keyword, value or "")
    return query


_MOVED_WITH_FAILURES = 0xB000


def _check(answer: Dataset, what: str) -> None:
    if "Status" not in answer:
        raise PullError(f"The archive gave no answer to the {what}.")
    status = int(answer.Status)
    fine = code_to_category(status) in (STATUS_SUCCESS, STATUS_PENDING)
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
            try:
                data = _fetched(client, uid, _value(item, "0020000E"), _value(item, "00080018"))
                counts[intake.take(data).taken] += 1
            except MalformedObjectError:
                counts["malformed"] += 1
    return counts


def _fetched(client: DICOMwebClient, study: str, series: str, instance: str) -> bytes:
    """One instance as a PS3.10 file.

    Raises:
        MalformedObjectError: what the archive sent is none.
        requests.RequestException: it sent nothing.
    """
    try:
        dataset = client.retrieve_instance(study, series, instance, media_types=_AS_STORED)
        buffer = BytesIO()
        dataset.save_as(buffer, enforce_file_format=True)
    except requests.RequestException:
        raise
    except Exception:  # pydicom raises nearly every type on foreign bytes
        raise MalformedObjectError from None
    return buffer.getvalue()


def _value(item: dict[str, dict[str, list[str]]], tag: str) -> str:
    values = item.get(tag, {}).get("Value") or [""]
    return str(values[0])
