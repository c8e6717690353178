"""What the results of every film have in common is made once, and then copied.

highdicom takes tens of milliseconds to build and validate an object of which nearly all is
the same for each film. So it builds each kind once for a film that says nothing (a report once
for each bundle, decision and set of warnings), and the encoded object is read again for every
film: that parses nothing but what is filled in, and the rest is written back as it is.
"""

from __future__ import annotations

from io import BytesIO

from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.uid import UID, ComputedRadiographyImageStorage

from app.pacs.results.identity import IDENTITY, REQUIRED_OF_STUDY
from app.pacs.results.verdict import Verdict

_DATES = ("InstanceCreationDate", "ContentDate", "DateOfSecondaryCapture")
_TIMES = ("InstanceCreationTime", "ContentTime", "TimeOfSecondaryCapture")


def encoded(dataset: Dataset) -> bytes:
    """The PS3.10 file."""
    buffer = BytesIO()
    dataset.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


def decoded(data: bytes) -> Dataset:
    """The object of a PS3.10 file."""
    return dcmread(BytesIO(data))


def blank_source() -> Dataset:
    """What ``identity.source_of`` makes of a film that says nothing."""
    source = Dataset()
    source.SOPClassUID = ComputedRadiographyImageStorage
    source.SOPInstanceUID = source.SeriesInstanceUID = source.StudyInstanceUID = "2.25.1"
    for keyword in (*REQUIRED_OF_STUDY, "PatientID", "PatientName", "ReferringPhysicianName"):
        setattr(source, keyword, "")
    return source


def fill_header(dataset: Dataset, verdict: Verdict, kind: str) -> None:
    """Whose result it is, which one, and when it was made."""
    source = verdict.source
    for keyword in IDENTITY:
        if keyword in source:
            dataset.add(source[keyword])
    uid = UID(verdict.instance_uid(kind))
    dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = uid
    dataset.SeriesInstanceUID = verdict.series_uid(kind)
    dataset.InstanceNumber = verdict.instance_number
    for keywords, form in ((_DATES, "%Y%m%d"), (_TIMES, "%H%M%S")):
        for keyword in keywords:
            if keyword in dataset:
                setattr(dataset, keyword, verdict.when.strftime(form))
