from __future__ import annotations

import io

import cv2
import numpy as np
import pytest
from PIL import Image

from cxr.explain import (
    class_activation,
    infection_activation,
    map_png,
    overlay_png,
    upsample,
)
from cxr.findings import BACTERIAL_PNEUMONIA, NORMAL, VIRAL_PNEUMONIA
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
    assert difference[150:, :150].max() <= 3
    assert difference[60:90, 210:240].mean() > 50


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_large_films_are_shown_at_most_1024_wide(dtype):
    pixels = np.full((1000, 2000), np.iinfo(dtype).max // 2, dtype)
    shown = _png(overlay_png(Radiograph(pixels, "DICOM", 2000, 1000), np.zeros((5, 5), np.float32)))
    assert shown.shape == (512, 1024, 3)
    assert abs(int(shown.mean()) - 127) <= 1
    assert _png(map_png(np.ones((5, 5), np.float32), 2000, 1000)).shape == (512, 1024, 3)


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
