"""JPEG: what libjpeg only warns of is refused where it costs pixels, and nowhere else."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable

import cv2
import numpy as np
import pytest
from PIL import Image
from pydicom.encaps import encapsulate
from pydicom.uid import JPEGBaseline8Bit

from cxr import decode
from cxr.errors import UnreadableImageError
from cxr.jpeg import REDUCTIONS, decode_grey
from tests.phantoms import chest_phantom, dicom_dataset, encode_jpeg
from tests.real_data import data_path

GREY = chest_phantom(400)[:, :301]
END = b"\xff\xd9"


def saved(mode: str, **options: int | bool) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(GREY).convert(mode).save(buffer, "JPEG", **options)
    return buffer.getvalue()


KINDS: dict[str, Callable[[], bytes]] = {
    "grey": lambda: encode_jpeg(GREY),
    "colour": lambda: encode_jpeg(np.stack([GREY] * 3, axis=-1)),
    "progressive": lambda: encode_jpeg(GREY, progressive=True),
    "restarts": lambda: saved("L", quality=90, restart_marker_blocks=8),
    "inks": lambda: saved("CMYK"),
}


def scan_of(jpeg: bytes) -> int:
    """Where the entropy-coded data of the last scan begins, or a little before."""
    return jpeg.rfind(b"\xff\xda") + 8


@pytest.mark.parametrize("reduce_to", [None, 80])
@pytest.mark.parametrize("kind", KINDS)
def test_a_scan_that_lost_its_end_is_refused(kind: str, reduce_to: int | None) -> None:
    whole = KINDS[kind]()
    decode(whole)
    for share in (0.2, 0.6, 0.95):
        end = scan_of(whole) + int((len(whole) - scan_of(whole)) * share)
        with pytest.raises(UnreadableImageError):
            decode(whole[:end] + END, reduce_to=reduce_to)


def test_a_scan_with_a_hole_is_refused() -> None:
    whole = encode_jpeg(GREY)
    middle = (scan_of(whole) + len(whole)) // 2
    with pytest.raises(UnreadableImageError):
        decode(whole[:middle] + whole[middle + 500 :])


def test_a_film_whose_rest_is_zeros_is_refused() -> None:
    # With tables of its own a JPEG may say "nothing changes" in two zero bits.
    whole = saved("L", quality=95, optimize=True)
    half = len(whole) // 2
    for tail in (END, b""):
        with pytest.raises(UnreadableImageError):
            decode(whole[:half] + bytes(half) + tail)


def _with(jpeg: bytes, place: bytes, stray: bytes) -> bytes:
    """``stray`` before the first ``place``."""
    at = jpeg.find(place)
    return jpeg[:at] + stray + jpeg[at:]


HARMLESS: dict[str, Callable[[bytes], bytes]] = {
    "bytes behind the end": lambda jpeg: jpeg + b"\xff\xda and more",
    "bytes before the end": lambda jpeg: jpeg[:-2] + b"\1" * 20 + END,
    "bytes before the scan": lambda jpeg: _with(jpeg, b"\xff\xda", b"\0\0\0"),
    "bytes before the tables": lambda jpeg: _with(jpeg, b"\xff\xdb", b"\0\0\0"),
    "fill bytes": lambda jpeg: _with(jpeg, b"\xff\xdb", b"\xff\xff"),
    "a JFIF of the future": lambda jpeg: jpeg.replace(b"JFIF\0\1", b"JFIF\0\7"),
}


@pytest.mark.parametrize("reduce_to", [None, 80])
@pytest.mark.parametrize("name", HARMLESS)
def test_what_costs_no_pixel_is_read(name: str, reduce_to: int | None) -> None:
    whole = encode_jpeg(GREY)
    odd = HARMLESS[name](whole)
    assert odd != whole
    expected = decode(whole, reduce_to=reduce_to).pixels
    assert np.array_equal(decode(odd, reduce_to=reduce_to).pixels, expected)


def test_an_odd_header_does_not_hide_that_the_end_is_missing() -> None:
    odd = HARMLESS["a JFIF of the future"](encode_jpeg(GREY))
    with pytest.raises(UnreadableImageError):
        decode(odd[: len(odd) // 2])


def test_a_larger_picture_than_announced_is_refused_before_it_is_decoded(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(cv2, "imdecode", lambda *_: pytest.fail("it was decoded"))
    with pytest.raises(UnreadableImageError):
        decode_grey(encode_jpeg(GREY), 64, 64)


def assert_as_opencv_has_it(film: bytes) -> None:
    width, height = Image.open(io.BytesIO(film)).size
    flags = {1: "GRAYSCALE", **{n: f"REDUCED_GRAYSCALE_{n}" for n in REDUCTIONS if n > 1}}
    for factor, flag in flags.items():
        theirs = cv2.imdecode(np.frombuffer(film, np.uint8), getattr(cv2, f"IMREAD_{flag}"))
        assert np.array_equal(decode_grey(film, width, height, factor), theirs)


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "inks"])
def test_the_pixels_are_those_of_opencv_at_every_scale(kind: str) -> None:
    assert_as_opencv_has_it(KINDS[kind]())


@pytest.mark.real_data
@pytest.mark.parametrize("data_set", ["chest-xray-pneumonia", "covid19-radiography-database"])
def test_so_they_are_for_real_films(data_set: str) -> None:
    with zipfile.ZipFile(data_path(f"{data_set}.zip")) as archive:
        films = [name for name in archive.namelist() if name.endswith((".jpg", ".jpeg"))]
        for film in films[::50]:
            assert_as_opencv_has_it(archive.read(film))


def baseline_dicom(frame: bytes) -> bytes:
    dataset = dicom_dataset(GREY, fields={"WindowCenter": 128, "WindowWidth": 256})
    dataset.file_meta.TransferSyntaxUID = JPEGBaseline8Bit
    dataset.PixelData = encapsulate([frame])
    dataset["PixelData"].is_undefined_length = True
    buffer = io.BytesIO()
    dataset.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


def test_the_same_holds_for_a_jpeg_in_a_dicom_file() -> None:
    frame = encode_jpeg(GREY)
    expected = decode(frame).pixels.astype(np.uint16) * 257
    assert np.array_equal(decode(baseline_dicom(frame)).pixels, expected)
    odd = HARMLESS["bytes before the end"](frame)
    assert np.array_equal(decode(baseline_dicom(odd)).pixels, expected)
    end = scan_of(frame) + (len(frame) - scan_of(frame)) * 6 // 10
    with pytest.raises(UnreadableImageError, match="DICOM"):
        decode(baseline_dicom(frame[:end] + END))
