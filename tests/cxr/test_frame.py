"""A film on a canvas is read as the film, and its map lies where the film does."""

from __future__ import annotations

import numpy as np
import pytest

from cxr import PreprocessSpec, Radiograph, decode, to_model_input
from cxr.explain import on_whole_picture, upsample
from cxr.frame import LEAST_SHARE, film_in, without_frame
from cxr.preprocess import reduced
from tests.phantoms import chest_phantom, encode_jpeg

FILM = chest_phantom(400)


def on_canvas(
    film: np.ndarray, top: int, left: int, bottom: int, right: int, grey: int
) -> np.ndarray:
    return np.pad(film, ((top, bottom), (left, right)), constant_values=grey)


def picture(pixels: np.ndarray) -> Radiograph:
    return Radiograph(pixels, "PNG", pixels.shape[1], pixels.shape[0])


@pytest.mark.parametrize("grey", [0, 128, 255])
@pytest.mark.parametrize("margins", [(60, 60, 60, 60), (0, 90, 0, 90), (200, 10, 0, 300)])
@pytest.mark.parametrize("deep", [False, True])
def test_the_film_is_found_to_the_pixel(
    margins: tuple[int, int, int, int], grey: int, deep: bool
) -> None:
    top, left, bottom, right = margins
    pixels = on_canvas(FILM, *margins, grey)
    if deep:
        pixels = pixels.astype(np.uint16) * 257
    assert film_in(pixels) == (slice(top, top + 400), slice(left, left + 400))
    film = without_frame(picture(pixels))
    np.testing.assert_array_equal(film.pixels, FILM.astype(np.uint16) * 257 if deep else FILM)
    assert (film.width, film.height) == (400, 400)


def test_sides_of_different_greys_are_one_frame() -> None:
    pixels = on_canvas(on_canvas(FILM, 0, 80, 0, 80, 255), 80, 0, 80, 0, 0)
    assert film_in(pixels) == (slice(80, 480), slice(80, 480))


def test_what_jpeg_leaves_of_a_frame_is_still_one() -> None:
    margin = 80
    pixels = decode(encode_jpeg(on_canvas(FILM, *[margin] * 4, 40), 80)).pixels
    found = film_in(pixels)
    assert found is not None
    for part in found:  # the blocks that the film reaches into may stay
        assert margin - 8 <= part.start <= margin
        assert margin + 400 <= part.stop <= margin + 408


def test_a_narrow_rim_stays_as_the_networks_know_it() -> None:
    margin = 14
    pixels = on_canvas(FILM, *[margin] * 4, 0)
    assert 1 - FILM.size / pixels.size < LEAST_SHARE
    assert film_in(pixels) is None
    assert without_frame(picture(pixels)).pixels is pixels


@pytest.mark.parametrize(
    "pixels",
    [
        np.full((300, 300), 90, np.uint8),
        np.repeat(np.linspace(0, 255, 300).astype(np.uint8)[:, None], 300, axis=1),
        np.repeat(np.linspace(0, 255, 300).astype(np.uint8)[None], 300, axis=0),
        on_canvas(FILM[:40, :40], 200, 200, 200, 200, 0),
        FILM,
    ],
    ids=["blank", "a gradient down", "a gradient across", "a speck", "no frame"],
)
def test_no_film_is_made_up(pixels: np.ndarray) -> None:
    assert film_in(pixels) is None


def test_the_model_sees_the_film_as_if_it_came_alone() -> None:
    framed = picture(on_canvas(FILM, 0, 100, 0, 100, 255))
    spec = PreprocessSpec(size=96)
    alone = to_model_input(picture(FILM), spec)
    np.testing.assert_array_equal(to_model_input(framed, spec), alone)
    # A bundle of before there was this setting is fed as it was trained.
    fields = {name: value for name, value in spec.to_json().items() if name != "cut_frame"}
    before = PreprocessSpec.from_json(fields)
    assert not before.cut_frame
    assert np.abs(to_model_input(framed, before) - alone).max() > 0.1


def test_halving_first_changes_nothing_but_the_rim() -> None:
    deep = picture(on_canvas(chest_phantom(800), 301, 301, 301, 301, 0).astype(np.uint16) * 257)
    spec = PreprocessSpec(size=96)
    halved = to_model_input(reduced(deep, spec.reduce_to), spec)
    distance = np.abs(halved - to_model_input(deep, spec))
    assert distance[2:-2, 2:-2].max() < 0.05
    assert distance.mean() < 0.005


def test_the_map_lies_on_the_film() -> None:
    activation = np.zeros((7, 7), np.float32)
    activation[1, 5] = 1  # high on the right of the film
    pixels = on_canvas(FILM, 100, 300, 100, 0, 0)
    place = film_in(pixels)
    assert place is not None
    offset = (0.03, 0.02)
    whole = on_whole_picture(activation, place, pixels.shape, offset)
    rows, columns = (slice(round(p.start * 256 / 700), round(p.stop * 256 / 700)) for p in place)
    inside = whole[rows, columns]
    np.testing.assert_array_equal(inside, upsample(activation, *inside.shape[::-1], offset))
    assert whole.sum() == pytest.approx(inside.sum())
    assert inside.max() > 0.9
