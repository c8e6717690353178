"""Still images: every accepted encoding gives the same grey picture."""

from __future__ import annotations

import io
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import ExifTags, Image

from cxr import Limits, decode
from cxr.errors import UnreadableImageError
from cxr.jpeg import _ends_properly
from cxr.radiograph import to_eight_bits
from tests.bad_inputs import png_chunk, saved
from tests.phantoms import chest_phantom, encode_jpeg, encode_png

GREY = chest_phantom(200)[:160]  # not square, so that a turned picture shows
DEEP = GREY.astype(np.uint16) * 257
PICTURE = Image.fromarray(GREY)


def difference(left: NDArray[Any], right: NDArray[Any]) -> float:
    """Mean absolute difference of two pictures, in percent of their own full scale."""
    assert left.shape == right.shape
    scaled = [pixels / np.iinfo(pixels.dtype).max for pixels in (left, right)]
    return float(np.abs(scaled[0] - scaled[1]).mean()) * 100


def with_alpha(mode: str) -> Image.Image:
    """The phantom, opaque in its upper half, and white under full transparency below."""
    alpha = np.zeros_like(GREY)
    alpha[:80] = 255
    pixels = np.where(alpha > 0, GREY, 255).astype(np.uint8)
    picture = Image.fromarray(pixels).convert("RGB" if mode == "RGBA" else "L")
    picture.putalpha(Image.fromarray(alpha))
    return picture


