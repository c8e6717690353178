"""Radiograph → model input: the one implementation that training and serving share."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from cxr.decode import Radiograph


@dataclass(frozen=True)
class PreprocessSpec:
    """How a radiograph becomes a model input; travels in ``bundle.json``.

    Attributes:
        size: side of the square input, in pixels. The aspect ratio is not kept: the
            public data sets come stretched to squares, so training never saw it.
        low_percentile, high_percentile: grey levels (in percent of the pixels) that are
            stretched to 0 and 1. Takes exposure, window and bit depth out of the image,
            so a 16-bit DICOM and its 8-bit JPEG give the same input.
    """

    size: int = 160
    low_percentile: float = 0.5
    high_percentile: float = 99.5

    def __post_init__(self) -> None:
        if not 32 <= self.size <= 1024:
            raise ValueError(f"size must be between 32 and 1024, not {self.size}")
        if not 0 <= self.low_percentile < self.high_percentile <= 100:
            raise ValueError("percentiles must satisfy 0 <= low < high <= 100")

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, fields: dict[str, Any]) -> PreprocessSpec:
        return cls(**fields)


def to_model_input(radiograph: Radiograph, spec: PreprocessSpec) -> NDArray[np.float32]:
    """Resize to a square and stretch the grey levels.

    Returns:
        float32, shape (size, size, 1), range [0, 1], bright = dense.
    """
    pixels = radiograph.pixels
    # Area averaging does not alias when shrinking; it would give blocks when enlarging.
    shrinking = min(pixels.shape) >= spec.size
    interpolation = cv2.INTER_AREA if shrinking else cv2.INTER_LINEAR
    resized = cv2.resize(pixels, (spec.size, spec.size), interpolation=interpolation)
    levels = resized.astype(np.float32)
    low, high = np.percentile(levels, (spec.low_percentile, spec.high_percentile))
    if high <= low:  # a constant image; the gate refuses it, arithmetic must survive it
        return np.zeros((spec.size, spec.size, 1), np.float32)
    stretched = (levels - np.float32(low)) / np.float32(high - low)
    return np.clip(stretched, 0.0, 1.0)[:, :, np.newaxis]
