"""A radiograph as a picture that a browser can show."""

from __future__ import annotations

import base64
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from cxr.explain import MAX_SIDE
from cxr.png import png
from cxr.radiograph import Radiograph, to_eight_bits

#: Longest side of a thumbnail, in pixels: a list's picture on a dense screen.
THUMBNAIL_SIDE = 112


def _shrink(pixels: NDArray[Any], longest: int) -> NDArray[Any]:
    height, width = pixels.shape
    scale = longest / max(height, width)
    if scale >= 1:
        return pixels
    size = (max(round(width * scale), 1), max(round(height * scale), 1))
    return np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA))


def film_png(radiograph: Radiograph, longest: int = MAX_SIDE) -> bytes:
    """The radiograph as an 8-bit PNG, grey levels unchanged, at most ``longest`` pixels a side."""
    return png(to_eight_bits(_shrink(radiograph.pixels, longest)))


def data_uri(picture: bytes) -> str:
    """PNG bytes as a ``data:`` URI, so that a picture needs no address on the server."""
    return "data:image/png;base64," + base64.b64encode(picture).decode("ascii")
