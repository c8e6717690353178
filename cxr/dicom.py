"""DICOM → Radiograph: what is accepted, and what is kept of the header.

Tolerant when reading (PS3.10 files without preamble, missing optional elements, odd
lengths), strict about what is meant: an image whose grey scale or modality says that it is
no projection radiograph is refused with the reason. Only the elements listed in
``cxr/dicom_file.py`` are ever parsed, and of the two dates among them only the years between
them are kept, so no name, id or date can reach a result, a log or an error.
"""

from __future__ import annotations

import logging
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from pydicom import config
from pydicom.dataset import Dataset
from pydicom.uid import MediaStorageDirectoryStorage

from cxr.dicom_anatomy import is_chest, is_frontal, word
from cxr.dicom_file import parse
from cxr.dicom_grey import display_values
from cxr.dicom_pixels import stored_values
from cxr.errors import (
    DAMAGED,
    CxrError,
    UnreadableImageError,
    UnsuitableImageError,
    UnsupportedFormatError,
)
from cxr.radiograph import DicomFields, Limits, Radiograph, room_for

# pydicom quotes the values it dislikes. Values of a patient's file must not reach a log, and
# most files of the world have some that pydicom dislikes.
logging.getLogger("pydicom").setLevel(logging.CRITICAL + 1)
warnings.filterwarnings("ignore", module=r"pydicom(\.|$)")
config.settings.reading_validation_mode = config.IGNORE

# Projection radiography. OT and a missing modality are what converters to DICOM write, and
# "DR" is an undefined term that detectors write; a gate further on judges the picture.
_ACCEPTED_MODALITIES = frozenset({"CR", "DX", "RG", "DR", "OT"})
_REFUSED_MODALITIES = {
    "CT": "computed tomography",
    "MR": "magnetic resonance",
    "US": "ultrasound",
    "NM": "nuclear medicine",
    "PT": "positron emission tomography",
    "MG": "mammography",
    "XA": "angiography",
    "RF": "fluoroscopy",
    "PX": "panoramic dental radiography",
    "IO": "intra-oral dental radiography",
    "BMD": "bone densitometry",
    "ECG": "an electrocardiogram",
    "ES": "endoscopy",
    "GM": "microscopy",
    "SM": "slide microscopy",
    "XC": "photography",
    "OP": "ophthalmic photography",
    "OCT": "optical coherence tomography",
    "PR": "a presentation state",
    "SR": "a structured report",
    "DOC": "a document",
    "SEG": "a segmentation",
    "KO": "a key object selection",
    "RTIMAGE": "a radiotherapy image",
    "RTDOSE": "a radiotherapy dose",
    "RTPLAN": "a radiotherapy plan",
    "RTSTRUCT": "a radiotherapy structure set",
}

_AGE = re.compile(r"\s*(\d{1,4})\s*([DWMY]?)\s*")
_YEARS_PER_UNIT = {"D": 1 / 365.25, "W": 7 / 365.25, "M": 1 / 12, "Y": 1.0, "": 1.0}
_CODE_STRING = re.compile(r"[A-Z0-9_ ]{1,16}")


def read_dicom(data: bytes, limits: Limits) -> Radiograph:
    """Read a single-frame grey projection radiograph.

    Args:
        data: a DICOM file, with or without preamble and file meta information.
        limits: ``max_pixels`` and ``min_side`` are compared with Rows and Columns before
            the pixels are decoded; ``max_bytes`` bounds what a deflated file unfolds to.

    Returns:
        uint16 pixels, 0 black to 65535 white, bright = dense, after the modality LUT, the
        VOI LUT or window, and the inversion of MONOCHROME1 (PS3.4 §N.2).

    Raises:
        TooLargeError, TooManyPixelsError: over the limits.
        UnsupportedFormatError: a transfer syntax that is not read here.
        UnreadableImageError: damaged, cut short, or without elements that are required.
        UnsuitableImageError: readable, but not a single grey projection image; this
            includes DICOM objects without pixels.
    """
    with damage_translated():
        dataset = open_dicom(data, limits)
        rows, columns = int(dataset.Rows), int(dataset.Columns)
        fields = _fields(dataset)
        with room_for(columns, rows):
            pixels = display_values(stored_values(dataset), dataset)
    return Radiograph(pixels, "DICOM", columns, rows, fields)


@contextmanager
def damage_translated() -> Iterator[None]:
    """Turn whatever pydicom and the codecs raise on foreign bytes into a domain error."""
    try:
        yield
    except CxrError:
        raise
    except NotImplementedError:
        raise UnsupportedFormatError(
            "The DICOM file is compressed in a way that is not read here. Export it "
            "uncompressed, or as JPEG, JPEG-LS, JPEG 2000 or RLE."
        ) from None
    except Exception:  # pydicom and the codecs raise nearly every type
        # "from None": the cause may quote values of the file.
        raise UnreadableImageError(DAMAGED.format("DICOM")) from None


