"""What several architectures share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import keras
from keras import layers


def image_input(size: int) -> Any:
    """The input of every network: float32, (n, size, size, 1), range [0, 1]."""
    return keras.Input((size, size, 1), name="image")


def as_rgb(image: Any) -> Any:
    """Grey in all three channels, as a colour file of a radiograph holds it."""
    return layers.Concatenate(name="rgb")([image, image, image])


def dense_head(x: Any, widths: Sequence[int], dropout: float, classes: int) -> Any:
    """Dense layers with ReLU, dropout, float32 logits."""
    for number, width in enumerate(widths, 1):
        x = layers.Dense(width, activation="relu", name=f"dense{number}")(x)
    if dropout:
        x = layers.Dropout(dropout, name="dropout")(x)
    return layers.Dense(classes, name="logits", dtype="float32")(x)


def export(
    members: Sequence[keras.Model], build: Callable[[int, int], keras.Model], name: str
) -> keras.Model:
    """Rebuild in the present precision, with the trained weights and a softmax.

    One network keeps its layers side by side, and with them its class activation map;
    several stand in the graph as a whole each, and their logits are averaged.

    Args:
        build: (size, classes) → an untrained network.
    """
    size, classes = members[0].input_shape[1], members[0].output_shape[-1]
    copies = []
    for member in members:
        copy = build(size, classes)
        copy.set_weights(member.get_weights())
        copies.append(copy)
    if len(copies) == 1:
        image, logits = copies[0].input, copies[0].output
    else:
        image = image_input(size)
        outputs = []
        for number, copy in enumerate(copies, 1):
            copy.name = f"member{number}"
            outputs.append(copy(image))
        logits = layers.Average(name="average")(outputs)
    return keras.Model(image, layers.Softmax(name="probabilities")(logits), name=name)
