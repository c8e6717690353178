from __future__ import annotations

import io

import cv2
import numpy as np
import pytest
from PIL import Image

from cxr.explain import (
    WEAK_EVIDENCE,
    class_activation,
    infection_activation,
    layer_png,
    map_png,
    overlay,
    overlay_png,
    upsample,
)
from cxr.findings import BACTERIAL_PNEUMONIA, NORMAL, VIRAL_PNEUMONIA
from cxr.png import png
from cxr.radiograph import Radiograph
from tests.phantoms import chest_phantom

CLASSES = (NORMAL, BACTERIAL_PNEUMONIA, VIRAL_PNEUMONIA)


def _png(data: bytes) -> np.ndarray:
    return cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)


def _maps(strength: float) -> np.ndarray:
    maps = np.zeros((10, 10, 3), np.float32)
    maps[2, 7, 1] = strength
    maps[8, 1, 0] = strength
    return maps


def test_evidence_for_infection_is_shown_where_it_is_and_none_for_normal():
    activation = infection_activation(_maps(10), np.array([0.2, 0.7, 0.1]), CLASSES)
    assert np.unravel_index(activation.argmax(), activation.shape) == (2, 7)
    assert activation.max() == pytest.approx(1)
    assert activation[8, 1] == 0


def test_weak_evidence_stays_weak():
    activation = infection_activation(_maps(0.5), np.array([0.2, 0.7, 0.1]), CLASSES)
    assert activation.max() < 0.3


def test_map_is_in_register_with_the_film():
    activation = infection_activation(_maps(10), np.array([0.2, 0.7, 0.1]), CLASSES)
    smooth = upsample(activation, 400, 300)
    row, column = np.unravel_index(smooth.argmax(), smooth.shape)
    assert abs(column - 400 * 7.5 / 10) < 8
    assert abs(row - 300 * 2.5 / 10) < 8
    assert smooth.min() >= 0
    assert smooth.max() <= 1


def test_overlay_changes_the_film_only_where_there_is_evidence():
    film = chest_phantom(size=300)
    radiograph = Radiograph(film, "PNG", 300, 300)
    activation = infection_activation(_maps(10), np.array([0.2, 0.7, 0.1]), CLASSES)
    shown = _png(overlay_png(radiograph, activation)).astype(int)
    assert shown.shape == (300, 300, 3)
    difference = np.abs(shown - film[..., None]).sum(axis=2)
    assert difference[150:, :150].max() <= 3 * 3  # blended, and kept in six bits
    assert difference[60:90, 210:240].mean() > 50


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_large_films_are_shown_smaller(dtype):
    pixels = np.full((1001, 2001), np.iinfo(dtype).max // 2, dtype)
    film, nothing = Radiograph(pixels, "DICOM", 2001, 1001), np.zeros((5, 5), np.float32)
    for shown, shape, error in (
        (overlay(film, nothing), (512, 1024, 3), 1),  # for people
        (_png(overlay_png(film, nothing)), (250, 500, 3), 2),  # for programs
    ):
        assert shown.shape == shape
        assert abs(int(shown.mean()) - 127) <= error
    assert _png(map_png(np.ones((5, 5), np.float32), 2001, 1001)).shape == (250, 500, 3)


@pytest.mark.parametrize("side", [300, 701, 2047])
def test_an_overlay_lies_on_its_place_of_the_film_at_every_size(side):
    """A mark on the film and the evidence for it: they must not drift apart in shrinking."""
    film = np.full((side, side), 40, np.uint8)
    place = slice(round(0.7 * side), round(0.8 * side)), slice(round(0.2 * side), round(0.3 * side))
    film[place] = 200
    activation = np.zeros((10, 10), np.float32)
    activation[7, 2] = 1
    radiograph = Radiograph(film, "PNG", side, side)
    plain = _png(overlay_png(radiograph, np.zeros((10, 10), np.float32)))
    shown = _png(overlay_png(radiograph, activation))
    assert shown.shape == plain.shape
    assert max(shown.shape) <= 640
    scale = shown.shape[0] / side
    mark = np.argwhere(plain[..., 0] > 120)
    np.testing.assert_allclose((mark.mean(axis=0) + 0.5) / scale / side, (0.75, 0.25), atol=0.004)
    colours = np.abs(shown.astype(float) - plain).sum(axis=2)
    coloured = np.argwhere(colours > colours.max() / 2)
    centre = (coloured.mean(axis=0) + 0.5) / shown.shape[0]
    np.testing.assert_allclose(centre, (0.75, 0.25), atol=0.01)


def test_an_overlay_is_what_blending_pixel_by_pixel_gives():
    film = chest_phantom(size=500)
    activation = infection_activation(_maps(10), np.array([0.2, 0.7, 0.1]), CLASSES)
    heat = upsample(activation, 500, 500, (0.03, 0.02))[..., np.newaxis]
    scale = cv2.applyColorMap(np.arange(256, dtype=np.uint8), cv2.COLORMAP_INFERNO)[0, :, ::-1]
    cover = 0.55 * np.clip(1.5 * heat, 0, 1)
    expected = film[..., np.newaxis] * (1 - cover) + scale[(heat[..., 0] * 255).astype(int)] * cover
    got = overlay(Radiograph(film, "PNG", 500, 500), activation, (0.03, 0.02))
    assert np.abs(got - expected).mean() < 0.5
    assert np.abs(got - expected).max() < 12


def test_an_overlay_for_programs_is_the_one_for_people_in_64_levels():
    film = np.tile(np.arange(256, dtype=np.uint8), (256, 1))
    activation = infection_activation(_maps(10), np.array([0.2, 0.7, 0.1]), CLASSES)
    radiograph = Radiograph(film, "PNG", 256, 256)
    people = overlay(radiograph, activation).astype(int)
    programs = _png(overlay_png(radiograph, activation))[..., ::-1].astype(int)
    assert len(np.unique(programs)) == 64
    assert np.abs(programs - people).max() <= 3
    grey = programs[200:, :60]  # nothing speaks for infection there: black stays black
    assert grey.min() == 0


def test_a_layer_is_clear_where_nothing_speaks_and_full_where_all_does():
    activation = np.zeros((8, 8), np.float32)
    activation[2, 5] = 1
    layer = np.asarray(Image.open(io.BytesIO(layer_png(activation, 2000, 1000))))
    assert layer.shape == (128, 256, 4)
    opacity = layer[..., 3]
    assert opacity[100:, :100].max() == 0
    assert opacity[40, 176] == 255
    assert layer[40, 176, 0] > 200  # the strongest of the scale is light


@pytest.mark.parametrize("shape", [(5, 7), (6, 5, 3), (4, 9, 4)])
def test_pictures_come_back_as_they_were_written(shape):
    pixels = np.random.default_rng(1).integers(0, 256, shape, np.uint8)
    picture = Image.open(io.BytesIO(png(pixels)))
    picture.verify()
    np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(png(pixels)))), pixels)
    with pytest.raises(ValueError, match="cannot be written"):
        png(pixels.astype(np.uint16))


