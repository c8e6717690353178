"""A lung-centred view as part of the graph: find the lungs, look there, map back to the film.

Frames, arms, markers and the distance to the detector differ from hospital to hospital and
say nothing of pneumonia. A small network finds the box around both lungs, the film is
resampled within it, and what the classifier finds there is laid back on the film's grid, so
that a class activation map stays in register. Cropping is two products with matrices that the
box defines (cf. Jaderberg 2015, spatial transformers, arXiv 1506.02025), which every backend and
ONNX have. ``training/finder.py`` teaches the finder.
"""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import layers, ops

#: Name of the finder within the networks.
FINDER = "lung_finder"
#: Side of the thumbnail in which the lungs are looked for, in pixels.
THUMBNAIL = 64
#: What is seen around the lungs, as a share of the box's sides: a pleura lies on its edge.
MARGIN = 0.06
#: No view is narrower than this share of the film, whatever the finder says.
LEAST = 0.3
#: Standard deviation of a box's edges while training: the finder will err.
JITTER = 0.02


def lung_finder() -> keras.Model:
    """Thumbnail (n, 64, 64, 1) → the box's edges (n, 4): top, left, bottom, right, as shares.

    Untrained, it finds the whole film.
    """
    thumbnail = keras.Input((THUMBNAIL, THUMBNAIL, 1), name="thumbnail")
    x = layers.LayerNormalization(
        axis=(1, 2, 3), center=False, scale=False, dtype="float32", name="level"
    )(thumbnail)
    for number, width in enumerate((16, 32, 48, 64), 1):
        x = layers.Conv2D(
            width, 3, 2, "same", activation="relu", kernel_initializer="he_normal",
            name=f"finder_conv{number}",
        )(x)  # fmt: skip
    x = layers.Flatten(name="finder_flat")(x)
    x = layers.Dense(64, activation="relu", name="finder_dense")(x)
    whole = keras.initializers.Constant(np.array([0.0, 0.0, 1.0, 1.0], np.float32))
    edges = layers.Dense(
        4, kernel_initializer="zeros", bias_initializer=whole, dtype="float32", name="edges"
    )(x)
    return keras.Model(thumbnail, edges, name=FINDER)


def find_box(image: Any, *, training: bool) -> Any:
    """(n, size, size, 1) → (n, 4), edges of the view within the film, as shares of its side.

    Args:
        training: jitter the edges in ``fit``.
    """
    finder = lung_finder()
    finder.trainable = False
    edges = finder(_thumbnail(image))
    if training:
        edges = layers.GaussianNoise(JITTER, dtype="float32", name="jitter")(edges)
    first, last = edges[:, :2], edges[:, 2:]
    around = MARGIN * (last - first)
    first = ops.clip(first - around, 0.0, 1.0 - LEAST)
    last = ops.minimum(ops.maximum(last + around, first + LEAST), 1.0)
    return ops.concatenate([first, last], axis=1)


def _thumbnail(image: Any) -> Any:
    """The whole film, (n, 64, 64, 1), in numbers known beforehand: ONNX wants no others."""
    size = image.shape[1]
    places = ((np.arange(THUMBNAIL) + 0.5) * (size / THUMBNAIL))[:, np.newaxis]
    distance = np.abs(places - (np.arange(size) + 0.5))
    weights = np.maximum(1 - distance / max(size / THUMBNAIL, 1.0), 0)
    weights = (weights / weights.sum(axis=1, keepdims=True)).astype(np.float32)
    rows = ops.matmul(weights[np.newaxis], ops.reshape(image, (-1, size, size)))
    small = ops.matmul(rows, np.ascontiguousarray(weights.T)[np.newaxis])
    return ops.reshape(small, (-1, THUMBNAIL, THUMBNAIL, 1))


def view(image: Any, box: Any, side: int, softness: float = 1.0) -> Any:
    """What lies in the box, resampled to (n, side, side, 1).

    With a triangle as wide as the larger of both pixels: linear interpolation where it enlarges,
    no aliasing where it shrinks.

    Args:
        image: float32, shape (n, size, size, 1).
        box: shape (n, 4), edges as shares of the side.
        softness: the triangle is as many times as wide.
    """
    size = image.shape[1]
    centres = ((np.arange(side, dtype=np.float32) + 0.5) / side).reshape(1, side, 1)
    pixels = np.arange(size, dtype=np.float32).reshape(1, 1, size) + np.float32(0.5)

    def weights(first: Any, last: Any) -> Any:
        length = ops.reshape(last - first, (-1, 1, 1))
        places = (ops.reshape(first, (-1, 1, 1)) + length * centres) * float(size)
        reach = softness * ops.maximum(length * (size / side), 1.0)
        found = ops.relu(1.0 - ops.absolute(places - pixels) / reach)
        return found / (ops.sum(found, axis=2, keepdims=True) + 1e-6)

    rows = weights(box[:, 0], box[:, 2])
    columns = ops.transpose(weights(box[:, 1], box[:, 3]), (0, 2, 1))
    seen = ops.matmul(ops.matmul(rows, ops.reshape(image, (-1, size, size))), columns)
    return ops.reshape(seen, (-1, side, side, 1))


def on_film(features: Any, box: Any, grid: int) -> Any:
    """Features of the view, (n, g, g, c), where they lie on the film: (n, grid, grid, c).

    Their mean over the grid stays the same, so averaging and a dense layer give the same
    logits as of the view; outside the box they are 0.
    """
    small, channels = features.shape[1], features.shape[3]
    cells = np.arange(grid, dtype=np.float32).reshape(1, grid, 1) / grid
    steps = np.arange(small, dtype=np.float32).reshape(1, 1, small) / small

    def shares(first: Any, last: Any) -> Any:
        """Of each cell of the view in each cell of the film, times the cells' ratio."""
        first = ops.reshape(first, (-1, 1, 1))
        length = ops.reshape(last, (-1, 1, 1)) - first
        begins = first + length * steps
        ends = ops.minimum(begins + length / small, cells + np.float32(1 / grid))
        return ops.relu(ends - ops.maximum(begins, cells)) / length * float(grid)

    rows, columns = shares(box[:, 0], box[:, 2]), shares(box[:, 1], box[:, 3])
    flat = ops.reshape(features, (-1, small, small * channels))
    tall = ops.reshape(ops.matmul(rows, flat), (-1, grid, small, channels))
    return ops.matmul(ops.expand_dims(columns, 1), tall)
