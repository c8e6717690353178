"""bytes → Film: a radiograph at its full depth, for a viewer that lets a person window it.

``cxr.decode`` applies the window of a DICOM file, which is right for a model and for a
picture, but what the window cuts off is gone. A film keeps it: values before the window,
and the levels at which a display starts with black and with white.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from cxr.decode import DEFAULT_LIMITS, decode
from cxr.dicom import damage_translated, open_dicom
from cxr.dicom_grey import (
    display_values,
    modality_values,
    numbers,
    padding_levels,
    spread_between,
    stored_levels,
    window_function,
    windows,
)
from cxr.dicom_pixels import stored_values
from cxr.radiograph import Limits, Pixels, room_for
from cxr.sniff import sniff

#: More windows than a list can show are not read.
MAX_WINDOWS = 8


@dataclass(frozen=True)
class Window:
    """Pixel values shown as black and as white; ``black`` may be the larger one."""

    black: float
    white: float


@dataclass(frozen=True)
class Spacing:
    """Distance between the centres of neighbouring pixels, in millimetres.

    Attributes:
        row, column: down and across (PS3.3 §10.7.1.3).
        plane: ``patient`` where the file is calibrated to the patient, ``detector`` where it
            says the spacing on the detector: there the chest appears enlarged.
    """

    row: float
    column: float
    plane: Literal["patient", "detector"]


@dataclass(frozen=True, eq=False)
class Film:
    """One grey projection image as it was stored.

    Attributes:
        pixels: shape (rows, columns), uint8 or uint16.
        windows: how to show it, the first one to begin with; at least one. Applying the
            first and ``inverted`` gives what ``cxr.decode`` gives.
        inverted: whether the display turns black and white over after the window
            (MONOCHROME1).
        slope, intercept: pixel value × slope + intercept = value in the file's own unit.
        spacing: None where the file gives none.
    """

    pixels: Pixels
    windows: tuple[Window, ...]
    inverted: bool = False
    slope: float = 1.0
    intercept: float = 0.0
    spacing: Spacing | None = None


def film(data: bytes, limits: Limits = DEFAULT_LIMITS) -> Film:
    """Read one radiograph at its full depth, whatever its format.

    Raises:
        RadiographError: as ``cxr.decode`` does.
    """
    if not data or len(data) > limits.max_bytes or sniff(data) != "DICOM":
        pixels = decode(data, limits).pixels
        return Film(pixels, (Window(0.0, float(np.iinfo(pixels.dtype).max)),))
    with damage_translated():
        dataset = open_dicom(data, limits)
        spacing = _spacing(dataset)
        with room_for(int(dataset.Columns), int(dataset.Rows)):
            stored = stored_values(dataset)
            if _is_linear(dataset):
                found = _linear_film(stored, dataset, spacing)
            else:
                # A table is no ramp that two levels describe: it is applied, as for the model.
                shown = display_values(stored, dataset)
                found = Film(shown, (Window(0.0, 65535.0),), spacing=spacing)
    return found


def _is_linear(dataset: Dataset) -> bool:
    tables = dataset.get("ModalityLUTSequence") or dataset.get("VOILUTSequence")
    return not tables and window_function(dataset) != "SIGMOID"


def _linear_film(stored: Pixels, dataset: Dataset, spacing: Spacing | None) -> Film:
    levels = stored_levels(dataset)
    values = modality_values(levels, dataset)
    slope, intercept = float(values[1] - values[0]), float(values[0])
    inverted = dataset.PhotometricInterpretation == "MONOCHROME1"
    padding = padding_levels(levels, dataset)
    shown = tuple(
        Window((low - intercept) / slope, (high - intercept) / slope)
        for low, high in _windows(dataset)
    )
    if not shown:  # as display_values does: what occurs fills the scale
        low, high = spread_between(np.arange(len(levels)), stored, padding)
        shown = (Window(low, high) if slope > 0 else Window(high, low),)
    if padding.any():
        stored = _with_padding_black(stored, padding, shown[0], inverted)
    return Film(stored, shown, inverted, slope, intercept, spacing)


def _with_padding_black(
    stored: Pixels, padding: NDArray[np.bool_], window: Window, inverted: bool
) -> Pixels:
    """Padding (PS3.3 §C.7.5.1.1.2) is no tissue: it takes the level that shows black."""
    top = len(padding) - 1
    ends = (0, top) if window.black <= window.white else (top, 0)
    table: Any = np.arange(len(padding), dtype=stored.dtype)
    table[padding] = ends[1] if inverted else ends[0]
    result: Pixels = table[stored]
    return result


def _windows(dataset: Dataset) -> list[tuple[float, float]]:
    """The file's windows (PS3.3 §C.11.2.1.2) as the values that show black and white."""
    found = []
    for center, width in windows(dataset)[:MAX_WINDOWS]:
        if window_function(dataset) == "LINEAR":
            # It counts grey levels, not distances: half a level off, and one less wide.
            center, width = center - 0.5, width - 1
        found.append((center - width / 2, center + width / 2))
    return found


def _spacing(dataset: Dataset) -> Spacing | None:
    at_detector = numbers(dataset.get("ImagerPixelSpacing"))
    for distances in (numbers(dataset.get("PixelSpacing")), at_detector):
        if len(distances) == 2 and all(0 < distance < 100 for distance in distances):
            # Writers copy the detector's spacing into the patient's; calibrated, it would differ
            # (PS3.3 §10.7.1.3).
            row, column = distances
            return Spacing(row, column, "detector" if distances == at_detector else "patient")
    return None