def test_the_offset_moves_the_map_down_and_right():
    activation = infection_activation(_maps(10), np.array([0.2, 0.7, 0.1]), CLASSES)
    plain, moved = (upsample(activation, 400, 200, offset) for offset in ((0, 0), (0.1, 0.05)))
    np.testing.assert_array_equal(moved[20:, 20:], plain[:-20, :-20])
    np.testing.assert_array_equal(moved[:20, 20:], np.tile(plain[0, :-20], (20, 1)))


def test_a_class_s_map_shows_what_speaks_for_it_alone():
    for index, place in ((0, (8, 1)), (1, (2, 7))):
        activation = class_activation(_maps(10), index)
        assert np.unravel_index(activation.argmax(), activation.shape) == place
        assert activation.max() == pytest.approx(1)
    # Only what the others lack: 10 against a mean of 5 for one class, nothing for the last.
    assert class_activation(_maps(10), 2).max() == 0
    # A softmax is blind to what all classes get alike, and so is the map.
    everywhere = _maps(10) + np.float32(7)
    np.testing.assert_allclose(
        class_activation(everywhere, 1), class_activation(_maps(10), 1), atol=1e-6
    )


def test_little_that_speaks_for_a_class_is_shown_as_little():
    # Half of the weakest evidence that is shown in full, against classes that say nothing.
    maps = np.zeros((10, 10, 3), np.float32)
    maps[2, 7, 1] = WEAK_EVIDENCE / 2
    assert class_activation(maps, 1).max() == pytest.approx(0.5)


def test_the_bare_map_is_coloured_for_people_and_indexed_for_programs():
    activation = np.linspace(0, 1, 64, dtype=np.float32).reshape(8, 8)
    picture = Image.open(io.BytesIO(map_png(activation, 64, 64)))
    assert picture.mode == "P"
    strength = np.asarray(picture)
    np.testing.assert_array_equal(strength, (upsample(activation, 64, 64) * 255).round())
    # The scale climbs in lightness from one end to the other, so it needs no colour vision.
    lightness = np.asarray(picture.convert("RGB").convert("L")).astype(int)
    order = np.argsort(strength.ravel(), kind="stable")
    assert np.diff(lightness.ravel()[order]).min() >= -2
    assert lightness[strength == 255].min() - lightness[strength == 0].max() > 200
