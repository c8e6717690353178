"""Public DICOM files, and the one yardstick for decoded pixels."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from data_store import DataStore
from numpy.typing import NDArray
from pydicom.data import get_testdata_file


def public_file(name: str) -> bytes:
    """A file of pydicom's own test data, or of the pydicom-data package."""
    path = Path(DataStore().data_path) / name
    if not path.exists():
        path = Path(str(get_testdata_file(name, download=False)))
    return path.read_bytes()


def stretched(pixels: NDArray[Any]) -> NDArray[np.float64]:
    """The pixels from 0 to 1; a ten-thousandth of them lies beyond either end."""
    values = pixels.astype(np.float64)
    ordered = np.sort(values, axis=None)
    beyond = len(ordered) // 10_000
    low, high = ordered[beyond], ordered[-1 - beyond]
    return np.asarray(np.clip((values - low) / (high - low), 0, 1))
