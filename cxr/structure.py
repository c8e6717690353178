"""Limits on a file's structure, kept before any library walks through it.

A few megabytes can hold millions of empty chunks, segments or table entries, each of which
costs the libraries that parse them microseconds or a scan of the whole picture: seconds of work
that the number of pixels does not show. The walks here stop at the limit.
"""

from __future__ import annotations

import struct
import zlib

from cxr.errors import (
    DAMAGED,
    UnreadableImageError,
    UnsuitableImageError,
    UnsupportedFormatError,
)
from cxr.radiograph import ImageFormat

#: Chunks of a PNG: writers cut the picture into pieces of 8 KB and more, the largest accepted
#: file into some thousands.
MAX_PNG_CHUNKS = 32_768
#: Marker segments before the first scan of a JPEG. An ICC profile takes 255 at most.
MAX_JPEG_SEGMENTS = 2_048
#: Scans of a progressive JPEG; its writers use about ten. Each runs over the whole picture, so
#: scans × pixels is bounded too: a second of work.
MAX_JPEG_SCANS = 100
MAX_JPEG_SCANNED_PIXELS = 1_000_000_000
#: Numbers in one field of a TIFF directory: offsets of strips or tiles, mostly.
MAX_TIFF_VALUES = 65_536
#: A BMP with run-length encoding is unfolded by Pillow in Python.
MAX_BMP_RUN_LENGTH_BYTES = 1 << 20

_TOO_MANY = (
    "The {} file is cut into more {} than any radiograph needs. Export it again, as plain PNG or "
    "JPEG."
)
# Fields of bytes and text: Pillow keeps them as they are.
_TIFF_BYTE_TYPES = frozenset({1, 2, 6, 7})
_JPEG_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_JPEG_LS_FRAME = 0xF7  # ITU-T T.87 §C.2.2
_JPEG_WITHOUT_LENGTH = frozenset({0x01, *range(0xD0, 0xD8)})


def check_structure(data: bytes, kind: ImageFormat) -> None:
    """Refuse a file that would take long to parse, whatever its size in pixels.

    Raises:
        UnsuitableImageError: more parts than ``MAX_…``, or several TIFF pages.
        UnreadableImageError: a PNG whose chunks are damaged or cut short.
        UnsupportedFormatError: a JPEG of other than 8 bits, or a JPEG-LS stream.
    """
    if kind == "PNG":
        _check_png(data)
    elif kind == "JPEG":
        _check_jpeg(data)
    elif kind == "TIFF":
        has_whole_directory(data)
    elif kind == "BMP":
        _check_bmp(data)


def check_scans(data: bytes, pixels: int) -> None:
    """Refuse a JPEG whose scans run over ``pixels`` too often.

    Raises:
        UnsuitableImageError: see ``MAX_JPEG_SCANS`` and ``MAX_JPEG_SCANNED_PIXELS``.
    """
    # A thumbnail in the header counts too; there is room for it.
    scans = _scans(data)
    if scans > MAX_JPEG_SCANS or scans * pixels > max(MAX_JPEG_SCANNED_PIXELS, 2 * pixels):
        raise UnsuitableImageError(_TOO_MANY.format("JPEG", "scans"))


def _scans(data: bytes) -> int:
    """How many scans begin, up to one too many; ``bytes.count`` takes several times as long."""
    scans, start = 0, data.find(b"\xff\xda")
    while start >= 0 and scans <= MAX_JPEG_SCANS:
        scans += 1
        start = data.find(b"\xff\xda", start + 2)
    return scans


def _check_png(data: bytes) -> None:
    """Verify the checksum of every chunk up to IEND (PNG 3rd edition §5.3).

    Pillow does not look at those of the pixel chunks and would show damage as noise.
    """
    position = 8
    for _ in range(MAX_PNG_CHUNKS):
        if position + 12 > len(data):
            raise UnreadableImageError(DAMAGED.format("PNG"))
        length, name = struct.unpack_from(">I4s", data, position)
        end = position + 8 + length
        if end + 4 > len(data):
            raise UnreadableImageError(DAMAGED.format("PNG"))
        if struct.unpack_from(">I", data, end)[0] != zlib.crc32(data[position + 4 : end]):
            raise UnreadableImageError(DAMAGED.format("PNG"))
        if name == b"IEND":
            return
        position = end + 4
    raise UnsuitableImageError(_TOO_MANY.format("PNG", "chunks"))


def _check_jpeg(data: bytes) -> None:
    """Look at the marker segments before the first scan (ITU-T T.81 §B.1.1, §B.2.2)."""
    position = 2
    for _ in range(MAX_JPEG_SEGMENTS):
        if position + 4 > len(data):
            return  # cut short; the decoder says so
        marker = data[position + 1]
        if data[position] != 0xFF or marker == 0xFF or marker in _JPEG_WITHOUT_LENGTH:
            # Fill bytes and lone markers, which nobody writes in number.
            position += 1
        elif marker in (0xDA, 0xD9):  # the first scan, or the end
            return
        elif marker == _JPEG_LS_FRAME:
            raise UnsupportedFormatError(
                "This is a bare JPEG-LS stream, which is read in DICOM files alone. Export the "
                "radiograph as PNG, JPEG, TIFF or DICOM and send that."
            )
        else:
            if marker in _JPEG_FRAMES and data[position + 4 : position + 5] not in (b"\x08", b""):
                raise UnsupportedFormatError(
                    "The JPEG file does not have 8 bits per pixel, which is read in DICOM files "
                    "alone. Export the radiograph as PNG or as an ordinary JPEG."
                )
            position += 2 + max(2, struct.unpack_from(">H", data, position + 2)[0])
    raise UnsuitableImageError(_TOO_MANY.format("JPEG", "segments"))


def has_whole_directory(data: bytes) -> bool:
    """Whether all of a TIFF's first directory is there (TIFF 6.0 §2; BigTIFF has longer fields).

    Raises:
        UnsuitableImageError: as ``check_structure``.
    """
    order = "<" if data.startswith(b"II") else ">"
    big = data[2:4] in (b"+\x00", b"\x00+")
    first, count_code, entry, size, next_code = (
        (8, "Q", "HHQ8x", 20, "Q") if big else (4, "H", "HHI4x", 12, "I")
    )
    try:
        (start,) = struct.unpack_from(order + next_code, data, first)
        (entries,) = struct.unpack_from(order + count_code, data, start)
        if entries > MAX_TIFF_VALUES:
            raise UnsuitableImageError(_TOO_MANY.format("TIFF", "fields"))
        start += struct.calcsize(order + count_code)
        for index in range(entries):
            _, kind, count = struct.unpack_from(order + entry, data, start + index * size)
            if kind not in _TIFF_BYTE_TYPES and count > MAX_TIFF_VALUES:
                raise UnsuitableImageError(_TOO_MANY.format("TIFF", "strips"))
        (next_page,) = struct.unpack_from(order + next_code, data, start + entries * size)
    except (struct.error, OverflowError):
        return False  # cut short, or an offset beyond any file; the decoder says so
    if next_page:
        # Counting the pages would walk through them all.
        raise UnsuitableImageError(
            "The TIFF file holds several pages or frames, and it cannot be told which is "
            "meant. Export the one radiograph as a file of its own."
        )
    return True


def _check_bmp(data: bytes) -> None:
    run_length = len(data) >= 34 and int.from_bytes(data[30:34], "little") in (1, 2)
    if run_length and len(data) > MAX_BMP_RUN_LENGTH_BYTES:
        raise UnsuitableImageError(
            "The BMP file is run-length encoded and too long for that. Export it as PNG."
        )
