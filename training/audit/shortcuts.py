"""Pictures from which the disease was taken out: whoever still finds it there is cheating."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from training.audit.films import Grey
from training.lungs import hulls, widened

#: Frame that is left of a film when only its borders are shown, and corner that is painted
#: over, as shares of the side.
BORDER, CORNER = 0.10, 0.15
#: By how much a lung mask is widened before it is blacked out, as a share of the side.
MARGIN = 0.03

WORDS: Mapping[str, str] = {
    "corners": "the four corners painted over (side letters and markers gone)",
    "no_lungs": "the lungs blacked out",
    "borders": "only the outer tenth on each side left",
}


def without_lungs(film: Grey, lungs: NDArray[np.uint8]) -> Grey:
    """The film with the convex hull of each lung, a little widened, in black.

    Args:
        lungs: uint8, any shape (it is stretched to the film), above 0 = lung.
    """
    height, width = film.shape
    mask: Any = cv2.resize(
        (lungs > 0).astype(np.uint8), (width, height), interpolation=cv2.INTER_LINEAR
    )
    return np.where(widened(hulls(mask), MARGIN), 0, film).astype(np.uint8)


def only_borders(film: Grey) -> Grey:
    height, width = film.shape
    y, x = round(BORDER * height), round(BORDER * width)
    left = film.copy()
    left[y : height - y, x : width - x] = 0
    return left


def without_corners(film: Grey) -> Grey:
    """Each corner in its own median grey: a letter vanishes, the background stays."""
    height, width = film.shape
    y, x = round(CORNER * height), round(CORNER * width)
    painted = film.copy()
    for rows in (slice(0, y), slice(height - y, height)):
        for columns in (slice(0, x), slice(width - x, width)):
            painted[rows, columns] = np.median(film[rows, columns])
    return painted


def pictures(film: Grey, lungs: NDArray[np.uint8] | None) -> dict[str, Grey]:
    """Name of ``WORDS`` → the picture; without lung masks, without that one."""
    found = {"corners": without_corners(film), "borders": only_borders(film)}
    if lungs is not None:
        found["no_lungs"] = without_lungs(film, lungs)
    return found


def file_statistics(film: Grey, file_bytes: int) -> NDArray[np.float64]:
    """What an archive knows of a film without looking at the anatomy, shape (9,).

    File bytes per pixel, mean, spread, three percentiles, share of pure black and of pure
    white, and mean grey of the outer frame.
    """
    height, width = film.shape
    y, x = max(round(0.05 * height), 1), max(round(0.05 * width), 1)
    sides = film[:y], film[-y:], film[:, :x], film[:, -x:]
    frame = np.concatenate([side.ravel() for side in sides])
    values: list[Any] = [file_bytes / film.size, film.mean(), film.std()]
    values += np.percentile(film, (5, 50, 95)).tolist()
    values += [(film == 0).mean(), (film == 255).mean(), frame.mean()]
    return np.array(values, np.float64)
