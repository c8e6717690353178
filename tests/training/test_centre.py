"""The lung-centred view: what is seen, where it is laid back, and how the lungs are found."""

from __future__ import annotations

from dataclasses import replace

import cv2
import keras
import numpy as np
import pytest

from cxr.engine_keras import KerasNetwork
from cxr.engine_lean import LeanNetwork
from training import finder, lean
from training.architectures import ResidualNetwork, assemble, build
from training.architectures.centre import (
    FINDER,
    MOST_TILT,
    find_lungs,
    lung_finder,
    on_film,
    upright_view,
    view,
)
from training.finder import boxes, taught_finder
from training.recipe import Recipe

SHAPE = ResidualNetwork(stem=(4, 8), widths=(8, 12), depths=(1, 1), view=0.75)
# What is exported has its kernels rounded to half precision.
ROUNDED = 2e-3
UPRIGHT_SHAPE = replace(SHAPE, upright=True)
WHOLE = np.array([[0.0, 0.0, 1.0, 1.0]], np.float32)
UPRIGHT = np.zeros((1, 1), np.float32)


def _radians(degrees: float) -> np.ndarray:
    return np.full((1, 1), np.deg2rad(degrees), np.float32)


def _turned(film: np.ndarray, degrees: float) -> np.ndarray:
    """Anticlockwise about its centre, by OpenCV."""
    size = film.shape[1]
    turn = cv2.getRotationMatrix2D(((size - 1) / 2, (size - 1) / 2), degrees, 1.0)
    return cv2.warpAffine(film[0, ..., 0], turn, (size, size))[None, ..., None]


def _smooth(seed: int, side: int = 64) -> np.ndarray:
    coarse = np.random.default_rng(seed).random((6, 6)).astype(np.float32)
    return cv2.resize(coarse, (side, side), interpolation=cv2.INTER_CUBIC)[None, ..., None]


def _looking_at(
    box: tuple[float, float, float, float], degrees: float = 0.0, size: int = 64, seed: int = 3
) -> keras.Model:
    """A network with weights of chance whose finder says ``box`` and tilt of any film."""
    keras.utils.set_random_seed(seed)
    network = build(SHAPE, size, 3)
    for variable in network.trainable_variables:
        variable.assign(variable + keras.random.normal(variable.shape, stddev=0.2))
    frame = network.get_layer(FINDER).get_layer("frame")
    frame.set_weights([np.zeros(frame.kernel.shape), np.array([*box, np.deg2rad(degrees)])])
    return network


def test_the_whole_film_at_its_own_size_is_the_film():
    film = _smooth(0)
    np.testing.assert_allclose(view(film, WHOLE, 64), film, atol=1e-5)


def test_a_box_shows_what_lies_in_it():
    film = _smooth(1)
    box = np.array([[0.25, 0.125, 0.75, 0.875]], np.float32)  # top, left, bottom, right
    part = film[0, 16:48, 8:56, 0]
    expected = cv2.resize(part, (40, 40), interpolation=cv2.INTER_LINEAR)
    seen = np.asarray(view(film, box, 40))[0, ..., 0]
    # At the rim it sees beyond the box, where there is film.
    np.testing.assert_allclose(seen[3:-3, 3:-3], expected[3:-3, 3:-3], atol=0.02)


def test_shrinking_averages_instead_of_skipping():
    stripes = np.zeros((1, 64, 64, 1), np.float32)
    stripes[:, ::2] = 1
    np.testing.assert_allclose(np.asarray(view(stripes, WHOLE, 16))[0, 2:-2], 0.5, atol=0.05)
    np.testing.assert_allclose(view(np.ones_like(stripes), WHOLE, 16), 1, atol=1e-4)


