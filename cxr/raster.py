"""JPEG, PNG, TIFF, WebP and BMP → Radiograph.

Pillow reads every header, so the size is known before anything is decoded, and it decodes
everything but ordinary JPEG, which is decoded to grey and at reduced scale (``cxr/jpeg.py``).

Colour becomes grey by the luma of ITU-R BT.601, which is what a JPEG stores as its first
component: colour and grey copies of one film agree. Transparency is composed on black,
because around the exposed field of a radiograph there is black (collimation, air); white
would read as dense tissue and shift the grey levels.
"""

from __future__ import annotations

import io
import warnings
from contextlib import suppress
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, UnidentifiedImageError

from cxr.errors import (
    DAMAGED,
    CxrError,
    TooManyPixelsError,
    UnreadableImageError,
    UnsuitableImageError,
    UnsupportedFormatError,
)
from cxr.jpeg import REDUCTIONS, decode_grey
from cxr.radiograph import ImageFormat, Limits, Pixels, Radiograph, room_for
from cxr.structure import check_scans, check_structure, has_whole_directory

# Pillow warns between its own limit and twice that, and raises above. The limits here are
# compared with the header in every case, so the warning would only be noise in a log.
warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)

# Otherwise the first film would wait for the import of its decoder.
Image.preinit()

_BAND_ROWS = 256
_CHROMA_SIDE = 128
# What a camera writes of an exposure (EXIF 2.32 §4.6.5), and no X-ray detector or film scanner.
_CAMERA = {ExifTags.Base.ExposureTime, ExifTags.Base.FNumber, ExifTags.Base.FocalLength}
_GREY_MODES = ("1", "L", "LA", "La", "I", "F")
_SAMPLE_FORMAT, _SIGNED = 339, 2  # TIFF 6.0 §19
_BITS, _PLANAR = 258, 284  # TIFF 6.0 §8
_NOT_READ = (
    "The image stores its pixels in a way that is not read here. Export the radiograph as grey "
    "PNG or JPEG."
)


def read_raster(
    data: bytes, kind: ImageFormat, limits: Limits, *, reduce_to: int | None = None
) -> Radiograph:
    """Decode a still image of a known format to grey.

    Args:
        data: the whole file.
        kind: what its content is; Pillow is allowed this format alone.
        limits: compared with the header before anything is decoded.
        reduce_to: see ``decode``.

    Raises:
        TooManyPixelsError, UnsupportedFormatError, UnreadableImageError, UnsuitableImageError:
            as ``decode``.
    """
    check_structure(data, kind)
    try:
        with _opened(data, kind) as image:
            width, height = image.size
            limits.check_size(width, height)
            _refuse_several_frames(image, kind)
            if kind == "JPEG":
                check_scans(data, width * height)
            with room_for(width, height):
                exif = _exif(image)
                if kind == "JPEG" and image.mode in ("L", "RGB"):
                    pixels = _decode_jpeg(data, image.size, reduce_to)
                else:
                    if kind == "JPEG":  # in inks: at small scale, only to hear whether it is whole
                        decode_grey(data, *image.size, REDUCTIONS[0])
                    pixels = _to_grey(image)
                chroma = _chroma(image)
    except CxrError:
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise TooManyPixelsError(
            f"The image announces more than the {limits.max_pixels / 1e6:g} megapixels that are "
            "read. Export it at a lower resolution."
        ) from None
    except Exception as error:  # decoders of foreign bytes raise nearly every type
        raise UnreadableImageError(DAMAGED.format(kind)) from error
    # TIFF: Pillow announces the turned size and turns the pixels itself.
    orientation = 1 if kind == "TIFF" else _orientation(exif)
    if orientation >= 5:  # the turned ones
        width, height = height, width
    photographed = not _CAMERA.isdisjoint(exif)
    pixels = _upright(pixels, orientation)
    return Radiograph(pixels, kind, width, height, chroma=chroma, photographed=photographed)


def _opened(data: bytes, kind: ImageFormat) -> Image.Image:
    try:
        return Image.open(io.BytesIO(data), formats=[kind])
    except (UnidentifiedImageError, KeyError):
        # Pillow raises the same for a header that it cannot make out as for one that says
        # something unknown to it, such as 64-bit numbers, or JPEG 2000 within.
        if kind == "TIFF" and has_whole_directory(data):
            raise UnsupportedFormatError(_NOT_READ) from None
        raise


def _exif(image: Image.Image) -> dict[int, Any]:
    """The EXIF tags of both directories, as far as they can be read.

    Not ``image.getexif``, which makes up for a missing orientation out of XMP: viewers do not.
    """
    tags: dict[int, Any] = {}
    if image.format == "PNG":
        image.load()  # it may stand behind the pixels
    with suppress(Exception):  # a bad EXIF block does not spoil the pixels
        exif = image.getexif() if image.format == "TIFF" else Image.Exif()
        if "exif" in image.info:
            exif.load(image.info["exif"])
        tags.update(exif)
        tags.update(exif.get_ifd(ExifTags.IFD.Exif))
    return tags


def _orientation(exif: dict[int, Any]) -> int:
    """1 (upright) where it is not said."""
    value = exif.get(ExifTags.Base.Orientation, 1)
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


def _upright(pixels: Pixels, orientation: int) -> Pixels:
    """Turn and mirror as EXIF 2.32 §4.6.4 (tag 0x0112) asks."""
    turned: NDArray[Any] = pixels.T if orientation >= 5 else pixels
    if orientation in (2, 3, 6, 7):
        turned = turned[:, ::-1]
    if orientation in (3, 4, 7, 8):
        turned = turned[::-1]
    return np.ascontiguousarray(turned)


