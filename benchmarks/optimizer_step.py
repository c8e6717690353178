"""What one step of each optimizer costs the flagship, against Muon with Keras's own iteration.

    python benchmarks/optimizer_step.py       BATCHES=4 in the environment: a short run

Prints milliseconds a step, without the network's own forward and backward pass.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
sys.path.insert(0, str(Path(__file__).parents[1]))

import keras  # noqa: E402
import numpy as np  # noqa: E402
import tensorflow as tf  # noqa: E402

from training.architectures.residual import build  # noqa: E402
from training.optimizers import KernelMuon  # noqa: E402
from training.recipe import load_recipe  # noqa: E402

BATCHES = int(os.environ.get("BATCHES", "60"))


class KerasMuon(KernelMuon):
    """The same with the iteration that Keras has."""

    def zeropower_via_newtonschulz5(self, x, steps):
        matrix = keras.ops.reshape(x, (-1, x.shape[-1]))
        update = keras.optimizers.Muon.zeropower_via_newtonschulz5(self, matrix, steps)
        return keras.ops.reshape(update, x.shape)


def milliseconds(optimizer: keras.optimizers.Optimizer, model: keras.Model) -> float:
    """Of one step, after one that compiles."""
    random = np.random.default_rng(0)
    gradients = [
        tf.constant(random.normal(size=variable.shape).astype(np.float32))
        for variable in model.trainable_variables
    ]
    optimizer.build(model.trainable_variables)

    @tf.function
    def step() -> None:
        optimizer.apply(gradients, model.trainable_variables)

    step()
    began = time.perf_counter()
    for _ in range(BATCHES):
        step()
    return (time.perf_counter() - began) / BATCHES * 1e3


def main() -> None:
    recipe = load_recipe("residual")
    model = build(recipe.network, recipe.preprocess.size, 3)
    taken = {
        name: milliseconds(optimizer, model)
        for name, optimizer in {
            "Muon, Keras's iteration": KerasMuon(1e-3),
            "Muon, on the Gram matrix": KernelMuon(1e-3),
            "AdamW": keras.optimizers.AdamW(1e-3),
        }.items()
    }
    for name, each in taken.items():
        print(f"{name:26} {each:6.1f} ms a step, {each / max(taken.values()):.2f} x")


if __name__ == "__main__":
    main()