def test_a_soft_view_leaves_out_what_is_fine_and_keeps_what_is_not():
    stripes = np.zeros((1, 64, 64, 1), np.float32)
    stripes[:, ::2] = 1
    np.testing.assert_allclose(view(stripes, WHOLE, 64), stripes, atol=1e-4)
    soft = np.asarray(view(stripes, WHOLE, 64, softness=2.0))
    np.testing.assert_allclose(soft[0, 2:-2], 0.5, atol=1e-3)
    film = _smooth(4)
    np.testing.assert_allclose(view(film, WHOLE, 64, softness=1.6), film, atol=0.03)


def test_the_whole_film_upright_is_the_film_a_little_softer():
    film = _smooth(0)
    np.testing.assert_allclose(upright_view(film, WHOLE, UPRIGHT, 64), film, atol=0.02)


def test_a_film_that_stands_upright_is_seen_as_it_is():
    film = _smooth(1)
    box = np.array([[0.25, 0.125, 0.75, 0.875]], np.float32)
    expected = view(film, box, 40)
    np.testing.assert_allclose(upright_view(film, box, UPRIGHT, 40), expected, atol=0.03)


@pytest.mark.parametrize("see", [view, upright_view])
def test_a_box_whose_left_edge_is_right_of_its_right_one_is_seen_mirrored(see):
    films = np.concatenate([_smooth(5), _smooth(6)])
    box = np.array([[0.25, 0.125, 0.75, 0.875]] * 2, np.float32)
    mirrored = box[:, [0, 3, 2, 1]]
    tilt = [np.concatenate([_radians(10), _radians(-5)])] if see is upright_view else []
    seen = np.asarray(see(films, box, *tilt, 32))
    np.testing.assert_allclose(see(films, mirrored, *tilt, 32), seen[:, :, ::-1], atol=1e-5)
    both = (np.concatenate([box, mirrored]), *(np.concatenate([one, one]) for one in tilt))
    together = see(films, *both, 32, mirrored=True)
    np.testing.assert_allclose(together, np.concatenate([seen, seen[:, :, ::-1]]), atol=1e-5)


@pytest.mark.parametrize("see", [view, upright_view])
def test_beyond_its_edge_a_film_goes_on_as_it_ends(see):
    film = _smooth(7)
    box = np.array([[-0.125, 0.0, 1.0, 1.125]], np.float32)
    tilt = [UPRIGHT] if see is upright_view else []
    longer = np.pad(film[0, ..., 0], ((8, 0), (0, 8)), mode="edge")[None, ..., None]
    np.testing.assert_allclose(see(film, box, *tilt, 72), see(longer, WHOLE, *tilt, 72), atol=0.02)


@pytest.mark.parametrize("degrees", [-15, 8])
def test_a_tilted_film_is_seen_upright(degrees):
    films = [_smooth(3), _smooth(4)]
    upright = np.concatenate(films)
    tilted = np.concatenate([_turned(film, -degrees) for film in films])
    box = np.array([[0.25, 0.2, 0.7, 0.75]] * 2, np.float32)
    angle = np.concatenate([_radians(degrees)] * 2)
    expected = upright_view(upright, box, np.zeros_like(angle), 32)
    np.testing.assert_allclose(upright_view(tilted, box, angle, 32), expected, atol=0.03)


def test_each_film_of_a_batch_is_turned_by_its_own_tilt():
    films = np.concatenate([_smooth(5), _smooth(6)])
    angles = np.concatenate([_radians(10), _radians(-5)])
    together = np.asarray(upright_view(films, np.repeat(WHOLE, 2, axis=0), angles, 48))
    for number in range(2):
        one = slice(number, number + 1)
        np.testing.assert_allclose(
            upright_view(films[one], WHOLE, angles[one], 48), together[one], atol=1e-6
        )


def test_shrinking_a_turned_film_averages_instead_of_skipping():
    stripes = np.zeros((1, 64, 64, 1), np.float32)
    stripes[:, ::2] = 1
    np.testing.assert_allclose(upright_view(stripes, WHOLE, UPRIGHT, 46), 0.5, atol=1e-4)
    np.testing.assert_allclose(
        upright_view(np.ones_like(stripes), WHOLE, _radians(20), 46), 1, atol=1e-4
    )


