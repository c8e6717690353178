"""Baseline and progressive JPEG of 8 bits → grey, with every complaint of libjpeg heard.

libjpeg fills what it cannot decode with grey or with repetitions, and only warns. OpenCV and
Pillow drop the warning; simplejpeg carries the same libjpeg-turbo, with the same pixels at every
scale, and raises it.
"""

from __future__ import annotations

import re
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from simplejpeg import decode_jpeg

from cxr.errors import DAMAGED, UnreadableImageError

# What libjpeg says where pixels are lost (its jerror.h; it complains of headers too), and what
# simplejpeg says of a picture larger than the one that was announced.
_LOST = re.compile(
    "premature end|bad (?:Huffman|arithmetic) code|instead of RST|inconsistent progression"
    "|buffer is too small",
    re.IGNORECASE,
)
_EXTRANEOUS = re.compile(r"(\d+) extraneous bytes before marker")
# A few bytes behind the picture are padding. Many belong to it: where a transfer broke off and
# left zeros, a decoder may take a few of them for all the rest of a film.
_MOST_EXTRANEOUS = 1024
_FLAGS = {
    1: cv2.IMREAD_GRAYSCALE,
    2: cv2.IMREAD_REDUCED_GRAYSCALE_2,
    4: cv2.IMREAD_REDUCED_GRAYSCALE_4,
    8: cv2.IMREAD_REDUCED_GRAYSCALE_8,
}
#: By how much a side may be divided, the most first: the IDCT does it on the way.
REDUCTIONS = tuple(sorted(_FLAGS, reverse=True))


def decode_grey(data: bytes, width: int, height: int, factor: int = 1) -> NDArray[np.uint8]:
    """Decode to the luma component, not yet upright.

    Args:
        data: a JPEG of 8 bits a sample.
        width, height: as its header says; no larger picture is decoded.
        factor: one of ``REDUCTIONS``.

    Returns:
        uint8, shape (height, width), each divided by ``factor`` and rounded up.

    Raises:
        UnreadableImageError: the entropy-coded data is damaged or cut short, or the picture is of
            another size.
    """
    rows, columns = -(-height // factor), -(-width // factor)
    room = np.empty((rows, columns, 1), np.uint8)
    pixels: Any
    try:
        pixels = decode_jpeg(data, "GRAY", min_height=rows, min_width=columns, buffer=room)
        pixels = pixels[:, :, 0]
    except ValueError as error:
        if _lost_pixels(str(error)) or not _ends_properly(data):
            raise UnreadableImageError(DAMAGED.format("JPEG")) from None
        # Something that costs no pixel, such as stray bytes in the header, or a subsampling that
        # TurboJPEG has no name for. OpenCV passes over it.
        flags = _FLAGS[factor] | cv2.IMREAD_IGNORE_ORIENTATION
        pixels = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    if pixels is None or pixels.shape != (rows, columns):
        raise UnreadableImageError(DAMAGED.format("JPEG"))
    return np.asarray(pixels, np.uint8)


def _lost_pixels(complaint: str) -> bool:
    extraneous = _EXTRANEOUS.search(complaint)
    return bool(_LOST.search(complaint)) or (
        extraneous is not None and int(extraneous[1]) > _MOST_EXTRANEOUS
    )


def _ends_properly(data: bytes) -> bool:
    """Whether an end-of-image marker follows the last scan of a JPEG.

    Entropy-coded bytes cannot contain a marker (ITU-T T.81 §B.1.1.5), a thumbnail in the
    header can.
    """
    return data.rfind(b"\xff\xd9") > data.rfind(b"\xff\xda") > 0
