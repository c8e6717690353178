"""Where the model looked: class activation maps as pictures (Zhou 2016, arXiv 1512.04150)."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from cxr.findings import FindingClass
from cxr.frame import Place
from cxr.png import png
from cxr.radiograph import Pixels, Radiograph, to_eight_bits

#: Longest side of a picture for people, in pixels.
MAX_SIDE = 1024
#: Longest side of an overlay for programs, which have the film itself.
OVERLAY_SIDE = 640
#: Longest side of the grid on which an overlay's colours are worked out.
COLOUR_SIDE = 160
#: The bits of each sample that an overlay for programs keeps. The lowest two of a film are noise,
#: which nobody sees and no compressor can pack: two fifths of the file.
OVERLAY_BITS = 0xFC
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
        smooth = smooth.take(rows, axis=0).take(columns, axis=1)
    return np.asarray(np.clip(smooth, 0.0, 1.0), np.float32)


def on_whole_picture(
    activation: NDArray[np.float32],
    place: Place,
    shape: tuple[int, int],
    offset: tuple[float, float] = (0.0, 0.0),
) -> NDArray[np.float32]:
    """A film's map laid back on the picture that the film was cut out of.

    Args:
        activation: shape (h, w), range [0, 1].
        place: of the film in a picture of that ``shape`` (``cxr.frame.film_in``).
        offset: see ``upsample``; the result has none any more.

    Returns:
        float32, shape (rows, columns), the longer side 256, range [0, 1]; 0 where the frame is.
    """
    width, height = _size(shape[1], shape[0], LAYER_SIDE)
    scale = LAYER_SIDE / max(shape)
    top, bottom, left, right = (
        round(edge * scale) for part in place for edge in (part.start, part.stop)
    )
    rows, columns = max(bottom - top, 1), max(right - left, 1)  # of a sliver on a huge canvas
    whole = np.zeros((height, width), np.float32)
    whole[top : top + rows, left : left + columns] = upsample(activation, columns, rows, offset)
    return whole


def map_png(
    activation: NDArray[np.float32],
    width: int,
    height: int,
    offset: tuple[float, float] = (0.0, 0.0),
) -> bytes:
    """The bare map, as large as the overlay of a film of ``width`` × ``height`` pixels.

    A PNG with a palette: people see the overlay's colours, programs read the strength, 0 to
    255, as the palette's index.
    """
    while max(width, height) > OVERLAY_SIDE:
        width, height = width // 2, height // 2
    strength = (upsample(activation, width, height, offset) * 255).round().astype(np.uint8)
    return png(strength, palette=_scale())


@cache
def _scale() -> NDArray[np.uint8]:
    """256 colours from weakest to strongest, RGB, shape (256, 3).

    Inferno climbs evenly in lightness, so it reads without colour vision and in print, and
    its hues do not occur in a film of grey levels.
    """
    steps = np.arange(256, dtype=np.uint8)[:, np.newaxis]
    colours = cv2.applyColorMap(steps, cv2.COLORMAP_INFERNO)[:, 0, ::-1]
    return np.ascontiguousarray(colours, np.uint8)


def overlay_png(
    radiograph: Radiograph,
    activation: NDArray[np.float32],
    offset: tuple[float, float] = (0.0, 0.0),
) -> bytes:
    """The film with the map laid over it, RGB PNG, for programs: as small as shows where.

    Its longest side has at most 640 pixels, and no fewer than half of that unless the film
    itself has fewer: a film is halved until it fits. Of each sample the upper six bits are kept,
    spread over the whole range: 64 levels, none further than 3 from what it was.
    """
    film = radiograph.pixels
    while max(film.shape) > OVERLAY_SIDE:
        # Whole blocks of 2 × 2: OpenCV averages them fifty times as fast as any others.
        rows, columns = film.shape[0] // 2, film.shape[1] // 2
        film = _shrunk(film[: 2 * rows, : 2 * columns], columns, rows)
    shown = _laid_over(film, activation, offset)
    return png(np.asarray((shown & OVERLAY_BITS) | (shown >> 6), np.uint8))


def overlay(
    radiograph: Radiograph,
    activation: NDArray[np.float32],
    offset: tuple[float, float] = (0.0, 0.0),
) -> NDArray[np.uint8]:
    """The film with the map laid over it, for people, longest side at most 1024 pixels.

    Returns:
        RGB, uint8, shape (rows, columns, 3).
    """
    pixels = radiograph.pixels
    height, width = pixels.shape
    shown = _shrunk(pixels, *_size(width, height, min(MAX_SIDE, max(width, height))))
    return _laid_over(shown, activation, offset)


def _shrunk(pixels: Pixels, width: int, height: int) -> Pixels:
    shrunk: Any = cv2.resize(pixels, (width, height), interpolation=cv2.INTER_AREA)
    result: Pixels = shrunk
    return result


def _laid_over(
    pixels: Pixels, activation: NDArray[np.float32], offset: tuple[float, float]
) -> NDArray[np.uint8]:
    """RGB, uint8: the film, and where there is evidence its colours in front."""
    film = to_eight_bits(pixels)
    height, width = film.shape
    # A map is coarse and smooth: its colours are worked out on a grid of some pixels and
    # stretched, the film alone is handled pixel by pixel, and in bytes.
    grid = _size(width, height, min(COLOUR_SIDE, max(width, height)))
    levels = _levels(upsample(activation, *grid, offset))
    in_front, let_through = (
        cv2.resize(looked_up, (width, height), interpolation=cv2.INTER_LINEAR)
        for looked_up in _blended(levels)
    )
    behind = cv2.multiply(film, let_through, scale=1 / 255)
    return np.asarray(cv2.add(cv2.merge([behind] * 3), in_front), np.uint8)


def _levels(heat: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Strength of each place as one of the scale's 256 steps; ``heat`` has the range [0, 1]."""
    return np.asarray(cv2.convertScaleAbs(heat, alpha=255), np.uint8)  # rounded, in one pass


@cache
def _opacity() -> NDArray[np.float64]:
    """Of each step of the scale, from 0 to 1.

    It climbs with the evidence: where there is none the film stays untouched.
    """
    return np.minimum(np.arange(256) / 255 * 1.5, 1.0)


@cache
def _blending() -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """For each step, what lies in front (RGB, shape (256, 3)) and what it lets through, of 255."""
    cover = OVERLAY_OPACITY * _opacity()
    in_front = (_scale() * cover[:, np.newaxis]).round().astype(np.uint8)
    return in_front, (255 * (1 - cover)).round().astype(np.uint8)


def _blended(levels: NDArray[np.uint8]) -> tuple[Any, Any]:
    """Both for every place; OpenCV looks them up six times as fast as NumPy."""
    in_front, let_through = _blending()
    return cv2.LUT(cv2.merge([levels] * 3), in_front[np.newaxis]), cv2.LUT(levels, let_through)


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
    levels = _levels(upsample(activation, *_size(width, height, LAYER_SIDE), offset))
    opacity = (255 * _opacity()).round().astype(np.uint8)
    return png(np.take(np.column_stack((_scale(), opacity)), levels, axis=0))


def _size(width: int, height: int, longest: int) -> tuple[int, int]:
    scale = longest / max(width, height)
    return max(round(width * scale), 1), max(round(height * scale), 1)