def test_a_soft_upright_view_leaves_out_what_is_fine_and_keeps_what_is_not():
    lines = np.zeros((1, 64, 64, 1), np.float32)
    lines[:, ::3] = 1
    assert np.ptp(np.asarray(upright_view(lines, WHOLE, UPRIGHT, 64))[0, 3:-3]) > 0.2
    soft = np.asarray(upright_view(lines, WHOLE, UPRIGHT, 64, softness=1.6))
    np.testing.assert_allclose(soft[0, 3:-3], 1 / 3, atol=1e-4)
    film = _smooth(4)
    np.testing.assert_allclose(
        upright_view(film, WHOLE, UPRIGHT, 64, softness=1.6), film, atol=0.04
    )


def test_features_are_laid_where_they_were_found():
    box = np.array([[0.25, 0.5, 0.75, 1.0]], np.float32)
    features = np.zeros((1, 8, 8, 2), np.float32)
    features[0, 0, 0, 0] = 1  # top left of the view, which is the middle right of the film
    features[0, 7, 3, 1] = 1
    laid = np.asarray(on_film(features, box, None, 16))
    np.testing.assert_allclose(on_film(features, box, UPRIGHT, 16), laid, atol=1e-5)
    np.testing.assert_allclose(laid.mean(axis=(1, 2)), features.mean(axis=(1, 2)), rtol=1e-5)
    assert np.argwhere(laid[0, ..., 0] > 0).tolist() == [[4, 8]]
    assert np.argwhere(laid[0, ..., 1] > 0).tolist() == [[11, 11]]


@pytest.mark.parametrize("films", [1, 4, 8])  # as many as cells: see keras-team/keras#20386
def test_features_of_a_mirrored_view_are_laid_the_other_way_round(films):
    features = np.random.default_rng(8).random((films, 8, 8, 2), np.float32)
    box = np.repeat(np.array([[0.25, 0.5, 0.75, 1.0]], np.float32), films, axis=0)
    laid = on_film(features[:, :, ::-1], box[:, [0, 3, 2, 1]], None, 16)
    np.testing.assert_allclose(laid, on_film(features, box, None, 16), atol=1e-5)


def test_what_was_seen_beyond_a_film_counts_where_it_ends():
    features = np.random.default_rng(9).random((1, 8, 8, 2), np.float32)
    box = np.array([[-0.125, 0.0, 1.0, 1.125]], np.float32)
    for tilt in (None, UPRIGHT, _radians(10)):
        laid = np.asarray(on_film(features, box, tilt, 16))
        np.testing.assert_allclose(laid.mean(axis=(1, 2)), features.mean(axis=(1, 2)), rtol=1e-4)
        if tilt is None:
            assert laid[0, 0].sum() > 2 * laid[0, 1].sum()


@pytest.mark.parametrize("degrees", [-18, 10])
def test_features_of_a_tilted_film_are_laid_where_it_shows_them(degrees):
    """What was found in the upright view lies, on the film, where the tilted lungs are."""
    features = np.zeros((1, 8, 8, 1), np.float32)
    features[0, 1, 2] = 1
    box = np.array([[0.2, 0.3, 0.8, 0.9]], np.float32)
    laid = np.asarray(on_film(features, box, _radians(degrees), 32))[0, ..., 0]
    assert laid.mean() == pytest.approx(features.mean(), rel=1e-4)
    y, x = 0.2 + 0.6 * 1.5 / 8 - 0.5, 0.3 + 0.6 * 2.5 / 8 - 0.5  # on the upright film
    turn = np.deg2rad(degrees)  # clockwise, back to where the film has it
    expected = np.cos(turn) * y + np.sin(turn) * x, np.cos(turn) * x - np.sin(turn) * y
    rows, columns = (np.arange(32) + 0.5) / 32 - 0.5, (np.arange(32) + 0.5) / 32 - 0.5
    centre = (laid.sum(1) @ rows) / laid.sum(), (laid.sum(0) @ columns) / laid.sum()
    np.testing.assert_allclose(centre, expected, atol=0.01)


