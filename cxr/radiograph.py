"""What every reader returns, and the limits that every reader keeps."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from cxr.errors import TooManyPixelsError, UnsuitableImageError

ImageFormat = Literal["JPEG", "PNG", "TIFF", "WEBP", "BMP", "DICOM"]
Pixels = NDArray[np.uint8] | NDArray[np.uint16]


def to_eight_bits(pixels: Pixels) -> NDArray[np.uint8]:
    """The same grey levels in 8 bits: the upper byte of uint16; uint8 as it is, no copy."""
    if pixels.dtype == np.uint16:
        return (pixels >> 8).astype(np.uint8)
    return np.asarray(pixels, np.uint8)


@dataclass(frozen=True)
class Limits:
    """What is accepted at most, and at least.

    Attributes:
        max_bytes: size of the file.
        max_pixels: columns times rows, as the header announces them; compared before
            anything is decoded, because a few kilobytes can announce a thousand megapixels.
        min_side: pixels of the shorter side; below it there is no lung to be read.
    """

    max_bytes: int = 32 * 1024 * 1024
    max_pixels: int = 100_000_000
    min_side: int = 64

    def check_size(self, width: int, height: int) -> None:
        """Compare the announced size of an image with the limits.

        Raises:
            TooManyPixelsError: ``width * height`` exceeds ``max_pixels``.
            UnsuitableImageError: a side is shorter than ``min_side``.
        """
        if width * height > self.max_pixels:
            raise TooManyPixelsError(
                f"The image announces {width} × {height} pixels; at most "
                f"{self.max_pixels / 1e6:g} megapixels are read. Export it at a lower resolution."
            )
        if min(width, height) < self.min_side:
            raise UnsuitableImageError(
                f"The image has {width} × {height} pixels; a radiograph needs at least "
                f"{self.min_side} on each side. Send the original instead of a thumbnail."
            )


# Decoders keep up to twenty bytes a pixel at a time. Eight threads that each decode an image of
# a hundred megapixels would need more memory than a server has; the largest wait for each other.
_LARGE_PIXELS = 25_000_000
_large = threading.Lock()


@contextmanager
def room_for(width: int, height: int) -> Iterator[None]:
    """Wait until no other very large image is being decoded, where this one is very large."""
    with _large if width * height > _LARGE_PIXELS else nullcontext():
        yield


@dataclass(frozen=True)
class DicomFields:
    """The elements of a DICOM file that matter to a reading: never a name, an id or a date.

    Attributes:
        modality: (0008,0060), upper case; None where missing.
        body_part_examined: (0018,0015), upper case; None where missing or free text.
        view_position: (0018,5101), upper case; None where missing or free text.
        chest: whether the part of the body is the chest, in words or as a code; None where the
            file does not say.
        frontal: whether the view is PA or AP, alike.
        patient_age_years: (0010,1010) in years, or in whole years from the dates of birth and
            study; None where neither says it.
        photometric_interpretation: (0028,0004) of the file. The pixels are bright = dense
            whatever it says.
    """

    modality: str | None
    body_part_examined: str | None
    view_position: str | None
    chest: bool | None
    frontal: bool | None
    patient_age_years: float | None
    photometric_interpretation: str


@dataclass(frozen=True, eq=False)
class Radiograph:
    """One grey projection image, however it was encoded.

    Attributes:
        pixels: shape (rows, columns), uint8 or uint16, bright = dense. The full scale of
            the dtype is white. May be smaller than ``width`` × ``height`` where the decoder
            was allowed to reduce.
        format: of the file, by its content.
        width, height: of the original in pixels, as displayed (after EXIF orientation).
        dicom: the fields of a DICOM file, None for the other formats.
        chroma: how far red, green and blue lie apart in the file, in levels of 8 bits, on the
            average of its pixels; 0 where it is grey.
        photographed: its EXIF block says how a camera exposed it.
    """

    pixels: Pixels
    format: ImageFormat
    width: int
    height: int
    dicom: DicomFields | None = None
    chroma: float = 0.0
    photographed: bool = False
