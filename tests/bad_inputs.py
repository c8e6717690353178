"""Files that must be refused, each with the code of its refusal.

``BAD_INPUTS`` maps a name to (maker of the bytes, expected code), so that the decoder's
tests and the application's tests refuse the same things.
"""

from __future__ import annotations

import functools
import gzip
import io
import json
import struct
import zipfile
import zlib
from collections.abc import Callable
from typing import Any

import numpy as np
from PIL import Image
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLSLossless,
    MediaStorageDirectoryStorage,
    RLELossless,
)

from tests.phantoms import (
    chest_phantom,
    dicom_dataset,
    encode_dicom,
    encode_jpeg,
    encode_png,
    write_dicom,
)

Maker = Callable[[], bytes]


def _phantom() -> Any:
    return chest_phantom(256)


def _sixteen() -> Any:
    return _phantom().astype(np.uint16) * 257


def png_chunk(name: bytes, content: bytes) -> bytes:
    checksum = zlib.crc32(name + content)
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", checksum)


@functools.cache
def bomb_png(side: int = 30000) -> bytes:
    """A valid grey PNG of ``side``² black pixels in about a megabyte."""
    compressor = zlib.compressobj(9)
    row = bytes(side + 1)
    content = b"".join(compressor.compress(row) for _ in range(side)) + compressor.flush()
    header = struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + png_chunk(b"IHDR", header)
        + png_chunk(b"IDAT", content)
        + png_chunk(b"IEND", b"")
    )


def _png_with_text_bomb() -> bytes:
    text = png_chunk(b"zTXt", b"Comment\0\0" + zlib.compress(bytes(64_000_000), 9))
    png = encode_png(_phantom())
    return png[:33] + text + png[33:]


