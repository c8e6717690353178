"""The reading as a picture for any viewer: film, activation map, and the words burnt in."""

from __future__ import annotations

from functools import cache

import cv2
import numpy as np
from highdicom.sc import ConversionTypeValues, SCImage
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes
from pydicom.uid import ExplicitVRLittleEndian

from app.pacs.results.verdict import PRODUCT, Verdict
from app.predictor import NOTICE, Reading
from app.presentation import DECISION_WORDS
from cxr.explain import overlay

SERIES_NUMBER = 9902
_WIDTH = 1024
_BAND_LINES = 4
_TEXT_SIZE, _LINE = 22, 30
_MARGIN = 16
_WHITE, _GREY = (255, 255, 255), (190, 190, 190)


def capture(verdict: Verdict) -> SCImage:
    """The Secondary Capture of a reading; flagged as derived and as burnt in."""
    reading, source = verdict.outcome, verdict.source
    assert isinstance(reading, Reading), "a refusal has no picture"
    image = SCImage(
        pixel_array=picture(reading),
        photometric_interpretation="RGB",
        bits_allocated=8,
        coordinate_system="PATIENT",
        study_instance_uid=source.StudyInstanceUID,
        series_instance_uid=verdict.series_uid("capture"),
        series_number=SERIES_NUMBER,
        sop_instance_uid=verdict.instance_uid("capture"),
        instance_number=verdict.instance_number,
        manufacturer=PRODUCT,
        manufacturer_model_name=PRODUCT,
        software_versions=verdict.software,
        series_description="Reading by software, unverified",
        patient_id=source.PatientID,
        patient_birth_date=source.PatientBirthDate or None,
        patient_sex=source.PatientSex,
        accession_number=source.AccessionNumber,
        study_id=source.StudyID,
        study_date=source.StudyDate or None,
        study_time=source.StudyTime or None,
        patient_orientation=("L", "F"),
        content_date=verdict.when.date(),
        content_time=verdict.when.time(),
        specific_character_set="ISO_IR 192",
        transfer_syntax_uid=ExplicitVRLittleEndian,
    )
    image.copy_patient_and_study_information(source)
    image.ImageType = ["DERIVED", "SECONDARY"]
    image.BurnedInAnnotation = "YES"
    image.ConversionType = ConversionTypeValues.WSD.value
    image.DerivationDescription = "Film with activation map and reading burnt in"
    image.SourceImageSequence = [_reference(source)]
    image.InstanceCreationDate = image.DateOfSecondaryCapture = image.ContentDate
    image.InstanceCreationTime = image.TimeOfSecondaryCapture = image.ContentTime
    # How the film lies is not known for certain, and the band below is no anatomy.
    image["PatientOrientation"].value = ""
    return image


def _reference(source: Dataset) -> Dataset:
    reference = Dataset()
    reference.ReferencedSOPClassUID = source.SOPClassUID
    reference.ReferencedSOPInstanceUID = source.SOPInstanceUID
    purpose = Dataset()
    code = codes.DCM.SourceImageForImageProcessingOperation
    purpose.CodeValue, purpose.CodingSchemeDesignator = code.value, code.scheme_designator
    purpose.CodeMeaning = code.meaning
    reference.PurposeOfReferenceCodeSequence = [purpose]
    return reference


def picture(reading: Reading) -> NDArray[np.uint8]:
    """RGB, 1024 pixels wide: the film with its map, below it a band with the words."""
    evidence = reading.evidence
    assert evidence is not None, "the reading was asked for its evidence"
    film = cv2.cvtColor(
        overlay(evidence.film, evidence.activation, evidence.offset), cv2.COLOR_BGR2RGB
    )
    height, width = film.shape[:2]
    if width != _WIDTH:  # a band that is too narrow could not hold its words
        height = max(round(height * _WIDTH / width), 1)
        film = np.asarray(cv2.resize(film, (_WIDTH, height), interpolation=cv2.INTER_LINEAR))
    return np.ascontiguousarray(np.vstack([film, _band(reading)]))


def words(reading: Reading) -> tuple[str, ...]:
    """The lines that are burnt in."""
    thresholds, bundle = reading.bundle.thresholds, reading.bundle
    return (
        f"{DECISION_WORDS[reading.decision]}. Most probable: {reading.finding}.",
        f"Calibrated probability of infection {reading.infection_probability:.1%}"
        f"  (no sign below {thresholds.rule_out:.1%}, infection from {thresholds.rule_in:.1%})",
        f"{bundle.name} {bundle.version}, weights {bundle.sha256[:12]}"
        + (f". Warnings: {len(reading.warnings)}, see the report." if reading.warnings else "."),
        f"{NOTICE} Colours: what spoke for infection, not where disease is.",
    )


@cache
def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    # Pillow's own font: nothing needs to be installed.
    return ImageFont.load_default(size)


def _band(reading: Reading) -> NDArray[np.uint8]:
    band = Image.new("RGB", (_WIDTH, _BAND_LINES * _LINE + 2 * _MARGIN))
    draw = ImageDraw.Draw(band)
    for number, line in enumerate(words(reading)):
        size = _TEXT_SIZE
        while draw.textlength(line, font=_font(size)) > _WIDTH - 2 * _MARGIN and size > 12:
            size -= 1
        colour = _WHITE if number in (0, _BAND_LINES - 1) else _GREY
        draw.text((_MARGIN, _MARGIN + number * _LINE), line, fill=colour, font=_font(size))
    return np.asarray(band)
