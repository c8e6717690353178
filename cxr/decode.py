"""bytes → Radiograph (placeholder while the full reader is being written)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Radiograph:
    pixels: NDArray[Any]
    format: str
    width: int
    height: int
    dicom: Any = None


def decode(data: bytes) -> Radiograph:
    pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_GRAYSCALE)
    return Radiograph(pixels, "JPEG", pixels.shape[1], pixels.shape[0])
