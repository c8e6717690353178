"""Files within the limits of bytes and pixels that would still cost seconds or gigabytes.

``HOSTILE_INPUTS`` maps a name to (maker of the bytes, expected code). Each took a decoder
between two seconds and a minute before the structure of files was bounded.
"""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable
from typing import Any

import numpy as np
from PIL import Image
from pydicom.uid import DeflatedExplicitVRLittleEndian, JPEG2000Lossless

from tests.bad_inputs import png_chunk
from tests.phantoms import chest_phantom, encode_dicom, encode_jpeg, encode_png

_BYTES = 31_000_000
_ITEM = struct.pack("<HHI", 0xFFFE, 0xE000, 0)
_SEQUENCE_END = struct.pack("<HHI", 0xFFFE, 0xE0DD, 0)
_PIXEL_DATA = b"\xe0\x7f\x10\x00"


def _dicom(**options: Any) -> bytes:
    return encode_dicom(chest_phantom(256).astype(np.uint16) * 257, **options)


def _before(marker: bytes, piece: bytes, whole: bytes, length: int = _BYTES) -> bytes:
    at = whole.index(marker)
    return whole[:at] + piece * (length // len(piece)) + whole[at:]


def _png_chunks(name: bytes) -> bytes:
    png = encode_png(chest_phantom(256))
    at = png.index(b"IDAT") - 4
    return _before(png[at : at + 8], png_chunk(name, b""), png)


def _jpeg(piece: bytes) -> bytes:
    jpeg = encode_jpeg(chest_phantom(256))
    return _before(jpeg[2:4], piece, jpeg)


def _jpeg_scans() -> bytes:
    """A progressive JPEG of 16 megapixels whose last scan stands there 200 times."""
    buffer = io.BytesIO()
    Image.new("L", (4000, 4000), 90).save(buffer, "JPEG", progressive=True)
    jpeg = buffer.getvalue()
    scan = jpeg[jpeg.rindex(b"\xff\xda") : -2]
    return jpeg[:-2] + scan * 200 + b"\xff\xd9"


def _tiff_strips() -> bytes:
    count = _BYTES // 4
    fields = (
        (256, 4, 1, 64),
        (257, 4, 1, 1_500_000),
        (258, 3, 1, 8),
        (259, 3, 1, 1),
        (262, 3, 1, 1),
        (273, 4, count, 122),
        (277, 3, 1, 1),
        (278, 4, 1, 1),
        (279, 4, count, 122),
    )
    directory = b"".join(struct.pack("<HHII", *field) for field in fields)
    head = b"II*\0" + struct.pack("<IH", 8, len(fields)) + directory + bytes(4)
    return head + b"\x08\0\0\0" * count


def _bmp_runs() -> bytes:
    side, pixels = 9900, bytes((1, 7)) * (_BYTES // 2)
    start = 14 + 40 + 1024
    head = struct.pack("<2sIHHI", b"BM", start + len(pixels), 0, 0, start)
    head += struct.pack("<IiiHHIIiiII", 40, side, side, 1, 8, 1, len(pixels), 0, 0, 256, 0)
    return head + bytes(1024) + pixels


def _element(group: int, number: int, vr: bytes) -> bytes:
    """The head of an element of undefined length, explicit VR."""
    return struct.pack("<HH2sHI", group, number, vr, 0, 0xFFFFFFFF)


def _items(group: int, number: int) -> bytes:
    sequence = _element(group, number, b"SQ") + _ITEM * (_BYTES // 8) + _SEQUENCE_END
    return _before(_PIXEL_DATA, sequence, _dicom(), len(sequence))


def _deflated_elements() -> bytes:
    whole = _dicom(transfer_syntax=DeflatedExplicitVRLittleEndian)
    start = 132 + 12 + struct.unpack_from("<I", whole, 140)[0]
    content = zlib.decompress(whole[start:], -zlib.MAX_WBITS)
    content = _before(_PIXEL_DATA, _EMPTY_ELEMENT, content)
    compressor = zlib.compressobj(6, zlib.DEFLATED, -zlib.MAX_WBITS)
    return whole[:start] + compressor.compress(content) + compressor.flush()


def _long_text() -> bytes:
    value = b"1\\" * 32_000
    element = struct.pack("<HH2sH", 0x0028, 0x1050, b"DS", len(value)) + value
    return _before(_PIXEL_DATA, element, _dicom(), len(element))


def _fragments() -> bytes:
    whole = _dicom(transfer_syntax=JPEG2000Lossless)
    at = whole.index(_element(0x7FE0, 0x0010, b"OB")) + 12
    at += 8 + struct.unpack_from("<I", whole, at + 4)[0]
    return whole[:at] + _ITEM * (_BYTES // 8) + whole[at:]


_EMPTY_ELEMENT = struct.pack("<HH2sH", 0x7001, 0x1000, b"CS", 0)
_NESTED = _element(0x7001, 0x1000, b"SQ") + struct.pack("<HHI", 0xFFFE, 0xE000, 0xFFFFFFFF)

HOSTILE_INPUTS: dict[str, tuple[Callable[[], bytes], str]] = {
    "PNG of empty text chunks": (lambda: _png_chunks(b"tEXt"), "unsuitable_image"),
    "PNG of empty pixel chunks": (lambda: _png_chunks(b"IDAT"), "unsuitable_image"),
    "JPEG of empty segments": (lambda: _jpeg(b"\xff\xe5\x00\x02"), "unsuitable_image"),
    "JPEG of comments": (lambda: _jpeg(b"\xff\xfe\x00\x02"), "unsuitable_image"),
    "JPEG of fill bytes": (lambda: _jpeg(b"\xff"), "unsuitable_image"),
    "JPEG of 200 scans": (_jpeg_scans, "unsuitable_image"),
    "TIFF of a million strips": (_tiff_strips, "unsuitable_image"),
    "BMP of short runs": (_bmp_runs, "unsuitable_image"),
    "DICOM of empty elements": (
        lambda: _before(_PIXEL_DATA, _EMPTY_ELEMENT, _dicom()),
        "unsuitable_image",
    ),
    "DICOM of nested sequences": (
        lambda: _before(_PIXEL_DATA, _NESTED, _dicom()),
        "unreadable_image",
    ),
    "DICOM of empty items": (lambda: _items(0x7001, 0x1000), "unsuitable_image"),
    "DICOM of look-up tables": (lambda: _items(0x0028, 0x3010), "unsuitable_image"),
    "DICOM of fragments": (_fragments, "unsuitable_image"),
    "DICOM with a long list of windows": (_long_text, "unreadable_image"),
    "deflated DICOM of empty elements": (_deflated_elements, "unsuitable_image"),
}
