"""Several GPUs, several machines: data parallelism by ``keras.distribution``.

It computes on Keras's JAX backend alone (the TensorFlow and PyTorch backends train on one
GPU): every device holds the whole network, takes its share of each batch, and the gradients
are averaged. More than one machine takes part where Keras's own variables say so:
``KERAS_DISTRIBUTION_JOB_ADDRESSES``, ``…_NUM_PROCESSES`` and ``…_PROCESS_ID``.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

import keras
import numpy as np
from numpy.typing import NDArray

from training.errors import TrainingError

_ADDRESSES = "KERAS_DISTRIBUTION_JOB_ADDRESSES"


def join_processes() -> None:
    """Wait for the other processes, where there are any. Before anything is computed.

    Raises:
        TrainingError: they are named, but the backend cannot work with them.
    """
    if _ADDRESSES not in os.environ:
        return
    if keras.backend.backend() != "jax":
        raise TrainingError(
            f"{_ADDRESSES} is set: several processes need KERAS_BACKEND=jax, not "
            f"{keras.backend.backend()}."
        )
    keras.distribution.initialize()


def processes() -> tuple[int, int]:
    """How many processes take part, and which of them this one is."""
    if _ADDRESSES not in os.environ:
        return 1, 0
    import jax

    return jax.process_count(), jax.process_index()


@contextmanager
def on_all_devices() -> Iterator[int]:
    """Networks that are built and trained in this block are spread over all devices.

    Yields:
        The number of devices, of which each takes a share of every batch.
    """
    devices = keras.distribution.list_devices() if keras.backend.backend() == "jax" else []
    if len(devices) < 2:
        yield 1
        return
    before = keras.distribution.distribution()
    # Every process draws its own share of each batch (``share_of_batch``).
    parallel = keras.distribution.DataParallel(devices=devices, auto_shard_dataset=False)
    keras.distribution.set_distribution(parallel)
    try:
        yield len(devices)
    finally:
        keras.distribution.set_distribution(before)


def share_of_batch(
    rows: NDArray[np.int64], fill: NDArray[np.int64], devices: int
) -> NDArray[np.int64]:
    """This process's rows of a batch that all devices share evenly.

    Args:
        rows: the batch.
        fill: rows to repeat where the batch does not divide (the last of an epoch).
    """
    missing = -len(rows) % devices
    if missing:
        rows = np.concatenate([rows, np.resize(fill, missing)])
    count, number = processes()
    return rows[number * len(rows) // count : (number + 1) * len(rows) // count]
