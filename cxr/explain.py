"""Where the model looked: class activation maps as pictures (Zhou 2016, arXiv 1512.04150)."""

from __future__ import annotations

import io
from collections.abc import Sequence
from functools import cache
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from cxr.decode import Radiograph
from cxr.findings import FindingClass

#: Longest side of a rendered picture, in pixels.
MAX_SIDE = 1024
#: A map whose strongest place adds less than this to the logit is shown as weak as it is,
#: not blown up to full colour.
WEAK_EVIDENCE = 2.0
#: Share of the film that the overlay's strongest places cover.
OVERLAY_OPACITY = 0.55
#: Longest side of a layer, in pixels: a map is coarse and smooth, a viewer enlarges it.
LAYER_SIDE = 256


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
    return _to_unit(infection_evidence(activation_maps, probabilities, classes))


def infection_evidence(
    activation_maps: NDArray[np.float32],
    probabilities: NDArray[np.float64],
    classes: Sequence[FindingClass],
) -> NDArray[np.float32]:
    """The same with its sign and in units of the logit: below 0, a place speaks for normal."""
    infected = np.array([finding.infected for finding in classes])
    weights = np.where(infected, probabilities, 0.0)
    weights = weights / max(float(weights.sum()), 1e-12)
    against = np.where(infected, 0.0, probabilities)
    against = against / max(float(against.sum()), 1e-12)
    return np.asarray(activation_maps @ (weights - against), np.float32)


def class_activation(activation_maps: NDArray[np.float32], index: int) -> NDArray[np.float32]:
    """What speaks for one class against the mean of all the others.

    A softmax is blind to what is added to every logit alike, so a class's own map says
    nothing before the others are set against it.

    Args:
        activation_maps: float32, shape (h, w, classes), of one image.
        index: position of the class.

    Returns:
        float32, shape (h, w), range [0, 1]; 0 = nothing speaks for the class there.
    """
    others = np.delete(activation_maps, index, axis=-1).mean(axis=-1)
    return _to_unit(activation_maps[..., index] - others)


def _to_unit(evidence: NDArray[Any]) -> NDArray[np.float32]:
    evidence = np.maximum(evidence, 0.0)
    return np.asarray(evidence / max(float(evidence.max()), WEAK_EVIDENCE), np.float32)


def upsample(
    activation: NDArray[np.float32],
    width: int,
    height: int,
    offset: tuple[float, float] = (0.0, 0.0),
) -> NDArray[np.float32]:
    """The coarse map, smooth and in register with an image of that size, range [0, 1].

    Args:
        activation: shape (h, w), range [0, 1].
        offset: how far below and to the right of its place in the grid the network really
            looks, as shares of the height and the width; ``Bundle.map_offset``.
    """
    smooth = cv2.resize(activation, (width, height), interpolation=cv2.INTER_CUBIC)
    down, right = round(offset[0] * height), round(offset[1] * width)
    if down or right:
        rows = np.clip(np.arange(height) - down, 0, height - 1)
        columns = np.clip(np.arange(width) - right, 0, width - 1)
        smooth = smooth[rows[:, np.newaxis], columns]
    return np.asarray(np.clip(smooth, 0.0, 1.0), np.float32)


def map_png(
    activation: NDArray[np.float32],
    width: int,
    height: int,
    offset: tuple[float, float] = (0.0, 0.0),
) -> bytes:
    """The bare map at the film's proportions, longest side at most 1024 pixels.

    A PNG with a palette: people see the overlay's colours, programs read the strength, 0 to
    255, as the palette's index.
    """
    width, height = _shown_size(width, height)
    strength = (upsample(activation, width, height, offset) * 255).round().astype(np.uint8)
    picture = Image.fromarray(strength).convert("P")
    picture.putpalette(_scale()[0, :, ::-1].tobytes())
    file = io.BytesIO()
    picture.save(file, "PNG", compress_level=3)
    return file.getvalue()


@cache
def _scale() -> NDArray[np.uint8]:
    """256 colours from weakest to strongest, BGR, shape (1, 256, 3).

    Inferno climbs evenly in lightness, so it reads without colour vision and in print, and
    its hues do not occur in a film of grey levels.
    """
    steps = np.arange(256, dtype=np.uint8)[np.newaxis]
    return np.asarray(cv2.applyColorMap(steps, cv2.COLORMAP_INFERNO), np.uint8)


def overlay_png(
    radiograph: Radiograph,
    activation: NDArray[np.float32],
    offset: tuple[float, float] = (0.0, 0.0),
) -> bytes:
    """The film with the map laid over it, RGB PNG, longest side at most 1024 pixels."""
    return _png(overlay(radiograph, activation, offset))


def overlay(
    radiograph: Radiograph,
    activation: NDArray[np.float32],
    offset: tuple[float, float] = (0.0, 0.0),
) -> NDArray[np.uint8]:
    """The same as pixels: shape (rows, columns, 3), in OpenCV's order BGR."""
    pixels = radiograph.pixels
    width, height = _shown_size(pixels.shape[1], pixels.shape[0])
    film = np.asarray(cv2.resize(pixels, (width, height), interpolation=cv2.INTER_AREA))
    if film.dtype == np.uint16:
        film = (film // 256).astype(np.uint8)
    colours, opacity = _colours(upsample(activation, width, height, offset))
    opacity = np.asarray(OVERLAY_OPACITY * opacity, np.float32)
    grey = cv2.cvtColor(film, cv2.COLOR_GRAY2BGR)
    # In one pass over bytes: floating-point copies of the picture cost more than the reading.
    return np.asarray(cv2.blendLinear(grey, colours, 1 - opacity, opacity), np.uint8)


def _colours(heat: NDArray[np.float32]) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """BGR colours of a map and their opacity from 0 to 1.

    Opacity climbs with the evidence: where there is none the film stays untouched.
    """
    # Rounds to bytes in one pass, and looks the colours up without an index for each channel.
    colours = cv2.applyColorMap(cv2.convertScaleAbs(heat, alpha=255), cv2.COLORMAP_INFERNO)
    opacity = np.minimum(heat * np.float32(1.5), np.float32(1.0))
    return np.asarray(colours, np.uint8), np.asarray(opacity, np.float32)


def layer_png(
    activation: NDArray[np.float32],
    width: int,
    height: int,
    offset: tuple[float, float] = (0.0, 0.0),
) -> bytes:
    """The overlay's colours alone, RGBA PNG, transparent where nothing speaks for infection.

    For a viewer that lays them over a film of ``width`` × ``height`` itself; the opacity in
    the PNG is full where the evidence is, and the viewer's to lower.
    """
    scale = LAYER_SIDE / max(width, height)
    size = max(round(width * scale), 1), max(round(height * scale), 1)
    colours, opacity = _colours(upsample(activation, *size, offset))
    return _png(np.dstack((colours, (opacity * 255).round().astype(np.uint8))))


def _shown_size(width: int, height: int) -> tuple[int, int]:
    scale = min(1.0, MAX_SIDE / max(width, height))
    return max(round(width * scale), 1), max(round(height * scale), 1)


def _png(pixels: NDArray[Any]) -> bytes:
    # One filter for all rows instead of a search for the best: a third of the time, 5 % more bytes.
    fast = [cv2.IMWRITE_PNG_COMPRESSION, 1, cv2.IMWRITE_PNG_FILTER, cv2.IMWRITE_PNG_FILTER_UP]
    written, png = cv2.imencode(".png", pixels, fast)
    if not written:
        raise ValueError(f"pixels of dtype {pixels.dtype} cannot be written as PNG")
    return png.tobytes()
