"""Teaches the lung finder of a lung-centred network (``training/architectures/centre.py``).

Its teacher is the segmenter of ``training/lungs.py``, which reads 128 pixels and needs thirty
times the arithmetic: the finder learns the box around the outlines that the segmenter drew on
the training films, in poses and exposures that neither has seen. The tilt has no teacher: films
are turned by angles that are known, and what is common to all of them as they came is upright.
A view that does not turn the film takes the box of the upright one as it is, a little beside tilted
lungs that lie off the film's centre.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import keras
import numpy as np
from numpy.typing import NDArray

from cxr.preprocess import from_eight_bits
from training.architectures.centre import MOST_TILT, THUMBNAIL, lung_finder, upright_view
from training.augment import Augmentation, augmenter
from training.device import in_float32
from training.files import read_arrays, write_arrays

_STEPS, _BATCH, _RATE = 4000, 64, 2e-3
#: Degrees that the finder is measured with.
_TURN = 10
#: Windows of films that the finder learns from: how large, how stretched, how far off the centre.
_ZOOM, _STRETCH, _SHIFT = 0.2, 0.06, 0.1
#: Side of these windows before they are turned, in pixels.
_POSED = 112
_EXPOSURE = replace(
    Augmentation(border=0.3, tone=0.3), flip=False, rotation=0.0, zoom=0.0, shift=0.0, shear=0.0
)

Boxes = NDArray[np.float32]


def taught_finder(
    images: NDArray[np.uint8],
    outlines: NDArray[np.uint8],
    rows: tuple[NDArray[np.int64], NDArray[np.int64]],
    seed: int,
    folder: Path,
) -> list[NDArray[np.float32]]:
    """Weights of a finder; those that ``folder`` keeps of an earlier call that was cut off.

    Args:
        images: uint8, shape (n, size, size).
        outlines: uint8, shape (n, 64, 64), hulls of the lungs (``training.blanking.find_lungs``).
        rows: those to learn from, and those by which it is measured.
    """
    kept = folder / "finder.npz"
    if kept.exists():
        arrays = read_arrays(kept)
        return [arrays[f"weight{number}"] for number in range(len(arrays))]
    with in_float32():
        finder, (off, tilted) = _teach(images, outlines, *rows, seed)
    print(
        f"The lung finder's edges lie {off:.1%} of a film's side from the segmenter's, on "
        f"average over the validation films; turned by {_TURN}°, they look {tilted:.1f}° turned.",
        flush=True,
    )
    weights = [np.asarray(weight) for weight in finder.get_weights()]
    folder.mkdir(parents=True, exist_ok=True)
    write_arrays(kept, **{f"weight{number}": weight for number, weight in enumerate(weights)})
    return weights


def boxes(outlines: NDArray[np.uint8]) -> tuple[Boxes, NDArray[np.bool_]]:
    """Edges of the box around each outline, and whether there is one.

    Returns:
        float32, shape (n, 4): top, left, bottom, right, as shares of the side; bool, shape (n,).
    """
    rows, columns = outlines.max(axis=2) > 0, outlines.max(axis=1) > 0
    height, width = outlines.shape[1:]
    found = np.stack(
        [
            rows.argmax(axis=1) / height,
            columns.argmax(axis=1) / width,
            1 - rows[:, ::-1].argmax(axis=1) / height,
            1 - columns[:, ::-1].argmax(axis=1) / width,
        ],
        axis=1,
    )
    return found.astype(np.float32), outlines.max(axis=(1, 2)) > 0


def _teach(
    images: NDArray[np.uint8],
    outlines: NDArray[np.uint8],
    train: NDArray[np.int64],
    validation: NDArray[np.int64],
    seed: int,
) -> tuple[keras.Model, tuple[float, float]]:
    keras.utils.set_random_seed(seed)
    finder = lung_finder()
    finder.compile(
        optimizer=keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(_RATE, _STEPS)),
        loss="mean_absolute_error",
    )
    exposure = augmenter(_EXPOSURE, seed + 1)
    random = np.random.default_rng(seed)
    edges, found = boxes(outlines[train])
    films, edges = _shrunk(images, train[found], _POSED), edges[found]
    for _ in range(_STEPS):
        chosen = random.integers(0, len(films), _BATCH)
        window, straight = _windows(random, _BATCH), np.zeros((_BATCH, 1), np.float32)
        posed = upright_view(from_eight_bits(films[chosen]), window, straight, _POSED, softness=0.5)
        tilt = random.uniform(-MOST_TILT, MOST_TILT, (_BATCH, 1)).astype(np.float32)
        seen = exposure(_turned(posed, -tilt), training=True)
        target = np.concatenate([_within(edges[chosen], window), tilt], axis=1)
        finder.train_on_batch(seen, target)
    edges, found = boxes(outlines[validation])
    upright = from_eight_bits(_shrunk(images, validation[found], THUMBNAIL))
    off = np.abs(finder.predict(upright, verbose=0)[:, :4] - edges[found]).mean()
    known = np.full((len(upright), 1), np.deg2rad(_TURN), np.float32)
    ways = [finder.predict(_turned(upright, way * known), verbose=0)[:, 4] for way in (-1, 1)]
    return finder, (float(off), float(np.rad2deg(np.mean(ways[0] - ways[1]) / 2)))


def _windows(random: np.random.Generator, count: int) -> Boxes:
    """What is seen of films, half of them mirrored: the left edge is right of the right one."""
    size = random.uniform(1 - _ZOOM, 1 + _ZOOM, (count, 1)) * random.uniform(
        1 - _STRETCH, 1 + _STRETCH, (count, 2)
    )
    first = 0.5 - size / 2 + random.uniform(-_SHIFT, _SHIFT, (count, 2))
    last = first + size
    mirrored = random.random(count) < 0.5
    first[mirrored, 1], last[mirrored, 1] = last[mirrored, 1], first[mirrored, 1].copy()
    return np.concatenate([first, last], axis=1).astype(np.float32)


def _within(edges: Boxes, window: Boxes) -> Boxes:
    """Edges in shares of a window instead of the film; beyond 0 and 1 outside of it."""
    first, size = window[:, :2], window[:, 2:] - window[:, :2]
    one, other = (edges[:, :2] - first) / size, (edges[:, 2:] - first) / size
    return np.concatenate([np.minimum(one, other), np.maximum(one, other)], axis=1)


def _turned(films: NDArray[np.float32], angle: NDArray[np.float32]) -> Any:
    """Anticlockwise about their centres, by radians of shape (n, 1)."""
    whole = np.tile(np.array([0.0, 0.0, 1.0, 1.0], np.float32), (len(films), 1))
    return upright_view(films, whole, angle, THUMBNAIL, softness=films.shape[1] / THUMBNAIL / 2)


def _shrunk(images: NDArray[np.uint8], rows: NDArray[np.int64], side: int) -> NDArray[np.uint8]:
    """uint8, shape (len(rows), side, side, 1)."""
    small = [
        cv2.resize(np.asarray(images[row]), (side, side), interpolation=cv2.INTER_AREA)
        for row in rows
    ]
    return np.asarray(np.stack(small), np.uint8)[..., np.newaxis]
