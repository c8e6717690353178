"""The reading as a picture for any viewer: film, activation map, and the words burnt in."""

from __future__ import annotations

from functools import cache, lru_cache

import cv2
import numpy as np
from highdicom.sc import ConversionTypeValues, SCImage
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from pydicom.sr.codedict import codes
from pydicom.uid import ExplicitVRLittleEndian, JPEGBaseline8Bit
from pydicom.valuerep import DA, TM

from app.pacs.results.template import blank_source, decoded, encoded, fill_header
from app.pacs.results.verdict import PRODUCT, UNVERIFIED, Verdict
from app.presentation import DECISION_WORDS
from app.reading import NOTICE, Reading
from cxr.explain import overlay

SERIES_NUMBER = 9902
_WIDTH = 1024
_BAND_LINES = 4
_TEXT_SIZE, _LINE = 22, 30
_MARGIN = 16
#: Of the JPEG: no difference is seen beside the uncompressed picture, nor around the words.
_QUALITY = 90
_WHITE, _GREY = 255, 190


def capture(verdict: Verdict) -> Dataset:
    """The Secondary Capture of a reading; flagged as derived and as burnt in."""
    reading, source = verdict.outcome, verdict.source
    assert isinstance(reading, Reading), "a refusal has no picture"
    pixels = picture(reading)
    jpeg = _jpeg(pixels)
    image = decoded(_template(verdict.software))
    fill_header(image, verdict, "capture")
    image.SourceImageSequence = [_reference(source)]
    if not _has_map(reading):
        image.DerivationDescription = "Film with reading burnt in"
    image.Rows, image.Columns = pixels.shape[:2]
    image.LossyImageCompressionRatio = round(pixels.size / len(jpeg), 2)
    image.add_new("PixelData", "OB", encapsulate([jpeg], has_bot=False))
    image["PixelData"].is_undefined_length = True
    return image


@lru_cache(maxsize=16)
def _template(software: str) -> bytes:
    """A capture without its picture, by the software that it names: a PS3.10 file."""
    nobody = blank_source()
    image = SCImage(
        pixel_array=np.zeros((1, 1, 3), np.uint8),
        photometric_interpretation="RGB",
        bits_allocated=8,
        coordinate_system="PATIENT",
        study_instance_uid=nobody.StudyInstanceUID,
        series_instance_uid=nobody.SeriesInstanceUID,
        series_number=SERIES_NUMBER,
        sop_instance_uid=nobody.SOPInstanceUID,
        instance_number=1,
        manufacturer=PRODUCT,
        manufacturer_model_name=PRODUCT,
        software_versions=software,
        series_description=UNVERIFIED,
        patient_orientation=("L", "F"),
        specific_character_set="ISO_IR 192",
        transfer_syntax_uid=ExplicitVRLittleEndian,
    )
    image.copy_patient_and_study_information(nobody)
    image.ImageType = ["DERIVED", "SECONDARY"]
    image.BurnedInAnnotation = "YES"
    image.ConversionType = ConversionTypeValues.WSD.value
    image.DerivationDescription = "Film with activation map and reading burnt in"
    # Here, so that they are filled in with the others.
    image.InstanceCreationDate = image.DateOfSecondaryCapture = DA("20000101")
    image.InstanceCreationTime = image.TimeOfSecondaryCapture = TM("000000")
    # How the film lies is not known for certain, and the band below is no anatomy.
    image["PatientOrientation"].value = ""
    # PS3.5 §8.2.1: colours at half the resolution across, as _jpeg writes them.
    image.PhotometricInterpretation = "YBR_FULL_422"
    image.LossyImageCompression = "01"
    image.LossyImageCompressionMethod = "ISO_10918_1"
    image.file_meta.TransferSyntaxUID = JPEGBaseline8Bit
    del image.PixelData
    return encoded(image)


def _jpeg(pixels: NDArray[np.uint8]) -> bytes:
    """JPEG Baseline: uncompressed, the picture is twenty times as large on every way it takes."""
    written, jpeg = cv2.imencode(
        ".jpg",
        pixels,
        [
            *(cv2.IMWRITE_JPEG_QUALITY, _QUALITY),
            *(cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_422),
        ],
    )
    assert written, "bytes of three colours can always be written"
    return jpeg.tobytes()


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
    """1024 pixels wide, BGR: the film with its map if any, below it a band with the words."""
    evidence = reading.evidence
    assert evidence is not None, "the reading was asked for its evidence"
    film = overlay(evidence.film, evidence.activation, evidence.offset)
    height, width = film.shape[:2]
    if width != _WIDTH:  # a band that is too narrow could not hold its words
        height = max(round(height * _WIDTH / width), 1)
        film = np.asarray(cv2.resize(film, (_WIDTH, height), interpolation=cv2.INTER_LINEAR))
    shown = np.vstack([film, cv2.cvtColor(_band(reading), cv2.COLOR_GRAY2RGB)])
    return np.asarray(cv2.cvtColor(shown, cv2.COLOR_RGB2BGR), np.uint8)


def _has_map(reading: Reading) -> bool:
    """Whether any colours lie over the film."""
    return reading.evidence is not None and bool(reading.evidence.activation.any())


def words(reading: Reading) -> tuple[str, ...]:
    """The lines that are burnt in."""
    thresholds, bundle = reading.bundle.thresholds, reading.bundle
    return (
        f"{DECISION_WORDS[reading.decision]}. Most probable: {reading.finding}.",
        f"Calibrated probability of infection {reading.infection_probability:.1%}"
        f"  (no sign below {thresholds.rule_out:.1%}, infection from {thresholds.rule_in:.1%})",
        f"{bundle.name} {bundle.version}, weights {bundle.sha256[:12]}"
        + (f". Warnings: {len(reading.warnings)}, see the report." if reading.warnings else "."),
        NOTICE
        + (
            " Colours: what spoke for infection, not where disease is." if _has_map(reading) else ""
        ),
    )


@cache
def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    # Pillow's own font: nothing needs to be installed.
    return ImageFont.load_default(size)


def _band(reading: Reading) -> NDArray[np.uint8]:
    """The words in white and grey on black, shape (rows, 1024)."""
    lines = [
        _line(text, _WHITE if number in (0, _BAND_LINES - 1) else _GREY)
        for number, text in enumerate(words(reading))
    ]
    return np.pad(np.vstack(lines), ((_MARGIN, _MARGIN), (0, 0)))


@lru_cache(maxsize=128)  # three of four lines are the same in film after film
def _line(text: str, grey: int) -> NDArray[np.uint8]:
    strip = Image.new("L", (_WIDTH, _LINE))
    draw = ImageDraw.Draw(strip)
    size = _TEXT_SIZE
    while draw.textlength(text, font=_font(size)) > _WIDTH - 2 * _MARGIN and size > 12:
        size -= 1
    draw.text((_MARGIN, 0), text, fill=grey, font=_font(size))
    return np.asarray(strip)
