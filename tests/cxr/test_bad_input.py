"""Whatever cannot be read as a radiograph is refused with its code and a useful sentence."""

from __future__ import annotations

import re
import time

import numpy as np
import pytest

from cxr import Limits, decode
from cxr.errors import CxrError, RadiographError, TooLargeError, UnsupportedFormatError
from tests.bad_inputs import BAD_INPUTS, bomb_png
from tests.phantoms import (
    PATIENT_ID,
    PATIENT_NAME,
    STUDY_DATE,
    chest_phantom,
    encode_dicom,
    encode_jpeg,
    encode_png,
)


@pytest.mark.parametrize("name", BAD_INPUTS)
def test_is_refused_with_its_code(name: str) -> None:
    make, code = BAD_INPUTS[name]
    with pytest.raises(RadiographError) as refusal:
        decode(make(), reduce_to=160)
    assert refusal.value.code == code, refusal.value.detail
    # Two sentences: what is wrong, what to do.
    assert len(re.findall(r"[A-Za-z)]\.( |$)", refusal.value.detail)) >= 2, refusal.value.detail


def test_the_table_is_as_long_as_promised() -> None:
    assert len(BAD_INPUTS) >= 40


@pytest.mark.parametrize(
    ("name", "word"),
    [
        ("PDF", "PDF"),
        ("SVG", "SVG"),
        ("ZIP", "ZIP"),
        ("HEIC", "HEIC"),
        ("animated GIF", "GIF"),
        ("HTML", "web page"),
        ("JSON", "JSON"),
        ("text", "text file"),
        ("UTF-8 text", "text file"),
        ("MP4", "video"),
        ("CT", "computed tomography"),
        ("dental radiograph", "dental"),
        ("DICOM of two frames", "several frames"),
        ("TIFF of two pages", "several pages"),
    ],
)
def test_the_refusal_names_what_was_sent(name: str, word: str) -> None:
    with pytest.raises(RadiographError, match=word):
        decode(BAD_INPUTS[name][0]())


def test_a_bomb_is_refused_before_it_is_decoded() -> None:
    bomb = bomb_png()
    start = time.process_time()
    with pytest.raises(RadiographError):
        decode(bomb)
    # Inflating 900 MB takes more than half a second on any machine.
    assert time.process_time() - start < 0.2


def test_limits_are_the_callers() -> None:
    png = encode_png(chest_phantom(128))
    assert decode(png, Limits(max_bytes=len(png), max_pixels=128 * 128, min_side=128)).width == 128
    for limits, code in (
        (Limits(max_bytes=len(png) - 1), "too_large"),
        (Limits(max_pixels=128 * 128 - 1), "too_many_pixels"),
        (Limits(min_side=129), "unsuitable_image"),
    ):
        with pytest.raises(RadiographError) as refusal:
            decode(png, limits)
        assert refusal.value.code == code


def test_a_deflated_dicom_is_bounded_by_the_callers_limit() -> None:
    file = encode_dicom(np.zeros((2000, 2000), np.uint16), transfer_syntax="1.2.840.10008.1.2.1.99")
    assert decode(file).width == 2000
    with pytest.raises(TooLargeError, match="unfolds"):
        decode(file, Limits(max_bytes=1_000_000))


def test_an_unknown_transfer_syntax_is_unsupported() -> None:
    file = encode_dicom(chest_phantom(128).astype(np.uint16))
    # JPIP Referenced: the same length as explicit VR little endian, padded.
    syntax = b"1.2.840.10008.1.2.1\x00"
    assert file.count(syntax) == 1
    with pytest.raises(UnsupportedFormatError):
        decode(file.replace(syntax, b"1.2.840.10008.1.2.9\x00"))


@pytest.mark.parametrize("encoding", ["jpeg", "progressive", "png", "dicom", "rle", "j2k", "jls"])
def test_damage_never_escapes_as_another_error(encoding: str) -> None:
    """Whatever is cut, flipped or overwritten, decode returns a radiograph or a domain error."""
    grey = chest_phantom(96)
    deep = grey.astype(np.uint16) * 16
    syntaxes = {
        "dicom": "1.2.840.10008.1.2.1",
        "rle": "1.2.840.10008.1.2.5",
        "j2k": "1.2.840.10008.1.2.4.90",
        "jls": "1.2.840.10008.1.2.4.80",
    }
    if encoding == "png":
        whole = encode_png(grey)
    elif encoding in syntaxes:
        whole = encode_dicom(deep, bits_stored=12, transfer_syntax=syntaxes[encoding])
    else:
        whole = encode_jpeg(grey, progressive=encoding == "progressive")
    generator = np.random.default_rng(11)
    refused = 0
    for _ in range(60):
        damaged = bytearray(whole)
        # Half of the blows go to the header, where they hurt most.
        reach = len(damaged) if generator.random() < 0.5 else min(len(damaged), 1200)
        for position in generator.integers(0, reach, generator.integers(1, 6)):
            damaged[position] = generator.integers(0, 256)
        if generator.random() < 0.3:
            del damaged[generator.integers(0, len(damaged)) :]
        try:
            pixels = decode(bytes(damaged), reduce_to=32).pixels
        except CxrError:
            refused += 1
        else:
            assert pixels.ndim == 2
    assert refused > 0


def test_refusals_carry_no_patient_data() -> None:
    grey = chest_phantom(96).astype(np.uint16)
    for fields in ({"Modality": "CT"}, {"Rows": 95, "NumberOfFrames": 2}, {"BitsAllocated": 32}):
        with pytest.raises(RadiographError) as refusal:
            decode(encode_dicom(grey, fields=fields))
        for secret in (PATIENT_NAME, PATIENT_ID, STUDY_DATE):
            assert secret not in refusal.value.detail
            assert secret not in repr(refusal.value.__cause__)
