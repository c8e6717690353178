"""Radiograph → model input: the one implementation that training and serving share."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, replace
from dataclasses import fields as dataclass_fields
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from cxr.decode import Radiograph
from cxr.enhance import crop_borders, denoise, remove_marks
from cxr.frame import without_frame
from cxr.grey_levels import percentiles

#: Settings that bundles of before they existed lack, and what those were trained with.
_LATER = {"remove_artefacts": False, "denoise": 0.0, "cut_frame": False}


@dataclass(frozen=True)
class PreprocessSpec:
    """How a radiograph becomes a model input; travels in ``bundle.json``.

    Attributes:
        size: side of the square input, in pixels. The aspect ratio is not kept: the
            public data sets come stretched to squares, so training never saw it.
        low_percentile, high_percentile: grey levels (in percent of the pixels) that are
            stretched to 0 and 1. Takes exposure, window and bit depth out of the image,
            so a 16-bit DICOM and its 8-bit JPEG give the same input.
        clahe_clip, clahe_tiles: contrast-limited adaptive histogram equalisation (Zuiderveld
            1994), limit and tiles a side; evens out what different detectors and their
            tone curves do to the contrast within the lungs. It works on 8 bits, and enlarges
            what two decoders of one film leave between them: 0, the default, leaves it out.
        remove_artefacts: cut off black borders and paint over burnt-in marks first.
        denoise: strength of non-local means on the resized film, in grey levels; 0 for none.
        cut_frame: cut off a wide even frame first (``cxr.frame``).
    """

    size: int = 160
    low_percentile: float = 0.5
    high_percentile: float = 99.5
    clahe_clip: float = 0.0
    clahe_tiles: int = 8
    remove_artefacts: bool = False
    denoise: float = 0.0
    cut_frame: bool = True

    def __post_init__(self) -> None:
        if not 32 <= self.size <= 1024:
            raise ValueError(f"size must be between 32 and 1024, not {self.size}")
        if not 0 <= self.low_percentile < self.high_percentile <= 100:
            raise ValueError("percentiles must satisfy 0 <= low < high <= 100")
        if self.clahe_clip < 0 or self.clahe_tiles < 1 or self.denoise < 0:
            raise ValueError("clahe_clip, denoise must not be negative, clahe_tiles at least 1")

    @property
    def reduce_to(self) -> int:
        """Shorter side that a reduced-scale decode must leave, for training and serving alike.

        Four times the input: with less, the decoder's own low-pass filter shows in what is
        left after area averaging, and moves a probability.
        """
        return 4 * self.size

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, fields: dict[str, Any]) -> PreprocessSpec:
        missing = {field.name for field in dataclass_fields(cls)} - {*fields, *_LATER}
        if missing:  # a default of today must not stand in for what a model was trained with
            raise ValueError(f"the input lacks {', '.join(sorted(missing))}")
        for field in dataclass_fields(cls):
            if not _fits(fields.get(field.name, field.default), field.default):
                raise ValueError(f"{field.name} must be of type {type(field.default).__name__}")
        return cls(**{**_LATER, **fields})


def _fits(value: object, default: object) -> bool:
    """Whether it is of the default's kind; the text "no" would count as true."""
    if isinstance(default, float):
        return type(value) in (int, float) and math.isfinite(value)  # type: ignore[arg-type]
    return type(value) is type(default)


def from_eight_bits(levels: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Model inputs that were kept as bytes: uint8 → float32, range [0, 1], the same shape."""
    return levels.astype(np.float32) / np.float32(255)


def in_eight_bits(levels: NDArray[np.floating]) -> NDArray[np.uint8]:
    """Model inputs to be kept as bytes: float, range [0, 1] → uint8, the same shape."""
    return (levels * 255).round().astype(np.uint8)


def to_model_input(radiograph: Radiograph, spec: PreprocessSpec) -> NDArray[np.float32]:
    """Cut off what is no film, resize to a square, stretch the grey levels.

    Returns:
        float32, shape (size, size, 1), range [0, 1], bright = dense.
    """
    pixels: Any = (without_frame(radiograph) if spec.cut_frame else radiograph).pixels
    if spec.remove_artefacts:
        pixels = crop_borders(pixels)
    pixels = _halved(pixels, spec.reduce_to)
    # Area averaging does not alias when shrinking; it would give blocks when enlarging.
    shrinking = min(pixels.shape) >= spec.size
    interpolation = cv2.INTER_AREA if shrinking else cv2.INTER_LINEAR
    resized = cv2.resize(pixels, (spec.size, spec.size), interpolation=interpolation)
    levels = resized.astype(np.float32)
    low, high = percentiles(resized, (spec.low_percentile, spec.high_percentile))
    if high <= low:  # a constant image; the gate refuses it, arithmetic must survive it
        return np.zeros((spec.size, spec.size, 1), np.float32)
    stretched = np.clip((levels - np.float32(low)) / np.float32(high - low), 0.0, 1.0)
    if spec.remove_artefacts or spec.denoise:
        eight_bits = in_eight_bits(stretched)
        if spec.remove_artefacts:
            eight_bits = remove_marks(eight_bits)
        if spec.denoise:
            eight_bits = denoise(eight_bits, spec.denoise)
        stretched = from_eight_bits(eight_bits)
    if spec.clahe_clip:
        tiles = (spec.clahe_tiles, spec.clahe_tiles)
        equalizer = cv2.createCLAHE(clipLimit=spec.clahe_clip, tileGridSize=tiles)
        # In 8 bits: OpenCV's limit is per grey level, and in 16 bits it hardly equalises.
        equalized = equalizer.apply(in_eight_bits(stretched))
        stretched = from_eight_bits(np.asarray(equalized, np.uint8))
    return np.asarray(stretched[:, :, np.newaxis], np.float32)


def reduced(radiograph: Radiograph, least: int) -> Radiograph:
    """The film as ``to_model_input`` would begin by halving it, for several that read it.

    Each of them then gets the input that it would have got from the film itself, unless its
    ``remove_artefacts`` comes first. A frame is as even when halved, but for a pixel at its edge.

    Args:
        least: what the shorter side keeps, in pixels: the largest ``reduce_to`` of all.
    """
    return replace(radiograph, pixels=_halved(radiograph.pixels, least))


def _halved(pixels: Any, least: int) -> Any:
    """Halve 16-bit pixels while their shorter side keeps ``least``, as a JPEG decoder may.

    Blocks of 2 × 2 are averaged fifty times as fast as any others. Not in 8 bits: each halving
    would round to whole grey levels, which can move a probability.
    """
    while pixels.dtype == np.uint16 and min(pixels.shape) // 2 >= least:
        rows, columns = pixels.shape[0] // 2, pixels.shape[1] // 2
        whole = pixels[: 2 * rows, : 2 * columns]
        pixels = cv2.resize(whole, (columns, rows), interpolation=cv2.INTER_AREA)
    return pixels