def _refuse_several_frames(image: Image.Image, kind: ImageFormat) -> None:
    # Of a TIFF the directory has said it (cxr/structure.py); the others have one.
    if kind in ("PNG", "WEBP") and getattr(image, "is_animated", False):
        raise UnsuitableImageError(
            f"The {kind} file holds several frames, and it cannot be told which is "
            "meant. Export the one radiograph as a file of its own."
        )


def _decode_jpeg(data: bytes, size: tuple[int, int], reduce_to: int | None) -> Pixels:
    """Decode a grey or colour JPEG to grey, not yet upright.

    Both the full and the reduced scales take the luma component as it is stored, so their
    grey levels agree.
    """
    width, height = size
    least = min(size) if reduce_to is None else max(reduce_to, 1)
    factor = next((step for step in REDUCTIONS if -(-min(size) // step) >= least), 1)
    pixels = decode_grey(data, width, height, factor)
    # A row or column that lies mostly beyond the edge would stretch the others' geometry.
    return pixels[: round(height / factor), : round(width / factor)]


def _to_grey(image: Image.Image) -> Pixels:
    """Decode with Pillow: 16-bit grey stays uint16, everything else becomes uint8."""
    if image.mode.startswith("I;16"):
        return _sixteen_bit(image)
    tags: Any = getattr(image, "tag_v2", {})
    # Pillow takes signed numbers of 8 bits for unsigned ones.
    if image.mode in ("I", "F") or _SIGNED in tags.get(_SAMPLE_FORMAT, ()):
        raise UnsuitableImageError(
            "The pixels are signed, 32-bit or floating-point numbers without a known white. "
            "Export the radiograph with 8 or 16 bits per pixel."
        )
    if tags.get(_PLANAR) == 2 and max(tags.get(_BITS, (8,))) > 8:
        # Pillow takes planes of 16 bits for planes of 8.
        raise UnsupportedFormatError(_NOT_READ)
    if image.mode == "CMYK":
        return _cmyk(image)
    if "transparency" in image.info or image.mode in ("LA", "La", "PA", "RGBA", "RGBa"):
        return _on_black(image)
    if image.mode in ("L", "1", "RGB"):
        return _array(image.convert("L"))
    if image.mode in ("P", "YCbCr", "LAB", "RGBX", "HSV"):
        return _array(image.convert("RGB").convert("L"))
    raise UnsupportedFormatError(_NOT_READ)


def _array(image: Image.Image) -> NDArray[np.uint8]:
    return np.asarray(image, np.uint8)


def _sixteen_bit(image: Image.Image) -> NDArray[np.uint16]:
    bits, white_is_zero = 16, False
    tags: Any = getattr(image, "tag_v2", None)
    if tags is not None:
        # Pillow hands out 12-bit values as they are, and inverts 8-bit images only.
        bits = int(tags.get(_BITS, (16,))[0])
        white_is_zero = tags.get(262) == 0
    pixels = np.asarray(image).astype(np.uint16)
    if bits < 16:
        pixels = np.rint(pixels * (65535 / (2**bits - 1))).astype(np.uint16)
    else:
        # 10 or 12 bits in 16, without a word about it: white is the power of two above them.
        pixels <<= 16 - max(8, int(pixels.max()).bit_length())
    return ~pixels if white_is_zero else pixels


def _chroma(image: Image.Image) -> float:
    """How far red, green and blue lie apart on the average; see ``Radiograph``."""
    if image.mode in _GREY_MODES or image.mode.startswith("I;16"):
        return 0.0
    image.draft("RGB", (_CHROMA_SIDE, _CHROMA_SIDE))  # a JPEG: decoded at an eighth
    side = (min(image.width, _CHROMA_SIDE), min(image.height, _CHROMA_SIDE))
    # Pixels are picked, not averaged: the whole image is converted nowhere.
    small = image.resize(side, Image.Resampling.NEAREST)
    transparent = "transparency" in image.info or image.mode in ("PA", "RGBA", "RGBa")
    bands = [np.asarray(band) for band in small.convert("RGBA" if transparent else "RGB").split()]
    red, green, blue = bands[:3]
    apart = np.maximum(np.maximum(red, green), blue) - np.minimum(np.minimum(red, green), blue)
    # On black, as the pixels are: what is transparent has no colour.
    return float(np.average(apart * (bands[3] / 255) if transparent else apart))


def _cmyk(image: Image.Image) -> NDArray[np.uint8]:
    """Ink → grey. Pillow takes every CMYK JPEG for an inverted one, as Adobe writes them."""
    if image.format == "JPEG" and "adobe" not in image.info:
        image = Image.fromarray(255 - np.asarray(image), "CMYK")
    return _array(image.convert("RGB").convert("L"))


def _on_black(image: Image.Image) -> NDArray[np.uint8]:
    """Compose on black, in bands: whole copies in five forms would fill the memory."""
    width, height = image.size
    composed = np.empty((height, width), np.uint8)
    for top in range(0, height, _BAND_ROWS):
        bottom = min(top + _BAND_ROWS, height)
        band = image.crop((0, top, width, bottom)).convert("RGBA")
        grey = np.asarray(band.convert("RGB").convert("L"), np.uint16)
        alpha = np.asarray(band.getchannel("A"), np.uint16)
        composed[top:bottom] = (grey * alpha + 127) // 255
    return composed
