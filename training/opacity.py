"""Opacities drawn into normal lungs: infection that has no hospital of its own.

Where the infected films of a data set come from other hospitals than its normal ones, a network
can tell the two apart by the hospital. An opacity drawn into the lungs of a normal film makes an
infected one of the same hospital, with the same frame, detector and pose (after the anomalies
that Tan 2020, arXiv 2011.04197, and Li 2021, arXiv 2104.04015, paste into images). Lung that
is filled attenuates like soft tissue: within a shape with soft edges the film moves towards the
grey of what lies around the lungs, and what was seen there fades. Only training films are
changed, nothing when serving.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from cxr.preprocess import from_eight_bits, in_eight_bits

_Plane = NDArray[np.float32]

#: What a normal film with an opacity drawn into it is counted as.
DRAWN = "drawn_opacity"
#: Films whose lungs have fewer pixels, of 64 × 64, than this were not found right.
_SMALLEST_LUNGS = 150
#: An opacity of less of the lungs than this, edges weighing less, is none.
_SMALLEST_SHARE = 0.03
_ATTEMPTS = 5


def fallen_ill(
    film: NDArray[np.uint8], outline: NDArray[np.uint8], random: np.random.Generator
) -> NDArray[np.uint8] | None:
    """The film with an opacity in its lungs, or None where these were not found.

    Args:
        film: uint8, shape (size, size), 255 × the model input.
        outline: uint8, shape (64, 64), 1 = inside a lung.
    """
    for _ in range(_ATTEMPTS):
        drawn = opacity(outline, random)
        if drawn is not None:
            return in_eight_bits(_laid_over(from_eight_bits(film), drawn, outline, random))
    return None


def opacity(outline: NDArray[np.uint8], random: np.random.Generator) -> _Plane | None:
    """How much of the lung is hidden at each place, or None where too little would be.

    Patches all over both lungs, one or two round shadows, or a shadow that rises from the base
    of one lung or both; each with an uneven edge and a texture.

    Args:
        outline: uint8, shape (64, 64), 1 = inside a lung.

    Returns:
        float32, shape (64, 64), range [0, 0.9].
    """
    inside = outline > 0
    if inside.sum() < _SMALLEST_LUNGS:
        return None
    kind = random.integers(4)
    if kind == 0:
        shape = _patches(random, outline.shape)
    elif kind == 3:
        shape = _from_the_base(random, inside)
    else:
        shape = _round(random, inside)
    texture = 1 + 0.25 * random.random() * _field(random, outline.shape, random.uniform(0.7, 1.5))
    within = cv2.GaussianBlur(outline.astype(np.float32), (0, 0), 1.0)
    drawn = np.clip(shape * texture * within, 0, 1) * random.uniform(0.35, 0.9)
    if (drawn * inside).sum() < _SMALLEST_SHARE * inside.sum():
        return None
    return np.asarray(drawn, np.float32)


def _laid_over(
    film: _Plane, drawn: _Plane, outline: NDArray[np.uint8], random: np.random.Generator
) -> _Plane:
    """The film, moved towards the grey of soft tissue where the opacity is."""
    small = cv2.resize(film, outline.shape, interpolation=cv2.INTER_AREA)
    inside = outline > 0
    lung = float(np.median(small[inside]))
    around = small[~inside & (small > 0.05)]  # not the black of a collimator
    tissue = float(np.quantile(around, random.uniform(0.6, 0.9))) if len(around) else 0.8
    if tissue < lung + 0.1:
        tissue = min(1.0, lung + 0.25)
    side = (film.shape[1], film.shape[0])
    share = np.clip(cv2.resize(drawn, side, interpolation=cv2.INTER_CUBIC), 0, 1)
    return np.asarray(film + share * np.maximum(tissue - film, 0), np.float32)


def _field(random: np.random.Generator, shape: tuple[int, ...], scale: float) -> _Plane:
    """Smooth noise of mean 0 and standard deviation 1; ``scale`` in pixels."""
    noise = random.standard_normal(shape, np.float32)
    smooth = cv2.GaussianBlur(noise, (0, 0), scale, borderType=cv2.BORDER_REFLECT)
    return np.asarray((smooth - smooth.mean()) / smooth.std(), np.float32)


def _step(distance: _Plane) -> _Plane:
    """From 0 to 1 where it rises through 0."""
    return np.asarray(1 / (1 + np.exp(-distance)), np.float32)


def _patches(random: np.random.Generator, shape: tuple[int, ...]) -> _Plane:
    field = _field(random, shape, random.uniform(3, 7))
    return _step((field - random.uniform(0.3, 1.2)) * random.uniform(2, 5))


def _round(random: np.random.Generator, inside: NDArray[np.bool_]) -> _Plane:
    rows, columns = np.nonzero(inside)
    y, x = np.mgrid[: inside.shape[0], : inside.shape[1]]
    shadow = np.zeros(inside.shape, np.float32)
    for _ in range(random.integers(1, 3)):
        centre = random.integers(len(rows))
        radii, turn = random.uniform(4, 13, 2), random.uniform(0, np.pi)
        across, down = x - columns[centre], y - rows[centre]
        u = (across * np.cos(turn) + down * np.sin(turn)) / radii[0]
        v = (down * np.cos(turn) - across * np.sin(turn)) / radii[1]
        edge = np.hypot(u, v) - 1 + 0.25 * _field(random, inside.shape, 2.5)
        shadow = np.maximum(shadow, _step(-edge * random.uniform(3, 8)))
    return shadow


def _from_the_base(random: np.random.Generator, inside: NDArray[np.bool_]) -> _Plane:
    rows, columns = np.nonzero(inside)
    y, x = np.mgrid[: inside.shape[0], : inside.shape[1]]
    level = np.quantile(rows, random.uniform(0.5, 0.85))
    uneven = y - level + 3 * _field(random, inside.shape, 5.0)
    shadow = _step(uneven / random.uniform(1.5, 4))
    if random.random() < 0.6:
        left = x < np.median(columns)
        shadow = shadow * (left if random.random() < 0.5 else ~left)
    return shadow
