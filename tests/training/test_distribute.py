"""Data parallelism: the same network, whether one device computes it or several."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.server import free_port
from training.distribute import join_processes, share_of_batch
from training.errors import TrainingError

ROOT = Path(__file__).parents[2]
PROGRAM = """
import pathlib, sys, types
import keras, numpy as np
from training.device import use_device
use_device("float32")
from dataclasses import replace
from tests.training.tiny import TINY
from training.augment import NO_AUGMENTATION
from training.members import train_members
from training.recipe import Stage

images = np.random.default_rng(0).integers(0, 256, (26, 64, 64), np.uint8)
finding = types.SimpleNamespace(infected=True)
prepared = types.SimpleNamespace(
    images=images, labels=np.arange(26) % 2, lungs=None, infected=np.array([False, True]),
    dataset=types.SimpleNamespace(classes=(finding, finding)),
)
recipe = replace(TINY, stages=(Stage(epochs=2, augmentation=NO_AUGMENTATION),), batch_size=8,
                 network=replace(TINY.network, dropout=0.0))
rows = np.arange(16), np.arange(16, 26)
every = keras.distribution.list_devices
for folder in map(pathlib.Path, sys.argv[1:]):
    keras.distribution.list_devices = (lambda: every()[:1]) if folder.name == "one" else every
    (done,) = train_members(prepared, recipe, rows, 0, folder)
    np.savez(folder / "weights.npz", *done.model.get_weights())
"""


def test_a_share_divides_evenly_and_repeats_what_is_missing():
    rows = np.arange(10)
    assert share_of_batch(rows, rows, 1).tolist() == list(range(10))
    assert share_of_batch(rows, rows, 4).tolist() == [*range(10), 0, 1]


def test_several_processes_need_jax(monkeypatch):
    import keras

    if keras.backend.backend() == "jax":
        pytest.skip("this is the backend that can")
    monkeypatch.setenv("KERAS_DISTRIBUTION_JOB_ADDRESSES", "127.0.0.1:1,127.0.0.1:2")
    with pytest.raises(TrainingError, match="KERAS_BACKEND=jax"):
        join_processes()


def _run(*folders: Path, **variables: str) -> subprocess.Popen[str]:
    for folder in folders:
        folder.mkdir()
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM, *map(str, folders)],
        cwd=ROOT,
        env={**os.environ, "KERAS_BACKEND": "jax", **variables},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def _weights(folder: Path) -> list[np.ndarray]:
    with np.load(folder / "weights.npz") as arrays:
        return [arrays[name] for name in arrays.files]


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("jax") is None, reason="jax is not installed")
def test_two_devices_and_two_processes_train_what_one_trains(tmp_path):
    two = {"XLA_FLAGS": "--xla_force_host_platform_device_count=2"}
    alone = _run(tmp_path / "one", tmp_path / "devices", **two)
    addresses = f"127.0.0.1:{free_port()},127.0.0.1:{free_port()}"
    names = ("process0", "process1")
    both = [
        _run(
            tmp_path / name,
            KERAS_DISTRIBUTION_JOB_ADDRESSES=addresses,
            KERAS_DISTRIBUTION_NUM_PROCESSES="2",
            KERAS_DISTRIBUTION_PROCESS_ID=str(number),
        )
        for number, name in enumerate(names)
    ]
    for process in (alone, *both):
        output = process.communicate(timeout=600)[0]
        assert process.returncode == 0, output
    expected = _weights(tmp_path / "one")
    for name in ("devices", *names):
        for first, second in zip(expected, _weights(tmp_path / name), strict=True):
            np.testing.assert_allclose(first, second, atol=2e-4)
