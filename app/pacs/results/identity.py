"""Whose results these are: the source's patient and study, and UIDs that never change.

Values are copied from the source's header with care: what is not valid by its representation
is left empty, so that one bad date of an old device does not make invalid objects. The keys
that join the result to its study (patient id and name, study UID) are copied as they are.
"""

from __future__ import annotations

import hashlib
import io
import re
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pydicom import config, dcmread
from pydicom.dataset import Dataset
from pydicom.valuerep import DA, TM, validate_value

from cxr.dicom_grey import table

_VERBATIM = ("PatientID", "StudyInstanceUID", "SeriesInstanceUID")
# Kept from highdicom, which warns of names it finds unlikely and quotes them.
_NAMES = ("PatientName", "ReferringPhysicianName")
REQUIRED_OF_STUDY = (
    "PatientBirthDate",
    "PatientSex",
    "StudyDate",
    "StudyTime",
    "StudyID",
    "AccessionNumber",
)
_OPTIONAL_STUDY = ("IssuerOfPatientID", "PatientAge", "StudyDescription")
#: What a result has of its film's patient and study, beside the names.
IDENTITY = ("PatientID", "StudyInstanceUID", *REQUIRED_OF_STUDY, *_OPTIONAL_STUDY)
_IMAGE = (
    "SOPClassUID",
    "SOPInstanceUID",
    "Modality",
    "InstanceNumber",
    "Rows",
    "Columns",
    "SamplesPerPixel",
    "PhotometricInterpretation",
    "BitsStored",
    "BitsAllocated",
    "PixelRepresentation",
    "RescaleSlope",
    "RescaleIntercept",
    "RescaleType",
    "ModalityLUTSequence",
    "WindowCenter",
    "WindowWidth",
    "WindowCenterWidthExplanation",
    "VOILUTFunction",
    "VOILUTSequence",
    "PixelSpacing",
    "ImagerPixelSpacing",
    "PixelAspectRatio",
)
_WINDOW = ("WindowCenter", "WindowWidth", "WindowCenterWidthExplanation", "VOILUTFunction")
# One without the other means nothing, and highdicom refuses it.
_PAIRS = (("WindowCenter", "WindowWidth"), ("RescaleSlope", "RescaleIntercept"))
_OFFSET = re.compile(r"[+-](0\d|1[0-4])[0-5]\d")
_SEXES = ("M", "F", "O")


@dataclass(frozen=True)
class Source:
    """What results copy from a film.

    Attributes:
        dataset: patient, study, and how the pixels are shown; the names in it are empty.
        names: keyword → name.
        offset: of its times from UTC, such as ``+0900``; "" where it does not say.
    """

    dataset: Dataset
    names: Mapping[str, Any]
    offset: str


def source_of(data: bytes) -> Source:
    """What results copy from a film.

    Args:
        data: the PS3.10 file.
    """
    header = dcmread(io.BytesIO(data), stop_before_pixels=True)
    # Decodes every text with the character sets of the file; what is written is UTF-8.
    header.decode()
    source = Dataset()
    for keyword in _VERBATIM:
        setattr(source, keyword, header.get(keyword) or "")
    for keyword in (*REQUIRED_OF_STUDY, *_OPTIONAL_STUDY):
        value = _valid(header, keyword)
        if value is not None:
            setattr(source, keyword, value)
        elif keyword in REQUIRED_OF_STUDY:
            setattr(source, keyword, "")
    if source.PatientSex not in _SEXES:
        source.PatientSex = ""
    for keyword in _IMAGE:
        if keyword in header and header[keyword].value not in (None, ""):
            source.add(header[keyword])
    if "VOILUTSequence" in source:
        _take_table(source, header)
    for first, second in _PAIRS:
        if _length(source, first) != _length(source, second):
            for keyword in {first, second} & set(source.dir()):
                delattr(source, keyword)
    for keyword in _NAMES:
        setattr(source, keyword, "")
    names = {keyword: header.get(keyword) or "" for keyword in _NAMES}
    return Source(source, names, _offset(header))


def _offset(header: Dataset) -> str:
    text = str(_valid(header, "TimezoneOffsetFromUTC") or "").strip()
    return text if _OFFSET.fullmatch(text) else ""


def _take_table(source: Dataset, header: Dataset) -> None:
    """Leave the VOI LUT that the reading took, and then no window (``cxr.dicom_grey``).

    Its entries have 16 bits, the lower byte first: a presentation state's have (PS3.3 §C.11.1.1),
    whatever they have in a film.
    """
    items = source.VOILUTSequence
    del source.VOILUTSequence
    try:
        entries, depth = table(items[0], header)
    except Exception:  # the reading took the window then, or refused the film
        return
    for keyword in set(_WINDOW) & set(source.dir()):
        delattr(source, keyword)
    item = Dataset()
    item.LUTDescriptor = [len(entries) % 2**16, items[0].LUTDescriptor[1], 16]
    item["LUTDescriptor"].VR = items[0]["LUTDescriptor"].VR
    item.LUTExplanation = items[0].get("LUTExplanation")
    words = (entries * (65535 / (2**depth - 1))).round().clip(0, 65535).astype("<u2")
    item.add_new("LUTData", "OW", words.tobytes())
    source.VOILUTSequence = [item]


def _length(dataset: Dataset, keyword: str) -> int:
    return dataset[keyword].VM if keyword in dataset else 0


def _valid(header: Dataset, keyword: str) -> Any:
    """The element's value where it is one value that fits its representation, or None."""
    value = header.get(keyword)
    if value is None or not str(value).strip() or header[keyword].VM > 1:
        return None
    try:
        representation = header[keyword].VR
        validate_value(representation, str(value), config.RAISE)
        if representation == "DA":
            DA(str(value))
        elif representation == "TM":
            TM(str(value))
    except (ValueError, TypeError, OverflowError):
        return None
    return value


def derived_uid(*parts: str) -> str:
    """The same UID for the same parts, always (PS3.5 §B.2: 2.25 and a UUID).

    The UUID is of RFC 9562's version 8: 122 bits of the parts' SHA-256.
    """
    digest = bytearray(hashlib.sha256("\x00".join(parts).encode()).digest()[:16])
    digest[6] = digest[6] & 0x0F | 0x80
    digest[8] = digest[8] & 0x3F | 0x80
    return f"2.25.{uuid.UUID(bytes=bytes(digest)).int}"


def moment(seconds: float) -> datetime:
    """When a film was received, in the time of the place: the time that its results carry."""
    return datetime.fromtimestamp(seconds).replace(microsecond=0)
