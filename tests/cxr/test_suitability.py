"""What arithmetic alone refuses or warns about."""

from __future__ import annotations

import numpy as np
import pytest

from cxr.decode import decode
from cxr.errors import UnsuitableImageError
from cxr.suitability import LOW_CONTRAST, contrast, refuse_blank
from tests.phantoms import chest_phantom, encode_dicom, encode_png


def test_an_even_grey_is_refused_whatever_its_level() -> None:
    for level in (0, 128, 255):
        blank = decode(encode_png(np.full((200, 300), level, np.uint8)))
        with pytest.raises(UnsuitableImageError) as refused:
            refuse_blank(contrast(blank))
        assert refused.value.reason == "no_contrast"


def test_a_single_bright_speck_does_not_make_a_blank_picture_a_film() -> None:
    speck = np.zeros((300, 300), np.uint8)
    speck[100:103, 100:103] = 255
    with pytest.raises(UnsuitableImageError):
        refuse_blank(contrast(decode(encode_png(speck))))


def test_a_faint_film_is_let_pass_and_known_to_be_faint() -> None:
    faint = decode(encode_png((chest_phantom(300) // 24 + 60).astype(np.uint8)))
    refuse_blank(contrast(faint))
    assert 0.02 < contrast(faint) < LOW_CONTRAST
    assert contrast(decode(encode_png(chest_phantom(300)))) > 0.5


@pytest.mark.parametrize("bits", [10, 12, 15, 16])
def test_sixteen_bit_files_are_judged_by_the_bits_that_they_use(bits: int) -> None:
    pixels = chest_phantom(300).astype(np.uint16) << (bits - 8)
    assert contrast(decode(encode_png(pixels))) > 0.5


@pytest.mark.parametrize(("width", "faint"), [(256, False), (30000, True)])
def test_dicom_is_judged_through_its_window(width: int, faint: bool) -> None:
    window = {"WindowCenter": 128, "WindowWidth": width}
    film = decode(encode_dicom(chest_phantom(300).astype(np.uint16), fields=window))
    assert (contrast(film) < LOW_CONTRAST) is faint
