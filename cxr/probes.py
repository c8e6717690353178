"""Probes: pictures of no patient, with the answers that the exporting machine got for them.

They lie beside a network, and loading it asks them again: other weights, another calibration or
a library that computes otherwise show in the answers, whatever the hashes say.
"""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cxr.errors import BundleError
from cxr.preprocess import from_eight_bits

PROBES_FILE = "probes/probes.npz"

#: Largest difference of a probability between two machines that is put down to rounding.
TOLERANCE = 1e-3


def save_probes(folder: Path, images: NDArray[np.uint8], answers: NDArray[Any]) -> None:
    """Write the probes of the network in ``folder``.

    Args:
        images: uint8, shape (n, size, size, 1); none may be a radiograph of somebody.
        answers: probabilities, shape (n, classes), as ``predict`` shall give them.
    """
    path = folder / PROBES_FILE
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(path, images=images, probabilities=answers)


def load_probes(folder: Path) -> tuple[NDArray[np.float32], NDArray[Any]]:
    """Inputs, float32 in [0, 1], shape (n, size, size, 1), and answers, shape (n, classes).

    Raises:
        BundleError: they are missing or damaged.
    """
    path = folder / PROBES_FILE
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as probes:
            return from_eight_bits(probes["images"]), probes["probabilities"]
    except (OSError, EOFError, ValueError, KeyError, zipfile.BadZipFile, zlib.error) as error:
        raise BundleError(f"{path} cannot be read: {error}") from error


def replay_probes(folder: Path, predict: Callable[[NDArray[np.float32]], NDArray[Any]]) -> float:
    """Largest deviation from the probabilities that the exporting machine got.

    Args:
        predict: inputs, shape (n, size, size, 1) → probabilities, shape (n, classes).

    Raises:
        BundleError: it is more than rounding, or the probes cannot be read.
    """
    images, expected = load_probes(folder)
    path = folder / PROBES_FILE
    if not len(images):
        raise BundleError(f"{path} holds no probes.")
    try:
        answers = predict(images)
    except ValueError as error:
        raise BundleError(f"{path} does not fit the network: {error}") from error
    if answers.shape != expected.shape:
        raise BundleError(f"{path} holds answers of shape {expected.shape}, not {answers.shape}.")
    deviation = float(np.abs(answers - expected).max())
    if not deviation <= TOLERANCE:
        raise BundleError(
            f"{path}: the network answers its own probes with probabilities that "
            f"are off by {deviation:.4f}. The weights, the calibration or the libraries are not "
            "those it was exported with."
        )
    return deviation
