"""Images a second that the flagship trains, against the same network with batch normalisation.

    python benchmarks/training_step.py       BATCHES=4 in the environment: a short run

Prints both, in float32 and in the precision that ``fit`` would take here, and their ratio.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from unittest import mock

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
sys.path.insert(0, str(Path(__file__).parents[1]))

import keras  # noqa: E402
import numpy as np  # noqa: E402
from keras import layers  # noqa: E402

from training.architectures import residual as architectures  # noqa: E402
from training.device import use_device  # noqa: E402
from training.recipe import load_recipe  # noqa: E402

BATCHES = int(os.environ.get("BATCHES", "60"))


def batch_normalized(folded: bool, filters: int, size: int, strides: int, name: str, **_: float):
    """A plain convolution followed by batch normalisation, in place of a standardised one."""
    convolution = layers.Conv2D(
        filters, size, strides=strides, padding="same", use_bias=False, name=name
    )
    normalization = layers.BatchNormalization(name=f"{name}_bn")
    return lambda x: normalization(convolution(x))


def images_per_second(model: keras.Model, batch: int, size: int) -> float:
    """Of a whole training step, after one that compiles."""
    model.compile(keras.optimizers.AdamW(1e-3), keras.losses.CategoricalCrossentropy(True))
    random = np.random.default_rng(0)
    images = random.random((BATCHES * batch, size, size, 1), np.float32)
    targets = np.eye(3, dtype=np.float32)[random.integers(0, 3, len(images))]
    model.fit(images[:batch], targets[:batch], batch_size=batch, verbose=0)
    began = time.perf_counter()
    model.fit(images, targets, batch_size=batch, verbose=0)
    return len(images) / (time.perf_counter() - began)


def main() -> None:
    recipe = load_recipe("residual")
    size, batch = recipe.preprocess.size, recipe.batch_size
    automatic = use_device().precision
    for precision in dict.fromkeys(("float32", automatic)):
        keras.mixed_precision.set_global_policy(precision)
        standardized = images_per_second(architectures.build(recipe.network, size, 3), batch, size)
        with mock.patch.object(architectures, "_convolution", batch_normalized):
            model = architectures.build(recipe.network, size, 3)
        normalized = images_per_second(model, batch, size)
        print(
            f"{precision:15s} standardised weights {standardized:6.1f} images/s, batch "
            f"normalisation {normalized:6.1f}, ratio {standardized / normalized:.2f}"
        )


if __name__ == "__main__":
    main()
