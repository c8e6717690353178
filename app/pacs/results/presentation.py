"""The reading as a greyscale presentation state: outlines and words over the film itself."""

from __future__ import annotations

import cv2
import numpy as np
from highdicom import PresentationLUTShapeValues, PresentationLUTTransformation
from highdicom.pr import (
    AnnotationUnitsValues,
    GraphicAnnotation,
    GraphicLayer,
    GraphicObject,
    GraphicTypeValues,
    GrayscaleSoftcopyPresentationState,
    TextObject,
)
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.valuerep import DA, DS, TM

from app.pacs.results.verdict import PRODUCT, UNVERIFIED, Verdict
from app.presentation import DECISION_WORDS
from app.reading import NOTICE, Reading
from cxr.dicom_grey import numbers
from cxr.explain import upsample

SERIES_NUMBER = 9903
#: Share of the strongest possible evidence that an outline encloses.
OUTLINE_LEVEL = 0.5
_GRID = 256
_MOST_OUTLINES = 8
_LAYER = "READING"


def presentation(verdict: Verdict) -> GrayscaleSoftcopyPresentationState:
    """The presentation state of a reading."""
    reading, source = verdict.outcome, verdict.source
    assert isinstance(reading, Reading), "a refusal has nothing to draw"
    layer = GraphicLayer(_LAYER, order=1, description=UNVERIFIED)
    # Photometric Interpretation does not count here (PS3.3 §C.11.6): the state itself must
    # say that MONOCHROME1 is shown inverted.
    inverted = source.get("PhotometricInterpretation") == "MONOCHROME1"
    state = GrayscaleSoftcopyPresentationState(
        referenced_images=[source],
        series_instance_uid=verdict.series_uid("presentation"),
        series_number=SERIES_NUMBER,
        sop_instance_uid=verdict.instance_uid("presentation"),
        instance_number=verdict.instance_number,
        manufacturer=PRODUCT,
        manufacturer_model_name=PRODUCT,
        software_versions=verdict.software,
        device_serial_number=verdict.weights[:16],
        content_label="READING",
        content_description=UNVERIFIED,
        series_description=UNVERIFIED,
        graphic_layers=[layer],
        graphic_annotations=[
            GraphicAnnotation(
                referenced_images=[source],
                graphic_layer=layer,
                graphic_objects=_outlines(reading) or None,
                text_objects=[_text(reading)],
            )
        ],
        presentation_lut_transformation=PresentationLUTTransformation(
            presentation_lut_shape=PresentationLUTShapeValues.INVERSE
            if inverted
            else PresentationLUTShapeValues.IDENTITY
        ),
        specific_character_set="ISO_IR 192",
    )
    _shape_pixels(state.DisplayedAreaSelectionSequence[0], source)
    day, time = DA(verdict.when.date()), TM(verdict.when.time())
    state.PresentationCreationDate = state.InstanceCreationDate = day
    state.PresentationCreationTime = state.InstanceCreationTime = time
    return state


def _shape_pixels(area: Dataset, source: Dataset) -> None:
    """Let the film's pixels be as high and wide as it says; highdicom makes them square."""
    for keyword in ("PixelSpacing", "ImagerPixelSpacing"):
        spacing = numbers(source.get(keyword))
        if len(spacing) == 2 and min(spacing) > 0:
            del area.PresentationPixelAspectRatio
            area.PresentationPixelSpacing = [DS(size, auto_format=True) for size in spacing]
            return
    ratio = numbers(source.get("PixelAspectRatio"))
    if len(ratio) == 2 and min(ratio) > 0:
        area.PresentationPixelAspectRatio = [int(side) for side in ratio]


def _text(reading: Reading) -> TextObject:
    bundle = reading.bundle
    lines = (
        f"{DECISION_WORDS[reading.decision]} ({reading.infection_probability:.1%})",
        f"{bundle.name} {bundle.version}",
        NOTICE,
    )
    return TextObject(
        "\r\n".join(lines),
        units=AnnotationUnitsValues.DISPLAY,
        bounding_box=(0.02, 0.02, 0.6, 0.12),
    )


def _outlines(reading: Reading) -> list[GraphicObject]:
    """Closed outlines around what spoke for infection, in the pixels of the film."""
    evidence = reading.evidence
    assert evidence is not None, "the reading was asked for its evidence"
    return [
        GraphicObject(
            GraphicTypeValues.POLYLINE,
            graphic_data=points,
            units=AnnotationUnitsValues.PIXEL,
        )
        for points in outlines(
            evidence.activation, reading.image_width, reading.image_height, evidence.offset
        )
    ]


def outlines(
    activation: NDArray[np.float32],
    width: int,
    height: int,
    offset: tuple[float, float] = (0.0, 0.0),
) -> list[NDArray[np.float64]]:
    """Closed polylines, shape (points, 2), (column, row).

    In the film's pixels, from 0 at the upper left corner of its first pixel (PS3.3 Table C.10-5).
    """
    inside = (upsample(activation, _GRID, _GRID, offset) >= OUTLINE_LEVEL).astype(np.uint8)
    found, _ = cv2.findContours(inside, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    largest = sorted(found, key=cv2.contourArea, reverse=True)[:_MOST_OUTLINES]
    scale = np.array([width, height]) / _GRID
    drawn = []
    for contour in largest:
        points = cv2.approxPolyDP(contour, 0.7, closed=True)[:, 0, :].astype(np.float64)
        if len(points) < 3:
            continue
        points = (points + 0.5) * scale  # the middle of each cell of the grid
        drawn.append(np.vstack([points, points[:1]]).round(1))
    return drawn
