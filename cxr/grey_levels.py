"""Percentiles of grey levels: numpy's, but 256 levels are counted instead of sorted."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray


def percentiles(pixels: NDArray[Any], percents: tuple[float, float]) -> tuple[float, float]:
    """Two percentiles, interpolated linearly as ``np.percentile`` does.

    Args:
        pixels: shape (rows, columns), uint8 or uint16.
        percents: from 0 to 100.
    """
    if pixels.dtype != np.uint8:
        low, high = np.percentile(pixels, percents)
        return float(low), float(high)
    # Bytes need not be sorted: they are counted, and the counts say who stands where.
    counts = cv2.calcHist([np.ascontiguousarray(pixels)], [0], None, [256], [0, 256])
    up_to = np.cumsum(counts.ravel())
    places = np.array(percents) / 100 * (pixels.size - 1)
    below = np.floor(places)
    levels = np.searchsorted(up_to, (below, np.minimum(below + 1, pixels.size - 1)), side="right")
    low, high = levels[0] + (places - below) * (levels[1] - levels[0])
    return float(low), float(high)
