"""Which films are for us, and which bundle reads them: by the header alone."""

from __future__ import annotations

import io
from dataclasses import dataclass

from pydicom import dcmread
from pydicom.uid import (
    ComputedRadiographyImageStorage,
    DigitalXRayImageStorageForPresentation,
    DigitalXRayImageStorageForProcessing,
)

from app.pacs.settings import MISSING, PacsSettings
from app.population import ADULT_AGE_YEARS
from cxr.dicom import age_of
from cxr.dicom_anatomy import body_part_of, view_of, word

#: What the node takes, by the SOP classes of PS3.4 §B.5.
SOP_CLASSES = (
    ComputedRadiographyImageStorage,
    DigitalXRayImageStorageForPresentation,
    DigitalXRayImageStorageForProcessing,
)

_TAGS = [
    "SOPClassUID",
    "SOPInstanceUID",
    "StudyInstanceUID",
    "SeriesInstanceUID",
    "Modality",
    "BodyPartExamined",
    "AnatomicRegionSequence",
    "ViewPosition",
    "ViewCodeSequence",
    "PatientAge",
    "PatientBirthDate",
    "StudyDate",
]


class MalformedObjectError(Exception):
    """The bytes are no DICOM object that could be queued."""


@dataclass(frozen=True)
class Header:
    """What the routing looks at; the two UIDs never leave the process in the clear."""

    sop_class: str
    sop_instance: str
    study: str
    modality: str
    body_part: str
    view: str
    age_years: float | None


@dataclass(frozen=True)
class Route:
    """Where a film goes.

    Attributes:
        dropped: why it is not for us; None where it is.
        bundle: who reads it; None lets no bundle read it, which a report then says.
    """

    dropped: str | None = None
    bundle: str | None = None


def read_header(data: bytes) -> Header:
    """The header of a PS3.10 file.

    Raises:
        MalformedObjectError: it cannot be parsed, or does not say which object it is.
    """
    try:
        dataset = dcmread(io.BytesIO(data), stop_before_pixels=True, specific_tags=list(_TAGS))
        in_series = bool(dataset.get("SeriesInstanceUID"))
        header = Header(
            sop_class=str(dataset.get("SOPClassUID") or ""),
            sop_instance=str(dataset.get("SOPInstanceUID") or ""),
            study=str(dataset.get("StudyInstanceUID") or ""),
            modality=word(dataset, "Modality"),
            body_part=body_part_of(dataset),
            view=view_of(dataset),
            age_years=age_of(dataset),
        )
    except Exception:  # pydicom raises nearly every type on foreign bytes
        # "from None": the cause may quote values of the file.
        raise MalformedObjectError from None
    # Of the series no more than that there is one: results refer to it.
    if not (header.sop_class and header.sop_instance and header.study and in_series):
        raise MalformedObjectError
    return header


class Router:
    """The rules of the settings over the bundles that are there.

    Args:
        child, adult: names of the bundles made for children and adults; "" where there is none.
    """

    def __init__(self, settings: PacsSettings, child: str, adult: str) -> None:
        self._settings = settings
        self._child = settings.child_bundle or child
        self._adult = settings.adult_bundle or adult

    def route(self, header: Header) -> Route:
        """Whether the film is for us, and who reads it."""
        rules = self._settings
        if header.sop_class not in SOP_CLASSES:
            return Route(dropped="sop_class")
        if header.modality not in rules.modalities:
            return Route(dropped="modality")
        if not _matches(header.body_part, rules.body_parts, whole=False):
            return Route(dropped="body_part")
        if not _matches(header.view, rules.views, whole=True):
            return Route(dropped="view")
        if header.age_years is None:
            return Route(bundle=rules.ageless_bundle or None)
        child = header.age_years < ADULT_AGE_YEARS
        return Route(bundle=(self._child if child else self._adult) or None)


def _matches(text: str, words: tuple[str, ...], *, whole: bool) -> bool:
    if not text:
        return MISSING in words
    if whole:
        return text in words
    return any(word in text for word in words)
