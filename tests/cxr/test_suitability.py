"""What arithmetic alone refuses or warns about."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from cxr.decode import decode
from cxr.errors import UnsuitableImageError
from cxr.film import film
from cxr.radiograph import to_eight_bits
from cxr.suitability import LOW_CONTRAST, contrast, refuse_blank
from tests.bad_inputs import saved
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
    inverted = ((1 << bits) - 1 - pixels).astype(np.uint16)
    white_is_zero = saved("TIFF", Image.fromarray(inverted), tiffinfo={262: 0})
    for data in (encode_png(pixels), white_is_zero):
        radiograph = decode(data)
        assert contrast(radiograph) > 0.5
        # Whoever shows them as they are sees the film, not a black picture.
        shown = to_eight_bits(radiograph.pixels).astype(int)
        assert np.abs(shown - chest_phantom(300)).max() <= 1


def test_a_hot_pixel_does_not_darken_a_dicom_film_without_a_window() -> None:
    pixels = chest_phantom(300).astype(np.uint16) * 16
    clean = decode(encode_dicom(pixels, bits_stored=16))
    pixels[150, 150] = 65535
    hot = encode_dicom(pixels, bits_stored=16)
    assert contrast(decode(hot)) == pytest.approx(contrast(clean), abs=0.01)
    assert film(hot).windows[0].white < 4096


@pytest.mark.parametrize(("width", "faint"), [(256, False), (30000, True)])
def test_dicom_is_judged_through_its_window(width: int, faint: bool) -> None:
    window = {"WindowCenter": 128, "WindowWidth": width}
    film = decode(encode_dicom(chest_phantom(300).astype(np.uint16), fields=window))
    assert (contrast(film) < LOW_CONTRAST) is faint
