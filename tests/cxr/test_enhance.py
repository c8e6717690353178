"""What is taken out of a film, on pictures of which it is known what was put in."""

from __future__ import annotations

import numpy as np
import pytest

from cxr.decode import decode
from cxr.enhance import crop_borders, denoise, remove_marks
from cxr.preprocess import PreprocessSpec, to_model_input
from tests.phantoms import encode_png

MARK = 255


def film(rows: int = 200, columns: int = 240) -> np.ndarray:
    """A smooth slope from 60 to 180 with fine grain: no border, nothing saturated."""
    slope = np.linspace(60, 180, columns, dtype=np.float32)[np.newaxis].repeat(rows, 0)
    grain = np.random.default_rng(0).normal(0, 2, slope.shape)
    return (slope + grain).round().astype(np.uint8)


def framed(inside: np.ndarray, top: int, bottom: int, left: int, right: int) -> np.ndarray:
    return np.pad(inside, ((top, bottom), (left, right)))


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("frame", [(20, 20, 20, 20), (0, 30, 0, 7), (0, 0, 0, 0)])
def test_a_black_frame_is_cut_off_to_the_pixel(dtype, frame):
    inside = film().astype(dtype) * (np.iinfo(dtype).max // 255)
    picture = framed(inside, *frame)
    cropped = crop_borders(picture)
    np.testing.assert_array_equal(cropped, inside)
    assert np.shares_memory(cropped, picture)


def test_dust_and_a_mark_in_the_frame_do_not_save_it():
    picture = framed(film(), 20, 20, 20, 20)
    picture[5, ::80] = MARK
    picture[100:103, 8] = MARK
    np.testing.assert_array_equal(crop_borders(picture), film())


def test_dark_anatomy_is_not_cut_beyond_a_fifth_of_a_side():
    picture = film()
    picture[:120] = 0
    picture[:, 150:] = 0
    assert crop_borders(picture).shape == (160, 192)


def test_a_constant_picture_is_left_whole():
    for level in (0, 77, 255):
        assert crop_borders(np.full((50, 60), level, np.uint8)).shape == (50, 60)


def test_a_mark_is_painted_over_from_what_surrounds_it():
    clean = film()
    marked = clean.copy()
    marked[10:22, 200:204] = MARK
    marked[18:22, 204:210] = MARK  # an L
    painted = remove_marks(marked)
    touched = painted != marked
    assert touched[10:22, 200:204].all()
    assert touched[18:22, 204:210].all()
    # Nothing but the mark and the pixel around it.
    touched[9:23, 199:211] = False
    assert not touched.any()
    np.testing.assert_allclose(painted, clean.astype(int), atol=15)
    assert marked.max() == MARK  # what was given is not written to


@pytest.mark.parametrize(
    ("place", "why"),
    [
        ((slice(90, 100), slice(110, 120)), "in the middle"),
        ((slice(0, 10), slice(100, 160)), "too large"),
    ],
)
def test_what_may_be_anatomy_stays(place, why):
    picture = film()
    picture[place] = MARK
    assert remove_marks(picture) is picture, why


def test_noise_goes_and_edges_stay():
    step = np.full((96, 96), 60, np.uint8)
    step[:, 48:] = 180
    noise = np.random.default_rng(1).normal(0, 5, step.shape)
    noisy = (step + noise).round().astype(np.uint8)
    gentle, strong = (denoise(noisy, strength) for strength in (3, 10))
    left = [picture[:, :40].std() for picture in (noisy, gentle, strong)]
    assert left[2] < 0.5 * left[0]
    assert left[2] < left[1] <= left[0]
    edge = strong[:, 49].astype(int) - strong[:, 46]
    assert edge.min() > 100


def _input(pixels: np.ndarray, **settings: object) -> np.ndarray:
    return to_model_input(decode(encode_png(pixels)), PreprocessSpec(size=96, **settings))


def test_a_network_that_asks_for_it_sees_neither_frame_nor_mark():
    clean = film(384, 384)
    picture = clean.copy()
    picture[30:50, 330:342] = MARK
    picture = framed(picture, 40, 40, 40, 40)
    expected = _input(clean)
    assert np.abs(_input(picture, cut_frame=False) - expected).mean() > 0.05
    without = _input(picture, remove_artefacts=True, cut_frame=False)
    np.testing.assert_allclose(without, expected, atol=0.1)


def test_a_network_that_asks_for_it_sees_less_noise():
    noise = np.random.default_rng(2).normal(0, 6, (96, 96))
    picture = (film(96, 96) + noise).round().astype(np.uint8)

    def roughness(image: np.ndarray) -> float:
        return float(np.abs(np.diff(image[..., 0], axis=0)).mean())

    assert roughness(_input(picture, denoise=20.0)) < 0.5 * roughness(_input(picture))