def test_features_that_would_leave_a_film_stay_on_its_edge():
    features = np.random.default_rng(7).random((1, 4, 4, 3), np.float32)
    laid = np.asarray(on_film(features, WHOLE, _radians(20), 14))
    np.testing.assert_allclose(laid.mean(axis=(1, 2)), features.mean(axis=(1, 2)), rtol=1e-4)


def test_an_untrained_finder_sees_the_whole_film_upright():
    frame = lung_finder()(np.random.default_rng(0).random((3, 64, 64, 1), np.float32))
    np.testing.assert_allclose(frame, [[0, 0, 1, 1, 0]] * 3)


def test_no_finder_turns_a_film_over():
    films = _smooth(8)
    far, most = (
        assemble([_looking_at((0.2, 0.2, 0.8, 0.8), degrees)], UPRIGHT_SHAPE)
        for degrees in (90, float(np.rad2deg(MOST_TILT)))
    )
    np.testing.assert_allclose(far(films), most(films), atol=1e-5)


@pytest.mark.parametrize("mirrored", [False, True])
def test_lungs_that_go_on_beyond_a_film_are_looked_for_there_and_no_further(mirrored):
    """The margin around lungs ends with the film, but lungs themselves do not."""
    image = keras.Input((64, 64, 1))
    where = keras.Model(image, find_lungs(image, training=False, mirrored=mirrored))
    frame = where.get_layer(FINDER).get_layer("frame")
    for said, expected in (
        ((0.1, 0.02, 0.6, 0.9), (0.07, 0.0, 0.63, 0.9528)),
        ((-0.05, 0.1, 1.1, 0.8), (-0.05, 0.058, 1.1, 0.842)),
        ((-0.4, 0.5, 0.5, 1.7), (-0.15, 0.428, 0.554, 1.15)),
        ((0.9, 0.4, 0.8, 0.5), (0.7, 0.394, 1.0, 0.694)),
    ):
        frame.set_weights([np.zeros(frame.kernel.shape), np.array([*said, 0.1])])
        box, tilt = (np.asarray(one) for one in where(_smooth(0)))
        np.testing.assert_allclose(box[0], expected, atol=1e-5)
        if mirrored:
            top, left, bottom, right = expected
            np.testing.assert_allclose(box[1], (top, 1 - left, bottom, 1 - right), atol=1e-5)
            np.testing.assert_allclose(tilt, [[0.1], [-0.1]], atol=1e-6)


def test_films_are_turned_upright_by_what_is_exported_alone():
    straight, tilted = (_looking_at((0.2, 0.1, 0.8, 0.95), degrees) for degrees in (0, 12))
    films = np.concatenate([_smooth(seed) for seed in range(3)])
    np.testing.assert_array_equal(tilted(films), straight(films))
    as_trained = assemble([tilted], SHAPE)(films)
    np.testing.assert_allclose(as_trained, keras.ops.softmax(straight(films)), atol=ROUNDED)
    upright = assemble([tilted], UPRIGHT_SHAPE)
    assert np.abs(np.asarray(upright(films)) - np.asarray(as_trained)).max() > 1e-3
    turned = np.concatenate([_turned(film[None], 12) for film in films])
    np.testing.assert_allclose(upright(films), assemble([straight], SHAPE)(turned), atol=0.01)


def test_what_lies_outside_the_box_changes_nothing():
    network = assemble([_looking_at((0.3, 0.3, 0.7, 0.7))], SHAPE)
    film = _smooth(2)
    outside, inside = film.copy(), film.copy()
    outside[:, :16] = 1 - outside[:, :16]
    outside[:, :, 48:] = 0
    inside[:, 28:36, 28:36] += 0.4
    answer = np.asarray(network(film))
    np.testing.assert_allclose(network(outside), answer, atol=1e-6)
    assert np.abs(np.asarray(network(inside)) - answer).max() > 1e-4


