"""Files that are whole but unusual: read rightly, or refused for what they are, never "damaged"."""

from __future__ import annotations

import io
import struct
from typing import Any

import numpy as np
import pytest
from imagecodecs import jpeg8_encode, jpegls_encode
from numpy.typing import NDArray
from tifffile import imwrite

from cxr import decode
from cxr.errors import (
    UnreadableImageError,
    UnsuitableImageError,
    UnsupportedFormatError,
)
from tests.phantoms import chest_phantom, dicom_dataset, encode_dicom, write_dicom

# pydicom warns of the odd files that these tests read on purpose.
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:pydicom")

GREY = chest_phantom(128)[:, :96]
SIXTEEN = GREY.astype(np.uint16) * 257


def tiff(pixels: NDArray[Any], compression: int = 1) -> bytes:
    """An uncompressed TIFF of any numbers (TIFF 6.0 §2, §19), whatever it says of compression."""
    formats = {"u": 1, "i": 2, "f": 3}
    rows, columns = pixels.shape
    data = pixels.tobytes()
    fields = {
        256: columns,
        257: rows,
        258: pixels.dtype.itemsize * 8,
        259: compression,
        262: 1,
        273: 8,
        277: 1,
        278: rows,
        279: len(data),
        339: formats[pixels.dtype.kind],
    }
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in fields.items())
    start = struct.pack("<2sHI", b"II", 42, 8 + len(data))
    return start + data + struct.pack("<H", len(fields)) + entries + struct.pack("<I", 0)


def test_the_tiff_of_these_tests_is_read() -> None:
    assert np.array_equal(decode(tiff(GREY)).pixels, GREY)
    assert np.array_equal(decode(tiff(SIXTEEN)).pixels, SIXTEEN)


@pytest.mark.parametrize("kind", ["f2", "f8", "u8", "i8"])
def test_a_tiff_of_numbers_that_are_not_read_is_unsupported(kind: str) -> None:
    whole = tiff(GREY.astype(kind))
    with pytest.raises(UnsupportedFormatError, match="stores its pixels"):
        decode(whole)
    with pytest.raises(UnreadableImageError):  # its directory is at the end
        decode(whole[:-20])


@pytest.mark.parametrize("compression", [34712, 50002])  # JPEG 2000, JPEG XL
def test_a_tiff_with_a_compression_that_is_not_read_is_unsupported(compression: int) -> None:
    with pytest.raises(UnsupportedFormatError, match="stores its pixels"):
        decode(tiff(GREY, compression))


def test_a_tiff_of_deep_colours_in_planes_is_unsupported() -> None:
    def planes(pixels: NDArray[Any]) -> bytes:
        buffer = io.BytesIO()
        imwrite(buffer, np.stack([pixels] * 3), photometric="rgb", planarconfig="separate")
        return buffer.getvalue()

    with pytest.raises(UnsupportedFormatError, match="stores its pixels"):
        decode(planes(SIXTEEN))
    np.testing.assert_array_equal(decode(planes(GREY)).pixels, GREY)


def test_a_bare_jpeg_ls_stream_with_segments_first_is_named() -> None:
    stream = jpegls_encode(GREY)
    comment = b"\xff\xfe\x00\x06film"
    for data in (stream, stream[:2] + comment + stream[2:]):
        with pytest.raises(UnsupportedFormatError, match="JPEG-LS"):
            decode(data)


@pytest.mark.parametrize("kind", ["i1", "i2", "i4", "u4", "f4"])
def test_a_tiff_whose_white_is_not_known_is_unsuitable(kind: str) -> None:
    with pytest.raises(UnsuitableImageError, match="signed, 32-bit or floating-point"):
        decode(tiff(GREY.astype(kind)))


@pytest.mark.parametrize("options", [{}, {"lossless": True, "predictor": 1}])
def test_a_jpeg_of_twelve_bits_is_unsupported(options: dict[str, Any]) -> None:
    jpeg = jpeg8_encode(SIXTEEN >> 4, bitspersample=12, **options)
    with pytest.raises(UnsupportedFormatError, match="8 bits"):
        decode(jpeg)
    with pytest.raises(UnreadableImageError):
        decode(jpeg[:20])


@pytest.mark.parametrize("photometric", ["monochrome2", " Monochrome1", "MONOCHROME1 "])
def test_a_photometric_interpretation_in_any_letters(photometric: str) -> None:
    said = photometric.strip().upper()
    expected = decode(encode_dicom(SIXTEEN, photometric=said))
    dataset = dicom_dataset(SIXTEEN, photometric=said)
    dataset.PhotometricInterpretation = photometric
    got = decode(write_dicom(dataset))
    assert np.array_equal(got.pixels, expected.pixels)
    assert got.dicom == expected.dicom


@pytest.mark.parametrize("value", [None, ""])
@pytest.mark.parametrize(
    "keyword",
    ["Rows", "BitsAllocated", "BitsStored", "SamplesPerPixel", "PixelRepresentation"],
)
def test_an_element_that_is_missing_is_named(keyword: str, value: str | None) -> None:
    dataset = dicom_dataset(SIXTEEN)
    if value is None:
        delattr(dataset, keyword)
    else:
        setattr(dataset, keyword, None)
    with pytest.raises(UnreadableImageError, match=keyword):
        decode(write_dicom(dataset))


@pytest.mark.parametrize("picture", [GREY, SIXTEEN], ids=["8 bits", "16 bits"])
def test_fewer_rows_than_pixels_are_refused(picture: NDArray[Any]) -> None:
    for rows in (64, 126):
        with pytest.raises(UnreadableImageError, match="more pixels than its Rows"):
            decode(encode_dicom(picture, fields={"Rows": rows}))


def test_padding_behind_the_pixels_is_let_be() -> None:
    expected = decode(encode_dicom(SIXTEEN)).pixels
    dataset = dicom_dataset(SIXTEEN)
    dataset.PixelData = dataset.PixelData + bytes(SIXTEEN[0].nbytes)
    assert np.array_equal(decode(write_dicom(dataset)).pixels, expected)
