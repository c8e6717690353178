"""bytes → Film: a radiograph at its full depth, for a viewer that lets a person window it.

``cxr.decode`` applies the window of a DICOM file, which is right for a model and for a
picture, but what the window cuts off is gone. A film keeps it: values before the window,
and the levels at which a display starts with black and with white.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import cv2
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
    window_function,
    windows,
)
from cxr.dicom_pixels import bits_stored, is_signed, stored_values
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


def _linear_film(
    stored: NDArray[np.uint8] | NDArray[np.uint16], dataset: Dataset, spacing: Spacing | None
) -> Film:
    bits = bits_stored(dataset)
    lowest = -(1 << (bits - 1)) if is_signed(dataset) else 0
    levels = np.arange(lowest, lowest + (1 << bits), dtype=np.int32)
    values = modality_values(levels, dataset)
    slope = float(values[1] - values[0]) if len(values) > 1 else 1.0
    intercept = float(values[0])
    inverted = str(dataset.PhotometricInterpretation).strip().upper() == "MONOCHROME1"
    padding = padding_levels(levels, dataset)
    counts = cv2.calcHist([stored], [0], None, [len(levels)], [0, len(levels)]).ravel()
    used = np.flatnonzero((counts > 0) & ~padding)
    shown = tuple(
        Window((low - intercept) / slope, (high - intercept) / slope)
        for low, high in _windows(dataset)
    )
    if not shown:  # as display_values does: what occurs fills the scale
        low, high = (0.0, len(levels) - 1.0)
        if len(used):
            low, high = spread_between(used, counts[used])
        if slope < 0:
            low, high = high, low
        shown = (Window(low, high),)
    if padding.any():
        stored = _with_padding_black(stored, padding, shown[0], inverted)
    return Film(stored, shown, inverted, slope, intercept, spacing)


def _with_padding_black(
    stored: NDArray[np.uint8] | NDArray[np.uint16],
    padding: NDArray[np.bool_],
    window: Window,
    inverted: bool,
) -> NDArray[np.uint8] | NDArray[np.uint16]:
    """Padding (PS3.3 §C.7.5.1.1.2) is no tissue: it takes the level that shows black."""
    top = len(padding) - 1
    ends = (0, top) if window.black <= window.white else (top, 0)
    table = np.arange(len(padding), dtype=stored.dtype)
    table[padding] = ends[1] if inverted else ends[0]
    if stored.dtype == np.uint8:
        return np.asarray(table[stored], np.uint8)
    return np.asarray(table[stored], np.uint16)


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
    planes: tuple[tuple[str, Literal["patient", "detector"]], ...] = (
        ("PixelSpacing", "patient"),
        ("ImagerPixelSpacing", "detector"),
    )
    at_detector = numbers(dataset.get("ImagerPixelSpacing"))
    for keyword, plane in planes:
        distances = numbers(dataset.get(keyword))
        if len(distances) == 2 and all(0 < distance < 100 for distance in distances):
            # Writers copy the detector's spacing here; calibrated, it would differ
            # (PS3.3 §10.7.1.3).
            same = distances == at_detector
            return Spacing(distances[0], distances[1], "detector" if same else plane)
    return None
