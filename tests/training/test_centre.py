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
from training.architectures.centre import FINDER, lung_finder, on_film, view
from training.finder import boxes, taught_finder
from training.recipe import Recipe

SHAPE = ResidualNetwork(stem=(4, 8), widths=(8, 12), depths=(1, 1), view=0.75)
WHOLE = np.array([[0.0, 0.0, 1.0, 1.0]], np.float32)


def _smooth(seed: int, side: int = 64) -> np.ndarray:
    coarse = np.random.default_rng(seed).random((6, 6)).astype(np.float32)
    return cv2.resize(coarse, (side, side), interpolation=cv2.INTER_CUBIC)[None, ..., None]


def _looking_at(box: tuple[float, float, float, float], size: int = 64) -> keras.Model:
    """A network with weights of chance whose finder says ``box`` of any film."""
    keras.utils.set_random_seed(3)
    network = build(SHAPE, size, 3)
    for variable in network.trainable_variables:
        variable.assign(variable + keras.random.normal(variable.shape, stddev=0.2))
    edges = network.get_layer(FINDER).get_layer("edges")
    edges.set_weights([np.zeros(edges.kernel.shape), np.array(box)])
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


def test_features_are_laid_where_they_were_found():
    box = np.array([[0.25, 0.5, 0.75, 1.0]], np.float32)
    features = np.zeros((1, 8, 8, 2), np.float32)
    features[0, 0, 0, 0] = 1  # top left of the view, which is the middle right of the film
    features[0, 7, 3, 1] = 1
    laid = np.asarray(on_film(features, box, 16))
    np.testing.assert_allclose(laid.mean(axis=(1, 2)), features.mean(axis=(1, 2)), rtol=1e-5)
    assert np.argwhere(laid[0, ..., 0] > 0).tolist() == [[4, 8]]
    assert np.argwhere(laid[0, ..., 1] > 0).tolist() == [[11, 11]]


def test_an_untrained_finder_sees_the_whole_film():
    edges = lung_finder()(np.random.default_rng(0).random((3, 64, 64, 1), np.float32))
    np.testing.assert_allclose(edges, np.repeat(WHOLE, 3, axis=0))


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


@pytest.mark.parametrize("mirrored", [False, True])
def test_what_is_exported_is_what_was_trained_on_both_engines(tmp_path, mirrored):
    member = _looking_at((0.2, 0.1, 0.8, 0.95))
    films = np.concatenate([_smooth(seed) for seed in range(4)])
    logits = np.asarray(member(films, training=False))
    if mirrored:  # the box stays where it is: it is the view that is turned round
        round_about = _looking_at((0.2, 0.05, 0.8, 0.9))
        logits = (logits + np.asarray(round_about(films[:, :, ::-1], training=False))) / 2
    exported = assemble([member], replace(SHAPE, mirrored=mirrored))
    np.testing.assert_allclose(exported(films), keras.ops.softmax(logits), atol=1e-5)

    exported.save(tmp_path / "model.keras")
    first = KerasNetwork(tmp_path / "model.keras")
    lean._write_onnx(first, tmp_path / "model.onnx")
    comparison = lean.compare(first, LeanNetwork(tmp_path / "model.onnx"), films[:, None])
    assert comparison.largest <= lean.TOLERANCE
    assert comparison.largest_map <= 1e-3
    maps = first(films[:1])[1]
    assert maps.shape == (1, 4, 4, 3)
    # A film's map averages to its logits, but for the bias.
    bias = np.asarray(exported.get_layer("logits").bias)
    np.testing.assert_allclose(maps.mean(axis=(1, 2)) + bias, logits[:1], atol=1e-4)


def test_boxes_of_outlines():
    outlines = np.zeros((2, 64, 64), np.uint8)
    outlines[0, 16:48, 8:32] = 1
    found, there = boxes(outlines)
    assert found[0].tolist() == [0.25, 0.125, 0.75, 0.5]
    assert there.tolist() == [True, False]


def test_the_box_of_a_turned_film_goes_along_and_stays_as_large():
    films = np.zeros((2, 64, 64), np.float32)
    films[:, 8:16, 32:52] = 1  # above the centre, and right of it
    edges, _ = boxes(films.astype(np.uint8))
    turned, moved = finder._turned(films, edges, np.array([90.0, 10.0]))
    # A quarter anticlockwise: left of the centre, and above it.
    np.testing.assert_allclose(turned[0, 12:32, 8:16], 1, atol=1e-3)
    assert turned[0].sum() == pytest.approx(films[0].sum(), rel=1e-3)
    size = edges[:, 2:] - edges[:, :2]
    np.testing.assert_allclose(moved[:, 2:] - moved[:, :2], size, atol=1e-6)
    for film, box in zip(turned, moved, strict=True):
        centre = np.argwhere(film > 0.5).mean(axis=0) + 0.5
        np.testing.assert_allclose((box[:2] + box[2:]) / 2 * 64, centre, atol=0.3)


def test_the_finder_learns_from_outlines_and_is_kept(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(finder, "_STEPS", 60)
    random = np.random.default_rng(0)
    images, outlines = np.zeros((40, 64, 64), np.uint8), np.zeros((40, 64, 64), np.uint8)
    for image, outline in zip(images, outlines, strict=True):
        top, left = random.integers(4, 24, 2)
        outline[top : top + 32, left : left + 34] = 1
        image[:] = np.where(outline, 60, 200) + random.integers(0, 20, image.shape)
    rows = np.arange(30), np.arange(30, 40)
    weights = taught_finder(images, outlines, rows, 0, tmp_path)
    assert "The lung finder's edges lie" in capsys.readouterr().out

    taught = lung_finder()
    taught.set_weights(weights)
    said = np.asarray(taught(images[rows[1]][..., None] / np.float32(255)))
    true, _ = boxes(outlines[rows[1]])
    mean = boxes(outlines[rows[0]])[0].mean(axis=0)
    assert np.abs(said - true).mean() < 0.7 * np.abs(mean - true).mean()

    monkeypatch.setattr(finder, "_teach", None)  # not taught again
    for one, other in zip(taught_finder(images, outlines, rows, 0, tmp_path), weights, strict=True):
        np.testing.assert_array_equal(one, other)


def test_only_a_centred_recipe_needs_the_lungs():
    assert not Recipe().needs_lungs
    assert Recipe(network=SHAPE).centred
    assert Recipe(network=SHAPE).needs_lungs
    assert not replace(Recipe(network=SHAPE), network=replace(SHAPE, view=0.0)).needs_lungs
