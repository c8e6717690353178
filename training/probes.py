"""Probe inputs: pictures of no patient that exercise the whole network."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

_COUNT = 8


def make_probes(
    images: NDArray[np.uint8], labels: NDArray[np.int64], seed: int
) -> NDArray[np.uint8]:
    """Blends of the class means with smooth random fields.

    A mean over a class's films shows nobody, yet lies where the network was trained, so a
    wrong weight or a changed resize shows in its probabilities.

    Args:
        images: uint8, shape (n, size, size), training images.
        labels: int64, shape (n,).

    Returns:
        uint8, shape (8, size, size, 1).
    """
    random = np.random.default_rng(seed)
    size = images.shape[1]
    means = []
    for label in np.unique(labels):
        chosen = np.flatnonzero(labels == label)
        chosen = np.sort(random.permutation(chosen)[:1000])
        means.append(images[chosen].mean(axis=0, dtype=np.float64))
    probes = []
    for number in range(_COUNT):
        mean = means[number % len(means)]
        coarse = random.normal(0, 1, (size // 16, size // 16)).astype(np.float32)
        field = cv2.resize(coarse, (size, size), interpolation=cv2.INTER_CUBIC)
        strength = 12 * (number // len(means))
        probes.append(np.clip(mean + strength * field, 0, 255).round())
    return np.stack(probes).astype(np.uint8)[..., np.newaxis]
