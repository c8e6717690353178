"""The grey-scale pipeline of DICOM: stored values → what a display shows (PS3.4 §N.2).

Modality LUT → VOI LUT or window → inversion of MONOCHROME1, in this order. A stored value
has at most 16 bits, so the whole pipeline is worked out once for each possible value and
the image is looked up in that table: exact, and an image of a hundred megapixels needs no
floating-point copies of itself.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.pixels.processing import apply_rescale, apply_windowing

from cxr.dicom_anatomy import word
from cxr.dicom_pixels import bits_stored, is_signed
from cxr.errors import DAMAGED, UnreadableImageError
from cxr.radiograph import Pixels

#: Share of the pixels at either end that do not set the grey scale: hot and dead ones.
BEYOND = 0.0001
WINDOW_FUNCTIONS = ("LINEAR", "LINEAR_EXACT", "SIGMOID")


def display_values(stored: Pixels, dataset: Dataset) -> NDArray[np.uint16]:
    """Apply the grey-scale pipeline of ``dataset`` to the values of ``stored_values``.

    Pixel padding (PS3.3 §C.7.5.1.1.2) is outside of the pipeline and comes out black.

    Returns:
        Shape of ``stored``, uint16, 0 black to 65535 white, bright = dense.
    """
    levels = stored_levels(dataset)
    padding = padding_levels(levels, dataset)
    modality = modality_values(levels, dataset)
    table = _value_of_interest(modality, dataset)
    if table is None:
        # No VOI transformation: PS3.3 §C.11.2 leaves the display open. The values that occur
        # are spread over the full scale, as viewers do; the range that could be stored is
        # often much wider and would come out nearly black, as it would with one hot pixel.
        low, high = spread_between(modality, stored, padding)
        table = (modality - low) / (high - low) if high > low else np.zeros(len(levels))
    if not np.isfinite(table).all():
        raise UnreadableImageError(
            "The grey scale of the DICOM file is not made of numbers. Export it again."
        )
    if dataset.PhotometricInterpretation == "MONOCHROME1":
        # Last of all (PS3.3 §C.7.6.3.1.2). Presentation LUT Shape INVERSE says the same thing
        # again in a digital X-ray (PS3.3 §C.8.11.3.1.2) and must not turn it back.
        table = 1.0 - table
    table = np.where(padding, 0.0, np.clip(table, 0.0, 1.0))
    entries = np.zeros(1 << (stored.dtype.itemsize * 8), np.uint16)
    entries[: len(table)] = np.rint(table * 65535.0)
    return np.asarray(cv2.LUT(stored, entries), np.uint16)


def stored_levels(dataset: Dataset) -> NDArray[np.int32]:
    """Every value that can be stored, ascending; ``stored_values`` gives places among them."""
    bits = bits_stored(dataset)
    lowest = -(1 << (bits - 1)) if is_signed(dataset) else 0
    return np.arange(lowest, lowest + (1 << bits), dtype=np.int32)


def spread_between(
    values: NDArray[Any], stored: Pixels, padding: NDArray[np.bool_]
) -> tuple[float, float]:
    """The values that show black and white where the file names no window.

    ``BEYOND`` of the pixels may lie below, and as many above.

    Args:
        values: what each of ``stored_levels`` stands for.
        padding: which of them are padding, and count only where nothing else is stored.
    """
    # calcHist and LUT work on 16 bits in place; numpy would widen every pixel to 64.
    counts = cv2.calcHist([stored], [0], None, [len(values)], [0, len(values)]).ravel()
    shown = (counts > 0) & ~padding
    if not shown.any():
        shown = np.ones_like(shown)
    values, counts = values[shown], counts[shown]
    order = np.argsort(values, kind="stable")
    values, counts = values[order], counts[order].astype(np.float64)
    least = BEYOND * counts.sum()
    low = float(values[np.argmax(np.cumsum(counts) > least)])
    high = float(values[::-1][np.argmax(np.cumsum(counts[::-1]) > least)])
    return (low, high) if low < high else (float(values[0]), float(values[-1]))


def padding_levels(levels: NDArray[np.int32], dataset: Dataset) -> NDArray[np.bool_]:
    """Which stored values are padding."""
    value = dataset.get("PixelPaddingValue")
    if not isinstance(value, int):
        return np.zeros(levels.shape, np.bool_)
    limit = dataset.get("PixelPaddingRangeLimit")
    ends = sorted((value, limit if isinstance(limit, int) else value))
    return np.asarray((levels >= ends[0]) & (levels <= ends[1]))


def modality_values(levels: NDArray[np.int32], dataset: Dataset) -> NDArray[np.float64]:
    """Modality LUT or rescale (PS3.3 §C.11.1): stored values → physical or device values."""
    items = dataset.get("ModalityLUTSequence")
    if items:
        return _look_up(levels, items[0], dataset)[0]
    if dataset.get("RescaleSlope") is None or dataset.get("RescaleIntercept") is None:
        return levels.astype(np.float64)
    values = np.asarray(apply_rescale(levels, dataset), np.float64)
    if values[0] == values[-1] or not np.isfinite(values).all():
        raise UnreadableImageError(
            "The rescale slope of the DICOM file is zero or not a number. Export it again."
        )
    return values


def _value_of_interest(values: NDArray[np.float64], dataset: Dataset) -> NDArray[np.float64] | None:
    """VOI LUT or window (PS3.3 §C.11.2) → 0 to 1; None where there is no usable one.

    The first usable one of several is taken, and a LUT before a window: they are alternative
    views (§C.11.2.1.1), and a LUT is the one that was made for this image.
    """
    items = dataset.get("VOILUTSequence")
    if items and "LUTDescriptor" in items[0] and "LUTData" in items[0]:
        entries, largest = _look_up(values, items[0], dataset)
        return entries / largest
    usable = windows(dataset)
    if not usable:
        return None
    center, width = usable[0]
    # pydicom works the output range out of the whole header, upside down for a negative
    # slope. What is beyond the window shows the range, so it is asked for the infinities.
    window = Dataset()
    window.PhotometricInterpretation = "MONOCHROME2"
    window.BitsStored, window.PixelRepresentation = 16, 0
    window.WindowCenter, window.WindowWidth = center, width
    window.VOILUTFunction = window_function(dataset)
    with np.errstate(over="ignore"):
        shown = apply_windowing(np.concatenate((values, (-np.inf, np.inf))), window)
    return np.asarray((shown[:-2] - shown[-2]) / (shown[-1] - shown[-2]), np.float64)


def window_function(dataset: Dataset) -> str:
    """One of ``WINDOW_FUNCTIONS``; LINEAR, the default of PS3.3 §C.11.2.1.3, for any other."""
    function = word(dataset, "VOILUTFunction")
    return function if function in WINDOW_FUNCTIONS else "LINEAR"


def windows(dataset: Dataset) -> list[tuple[float, float]]:
    """Centre and width of each window that can be used; the first one is shown.

    A linear one is at least one grey level wide, any other wider than nothing (PS3.3
    §C.11.2.1.2.1, §C.11.2.1.3).
    """
    least = 1.0 if window_function(dataset) == "LINEAR" else np.finfo(float).tiny
    centers, widths = (numbers(dataset.get(f"Window{part}")) for part in ("Center", "Width"))
    return [
        (center, width)
        for center, width in zip(centers, widths, strict=False)
        if width >= least and np.isfinite((center, width)).all()
    ]


def numbers(value: Any) -> list[float]:
    """One or several decimal strings as numbers; nothing where they are none."""
    if value in (None, ""):
        return []
    several = isinstance(value, Iterable) and not isinstance(value, str)
    try:
        return [float(number) for number in (value if several else [value])]
    except (TypeError, ValueError):
        return []


def _look_up(
    values: NDArray[np.int32] | NDArray[np.float64], item: Dataset, dataset: Dataset
) -> tuple[NDArray[np.float64], float]:
    """Look ``values`` up in one item of a LUT sequence (PS3.3 §C.11.1.1, §C.11.2.1.1).

    Values before the first mapped one give the first entry, values after the last give the
    last. pydicom's own functions go wrong here: with entries of 8 bits they also keep the
    *index* in 8 bits, and a negative first value overflows unsigned pixels.

    Returns:
        The entries, and the largest one that the descriptor's bit depth allows.
    """
    entries, depth = table(item, dataset)
    first = int(item.LUTDescriptor[1])
    positions = np.arange(first, first + len(entries), dtype=np.float64)
    shown = np.interp(values, positions, entries)
    return shown, float((1 << depth) - 1)


def table(item: Dataset, dataset: Dataset) -> tuple[NDArray[np.float64], int]:
    """The entries of one item of a LUT sequence, and how many bits each has.

    Args:
        dataset: the file's, whose transfer syntax orders the bytes.

    Raises:
        UnreadableImageError: there are fewer than announced, or of no number of bits.
    """
    count, _, depth = (int(number) for number in item.LUTDescriptor)
    count = count or 1 << 16
    data: Any = item.LUTData
    if isinstance(data, bytes):
        order = "<" if dataset.file_meta.TransferSyntaxUID.is_little_endian else ">"
        packed = len(data) < 2 * count  # 8-bit entries without padding
        entries = np.frombuffer(data, "u1" if packed else f"{order}u2")
    else:
        entries = np.atleast_1d(np.asarray(data, np.int64))
    if not 8 <= depth <= 16 or len(entries) < count:
        raise UnreadableImageError(DAMAGED.format("DICOM"))
    return entries[:count].astype(np.float64), depth