def _png_with_wrong_checksum() -> bytes:
    png = bytearray(encode_png(_phantom()))
    png[len(png) // 2] ^= 0x10
    return bytes(png)


def _png_without_end() -> bytes:
    return encode_png(_phantom())[:-12]


def saved(format: str, *pictures: Image.Image, **options: Any) -> bytes:
    """Pillow's encoding of one picture, or of several as pages or frames."""
    buffer = io.BytesIO()
    if len(pictures) > 1:
        options |= {"save_all": True, "append_images": pictures[1:]}
    pictures[0].save(buffer, format, **options)
    return buffer.getvalue()


def _two(format: str, **options: Any) -> bytes:
    pictures = (Image.fromarray(chest_phantom(128, seed)) for seed in (1, 2))
    return saved(format, *pictures, **options)


def _zip() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("chest.png", encode_png(_phantom()))
    return buffer.getvalue()


def _jpeg_header_only() -> bytes:
    jpeg = encode_jpeg(_phantom())
    return jpeg[: jpeg.index(b"\xff\xda")]


def _jpeg_cut_after_thumbnail() -> bytes:
    """Cut short, but with the end marker of a thumbnail inside the EXIF block."""
    exif = b"Exif\0\0" + encode_jpeg(chest_phantom(64), 30)
    block = b"\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif
    jpeg = encode_jpeg(_phantom())
    return jpeg[:2] + block + jpeg[2 : len(jpeg) // 2]


def _jpeg_with_huge_header() -> bytes:
    jpeg = bytearray(encode_jpeg(_phantom()))
    start = jpeg.index(b"\xff\xc0")
    jpeg[start + 5 : start + 9] = struct.pack(">HH", 60000, 60000)
    return bytes(jpeg)


def _dicom(**options: Any) -> Maker:
    return lambda: encode_dicom(_sixteen(), **options)


def _multi_frame() -> bytes:
    dataset = dicom_dataset(_sixteen(), fields={"NumberOfFrames": 2})
    dataset.PixelData = dataset.PixelData * 2
    return write_dicom(dataset)


def _colour_dicom() -> bytes:
    dataset = dicom_dataset(np.stack([_phantom()] * 3, axis=-1), photometric="RGB")
    dataset.SamplesPerPixel, dataset.PlanarConfiguration = 3, 0
    return write_dicom(dataset)


def _directory() -> bytes:
    dataset = dicom_dataset(_sixteen(), modality=None, fields={"PixelData": None})
    dataset.file_meta.MediaStorageSOPClassUID = MediaStorageDirectoryStorage
    return write_dicom(dataset)


def _deflate_bomb() -> bytes:
    whole = write_dicom(dicom_dataset(_sixteen()), DeflatedExplicitVRLittleEndian)
    start = 132 + 12 + struct.unpack_from("<I", whole, 140)[0]
    compressor = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    content = zlib.decompress(whole[start:], -zlib.MAX_WBITS)
    packed = compressor.compress(content)
    zeros = bytes(1 << 20)
    packed += b"".join(compressor.compress(zeros) for _ in range(160)) + compressor.flush()
    return whole[:start] + packed


def _codestream_bomb(syntax: str, marker: bytes, offset: int, code: str) -> Maker:
    """A DICOM file whose compressed picture announces 60000², unlike its header."""

    def make() -> bytes:
        whole = bytearray(encode_dicom(_sixteen(), transfer_syntax=syntax))
        at = whole.index(marker) + offset
        size = struct.calcsize(code)
        whole[at : at + size] = struct.pack(code, 60000, 60000)
        return bytes(whole)

    return make


def _half(maker: Maker) -> Maker:
    return lambda: (whole := maker())[: len(whole) // 2]


def _pixel_values_missing() -> bytes:
    dataset = dicom_dataset(_sixteen())
    dataset.PixelData = dataset.PixelData[:-1000]
    return write_dicom(dataset)


def _bytes(content: bytes) -> Maker:
    return lambda: content


def _noise(size: int) -> bytes:
    # A first byte that begins no format, so that the seed cannot matter.
    return b"\x9d" + np.random.default_rng(7).bytes(size)


def _side(side: int, maker: Callable[[Any], bytes]) -> Maker:
    return lambda: maker(np.ascontiguousarray(chest_phantom(max(side, 128))[:side]))


_SVG = b'<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg"><rect width="9"/></svg>'
_HTML = b"<!DOCTYPE html><html><body>chest</body></html>"
_PDF = b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n1 0 obj\n<<>>\nendobj\n%%EOF"

BAD_INPUTS: dict[str, tuple[Maker, str]] = {
    "empty": (_bytes(b""), "empty_file"),
    # Over the limits.
    "over 32 MB": (_bytes(b"\xff\xd8\xff\xe0" + bytes(32 * 1024 * 1024)), "too_large"),
    "bomb PNG of 30000²": (bomb_png, "too_many_pixels"),
    "JPEG header of 60000²": (_jpeg_with_huge_header, "too_many_pixels"),
    "TIFF of 10001²": (
        lambda: saved("TIFF", Image.new("1", (10001, 10001)), compression="group4"),
        "too_many_pixels",
    ),
    "DICOM of 20000²": (_dicom(fields={"Rows": 20000, "Columns": 20000}), "too_many_pixels"),
    "deflated DICOM bomb": (_deflate_bomb, "too_large"),
    # Not a format that is read.
    "text": (_bytes(b"I am a chest radiograph.png, believe me.\n" * 20), "unsupported_format"),
    "UTF-8 text": (_bytes("Röntgenbild des Thorax …".encode() * 60), "unsupported_format"),
    "one byte": (_bytes(b"\x00"), "unsupported_format"),
    "zeros": (_bytes(bytes(4096)), "unsupported_format"),
    "noise": (lambda: _noise(100_000), "unsupported_format"),
    "ZIP": (_zip, "unsupported_format"),
    "gzip": (lambda: gzip.compress(encode_png(_phantom())), "unsupported_format"),
    "7-Zip": (_bytes(b"7z\xbc\xaf\x27\x1c\x00\x04" + bytes(64)), "unsupported_format"),
    "PDF": (_bytes(_PDF), "unsupported_format"),
    "SVG": (_bytes(_SVG), "unsupported_format"),
    "HTML": (_bytes(_HTML), "unsupported_format"),
    "JSON": (lambda: json.dumps({"image": "x"}).encode(), "unsupported_format"),
    "XML": (_bytes(b'<?xml version="1.0"?><a/>'), "unsupported_format"),
    "GIF": (lambda: saved("GIF", Image.fromarray(_phantom())), "unsupported_format"),
    "animated GIF": (lambda: _two("GIF"), "unsupported_format"),
    "icon": (lambda: saved("ICO", Image.fromarray(_phantom())), "unsupported_format"),
    "bare JPEG 2000": (
        lambda: saved("JPEG2000", Image.fromarray(_phantom())),
        "unsupported_format",
    ),
    "PPM": (lambda: saved("PPM", Image.fromarray(_phantom())), "unsupported_format"),
    "HEIC": (_bytes(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(200)), "unsupported_format"),
    "AVIF": (_bytes(b"\0\0\0\x1cftypavif\0\0\0\0avifmif1" + bytes(200)), "unsupported_format"),
    "MP4": (_bytes(b"\0\0\0\x20ftypisom\0\0\x02\0isomiso2" + bytes(200)), "unsupported_format"),
    "WAV": (_bytes(b"RIFF\x24\0\0\0WAVEfmt " + bytes(64)), "unsupported_format"),
    "program": (_bytes(b"\x7fELF\x02\x01\x01" + bytes(64)), "unsupported_format"),
    "BM as text": (_bytes(b"BMW builds cars, not radiographs. " * 4), "unsupported_format"),
    # Damaged.
    "JPEG signature alone": (_bytes(b"\xff\xd8\xff\xe0"), "unreadable_image"),
    "JPEG header alone": (_jpeg_header_only, "unreadable_image"),
    "truncated JPEG": (_half(lambda: encode_jpeg(_phantom())), "unreadable_image"),
    "truncated progressive JPEG": (
        _half(lambda: encode_jpeg(_phantom(), progressive=True)),
        "unreadable_image",
    ),
    "truncated JPEG with a thumbnail": (_jpeg_cut_after_thumbnail, "unreadable_image"),
    "JPEG without its last byte but one": (
        lambda: encode_jpeg(_phantom())[:-200],
        "unreadable_image",
    ),
    "PNG signature alone": (_bytes(b"\x89PNG\r\n\x1a\n"), "unreadable_image"),
    "truncated PNG": (_half(lambda: encode_png(_phantom())), "unreadable_image"),
    "PNG without end": (_png_without_end, "unreadable_image"),
    "PNG with wrong checksum": (_png_with_wrong_checksum, "unreadable_image"),
    "PNG with a text bomb": (_png_with_text_bomb, "unreadable_image"),
    "truncated TIFF": (
        _half(lambda: saved("TIFF", Image.fromarray(_phantom()))),
        "unreadable_image",
    ),
    "BigTIFF that points beyond any file": (
        _bytes(b"II+\0\x08\0\0\0" + b"\xff" * 8 + bytes(64)),
        "unreadable_image",
    ),
    "truncated WebP": (
        _half(lambda: saved("WEBP", Image.fromarray(_phantom()))),
        "unreadable_image",
    ),
    "truncated BMP": (_half(lambda: saved("BMP", Image.fromarray(_phantom()))), "unreadable_image"),
    "truncated DICOM": (_half(_dicom()), "unreadable_image"),
    "truncated DICOM, JPEG 2000": (
        _half(_dicom(transfer_syntax=JPEG2000Lossless)),
        "unreadable_image",
    ),
    "truncated DICOM, RLE": (_half(_dicom(transfer_syntax=RLELossless)), "unreadable_image"),
    "truncated DICOM, deflated": (
        _half(_dicom(transfer_syntax=DeflatedExplicitVRLittleEndian)),
        "unreadable_image",
    ),
    "DICOM with too few pixel values": (_pixel_values_missing, "unreadable_image"),
    "DICOM without Rows": (_dicom(fields={"Rows": None}), "unreadable_image"),
    "DICOM without photometric interpretation": (
        _dicom(fields={"PhotometricInterpretation": None}),
        "unreadable_image",
    ),
    "DICOM with a zero rescale slope": (
        _dicom(fields={"RescaleSlope": 0, "RescaleIntercept": 0}),
        "unreadable_image",
    ),
    "DICOM, JPEG 2000 of 60000²": (
        _codestream_bomb(JPEG2000Lossless, b"\xff\x4f\xff\x51", 8, ">II"),
        "unreadable_image",
    ),
    "DICOM, JPEG-LS of 60000²": (
        _codestream_bomb(JPEGLSLossless, b"\xff\xf7", 5, ">HH"),
        "unreadable_image",
    ),
    "DICOM preamble alone": (_bytes(bytes(128) + b"DICM"), "unsuitable_image"),
    # Readable, but not one radiograph.
    "PNG of 1 pixel": (
        lambda: encode_png(np.zeros((1, 1), np.uint8)),
        "unsuitable_image",
    ),
    "PNG of 63 rows": (_side(63, encode_png), "unsuitable_image"),
    "JPEG of 63 rows": (_side(63, encode_jpeg), "unsuitable_image"),
    "DICOM of 63 rows": (_side(63, encode_dicom), "unsuitable_image"),
    "TIFF of two pages": (lambda: _two("TIFF"), "unsuitable_image"),
    "animated WebP": (lambda: _two("WEBP", lossless=True), "unsuitable_image"),
    "animated PNG": (lambda: _two("PNG"), "unsuitable_image"),
    "TIFF of floating point": (
        lambda: saved("TIFF", Image.fromarray(_phantom().astype(np.float32))),
        "unsuitable_image",
    ),
    "CT": (_dicom(modality="CT"), "unsuitable_image"),
    "MR": (_dicom(modality="MR"), "unsuitable_image"),
    "ultrasound": (_dicom(modality="US"), "unsuitable_image"),
    "mammogram": (_dicom(modality="MG"), "unsuitable_image"),
    "dental radiograph": (_dicom(modality="PX"), "unsuitable_image"),
    "fluoroscopy": (_dicom(modality="RF"), "unsuitable_image"),
    "report": (_dicom(modality="SR", fields={"PixelData": None}), "unsuitable_image"),
    "DICOM without pixels": (_dicom(fields={"PixelData": None}), "unsuitable_image"),
    "DICOM directory": (_directory, "unsuitable_image"),
    "DICOM of two frames": (_multi_frame, "unsuitable_image"),
    "colour DICOM": (_colour_dicom, "unsuitable_image"),
    "palette DICOM": (_dicom(photometric="PALETTE COLOR"), "unsuitable_image"),
}
