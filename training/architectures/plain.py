"""Plain CNNs: convolution, ReLU, max pooling, repeated; then dense layers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import keras
from keras import layers

from training.architectures.parts import as_rgb, dense_head, export, image_input


@dataclass(frozen=True)
class PlainNetwork:
    """Shape of the network.

    Attributes:
        filters: channels of each 3 × 3 convolution, each followed by max pooling.
        pool: side of the pooling windows.
        dense: widths of the hidden dense layers.
        dropout: share of the last hidden features dropped while training.
        rgb: feed the film in three equal channels, as the systems did that read colour files.
        average: average each channel over the film before the dense layers, instead of
            flattening; without hidden dense layers it then has class activation maps.
    """

    filters: tuple[int, ...] = (32, 64, 128)
    pool: int = 2
    dense: tuple[int, ...] = (128,)
    dropout: float = 0.0
    rgb: bool = False
    average: bool = False


def build(shape: PlainNetwork, size: int, classes: int) -> keras.Model:
    """See ``training.architectures.build``."""
    image = image_input(size)
    x = as_rgb(image) if shape.rgb else image
    for number, filters in enumerate(shape.filters, 1):
        x = layers.Conv2D(
            filters, 3, activation="relu", kernel_initializer="he_uniform", name=f"conv{number}"
        )(x)
        x = layers.MaxPooling2D(shape.pool, name=f"pool{number}")(x)
    if shape.average:
        if not shape.dense:
            x = layers.Identity(name="features")(x)
        x = layers.GlobalAveragePooling2D(name="average")(x)
    else:
        x = layers.Flatten(name="flatten")(x)
    return keras.Model(image, dense_head(x, shape.dense, shape.dropout, classes), name="plain")


def assemble(members: Sequence[keras.Model], shape: PlainNetwork) -> keras.Model:
    """See ``training.architectures.assemble``."""
    return export(members, partial(build, shape), "plain")
