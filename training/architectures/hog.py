"""A CNN beside histograms of oriented gradients (Dalal and Triggs 2005) of the same film.

The histograms are part of the graph: serving cannot compute them in another way than
training did. They equal scikit-image's ``hog`` (``tests/training/test_architectures.py``).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import keras
import numpy as np
from keras import layers, ops

from training.architectures.parts import dense_head, export, image_input


@dataclass(frozen=True)
class HogNetwork:
    """Shape of the network.

    Attributes:
        filters: channels of each 3 × 3 convolution of the CNN, each followed by max pooling.
        orientations: directions that are told apart, over 180 degrees.
        cell: side of the cells whose directions are counted, in pixels.
        hog_dense: width of the dense layer on the histograms.
        dense: widths of the dense layers on both branches together.
    """

    filters: tuple[int, ...] = (32, 64, 128, 128)
    orientations: int = 9
    cell: int = 16
    hog_dense: int = 64
    dense: tuple[int, ...] = (128,)
    dropout: float = 0.4


def hog_features(image: Any, orientations: int, cell: int) -> Any:
    """Blocks of 2 × 2 cells, L2-Hys: (n, cells − 1, cells − 1, 4 · orientations).

    Args:
        image: (n, size, size, 1) with a side that is a multiple of ``cell``.
    """
    x = layers.Identity(dtype="float32", name="hog_film")(image)
    # A gradient votes for the direction nearest to it: the one it projects on the longest.
    angles = (np.arange(orientations) + 0.5) * np.pi / orientations
    # Halfway between two directions the first wins: the others count a trifle less.
    directions = np.stack([np.cos(angles), np.sin(angles)]) * (1 - 1e-6 * np.arange(orientations))
    kernels = {"gradient": np.eye(2), "projection": directions}
    found = {}
    for name, weights in kernels.items():
        kernel = np.zeros((3, 3, 1, weights.shape[1]), np.float32)
        kernel[1, 0, 0], kernel[1, 2, 0] = -weights[0], weights[0]
        kernel[0, 1, 0], kernel[2, 1, 0] = -weights[1], weights[1]
        convolution = layers.Conv2D(
            weights.shape[1], 3, use_bias=False, trainable=False, dtype="float32",
            kernel_initializer=keras.initializers.Constant(0.0), name=f"hog_{name}",
        )  # fmt: skip
        found[name] = layers.ZeroPadding2D(1, dtype="float32")(convolution(x))
        convolution.set_weights([kernel])
    magnitude = ops.sqrt(ops.sum(ops.square(found["gradient"]), axis=-1, keepdims=True))
    # A comparison, not ops.argmax: that compiles to what ONNX does not have.
    length = ops.absolute(found["projection"])
    longest = ops.equal(length, ops.max(length, axis=-1, keepdims=True))
    votes = ops.cast(longest, "float32") * magnitude
    cells = layers.AveragePooling2D(cell, dtype="float32", name="hog_cells")(votes)
    corners = [((0, 1), (0, 1)), ((0, 1), (1, 0)), ((1, 0), (0, 1)), ((1, 0), (1, 0))]
    blocks = layers.Concatenate(dtype="float32", name="hog_blocks")(
        [layers.Cropping2D(corner, dtype="float32")(cells) for corner in corners]
    )
    blocks = layers.UnitNormalization(axis=-1, dtype="float32")(blocks)
    blocks = layers.ReLU(max_value=0.2, dtype="float32")(blocks)
    return layers.UnitNormalization(axis=-1, dtype="float32", name="hog")(blocks)


def build(shape: HogNetwork, size: int, classes: int) -> keras.Model:
    """See ``training.architectures.build``."""
    image = image_input(size)
    gradients = layers.Flatten(dtype="float32")(hog_features(image, shape.orientations, shape.cell))
    gradients = layers.Dense(shape.hog_dense, activation="relu", name="hog_dense")(gradients)
    x = image
    for number, filters in enumerate(shape.filters, 1):
        x = layers.Conv2D(
            filters, 3, activation="relu", padding="same", kernel_initializer="he_uniform",
            name=f"conv{number}",
        )(x)  # fmt: skip
        x = layers.MaxPooling2D(2, name=f"pool{number}")(x)
    x = layers.GlobalAveragePooling2D(name="average")(x)
    both = layers.Concatenate(name="both")([x, gradients])
    return keras.Model(image, dense_head(both, shape.dense, shape.dropout, classes), name="hog_cnn")


def assemble(members: Sequence[keras.Model], shape: HogNetwork) -> keras.Model:
    """See ``training.architectures.assemble``."""
    return export(members, partial(build, shape), "hog_cnn")
