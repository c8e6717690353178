"""Teaches the lung finder of a lung-centred network (``training/architectures/centre.py``).

Its teacher is the segmenter of ``training/lungs.py``, which reads 128 pixels and needs thirty
times the arithmetic: the finder learns the box around the outlines that the segmenter drew on
the training films, in poses and exposures that neither has seen. The box of a turned film is as
large as that of the film before it was turned: a box around tilted lungs would grow, and make them
look smaller to the classifier, as an older child's are.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import keras
import numpy as np
from keras import ops
from numpy.typing import NDArray

from cxr.preprocess import from_eight_bits
from training.architectures.centre import THUMBNAIL, lung_finder
from training.augment import Augmentation, RandomAffine, augmenter
from training.device import in_float32
from training.files import read_arrays, write_arrays

_STEPS, _BATCH, _RATE = 2000, 64, 2e-3
#: Largest angle that films are turned by, and the one that the finder is measured with, in degrees.
_TURN, _MEASURED_TURN = 14.0, 10.0
_POSE = Augmentation(rotation=0.0, zoom=0.25, shift=0.1, shear=0.08)
_EXPOSURE = replace(_POSE, flip=False, zoom=0.0, shift=0.0, shear=0.0, border=0.3, tone=0.3)

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
        finder, error, growth = _teach(images, outlines, *rows, seed)
    print(
        f"The lung finder's edges lie {error:.1%} of a film's side from the segmenter's, on "
        f"average over the validation films; turned by {_MEASURED_TURN:.0f}°, boxes are "
        f"{1 + growth:.0%} as large.",
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
) -> tuple[keras.Model, float, float]:
    keras.utils.set_random_seed(seed)
    finder = lung_finder()
    finder.compile(
        optimizer=keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(_RATE, _STEPS)),
        loss="mean_absolute_error",
    )
    pose, exposure = RandomAffine(_POSE, seed), augmenter(_EXPOSURE, seed + 1)
    random = np.random.default_rng(seed)
    films, lungs = _thumbnails(images, train), outlines[train].astype(np.float32)
    for _ in range(_STEPS):
        chosen = random.integers(0, len(train), _BATCH)
        both = np.stack([films[chosen], lungs[chosen]], axis=-1)
        moved = ops.convert_to_numpy(pose(both, training=True))
        edges, found = boxes((moved[..., 1] > 0.5).astype(np.uint8))
        degrees = random.uniform(-_TURN, _TURN, int(found.sum()))
        turned, edges = _turned(moved[found][..., 0], edges[found], degrees)
        finder.train_on_batch(exposure(turned[..., np.newaxis], training=True), edges)

    def find(films: NDArray[np.float32]) -> Boxes:
        return np.asarray(finder.predict(films[..., np.newaxis], verbose=0))

    edges, found = boxes(outlines[validation])
    upright = _thumbnails(images, validation)[found]
    answers = find(upright)
    areas = [
        _areas(find(_turned(upright, answers, np.full(len(upright), degrees))[0]))
        for degrees in (-_MEASURED_TURN, _MEASURED_TURN)
    ]
    growth = np.mean(areas) / _areas(answers).mean() - 1
    return finder, float(np.abs(answers - edges[found]).mean()), float(growth)


def _turned(
    films: NDArray[np.float32], edges: Boxes, degrees: NDArray[np.float64]
) -> tuple[NDArray[np.float32], Boxes]:
    """Films (n, side, side) turned anticlockwise about their centres; their boxes go along.

    A box keeps its size, and its sides stay upright.
    """
    side = films.shape[1]
    turned, moved = np.empty_like(films), np.empty_like(edges)
    for number, (film, box, angle) in enumerate(zip(films, edges, degrees, strict=True)):
        turn = cv2.getRotationMatrix2D(((side - 1) / 2, (side - 1) / 2), angle, 1.0)
        turned[number] = cv2.warpAffine(film, turn, (side, side), borderMode=cv2.BORDER_REPLICATE)
        down, across = (box[:2] + box[2:]) / 2 - 0.5
        across, down = turn[:, :2] @ (across, down) + 0.5
        half = (box[2:] - box[:2]) / 2
        moved[number, :2], moved[number, 2:] = (down, across) - half, (down, across) + half
    return turned, moved


def _areas(edges: Boxes) -> NDArray[np.float32]:
    return np.asarray(np.prod(edges[:, 2:] - edges[:, :2], axis=1))


def _thumbnails(images: NDArray[np.uint8], rows: NDArray[np.int64]) -> NDArray[np.float32]:
    small = [
        cv2.resize(np.asarray(images[row]), (THUMBNAIL, THUMBNAIL), interpolation=cv2.INTER_AREA)
        for row in rows
    ]
    return from_eight_bits(np.asarray(np.stack(small), np.uint8))
