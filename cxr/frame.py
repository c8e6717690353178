"""The wide even frame around a film: paper, a viewer's canvas, padding to a square.

A film in the middle of a canvas is another picture to a network than the film: one in four
answers was another with a white or grey frame of a fifth of each side, and a film on a canvas
of two and a half times its size was refused as no radiograph at all (docs/gate.md).
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from cxr.radiograph import Limits, Pixels, Radiograph

#: Grey levels, of 256, within which a row or column counts as even: JPEG leaves one or two.
_EVEN = 2
#: Least share of the picture that a frame must cover to be cut off. Below are the rims of many
#: films as they are, which the networks know; the least letterbox, 4 : 5 in a square, is 0.2.
LEAST_SHARE = 0.15
#: Rows and columns of the film within its picture.
Place = tuple[slice, slice]


def film_in(pixels: Pixels) -> Place | None:
    """Rows and columns of the film within a wide even frame; None where there is no such frame.

    Args:
        pixels: uint8 or uint16, shape (rows, columns).
    """
    even = _EVEN * (257 if pixels.dtype == np.uint16 else 1)
    height, width = pixels.shape
    top, bottom = _ends(pixels, even)
    if top == height:  # nothing but frame: blank
        return None
    left, right = _ends(pixels[top:bottom].T, even)
    if left == width:  # bars, or a gradient
        return None
    # What lies beside the film may have kept rows from being even.
    above, below = _ends(pixels[top:bottom, left:right], even)
    top, bottom = top + above, top + below
    film = (bottom - top) * (right - left)
    if film > (1 - LEAST_SHARE) * height * width:
        return None
    if min(bottom - top, right - left) < Limits.min_side:  # a speck on a canvas, no film
        return None
    return slice(top, bottom), slice(left, right)


def _ends(rows: Pixels, even: int) -> tuple[int, int]:
    """First row that is not even, and the one after the last."""
    first = _even_rows(rows, even)
    return first, len(rows) - (_even_rows(rows[::-1], even) if first < len(rows) else 0)


def _even_rows(rows: Pixels, even: int) -> int:
    """How many come before the first that is not even."""
    for number, row in enumerate(rows):
        if int(row.max()) - int(row.min()) > even:
            return number
    return len(rows)


def without_frame(radiograph: Radiograph) -> Radiograph:
    """The film alone, a view of its pixels; the same where it has no wide even frame."""
    found = film_in(radiograph.pixels)
    if found is None:
        return radiograph
    height, width = radiograph.pixels.shape
    pixels = radiograph.pixels[found]
    return replace(
        radiograph,
        pixels=pixels,
        width=round(radiograph.width * pixels.shape[1] / width),
        height=round(radiograph.height * pixels.shape[0] / height),
    )