def open_dicom(data: bytes, limits: Limits) -> Dataset:
    """The header of a projection radiograph whose pixels are still encoded.

    Call it within ``damage_translated``. Raises what ``read_dicom`` raises, before any pixel
    is decoded.
    """
    dataset = parse(data, limits)
    _refuse_unsuitable(dataset)
    # As the decoders of pydicom want it; some writers pad it or write it in small letters.
    dataset.PhotometricInterpretation = _text(dataset, "PhotometricInterpretation")
    limits.check_size(_required(dataset, "Columns"), _required(dataset, "Rows"))
    return dataset


def _refuse_unsuitable(dataset: Dataset) -> None:
    """Refuse what cannot be one grey projection image, by the header alone."""
    if dataset.file_meta.get("MediaStorageSOPClassUID") == MediaStorageDirectoryStorage:
        raise UnsuitableImageError(
            "This is a DICOMDIR, the table of contents of a disc. Send one of the image files "
            "that it lists."
        )
    modality = _text(dataset, "Modality")
    if modality and modality not in _ACCEPTED_MODALITIES:
        words = _REFUSED_MODALITIES.get(modality, "another kind of examination")
        raise UnsuitableImageError(
            f"The DICOM file is {words}, not a projection radiograph. Send a frontal chest "
            "radiograph (modality CR or DX)."
        )
    if "PixelData" not in dataset:
        raise UnsuitableImageError(
            "The DICOM file carries no picture. Send the radiograph itself, not a report or a "
            "reference to it."
        )
    if int(dataset.get("NumberOfFrames") or 1) > 1:
        raise UnsuitableImageError(
            "The DICOM file holds several frames; a radiograph is one. Export the single "
            "projection image."
        )
    photometric = _text(dataset, "PhotometricInterpretation")
    if photometric is None:
        raise UnreadableImageError(
            "The DICOM file does not say whether bright means dense (Photometric "
            "Interpretation is missing). Export it again."
        )
    grey = photometric in ("MONOCHROME1", "MONOCHROME2")
    if not grey or _required(dataset, "SamplesPerPixel") != 1:
        raise UnsuitableImageError(
            "The DICOM file holds a colour picture, such as a screenshot or an ultrasound; a "
            "radiograph is grey. Send the original image."
        )
    if int(_required(dataset, "BitsAllocated")) not in (8, 16):
        raise UnsuitableImageError(
            "The DICOM file does not have 8 or 16 bits per pixel, so it is no radiograph as "
            "taken. Send the original image."
        )
    for keyword in ("BitsStored", "PixelRepresentation"):  # not to be guessed
        _required(dataset, keyword)


def _required(dataset: Dataset, keyword: str) -> int:
    value = dataset.get(keyword)
    if value is None:
        raise UnreadableImageError(f"The DICOM file lacks the element {keyword}. Export it again.")
    return int(value)


def _text(dataset: Dataset, keyword: str) -> str | None:
    """A code string (PS3.5 §6.2), upper case; None where missing, multiple or not a code."""
    text = word(dataset, keyword)
    return text if _CODE_STRING.fullmatch(text) else None


def _fields(dataset: Dataset) -> DicomFields:
    return DicomFields(
        modality=_text(dataset, "Modality"),
        body_part_examined=_text(dataset, "BodyPartExamined"),
        view_position=_text(dataset, "ViewPosition"),
        chest=is_chest(dataset),
        frontal=is_frontal(dataset),
        patient_age_years=age_of(dataset),
        photometric_interpretation=dataset.PhotometricInterpretation,
    )


def age_of(dataset: Dataset) -> float | None:
    """The age in years: as stated, or from the dates of birth and study; None without either."""
    stated = age_in_years(str(dataset.get("PatientAge") or ""))
    if stated is not None:
        return stated
    born, studied = (_date(dataset.get(name)) for name in ("PatientBirthDate", "StudyDate"))
    if born is None or studied is None or studied < born:
        return None
    years = studied[0] - born[0] - (studied[1:] < born[1:])
    return float(years) if years <= 120 else None


def _date(value: Any) -> tuple[int, int, int] | None:
    text = str(value or "").strip()
    if len(text) != 8 or not text.isdigit():
        return None
    year, month, day = int(text[:4]), int(text[4:6]), int(text[6:])
    # A year alone is written as its first of January; year 1 and 1900 stand for "unknown".
    return (year, month, day) if year > 1900 else None


def age_in_years(age: str) -> float | None:
    """Age String (PS3.5 §6.2: "012Y", "018M", "003W", "005D") → years.

    A bare number is taken for years, as converters write it that leave out the unit (the
    files of the RSNA pneumonia challenge do). None where it is no age, or over 120 years.
    """
    match = _AGE.fullmatch(age.upper())
    if match is None:
        return None
    years = int(match[1]) * _YEARS_PER_UNIT[match[2]]
    return years if years <= 120 else None
