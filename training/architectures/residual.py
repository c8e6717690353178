"""The flagship network: a residual CNN without batch normalisation.

Batch statistics are the usual trap of this problem: they are gathered on one hospital's
films and used on another's. Normaliser-free residual networks (Brock, De, Smith 2021,
"Characterizing signal propagation to close the performance gap in unnormalized ResNets",
arXiv 2101.08692) standardise the weights instead of the activations: nothing is learned
from a batch, and after training the standardisation folds into ordinary convolutions
(``assemble``), so what is exported holds only stock Keras layers.

Everything is written in ``keras.ops``: the same network trains on the TensorFlow, JAX
and PyTorch backends.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from keras import layers, ops
from numpy.typing import NDArray

from training.architectures.centre import FINDER, find_lungs, on_film, upright_view, view

# All strides of a network of three stages together.
_STRIDE = 16
# A ReLU of a unit Gaussian has this much less than unit variance (arXiv 2101.08692, eq. 3).
RELU_GAIN = float(np.sqrt(2.0 / (1.0 - 1.0 / np.pi)))


@dataclass(frozen=True)
class ResidualNetwork:
    """Shape of the network.

    Attributes:
        stem: channels of the two stride-2 convolutions that open the network.
        widths: channels of each stage; every stage after the first halves the grid.
        depths: residual blocks per stage.
        dropout: share of pooled features dropped while training.
        view: side of a lung-centred view that is read instead of the whole film, as a share of
            the input's (``training/architectures/centre.py``); 0 reads the whole film.
        upright: what is exported turns the film until the lungs are upright before it looks.
        softness: how many times as wide as needed against aliasing the filter is that what is
            exported resamples this view with. What blur, noise and sharpening change most is left
            out; a network that is trained with it too learns to make up for it.
        mirrored: what is exported reads each film and its mirror image, and means the answers:
            what a turn, a blur or noise does to one is only partly what it does to the other.
            One network reads both, which is twice the arithmetic; of several, whose errors differ
            by more than a mirror makes them, each other one reads the mirror image instead.
    """

    stem: tuple[int, int] = (24, 48)
    widths: tuple[int, ...] = (48, 96, 160)
    depths: tuple[int, ...] = (2, 2, 2)
    dropout: float = 0.3
    view: float = 0.0
    upright: bool = False
    softness: float = 1.0
    mirrored: bool = False

    def __post_init__(self) -> None:
        if self.mirrored and not self.view:
            raise ValueError("mirrored networks need a view")
        if len(self.widths) != len(self.depths):
            raise ValueError("widths and depths must name the same number of stages")


@keras.saving.register_keras_serializable(package="training")
class WeightStandardizedConv2D(layers.Conv2D):  # type: ignore[misc]
    """Convolution whose kernel has zero mean and variance gain² / fan-in per output channel.

    Args:
        initial_gain: start value of the learned gain, one per output channel.
    """

    def __init__(self, filters: int, kernel_size: Any, initial_gain: float = 1.0, **rest: Any):
        super().__init__(filters, kernel_size, **rest)
        self.initial_gain = initial_gain

    def build(self, input_shape: Any) -> None:
        super().build(input_shape)
        self.gain = self.add_weight(
            shape=(self.filters,),
            initializer=keras.initializers.Constant(self.initial_gain),
            name="gain",
        )

    def standardized(self, kernel: Any) -> Any:
        """float32 kernel, shape (height, width, in, out)."""
        kernel = ops.cast(kernel, "float32")
        fan_in = kernel.shape[0] * kernel.shape[1] * kernel.shape[2]
        mean = ops.mean(kernel, axis=(0, 1, 2), keepdims=True)
        variance = ops.mean(ops.square(kernel - mean), axis=(0, 1, 2), keepdims=True)
        scale = ops.rsqrt(ops.maximum(variance * fan_in, 1e-4))
        return (kernel - mean) * scale * ops.cast(self.gain, "float32")

    def convolution_op(self, inputs: Any, kernel: Any) -> Any:
        return super().convolution_op(inputs, ops.cast(self.standardized(kernel), inputs.dtype))

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "initial_gain": self.initial_gain}


def _convolution(
    folded: bool, filters: int, size: int, strides: int, name: str, gain: float = RELU_GAIN
) -> layers.Layer:
    options = {"strides": strides, "padding": "same", "name": name}
    if folded:
        return layers.Conv2D(filters, size, **options)
    return WeightStandardizedConv2D(
        filters, size, initial_gain=gain, kernel_initializer="he_normal", **options
    )


def _block(folded: bool, x: Any, width: int, strides: int, name: str) -> Any:
    activated = layers.ReLU(name=f"{name}_relu1")(x)
    shortcut = x
    if strides > 1 or x.shape[-1] != width:
        shortcut = activated
        if strides > 1:
            shortcut = layers.AveragePooling2D(strides, padding="same", name=f"{name}_pool")(
                shortcut
            )
        shortcut = _convolution(folded, width, 1, 1, f"{name}_shortcut")(shortcut)
    y = _convolution(folded, width, 3, strides, f"{name}_conv1")(activated)
    y = layers.ReLU(name=f"{name}_relu2")(y)
    # A branch that starts at zero keeps the signal's variance (SkipInit, arXiv 2002.10444).
    y = _convolution(folded, width, 3, 1, f"{name}_conv2", gain=0.0)(y)
    return layers.Add(name=f"{name}_add")([shortcut, y])


def _features(shape: ResidualNetwork, image: Any, folded: bool, prefix: str = "") -> Any:
    """Feature map, shape (n, size / 16, size / 16, widths[-1]), not negative."""
    x = _convolution(folded, shape.stem[0], 3, 2, f"{prefix}stem1", gain=1.0)(image)
    x = layers.ReLU(name=f"{prefix}stem1_relu")(x)
    x = _convolution(folded, shape.stem[1], 3, 2, f"{prefix}stem2")(x)
    for stage, (width, depth) in enumerate(zip(shape.widths, shape.depths, strict=True)):
        for number in range(depth):
            strides = 2 if stage > 0 and number == 0 else 1
            name = f"{prefix}stage{stage + 1}_block{number + 1}"
            x = _block(folded, x, width, strides, name)
    return layers.ReLU(name=f"{prefix}features")(x)


def _image(shape: ResidualNetwork, size: int, *, training: bool) -> tuple[Any, Any, Any]:
    """The input, what the convolutions read of it, and where that lies, if it is not all."""
    image = keras.Input((size, size, 1), name="image")
    where, seen = None, image
    mirrored = shape.mirrored and not training
    if shape.view:
        box, tilt = find_lungs(image, training=training, mirrored=mirrored)
        # A multiple of what all strides together shrink a film by.
        side = _STRIDE * max(round(shape.view * size / _STRIDE), 1)
        softness = 1.0 if training else shape.softness
        if shape.upright and not training:
            where = (box, tilt)
            seen = upright_view(image, box, tilt, side, softness, mirrored=mirrored)
        else:
            where, seen = (box, None), view(image, box, side, softness, mirrored=mirrored)
    # Standardised per image: brightness and contrast carry the hospital, not the disease.
    standardize = layers.LayerNormalization(
        axis=(1, 2, 3), center=False, scale=False, name="standardize", dtype="float32"
    )
    return image, standardize(seen), where


def build(shape: ResidualNetwork, size: int, classes: int) -> keras.Model:
    """The network that is trained: (n, size, size, 1) in [0, 1] → (n, classes) logits, float32."""
    image, x, _ = _image(shape, size, training=True)
    x = layers.GlobalAveragePooling2D(name="pool")(_features(shape, x, folded=False))
    x = layers.Dropout(shape.dropout, name="dropout")(x)
    return keras.Model(image, layers.Dense(classes, name="logits", dtype="float32")(x))


def assemble(members: Sequence[keras.Model], shape: ResidualNetwork) -> keras.Model:
    """The model that is exported: one or more trained networks in one graph of stock layers.

    The members' logits are averaged. Because that average is linear, it is the same as one
    dense layer on the members' features side by side, so an ensemble keeps the form
    ``features`` → ``pool`` → ``logits`` → ``probabilities`` from which a class activation
    map can be read. The convolutions' weights are rounded to half precision: their files take
    half the space (``training/lean.py``), and they compute in float32 as before.

    Returns:
        (n, size, size, 1) in [0, 1] → (n, classes) probabilities, float32.
    """
    size, classes = members[0].input_shape[1], members[0].output_shape[-1]
    image, x, where = _image(shape, size, training=False)
    named = {f"member{number}_": member for number, member in enumerate(members, 1)}
    by_turns = shape.mirrored and len(members) > 1
    if by_turns:
        first, second = list(named)[::2], list(named)[1::2]
        named = {prefix: named[prefix] for prefix in first + second}
        plain, mirror = ops.split(x, 2, axis=0)
        x = ops.concatenate(
            [_side_by_side(shape, plain, first), _side_by_side(shape, mirror, second)], axis=0
        )
    else:
        x = _side_by_side(shape, x, named)
    if where is not None:
        box, tilt = where
        x = on_film(x, box, tilt, size // _STRIDE)
    if shape.mirrored:
        plain, mirror = ops.split(x, 2, axis=0)
        x = ops.concatenate([plain, mirror], axis=-1) if by_turns else 0.5 * plain + 0.5 * mirror
    x = layers.Identity(name="features")(x)
    x = layers.GlobalAveragePooling2D(name="pool")(x)
    x = layers.Dense(classes, name="logits")(x)
    exported = keras.Model(image, layers.Softmax(name="probabilities")(x), name="residual")

    if shape.view:  # one for all members: they were given the same
        exported.get_layer(FINDER).set_weights(members[0].get_layer(FINDER).get_weights())
    for prefix, member in named.items():
        for source in member.layers:
            if isinstance(source, WeightStandardizedConv2D):
                kernel = ops.convert_to_numpy(source.standardized(source.kernel))
                target = exported.get_layer(prefix + source.name)
                target.set_weights([_rounded(kernel), ops.convert_to_numpy(source.bias)])
    heads = [member.get_layer("logits").get_weights() for member in named.values()]
    kernel = np.concatenate([kernel for kernel, _ in heads]) / len(heads)
    exported.get_layer("logits").set_weights([kernel, np.mean([bias for _, bias in heads], 0)])
    return exported


def _side_by_side(shape: ResidualNetwork, x: Any, prefixes: Iterable[str]) -> Any:
    """What networks that read the same see, (n, grid, grid, channels of all)."""
    maps = [_features(shape, x, folded=True, prefix=prefix) for prefix in prefixes]
    return ops.concatenate(maps, axis=-1) if len(maps) > 1 else maps[0]


def _rounded(kernel: NDArray[np.float32]) -> NDArray[np.float32]:
    return kernel.astype(np.float16).astype(np.float32)
