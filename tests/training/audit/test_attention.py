"""The two tests of the map can be passed and failed."""

from __future__ import annotations

from pathlib import Path

import keras
import numpy as np
import pytest

from cxr.bundle import calibration_to_json, load_bundle, save_bundle
from cxr.calibrate import Calibration
from cxr.findings import BACTERIAL_PNEUMONIA, NORMAL
from cxr.preprocess import PreprocessSpec
from training import card_audit
from training.audit.attention import delete, hottest, moved, rank_correlation, similarity
from training.audit.network import Network
from training.audit.register import map_offset
from training.audit.sections import randomisation

SIZE = 64


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory):
    """A model that calls bright cells of 8 × 8 pixels infected, and looks nowhere else."""
    image = keras.Input((SIZE, SIZE, 1))
    x = keras.layers.AveragePooling2D(8)(image)
    x = keras.layers.Conv2D(1, 1, activation="relu", name="features")(x)
    x = keras.layers.GlobalAveragePooling2D()(x)
    x = keras.layers.Dense(2, name="logits")(x)
    model = keras.Model(image, keras.layers.Softmax()(x))
    model.get_layer("features").set_weights([np.ones((1, 1, 1, 1)), np.array([-0.7])])
    model.get_layer("logits").set_weights([np.array([[0.0, 800.0]]), np.array([2.0, 0.0])])
    path: Path = tmp_path_factory.mktemp("models") / "bright"
    save_bundle(
        path,
        model,
        {
            "title": "Bright is ill",
            "version": "1",
            "input": PreprocessSpec(
                size=SIZE, low_percentile=0, high_percentile=100, cut_frame=False
            ).to_json(),
            "classes": [vars(NORMAL), vars(BACTERIAL_PNEUMONIA)],
            "calibration": calibration_to_json(Calibration(1.0, (0.0, 0.0))),
            "thresholds": {"rule_out": 0.3, "rule_in": 0.7},
            "population": {},
            "metrics": {},
        },
        np.zeros((1, SIZE, SIZE, 1), np.uint8),
    )
    return load_bundle(path)


@pytest.fixture
def film() -> np.ndarray:
    film = np.tile(np.linspace(0, 100, 192, dtype=np.uint8), (192, 1))
    film[24:72, 120:144] = 250
    film[-3:, -3:] = 255  # keeps the grey levels from being stretched when the block is gone
    return film


def test_deleting_what_the_map_shows_takes_the_call_away(bundle, film):
    done = delete(bundle, film, np.random.default_rng(0))
    assert done.whole > 0.9
    assert done.hottest < 0.5
    assert done.whole - done.hottest > 2 * (done.whole - done.random)


def test_the_hottest_fifth_is_a_fifth_and_hot(film):
    evidence = np.zeros((8, 8), np.float32)
    evidence[1:3, 5] = 1
    chosen = hottest(evidence, film, 0.2, (0.0, 0.0))
    assert chosen.sum() == round(0.2 * film.size)
    assert chosen[24:72, 120:144].all()
    # A flat map has no hottest place, but still a fifth is deleted.
    assert hottest(np.ones((8, 8), np.float32), film, 0.2, (0, 0)).sum() == chosen.sum()


def test_a_moved_area_differs_in_place_only():
    area = np.zeros((40, 60), bool)
    area[3:9, 5:25] = area[20:22, 40:42] = True
    random = np.random.default_rng(0)
    places = [moved(area, random) for _ in range(20)]
    assert {place.sum() for place in places} == {area.sum()}
    assert len({place.tobytes() for place in places}) == 20
    # Every pixel of the film gets its turn: no place is favoured.
    many = np.mean([moved(area, random) for _ in range(4000)], axis=0)
    assert many.min() > 0.5 * area.mean()


def test_random_weights_destroy_a_map_that_depends_on_them(bundle):
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (6, SIZE, SIZE), np.uint8)
    images[:, :16, :16] = 255
    network = Network(bundle)
    before = network.maps(images)
    found = randomisation(bundle, network, images, np.arange(6).astype(str))
    assert found is not None
    np.testing.assert_array_equal(network.maps(images), before)  # the weights are back
    assert found["films"] == 6
    layers = [step["layers"] for step in found["steps"]]
    assert layers == sorted(set(layers))
    assert found["steps"][-1]["rank_correlation"]["value"] < 0.9


def test_alikeness_of_maps():
    random = np.random.default_rng(0)
    one, other = random.random((2, 10, 10), np.float32)
    assert rank_correlation(one, one) == pytest.approx(1)
    assert rank_correlation(one, -one) == pytest.approx(-1)
    assert rank_correlation(one, one**3) == pytest.approx(1)  # ranks alone count
    assert abs(rank_correlation(one, other)) < 0.3
    assert rank_correlation(one, np.zeros_like(one)) == 0
    assert similarity(one, one) == pytest.approx(1)
    assert similarity(one, other) < 0.5
    assert similarity(one, np.clip(one + 0.02, 0, 1)) > 0.95


@pytest.mark.parametrize("padding", ["none", "same"])
def test_the_offset_of_a_known_network_is_found(padding):
    """A stride-2 convolution that pads 'same' looks half a pixel further down and right."""
    image = keras.Input((SIZE, SIZE, 1))
    x = image
    for _ in range(3):
        if padding == "none":
            x = keras.layers.AveragePooling2D(2)(x)
        else:
            x = keras.layers.Conv2D(1, 3, strides=2, padding="same", use_bias=False,
                                    kernel_initializer="ones")(x)  # fmt: skip
    maps = keras.layers.Concatenate()([x, keras.layers.ReLU()(-x)])
    network = keras.Model(image, maps)
    films = np.random.default_rng(1).random((4, SIZE, SIZE, 1), np.float32)
    found = map_offset(lambda batch: np.asarray(network(batch)), films)
    # 0.5 × (1 + 2 + 4) pixels.
    expected = 0 if padding == "none" else 3.5 / SIZE
    assert found == pytest.approx((expected, expected), abs=0.02)


@pytest.mark.parametrize(
    ("offset", "words"),
    [
        ((0.017, -0.006), "1.7 % of the height down and 0.6 % of the width left"),
        ((-0.01, 0.02), "1.0 % of the height up and 2.0 % of the width right"),
    ],
)
def test_the_card_says_which_way_maps_are_moved(offset, words):
    found = {"deletion": None, "randomisation": None, "map_offset": offset}
    assert words in card_audit._attention(found)[-1]