def palette(picture: Image.Image) -> Image.Image:
    """Indices in reverse order, so that they cannot pass for grey levels."""
    indexed = Image.fromarray(255 - np.asarray(picture), "P")
    indexed.putpalette([255 - index // 3 for index in range(768)])
    return indexed


def cmyk_jpeg(*, adobe: bool) -> bytes:
    """A grey film as CMYK inks; Pillow writes Adobe's inverted polarity and marker."""
    ink = Image.merge("CMYK", [Image.fromarray(255 - GREY)] * 3 + [Image.new("L", (200, 160), 0)])
    if adobe:
        return saved("JPEG", ink, quality=95)
    plain = bytearray(saved("JPEG", Image.fromarray(255 - np.asarray(ink), "CMYK"), quality=95))
    start = plain.index(b"\xff\xee")
    length = int.from_bytes(plain[start + 2 : start + 4], "big") + 2
    del plain[start : start + length]
    return bytes(plain)


LOSSLESS = {
    "PNG grey": lambda: encode_png(GREY),
    "PNG RGB": lambda: saved("PNG", PICTURE.convert("RGB")),
    "PNG palette": lambda: saved("PNG", palette(PICTURE)),
    "PNG RGBA": lambda: saved("PNG", PICTURE.convert("RGBA")),
    "PNG grey with alpha": lambda: saved("PNG", PICTURE.convert("LA")),
    "PNG of 16-bit RGB": lambda: encode_png(np.stack([DEEP] * 3, axis=-1)),
    "PNG of 16-bit RGBA": lambda: encode_png(
        np.stack([DEEP] * 3 + [np.full_like(DEEP, 65535)], axis=-1)
    ),
    "TIFF grey": lambda: saved("TIFF", PICTURE),
    "TIFF RGB, LZW": lambda: saved("TIFF", PICTURE.convert("RGB"), compression="tiff_lzw"),
    "TIFF, deflate": lambda: saved("TIFF", PICTURE, compression="tiff_adobe_deflate"),
    "TIFF palette": lambda: saved("TIFF", palette(PICTURE)),
    "TIFF CMYK": lambda: saved("TIFF", PICTURE.convert("RGB").convert("CMYK")),
    "WebP lossless": lambda: saved("WEBP", PICTURE.convert("RGB"), lossless=True),
    "BMP grey": lambda: saved("BMP", PICTURE),
    "BMP RGB": lambda: saved("BMP", PICTURE.convert("RGB")),
}


@pytest.mark.parametrize("name", LOSSLESS)
def test_lossless_encodings_keep_every_pixel(name: str) -> None:
    radiograph = decode(LOSSLESS[name]())
    assert radiograph.pixels.dtype == np.uint8
    assert (radiograph.width, radiograph.height) == (200, 160)
    np.testing.assert_array_equal(radiograph.pixels, GREY)
    assert radiograph.format == name.split()[0].rstrip(",").upper()
    assert radiograph.dicom is None


LOSSY = {
    "baseline": lambda: encode_jpeg(GREY),
    "progressive": lambda: encode_jpeg(GREY, progressive=True),
    "colour": lambda: encode_jpeg(np.stack([GREY] * 3, axis=-1)),
    "without chroma subsampling": lambda: saved(
        "JPEG", PICTURE.convert("RGB"), quality=95, subsampling=0
    ),
    "with trailing bytes": lambda: encode_jpeg(GREY) + b"\0" * 100,
    "CMYK by Adobe": lambda: cmyk_jpeg(adobe=True),
    "CMYK by others": lambda: cmyk_jpeg(adobe=False),
}


@pytest.mark.parametrize("name", LOSSY)
def test_jpeg(name: str) -> None:
    radiograph = decode(LOSSY[name]())
    assert radiograph.format == "JPEG"
    assert radiograph.pixels.dtype == np.uint8
    assert difference(radiograph.pixels, GREY) < 1


def test_lossy_webp() -> None:
    assert difference(decode(saved("WEBP", PICTURE, quality=95)).pixels, GREY) < 1


@pytest.mark.parametrize(
    "encoded",
    [encode_png(DEEP), saved("TIFF", Image.fromarray(DEEP))],
    ids=["PNG", "TIFF"],
)
def test_sixteen_bits_stay_sixteen(encoded: bytes) -> None:
    radiograph = decode(encoded)
    assert radiograph.pixels.dtype == np.uint16
    np.testing.assert_array_equal(radiograph.pixels, DEEP)


def big_endian_tiff(pixels: NDArray[Any], bits: int, photometric: int) -> bytes:
    """A minimal uncompressed grey TIFF in Motorola order (TIFF 6.0 §2)."""
    height, width = pixels.shape
    data = pixels.astype(">u2").tobytes()
    entries = [
        (256, width),
        (257, height),
        (258, bits),
        (259, 1),
        (262, photometric),
        (273, 8),
        (277, 1),
        (278, height),
        (279, len(data)),
    ]
    directory = len(entries).to_bytes(2, "big")
    for tag, value in entries:
        directory += tag.to_bytes(2, "big") + b"\0\4\0\0\0\1" + value.to_bytes(4, "big")
    offset = 8 + len(data)
    return b"MM\0*" + offset.to_bytes(4, "big") + data + directory + bytes(4)


def test_a_big_endian_tiff_of_sixteen_bits() -> None:
    np.testing.assert_array_equal(decode(big_endian_tiff(DEEP, 16, 1)).pixels, DEEP)


@pytest.mark.parametrize("picture", [PICTURE, Image.fromarray(DEEP)], ids=["8 bit", "16 bit"])
def test_a_tiff_where_white_is_zero_is_turned_over(picture: Image.Image) -> None:
    turned = Image.fromarray(~np.asarray(picture))
    encoded = saved("TIFF", turned, tiffinfo={262: 0})
    if np.asarray(picture).dtype == np.uint8:
        encoded = saved("TIFF", picture, tiffinfo={262: 0})  # Pillow turns 8-bit pixels itself
    assert difference(decode(encoded).pixels, np.asarray(picture)) == 0


def test_one_bit_pictures_become_black_and_white() -> None:
    picture = PICTURE.point(lambda level: 255 * (level > 90)).convert("1")
    for format in ("PNG", "TIFF", "BMP"):
        pixels = decode(saved(format, picture)).pixels
        np.testing.assert_array_equal(pixels, np.where(GREY > 90, 255, 0))


@pytest.mark.parametrize("format", ["PNG", "TIFF", "WEBP"])
@pytest.mark.parametrize("mode", ["LA", "RGBA"])
def test_transparency_is_composed_on_black(format: str, mode: str) -> None:
    picture = with_alpha(mode)
    if format == "WEBP":
        picture = picture.convert("RGBA")
    options = {"lossless": True, "exact": True} if format == "WEBP" else {}
    pixels = decode(saved(format, picture, **options)).pixels
    np.testing.assert_array_equal(pixels[:80], GREY[:80])
    assert pixels[80:].max() == 0


def test_a_transparent_palette_colour_is_composed_on_black() -> None:
    picture = palette(PICTURE)
    level = int(np.bincount(GREY.ravel())[1:].argmax()) + 1
    pixels = decode(saved("PNG", picture, transparency=255 - level)).pixels
    np.testing.assert_array_equal(pixels, np.where(level == GREY, 0, GREY))


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("format", ["JPEG", "PNG", "TIFF", "WEBP"])
def test_exif_orientation_is_honoured(format: str, orientation: int) -> None:
    # What EXIF says of each orientation, in numpy's own turns: stored = inverse(displayed).
    stored = {
        1: GREY,
        2: np.fliplr(GREY),
        3: np.rot90(GREY, 2),
        4: np.flipud(GREY),
        5: GREY.T,
        6: np.rot90(GREY, 1),
        7: np.rot90(GREY, 2).T,
        8: np.rot90(GREY, -1),
    }[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {"quality": 100} | ({"lossless": True} if format == "WEBP" else {})
    encoded = saved(format, Image.fromarray(np.ascontiguousarray(stored)), exif=exif, **options)
    for reduce_to in (None, 80):
        radiograph = decode(encoded, reduce_to=reduce_to)
        assert (radiograph.width, radiograph.height) == (200, 160)
        shape = radiograph.pixels.shape
        expected = cv2.resize(GREY, shape[::-1], interpolation=cv2.INTER_AREA)
        assert shape in ((160, 200), (80, 100))
        assert difference(radiograph.pixels, expected) < 1


@pytest.mark.parametrize(
    ("reduce_to", "shape"),
    [(None, (1024, 1600)), (1024, (1024, 1600)), (513, (1024, 1600)), (512, (512, 800)),
     (256, (256, 400)), (160, (256, 400)), (128, (128, 200)), (1, (128, 200))],
)  # fmt: skip
def test_reduced_scale_keeps_the_asked_side(reduce_to: int | None, shape: tuple[int, int]) -> None:
    encoded = encode_jpeg(cv2.resize(GREY, (1600, 1024), interpolation=cv2.INTER_CUBIC))
    radiograph = decode(encoded, reduce_to=reduce_to)
    assert radiograph.pixels.shape == shape
    assert (radiograph.width, radiograph.height) == (1600, 1024)


@pytest.mark.parametrize("colour", [False, True], ids=["grey", "colour"])
def test_reduced_and_full_scale_have_the_same_grey_levels(colour: bool) -> None:
    large = cv2.resize(GREY, (1603, 1281), interpolation=cv2.INTER_CUBIC)
    picture = large
    if colour:  # a real tint: both roads must weigh the colours alike
        picture = np.stack([large // 2, large, large - large // 3], axis=-1)
    encoded = encode_jpeg(picture)
    full = decode(encoded).pixels
    for factor, reduce_to in ((2, 640), (4, 320), (8, 160)):
        reduced = decode(encoded, reduce_to=reduce_to).pixels
        rows, columns = round(1281 / factor), round(1603 / factor)
        assert reduced.shape == (rows, columns)
        # What a reduced pixel means: the mean of its block, the edge repeated where it ends.
        missing = [
            max(count * factor - have, 0)
            for count, have in zip((rows, columns), full.shape, strict=True)
        ]
        padded = np.pad(full, [(0, count) for count in missing], mode="edge")
        blocks = padded[: rows * factor, : columns * factor].reshape(rows, factor, columns, factor)
        means = blocks.mean(axis=(1, 3))
        assert np.abs(reduced - means).mean() < 0.5
        assert np.abs(reduced - means).max() < 4
        assert abs(float((reduced - means).mean())) < 0.3


def test_a_jpeg_with_a_thumbnail_is_decoded_whole() -> None:
    exif = b"Exif\0\0" + encode_jpeg(chest_phantom(64), 30)
    block = b"\xff\xe1" + (len(exif) + 2).to_bytes(2, "big") + exif
    jpeg = encode_jpeg(GREY)
    with_thumbnail = jpeg[:2] + block + jpeg[2:]
    assert _ends_properly(with_thumbnail)
    assert not _ends_properly(with_thumbnail[:-40])
    assert difference(decode(with_thumbnail).pixels, GREY) < 1


def test_every_truncation_of_a_jpeg_is_noticed() -> None:
    """Never silently half grey: whatever is returned is the whole picture."""
    jpeg = encode_jpeg(GREY)
    for end in range(20, len(jpeg) - 2, 97):
        with pytest.raises(UnreadableImageError):
            decode(jpeg[:end], reduce_to=80)


@pytest.mark.parametrize("packet", ["iTXt", "behind the pixels"])
def test_an_orientation_in_xmp_alone_turns_nothing(packet: str) -> None:
    xmp = b"XML:com.adobe.xmp\0\0\0\0\0" + b'<rdf:Description tiff:Orientation="3"/>'
    png = encode_png(GREY)
    at = png.index(b"IEND" if packet != "iTXt" else b"IDAT") - 4
    pixels = decode(png[:at] + png_chunk(b"iTXt", xmp) + png[at:]).pixels
    np.testing.assert_array_equal(pixels, GREY)


@pytest.mark.parametrize("tag", ["ExposureTime", "FNumber", "FocalLength"])
@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP"])
def test_what_a_camera_took_is_known(format: str, tag: str) -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.Make] = "Scanners"
    assert not decode(saved(format, PICTURE, exif=exif)).photographed
    exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base[tag]] = 2.8
    assert decode(saved(format, PICTURE, exif=exif)).photographed
    tags = {ExifTags.Base[tag].value: 2.8}  # TIFF/EP keeps them beside its own
    assert decode(saved("TIFF", PICTURE, tiffinfo=tags)).photographed


@pytest.mark.filterwarnings("ignore:Corrupt EXIF data")  # what is tested is that it is let be
def test_a_damaged_exif_block_does_not_spoil_the_picture() -> None:
    exif = b"Exif\0\0II*\0\x08\0\0\0\xff\xff" + b"\x12\x01\xff\xff" * 20
    block = b"\xff\xe1" + (len(exif) + 2).to_bytes(2, "big") + exif
    jpeg = encode_jpeg(GREY)
    assert difference(decode(jpeg[:2] + block + jpeg[2:]).pixels, GREY) < 1


def test_the_name_of_the_format_comes_from_the_content() -> None:
    text = png_chunk(b"tEXt", b"Comment\0\xff\xd8\xff JFIF")
    png = encode_png(GREY)
    assert decode(png[:33] + text + png[33:]).format == "PNG"


def test_pixels_are_contiguous_and_the_callers_own() -> None:
    for encoded in (encode_png(GREY), encode_jpeg(GREY), saved("TIFF", PICTURE)):
        pixels = decode(encoded).pixels
        assert pixels.flags.c_contiguous
        assert pixels.ndim == 2


def test_reading_does_not_change_pillows_settings() -> None:
    before = Image.MAX_IMAGE_PIXELS
    decode(encode_png(GREY), Limits(max_pixels=1_000_000))
    assert before == Image.MAX_IMAGE_PIXELS
    with Image.open(io.BytesIO(saved("GIF", PICTURE))) as other:
        assert other.format == "GIF"


def test_eight_bits_hold_the_same_grey_levels() -> None:
    levels = np.arange(256, dtype=np.uint8).reshape(16, 16)
    assert to_eight_bits(levels) is levels
    deep = levels.astype(np.uint16) * 256
    for low_byte in (0, 255):
        shown = to_eight_bits(deep + np.uint16(low_byte))
        assert shown.dtype == np.uint8
        np.testing.assert_array_equal(shown, levels)


def tinted(picture: NDArray[np.uint8]) -> Image.Image:
    """The phantom with its right half in warm colours, as under a heatmap."""
    colours = np.dstack([picture] * 3)
    colours[:, 100:, 2] //= 2
    return Image.fromarray(colours)


@pytest.mark.parametrize("format", ["JPEG", "PNG", "TIFF", "WEBP", "BMP"])
def test_colour_is_measured_and_grey_in_a_colour_mode_has_none(format: str) -> None:
    assert decode(saved(format, tinted(GREY))).chroma > 10
    large = np.asarray(cv2.resize(GREY, (2000, 1600)))
    assert decode(saved(format, tinted(large)), reduce_to=160).chroma > 10
    assert decode(saved(format, PICTURE.convert("RGB"))).chroma < 0.1


def test_colour_of_palettes_inks_and_what_is_transparent() -> None:
    assert decode(saved("PNG", tinted(GREY).quantize(64))).chroma > 10
    assert decode(saved("PNG", palette(PICTURE))).chroma == 0
    assert decode(cmyk_jpeg(adobe=True)).chroma < 0.5
    hidden = tinted(GREY)
    hidden.putalpha(0)
    assert decode(saved("PNG", hidden)).chroma == 0
