"""What can be taken out of a film before a network sees it: noise, borders, burnt-in marks."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

#: A border row or column holds nothing brighter than this share of the film's range.
_BORDER_LEVEL = 0.04
#: No more than this share of a side is ever taken for a border.
_WIDEST_BORDER = 0.2
#: Marks are the brightest pixels, ...
_MARK_LEVEL = 0.97
#: ... small (of the film's area), ...
_LARGEST_MARK = 0.01
#: ... and lie within this share of a side from the edge.
_MARK_MARGIN = 0.25


def crop_borders(pixels: NDArray[Any]) -> NDArray[Any]:
    """Cut off the black frame that a scanner or a collimator leaves; a view, not a copy.

    Args:
        pixels: uint8 or uint16, shape (rows, columns).
    """
    low, high = int(pixels.min()), int(pixels.max())
    level = low + _BORDER_LEVEL * (high - low)
    # A percentile, not the maximum: dust and a mark in the frame do not make it a film.
    rows = _inside(np.percentile(pixels, 98, axis=1) > level)
    columns = _inside(np.percentile(pixels, 98, axis=0) > level)
    return pixels[rows, columns]


def _inside(filled: NDArray[np.bool_]) -> slice:
    found = np.flatnonzero(filled)
    most = int(len(filled) * _WIDEST_BORDER)
    if not len(found):
        return slice(0, len(filled))
    return slice(min(int(found[0]), most), max(int(found[-1]) + 1, len(filled) - most))


def remove_marks(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Paint over small, saturated marks near the edge (L, R, a clip), from what surrounds them.

    Args:
        pixels: uint8, shape (rows, columns), full range.
    """
    height, width = pixels.shape
    bright = (pixels >= _MARK_LEVEL * 255).astype(np.uint8)
    count, labels, found, _ = cv2.connectedComponentsWithStats(bright, connectivity=8)
    marks = np.zeros_like(bright)
    for label in range(1, count):
        x, y, w, h, area = (int(value) for value in found[label])
        down, across = _MARK_MARGIN * height, _MARK_MARGIN * width
        near_edge = y + h <= down or y >= height - down or x + w <= across or x >= width - across
        if near_edge and area <= _LARGEST_MARK * pixels.size:
            marks[labels == label] = 1
    if not marks.any():
        return pixels
    around = cv2.dilate(marks, np.ones((3, 3), np.uint8))
    return np.asarray(cv2.inpaint(pixels, around, 3, cv2.INPAINT_TELEA), np.uint8)


def denoise(pixels: NDArray[np.uint8], strength: float) -> NDArray[np.uint8]:
    """Non-local means (Buades 2011, doi:10.5201/ipol.2011.bcm_nlm).

    Args:
        pixels: uint8, shape (rows, columns).
        strength: in grey levels; 3 is gentle, 10 smears.
    """
    return np.asarray(cv2.fastNlMeansDenoising(pixels, None, strength, 5, 11), np.uint8)
