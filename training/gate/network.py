"""The network: four convolutions on a thumbnail, of stock Keras layers."""

from __future__ import annotations

import keras
import numpy as np
from keras import layers
from numpy.typing import NDArray

from cxr.preprocess import from_eight_bits
from cxr.verdict import CLASSES
from training.gate.pool import Pool

_WIDTHS = (16, 32, 64, 64)
_BATCH = 64
_LEARNING_RATE = 2e-3
_SMOOTHING = 0.02


def build(size: int) -> keras.Model:
    """(n, size, size, 1) in [0, 1] → (n, len(CLASSES)) probabilities."""
    image = keras.Input((size, size, 1), name="image")
    x = layers.LayerNormalization(axis=(1, 2, 3), center=False, scale=False, name="standardize")(
        image
    )
    for number, width in enumerate(_WIDTHS, 1):
        x = layers.Conv2D(
            width,
            3,
            strides=2,
            padding="same",
            activation="relu",
            kernel_initializer="he_normal",
            name=f"convolution{number}",
        )(x)
    # Flattened, not averaged: where the lungs lie is what tells upright from upside down.
    x = layers.Flatten(name="grid")(x)
    x = layers.Dropout(0.2, name="dropout")(x)
    x = layers.Dense(48, activation="relu", name="layout")(x)
    x = layers.Dense(len(CLASSES), name="logits")(x)
    return keras.Model(image, layers.Softmax(name="probabilities")(x), name="gate")


def fit(pool: Pool, size: int, views: int, seed: int) -> keras.Model:
    """Train on ``views`` views drawn from the pool.

    Args:
        views: in all; more than the pool holds shows some of them again.
    """
    keras.utils.set_random_seed(seed)
    model = build(size)
    steps = views // _BATCH
    random = np.random.default_rng(seed)
    passes = -(-views // len(pool.labels))
    order = np.concatenate([random.permutation(len(pool.labels)) for _ in range(passes)])
    order = order[: steps * _BATCH]
    model.compile(
        optimizer=keras.optimizers.AdamW(
            keras.optimizers.schedules.CosineDecay(
                0.0, steps, warmup_target=_LEARNING_RATE, warmup_steps=steps // 20
            ),
            weight_decay=0.01,
            global_clipnorm=1.0,
        ),
        loss=keras.losses.CategoricalCrossentropy(label_smoothing=_SMOOTHING),
        jit_compile=False,  # compiling costs more than these few steps
    )
    model.fit(_Batches(pool, order), shuffle=False, verbose=0)
    bare = build(size)  # without the optimizer, which is twice as large as the weights
    bare.set_weights(model.get_weights())
    return bare


class _Batches(keras.utils.PyDataset):  # type: ignore[misc]
    def __init__(self, pool: Pool, order: NDArray[np.int64]) -> None:
        super().__init__()
        self.pool, self.order = pool, order

    def __len__(self) -> int:
        return len(self.order) // _BATCH

    def __getitem__(self, number: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        rows = self.order[number * _BATCH : (number + 1) * _BATCH]
        images = from_eight_bits(self.pool.images[rows][..., np.newaxis])
        return images, np.eye(len(CLASSES), dtype=np.float32)[self.pool.labels[rows]]
