"""A lung-centred view as part of the graph: find the lungs, look there, map back to the film.

Frames, arms, markers, the distance to the detector and how straight a patient stood differ from
hospital to hospital and say nothing of pneumonia. A small network finds how the lungs are tilted
and the box around both, the film is turned upright and resampled within it, and what the
classifier finds there is laid back on the film's grid, so that a class activation map stays in
register (cf. Jaderberg 2015, spatial transformers, arXiv 1506.02025). ``training/finder.py``
teaches the finder. While the classifier is trained, films stay as tilted as they are: trained
with films turned upright, the adults' was worse (docs/experiments.md).
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
#: No view reaches further beyond the film than this share of it, whatever the finder says.
BEYOND = 0.15
#: Standard deviation of a frame's numbers while training: the finder will err.
JITTER = 0.02
#: No film is turned further than this, in radians (20°), whatever the finder says.
MOST_TILT = 0.35


def lung_finder() -> keras.Model:
    """Thumbnail (n, 64, 64, 1) → the lungs' frame (n, 5).

    Top, left, bottom and right of the box around both, as shares of the side, on the film once
    it is upright, and the tilt, in radians: how far it has to be turned anticlockwise for that.
    Untrained, it finds the whole film, upright.
    """
    thumbnail = keras.Input((THUMBNAIL, THUMBNAIL, 1), name="thumbnail")
    x = layers.LayerNormalization(
        axis=(1, 2, 3), center=False, scale=False, dtype="float32", name="level"
    )(thumbnail)
    steps = ((24, 2), (48, 2), (48, 1), (64, 2), (64, 1), (96, 2))
    for number, (width, stride) in enumerate(steps, 1):
        x = layers.Conv2D(
            width, 3, stride, "same", activation="relu", kernel_initializer="he_normal",
            name=f"finder_conv{number}",
        )(x)  # fmt: skip
    x = layers.Flatten(name="finder_flat")(x)
    x = layers.Dense(64, activation="relu", name="finder_dense")(x)
    whole = keras.initializers.Constant(np.array([0.0, 0.0, 1.0, 1.0, 0.0], np.float32))
    frame = layers.Dense(
        5, kernel_initializer="zeros", bias_initializer=whole, dtype="float32", name="frame"
    )(x)
    return keras.Model(thumbnail, frame, name=FINDER)


def find_lungs(image: Any, *, training: bool, mirrored: bool = False) -> tuple[Any, Any]:
    """(n, size, size, 1) → edges of the view (n, 4), as shares of the side, and tilt (n, 1).

    Args:
        training: jitter both in ``fit``.
        mirrored: look at the mirror images too. What is found there comes after the rest and
            lies on the films themselves: a view whose left edge is right of its right edge.
    """
    finder = lung_finder()
    finder.trainable = False
    thumbnails = _thumbnail(image)
    if mirrored:
        thumbnails = ops.concatenate([thumbnails, ops.flip(thumbnails, axis=2)], axis=0)
    frame = finder(thumbnails)
    if training:
        frame = layers.GaussianNoise(JITTER, dtype="float32", name="jitter")(frame)
    first, last, tilt = frame[:, :2], frame[:, 2:4], frame[:, 4:]
    # Lungs may go on beyond a film that was cut; what is seen around them ends with the film.
    around = ops.maximum(MARGIN * (last - first), 0.0)
    first = ops.maximum(first - around, ops.clip(first, -BEYOND, 0.0))
    last = ops.minimum(last + around, ops.clip(last, 1.0, 1.0 + BEYOND))
    first = ops.minimum(first, 1.0 - LEAST)
    last = ops.maximum(last, first + LEAST)
    box, tilt = ops.concatenate([first, last], axis=1), ops.clip(tilt, -MOST_TILT, MOST_TILT)
    if not mirrored:
        return box, tilt
    (box, other_box), (tilt, other_tilt) = ops.split(box, 2, axis=0), ops.split(tilt, 2, axis=0)
    # Columns count from the other side.
    sign, start = np.array([1, -1, 1, -1], np.float32), np.array([0, 1, 0, 1], np.float32)
    other_box = other_box * sign + start
    return (
        ops.concatenate([box, other_box], axis=0),
        ops.concatenate([tilt, -other_tilt], axis=0),
    )


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


def view(image: Any, box: Any, side: int, softness: float = 1.0, *, mirrored: bool = False) -> Any:
    """What lies in the box, resampled to (n, side, side, 1).

    With a triangle as wide as the larger of both pixels: linear interpolation where it enlarges,
    no aliasing where it shrinks. Beyond its edge a film goes on as it ends.

    Args:
        image: float32, shape (n, size, size, 1).
        box: shape (n, 4), edges as shares of the side; the other way round where left is right
            of right.
        softness: the triangle is as many times as wide.
        mirrored: there are two boxes for each film: those of all, then others of all.
    """
    size = image.shape[1]
    if mirrored:
        image = ops.concatenate([image, image], axis=0)
    centres = ((np.arange(side, dtype=np.float32) + 0.5) / side).reshape(1, side, 1)
    pixels = np.arange(size, dtype=np.float32).reshape(1, 1, size) + np.float32(0.5)

    def weights(first: Any, last: Any) -> Any:
        length = ops.reshape(last - first, (-1, 1, 1))
        places = (ops.reshape(first, (-1, 1, 1)) + length * centres) * float(size)
        places = ops.clip(places, 0.5, size - 0.5)
        reach = softness * ops.maximum(ops.absolute(length) * (size / side), 1.0)
        found = ops.relu(1.0 - ops.absolute(places - pixels) / reach)
        return found / (ops.sum(found, axis=2, keepdims=True) + 1e-6)

    rows = weights(box[:, 0], box[:, 2])
    columns = ops.transpose(weights(box[:, 1], box[:, 3]), (0, 2, 1))
    seen = ops.matmul(ops.matmul(rows, ops.reshape(image, (-1, size, size))), columns)
    return ops.reshape(seen, (-1, side, side, 1))


def upright_view(
    image: Any,
    box: Any,
    tilt: Any,
    side: int,
    softness: float = 1.0,
    *,
    mirrored: bool = False,
) -> Any:
    """What lies in the box once the film is upright, (n, side, side, 1).

    Linear interpolation between the means of 2 × 2 pixels, which is soft enough for a view that
    shrinks the film by up to a half. Beyond its edge a film goes on as it ends.

    Args:
        image, box, mirrored: as for ``view``.
        tilt: radians, one for each box. The film is turned by it about its centre, anticlockwise.
        softness: the means are of as many times as many pixels a side, in whole ones.
    """
    size = image.shape[1]
    pool = round(2 * softness)
    means = ops.reshape(ops.average_pool(image, pool, 1), (-1,))
    centres = (np.arange(side, dtype=np.float32) + 0.5) / side

    def places(first: Any, last: Any) -> Any:
        found = _first_axis(first) + _first_axis(last - first) * centres.reshape(1, side, 1)
        return found * float(size) - pool / 2

    y = places(box[:, 0], box[:, 2])
    x = ops.transpose(places(box[:, 1], box[:, 3]), (0, 2, 1))
    width = size - pool + 1  # of the means
    # Short of the last one, so that there always is a next one.
    down, across = _before_turning(y, x, tilt, width, width - 1.001)
    top, left = ops.floor(down), ops.floor(across)
    below, beside = down - top, across - left
    # A graph knows no number of films.
    film = ops.cumsum(ops.ones_like(image[:, 0, 0], "int32"), axis=0) - 1
    if mirrored:
        film = ops.concatenate([film, film], axis=0)
    corner = ops.cast(top * float(width) + left, "int32")
    corner = corner + _first_axis(film) * width**2

    def row(first: int) -> Any:
        one, next_one = (ops.take(means, corner + first + step, axis=0) for step in (0, 1))
        return one + (next_one - one) * beside

    upper = row(0)
    return ops.reshape(upper + (row(width) - upper) * below, (-1, side, side, 1))


def _first_axis(numbers: Any) -> Any:
    """One number for each film, (n,) or (n, 1), as (n, 1, 1)."""
    return ops.reshape(numbers, (-1, 1, 1))


def _before_turning(y: Any, x: Any, angle: Any, side: int, last: float) -> tuple[Any, Any]:
    """Row and column that come to (y, x) when a square is turned anticlockwise, in [0, last]."""
    cosine, sine, middle = _first_axis(ops.cos(angle)), _first_axis(ops.sin(angle)), (side - 1) / 2
    y, x = y - middle, x - middle
    # Differences: where there is one film, Keras on TensorFlow takes the sum of a column and a
    # row for the addition of a bias (keras-team/keras#20386), and answers with a column.
    return (
        ops.clip((cosine * y + middle) - (-sine) * x, 0.0, last),
        ops.clip((cosine * x + middle) - sine * y, 0.0, last),
    )


def on_film(features: Any, box: Any, tilt: Any | None, grid: int) -> Any:
    """Features of the view, (n, g, g, c), where they lie on the film: (n, grid, grid, c).

    Their mean over the grid stays the same, so averaging and a dense layer give the same
    logits as of the view; outside the box they are 0.

    Args:
        box, tilt: as ``find_lungs`` gives them; no tilt where the film was not turned.
    """
    small, channels = features.shape[1], features.shape[3]
    cells = np.arange(grid, dtype=np.float32).reshape(1, grid, 1) / grid
    ends_of_cells = cells + np.float32(1 / grid)
    # What was seen beyond the film counts where it ends.
    cells[0, 0], ends_of_cells[0, -1] = -1.0, 2.0
    steps = np.arange(small, dtype=np.float32).reshape(1, 1, small) / small

    def shares(first: Any, last: Any) -> Any:
        """Of each cell of the view in each cell of the film, times the cells' ratio."""
        first = ops.reshape(first, (-1, 1, 1))
        length = ops.reshape(last, (-1, 1, 1)) - first
        one, other = first + length * steps, first + length * (steps + np.float32(1 / small))
        begins = ops.maximum(ops.minimum(one, other), cells)
        ends = ops.minimum(ops.maximum(one, other), ends_of_cells)
        return ops.relu(ends - begins) / ops.absolute(length) * float(grid)

    rows, columns = shares(box[:, 0], box[:, 2]), shares(box[:, 1], box[:, 3])
    flat = ops.reshape(features, (-1, small, small * channels))
    tall = ops.reshape(ops.matmul(rows, flat), (-1, grid, small, channels))
    upright = ops.matmul(ops.expand_dims(columns, 1), tall)
    if tilt is None:
        return upright

    # Each cell of the upright film goes to the four around the place that it comes from.
    numbers = np.arange(grid, dtype=np.float32)
    place = _before_turning(
        numbers.reshape(1, grid, 1), numbers.reshape(1, 1, grid), tilt, grid, grid - 1.0
    )
    down, across = (
        ops.relu(1.0 - ops.absolute(ops.reshape(one, (-1, 1, grid * grid)) - numbers[:, None]))
        for one in place
    )
    to = ops.expand_dims(down, 2) * ops.expand_dims(across, 1)
    to = ops.reshape(to, (-1, grid * grid, grid * grid))
    laid = ops.matmul(to, ops.reshape(upright, (-1, grid * grid, channels)))
    return ops.reshape(laid, (-1, grid, grid, channels))
