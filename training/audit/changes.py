"""Mild changes that a reading should survive: what scanners, archives and people do to films.

Each is small enough that a radiologist would read the film alike. Strengths are fixed here,
once, for every model; none was chosen by looking at a result.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np

from training.audit.films import Grey


@dataclass(frozen=True)
class Change:
    """One mild change.

    Attributes:
        family: what the change belongs to, as the issue and the card name it.
        words: what is done, for people.
        apply: film and random generator → changed film.
    """

    family: str
    words: str
    apply: Callable[[Grey, np.random.Generator], Grey]


def _tone(curve: Callable[[np.ndarray], np.ndarray]) -> Callable[..., Grey]:
    """A tone curve on [0, 1], clipped, through a table of 256 levels."""
    table = np.clip(curve(np.arange(256) / 255), 0, 1)
    levels = (table * 255).round().astype(np.uint8)
    return lambda film, _: np.asarray(cv2.LUT(film, levels), np.uint8)


def _jpeg(quality: int) -> Callable[..., Grey]:
    def apply(film: Grey, _: np.random.Generator) -> Grey:
        data = cv2.imencode(".jpg", film, [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
        return np.asarray(cv2.imdecode(data, cv2.IMREAD_GRAYSCALE), np.uint8)

    return apply


def _blur(film: Grey, _: np.random.Generator) -> Grey:
    # In proportion to the film: what is soft on a small one is invisible on a large one.
    return np.asarray(cv2.GaussianBlur(film, (0, 0), max(film.shape) / 224), np.uint8)


def _noise(film: Grey, random: np.random.Generator) -> Grey:
    noisy = film + random.normal(0, 0.02 * 255, film.shape)
    return np.clip(noisy, 0, 255).round().astype(np.uint8)


def _rotate(degrees: float) -> Callable[..., Grey]:
    def apply(film: Grey, _: np.random.Generator) -> Grey:
        height, width = film.shape
        turn = cv2.getRotationMatrix2D((width / 2, height / 2), degrees, 1.0)
        return np.asarray(
            cv2.warpAffine(film, turn, (width, height), borderMode=cv2.BORDER_REPLICATE), np.uint8
        )

    return apply


def _resample(film: Grey, _: np.random.Generator) -> Grey:
    height, width = film.shape
    half = cv2.resize(film, (width // 2, height // 2), interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.resize(half, (width, height), interpolation=cv2.INTER_LINEAR), np.uint8)


def _crop(top: float, left: float) -> Callable[..., Grey]:
    """95 % of the height and the width, from ``top`` and ``left`` (shares of the film) on."""

    def apply(film: Grey, _: np.random.Generator) -> Grey:
        height, width = film.shape
        y, x = round(top * height), round(left * width)
        return np.ascontiguousarray(film[y : y + round(0.95 * height), x : x + round(0.95 * width)])

    return apply


def _sharpen(film: Grey, _: np.random.Generator) -> Grey:
    """An unsharp mask: what a viewer's or a detector's edge enhancement does."""
    soft = cv2.GaussianBlur(film, (0, 0), max(film.shape) / 112)
    return np.asarray(cv2.addWeighted(film, 2.0, soft, -1.0, 0.0), np.uint8)


def _equalise(film: Grey, _: np.random.Generator) -> Grey:
    """Contrast-limited adaptive histogram equalisation (Zuiderveld 1994, Graphics Gems IV)."""
    return np.asarray(cv2.createCLAHE(2.0, (8, 8)).apply(film), np.uint8)


CHANGES = (
    Change("brightness", "10 % brighter", _tone(lambda grey: grey + 0.1)),
    Change("brightness", "10 % darker", _tone(lambda grey: grey - 0.1)),
    Change("contrast", "a quarter more contrast", _tone(lambda grey: 0.5 + 1.25 * (grey - 0.5))),
    Change("contrast", "a quarter less contrast", _tone(lambda grey: 0.5 + 0.75 * (grey - 0.5))),
    Change("gamma", "gamma 0.8", _tone(lambda grey: grey**0.8)),
    Change("gamma", "gamma 1.25", _tone(lambda grey: grey**1.25)),
    Change("JPEG", "JPEG at quality 30", _jpeg(30)),
    Change("blur", "blurred by 1/224 of the side", _blur),
    Change("noise", "noise of 2 % of full scale", _noise),
    Change("rotation", "10° anticlockwise", _rotate(10)),
    Change("rotation", "10° clockwise", _rotate(-10)),
    Change("resampling", "half the size and back", _resample),
    Change("crop", "5 % cropped, centred", _crop(0.025, 0.025)),
    Change("crop", "5 % cropped off the top and the left", _crop(0.05, 0.05)),
    Change("processing", "edges sharpened by an unsharp mask", _sharpen),
    Change("processing", "local contrast equalised (CLAHE)", _equalise),
)
