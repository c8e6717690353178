"""Where the model looked: class activation maps as pictures (Zhou 2016, arXiv 1512.04150)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from cxr.decode import Radiograph
from cxr.findings import FindingClass

#: Longest side of a rendered picture, in pixels.
MAX_SIDE = 1024
#: A map whose strongest place adds less than this to the logit is shown as weak as it is,
#: not blown up to full colour.
WEAK_EVIDENCE = 2.0
#: Share of the film that the overlay's strongest places cover.
OVERLAY_OPACITY = 0.55


def infection_activation(
    activation_maps: NDArray[np.float32],
    probabilities: NDArray[np.float64],
    classes: Sequence[FindingClass],
) -> NDArray[np.float32]:
    """What speaks for infection against what speaks for normal.

    Args:
        activation_maps: float32, shape (h, w, classes), of one image.
        probabilities: shape (classes,): an infected class counts as far as it is believed.

    Returns:
        float32, shape (h, w), range [0, 1]; 0 = nothing speaks for infection there.
    """
    infected = np.array([finding.infected for finding in classes])
    weights = np.where(infected, probabilities, 0.0)
    weights = weights / max(float(weights.sum()), 1e-12)
    against = np.where(infected, 0.0, probabilities)
    against = against / max(float(against.sum()), 1e-12)
    evidence = activation_maps @ (weights - against)
    evidence = np.maximum(evidence, 0.0)
    return np.asarray(evidence / max(float(evidence.max()), WEAK_EVIDENCE), np.float32)


def upsample(activation: NDArray[np.float32], width: int, height: int) -> NDArray[np.float32]:
    """The coarse map, smooth and in register with an image of that size, range [0, 1]."""
    smooth = cv2.resize(activation, (width, height), interpolation=cv2.INTER_CUBIC)
    return np.asarray(np.clip(smooth, 0.0, 1.0), np.float32)


def map_png(activation: NDArray[np.float32], width: int, height: int) -> bytes:
    """The bare map as an 8-bit grey PNG, white = strongest, at the film's proportions."""
    width, height = _shown_size(width, height)
    return _png((upsample(activation, width, height) * 255).round().astype(np.uint8))


def overlay_png(radiograph: Radiograph, activation: NDArray[np.float32]) -> bytes:
    """The film with the map laid over it, RGB PNG, longest side at most 1024 pixels.

    The inferno scale climbs evenly in lightness, so it reads without colour vision and
    does not resemble the film's own grey levels.
    """
    pixels = radiograph.pixels
    width, height = _shown_size(pixels.shape[1], pixels.shape[0])
    film = np.asarray(cv2.resize(pixels, (width, height), interpolation=cv2.INTER_AREA))
    if film.dtype == np.uint16:
        film = (film // 256).astype(np.uint8)
    heat = upsample(activation, width, height)
    colours = cv2.applyColorMap((heat * 255).astype(np.uint8), cv2.COLORMAP_INFERNO)
    # Opacity climbs with the evidence: where there is none the film stays untouched.
    opacity = (OVERLAY_OPACITY * np.clip(heat * 1.5, 0.0, 1.0))[..., np.newaxis]
    grey = cv2.cvtColor(film, cv2.COLOR_GRAY2BGR)
    return _png((grey * (1 - opacity) + colours * opacity).round().astype(np.uint8))


def _shown_size(width: int, height: int) -> tuple[int, int]:
    scale = min(1.0, MAX_SIDE / max(width, height))
    return max(round(width * scale), 1), max(round(height * scale), 1)


def _png(pixels: NDArray[Any]) -> bytes:
    written, png = cv2.imencode(".png", pixels, [cv2.IMWRITE_PNG_COMPRESSION, 3])
    if not written:
        raise ValueError(f"pixels of dtype {pixels.dtype} cannot be written as PNG")
    return png.tobytes()
