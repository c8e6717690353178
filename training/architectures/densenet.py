"""DenseNet (Huang 2017, arXiv 1608.06993) from Keras Applications, with a dense head."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import keras
from keras import layers

from training.architectures.parts import as_rgb, dense_head, export, image_input
from training.errors import TrainingError

# Of ImageNet's channels, as keras.applications.densenet.preprocess_input has them.
_MEAN = (0.485, 0.456, 0.406)
_DEVIATION = (0.229, 0.224, 0.225)


@dataclass(frozen=True)
class DenseNetwork:
    """Shape of the network, and what its weights start from.

    Attributes:
        depth: 121, 169 or 201 layers.
        weights: ``imagenet`` (Keras downloads them), ``none``, or the path of a weights file
            without its top, as Keras Applications has them (``…_notop.h5``).
        dense: widths of the hidden dense layers of the head.
    """

    depth: int = 169
    weights: str = "imagenet"
    dense: tuple[int, ...] = (256,)
    dropout: float = 0.45


def build(shape: DenseNetwork, size: int, classes: int) -> keras.Model:
    """See ``training.architectures.build``.

    Raises:
        TrainingError: the weights cannot be downloaded, read, or do not fit.
    """
    image = image_input(size)
    x = layers.Rescaling(
        [1 / deviation for deviation in _DEVIATION],
        [-mean / deviation for mean, deviation in zip(_MEAN, _DEVIATION, strict=True)],
        name="standardize",
    )(as_rgb(image))
    weights = None if shape.weights == "none" else shape.weights
    if weights not in (None, "imagenet") and not Path(weights).is_file():
        raise TrainingError(f"There is no weights file {weights}. Check the path after --weights.")
    try:
        make = getattr(keras.applications, f"DenseNet{shape.depth}")
        base = make(include_top=False, weights=weights, input_tensor=x)
    except Exception as error:  # whatever the network, h5py or a misfit provokes
        if weights is None:
            raise
        raise TrainingError(_explain(weights, shape.depth, error)) from error
    features = layers.GlobalAveragePooling2D(name="average")(base.output)
    return keras.Model(
        image, dense_head(features, shape.dense, shape.dropout, classes), name="densenet"
    )


def assemble(members: Sequence[keras.Model], shape: DenseNetwork) -> keras.Model:
    """See ``training.architectures.assemble``."""
    return export(members, partial(build, replace(shape, weights="none")), "densenet")


def _explain(weights: str, depth: int, error: Exception) -> str:
    if weights == "imagenet":
        return (
            f"The ImageNet weights of DenseNet{depth} could not be downloaded. Fetch the file "
            f"densenet{depth}_weights_tf_dim_ordering_tf_kernels_notop.h5 of Keras Applications "
            "on a machine with internet and give its path (--weights PATH), or train from nothing "
            f"(--weights none). The reason: {error}"
        )
    return f"The weights in {weights} do not fit DenseNet{depth}: {error}"