@pytest.mark.parametrize(("mirrored", "several"), [(False, False), (True, False), (True, True)])
@pytest.mark.parametrize("upright", [False, True])
def test_what_is_exported_is_what_was_trained_on_both_engines(tmp_path, mirrored, several, upright):
    box = (0.2, 0.1, 0.8, 0.95)
    members = [_looking_at(box, 12 * upright, seed=seed) for seed in range(1 + several)]
    films = np.concatenate([_smooth(seed) for seed in range(4)])
    exported = assemble(members, replace(SHAPE, mirrored=mirrored, upright=upright))
    if not upright:
        logits = np.asarray(members[0](films, training=False))
        if mirrored:
            other = members[-1](films[:, :, ::-1], training=False)
            logits = (logits + np.asarray(other)) / 2
        np.testing.assert_allclose(exported(films), keras.ops.softmax(logits), atol=ROUNDED)

    exported.save(tmp_path / "model.keras")
    first = KerasNetwork(tmp_path / "model.keras")
    lean._write_onnx(first, tmp_path / "model.onnx")
    comparison = lean.compare(first, LeanNetwork(tmp_path / "model.onnx"), films[:, None])
    assert comparison.largest <= lean.TOLERANCE
    assert comparison.largest_map <= 1e-3
    probabilities, maps = first(films[:1])[:2]
    assert maps.shape == (1, 4, 4, 3)
    # A film's map averages to its logits, but for the bias.
    bias = np.asarray(exported.get_layer("logits").bias)
    of_maps = keras.ops.softmax(maps.mean(axis=(1, 2)) + bias)
    np.testing.assert_allclose(of_maps, probabilities, atol=1e-4)


def test_boxes_of_outlines():
    outlines = np.zeros((2, 64, 64), np.uint8)
    outlines[0, 16:48, 8:32] = 1
    found, there = boxes(outlines)
    assert found[0].tolist() == [0.25, 0.125, 0.75, 0.5]
    assert there.tolist() == [True, False]


def test_the_finder_learns_from_outlines_and_is_kept(tmp_path, monkeypatch, capsys):
    for name, value in (("_STEPS", 250), ("_BATCH", 16), ("_POSED", 64)):
        monkeypatch.setattr(finder, name, value)
    random = np.random.default_rng(0)
    images, outlines = np.zeros((40, 64, 64), np.uint8), np.zeros((40, 64, 64), np.uint8)
    for image, outline in zip(images, outlines, strict=True):
        top, left = random.integers(8, 24, 2)
        outline[top : top + 32, left : left + 34] = 1
        image[:] = np.where(outline, 60, 200) + random.integers(0, 20, image.shape)
    rows = np.arange(30), np.arange(30, 40)
    weights = taught_finder(images, outlines, rows, 0, tmp_path)
    assert "The lung finder's edges lie" in capsys.readouterr().out

    taught = lung_finder()
    taught.set_weights(weights)
    films = images[rows[1]][..., None] / np.float32(255)
    said = np.asarray(taught(films))
    true, _ = boxes(outlines[rows[1]])
    mean = boxes(outlines[rows[0]])[0].mean(axis=0)
    assert np.abs(said[:, :4] - true).mean() < 0.7 * np.abs(mean - true).mean()
    # A film that was turned clockwise has to be turned back.
    ways = [np.concatenate([_turned(film[None], way) for film in films]) for way in (-15, 15)]
    clockwise, anticlockwise = (np.asarray(taught(way))[:, 4].mean() for way in ways)
    assert clockwise > anticlockwise + np.deg2rad(10)

    monkeypatch.setattr(finder, "_teach", None)  # not taught again
    for one, other in zip(taught_finder(images, outlines, rows, 0, tmp_path), weights, strict=True):
        np.testing.assert_array_equal(one, other)


def test_only_a_centred_recipe_needs_the_lungs():
    assert not Recipe().needs_lungs
    assert Recipe(network=SHAPE).centred
    assert Recipe(network=SHAPE).needs_lungs
    assert not replace(Recipe(network=SHAPE), network=replace(SHAPE, view=0.0)).needs_lungs
