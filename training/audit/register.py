"""Where a place of the activation map really lies on the film.

A convolution with a stride pads below and to the right, so each one moves its output a
little up and to the left of what it looks at; over the strides of a whole network that adds
up to several per cent of the film. It is measured, not derived: noise is put on small
patches, and the map is asked where it changed.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy.stats import trim_mean

PATCHES = 12
_SIDE = 0.06  # of a patch, as a share of the film

Maps = Callable[[NDArray[np.float32]], NDArray[np.float32]]


def map_offset(maps: Maps, images: NDArray[np.float32], seed: int = 0) -> tuple[float, float]:
    """Shares of the height and the width by which the map lies too far up and left.

    Args:
        maps: (n, size, size, 1) → (n, h, w, classes).
        images: float32, shape (n, size, size, 1), a few films in [0, 1].
    """
    random = np.random.default_rng(seed)
    size = images.shape[1]
    side = max(round(_SIDE * size), 4)
    found = []
    for image in images:
        whole = _apart(maps(image[np.newaxis])[0])
        for _ in range(PATCHES):
            # Inner places only: at the rim a map cannot change beyond its own border.
            y, x = random.integers(round(0.3 * size), round(0.7 * size) - side, 2)
            changed = image.copy()
            noise = random.normal(0, 0.25, (side, side, 1)).astype(np.float32)
            changed[y : y + side, x : x + side] += noise
            moved = _apart(maps(np.clip(changed, 0, 1)[np.newaxis])[0]) - whole
            weight = np.square(moved).sum(axis=-1)
            if weight.sum() <= 0:
                continue
            centre = _centre(weight)
            # The patch centre minus the place that the map shows for it.
            found.append(((y + side / 2) / size - centre[0], (x + side / 2) / size - centre[1]))
    if not found:
        return 0.0, 0.0
    down, right = trim_mean(found, 0.1, axis=0)
    return float(down), float(right)


def _apart(maps: NDArray[np.float32]) -> NDArray[np.float32]:
    """Without what all classes share: a softmax does not see it."""
    return np.asarray(maps - maps.mean(axis=-1, keepdims=True), np.float32)


def _centre(weight: NDArray[np.float32]) -> tuple[float, float]:
    """Centre of mass of a grid whose cells fill the unit square, (y, x)."""
    height, width = weight.shape
    y = (weight.sum(axis=1) * (np.arange(height) + 0.5)).sum() / weight.sum() / height
    x = (weight.sum(axis=0) * (np.arange(width) + 0.5)).sum() / weight.sum() / width
    return float(y), float(x)
