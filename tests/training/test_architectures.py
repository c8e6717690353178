from __future__ import annotations

from dataclasses import replace

import keras
import numpy as np
import pytest

from training.architectures import ResidualNetwork, WeightStandardizedConv2D, assemble, build

# An untrained finder sees the whole film, here at its own size.
SMALL = ResidualNetwork(stem=(4, 8), widths=(8, 12), depths=(1, 2), view=1.0)
# What is exported has its kernels rounded to half precision.
ROUNDED = 2e-3


def _trained_like(seed: int) -> keras.Model:
    """A network whose gains and biases have left their starting values."""
    keras.utils.set_random_seed(seed)
    model = build(SMALL, 64, 3)
    random = np.random.default_rng(seed)
    for variable in model.trainable_variables:
        variable.assign(np.asarray(variable) + random.normal(0, 0.2, variable.shape))
    return model


@pytest.fixture
def images() -> np.ndarray:
    return np.random.default_rng(0).random((4, 64, 64, 1), np.float32)


def _softmax(logits: np.ndarray) -> np.ndarray:
    exponentials = np.exp(logits - logits.max(axis=1, keepdims=True))
    return exponentials / exponentials.sum(axis=1, keepdims=True)


def test_export_computes_what_was_trained(images):
    model = _trained_like(1)
    exported = assemble([model], SMALL)
    np.testing.assert_allclose(
        np.asarray(exported(images)), _softmax(np.asarray(model(images))), atol=ROUNDED
    )


def test_export_of_several_networks_averages_their_logits(images):
    members = [_trained_like(seed) for seed in (1, 2, 3)]
    mean = np.mean([np.asarray(member(images)) for member in members], axis=0)
    exported = assemble(members, SMALL)
    np.testing.assert_allclose(np.asarray(exported(images)), _softmax(mean), atol=ROUNDED)


def test_a_mirrored_export_means_what_it_sees_both_ways_round(images):
    member = _trained_like(1)
    flipped = images[:, :, ::-1]
    mean = (np.asarray(member(images)) + np.asarray(member(flipped))) / 2
    exported = assemble([member], replace(SMALL, mirrored=True))
    np.testing.assert_allclose(np.asarray(exported(images)), _softmax(mean), atol=ROUNDED)
    np.testing.assert_allclose(np.asarray(exported(images[:1])), _softmax(mean[:1]), atol=ROUNDED)
    # What was seen on one side lies there, whichever way round it was seen.
    features = keras.Model(exported.input, exported.get_layer("features").output)
    np.testing.assert_allclose(
        np.asarray(features(images)), np.asarray(features(flipped))[:, :, ::-1], atol=1e-5
    )


def test_of_two_mirrored_networks_each_reads_one_way_round(images):
    members = [_trained_like(seed) for seed in (1, 2)]
    flipped = images[:, :, ::-1]
    mean = (np.asarray(members[0](images)) + np.asarray(members[1](flipped))) / 2
    exported = assemble(members, replace(SMALL, mirrored=True))
    np.testing.assert_allclose(np.asarray(exported(images)), _softmax(mean), atol=ROUNDED)
    # Both in the film's own pixels: the second half of the channels is turned back.
    features = keras.Model(exported.input, exported.get_layer("features").output)
    alone = assemble(members[1:], SMALL)
    of_second = keras.Model(alone.input, alone.get_layer("features").output)
    turned_back = np.asarray(of_second(flipped))[:, :, ::-1]
    np.testing.assert_allclose(np.asarray(features(images))[..., 12:], turned_back, atol=1e-5)


def test_four_mirrored_networks_take_turns(images):
    members = [_trained_like(seed) for seed in range(4)]
    ways = (images, images[:, :, ::-1]) * 2
    mean = np.mean([member(film) for member, film in zip(members, ways, strict=True)], axis=0)
    exported = assemble(members, replace(SMALL, mirrored=True))
    np.testing.assert_allclose(np.asarray(exported(images)), _softmax(mean), atol=ROUNDED)


def test_exported_kernels_are_halves(images):
    exported = assemble([_trained_like(1)], SMALL)
    kernels = [layer.kernel for layer in exported.layers if isinstance(layer, keras.layers.Conv2D)]
    assert len(kernels) == 9
    for kernel in map(np.asarray, kernels):
        assert kernel.dtype == np.float32
        np.testing.assert_array_equal(kernel, kernel.astype(np.float16))


def test_export_holds_stock_layers_only_and_reloads_safely(images, tmp_path):
    exported = assemble([_trained_like(1), _trained_like(2)], SMALL)
    assert not any(isinstance(layer, WeightStandardizedConv2D) for layer in exported.layers)
    assert {type(layer).__module__.split(".")[0] for layer in exported.layers} == {"keras"}
    exported.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras", safe_mode=True)
    np.testing.assert_allclose(np.asarray(again(images)), np.asarray(exported(images)), atol=1e-6)


def test_reading_ignores_brightness_and_contrast(images):
    model = _trained_like(1)
    np.testing.assert_allclose(
        np.asarray(model(images)), np.asarray(model(0.5 * images + 0.2)), atol=2e-2
    )


def test_kernels_are_standardized():
    layer = WeightStandardizedConv2D(5, 3, initial_gain=2.0)
    layer.build((None, 8, 8, 7))
    kernel = np.asarray(layer.standardized(layer.kernel))
    np.testing.assert_allclose(kernel.mean(axis=(0, 1, 2)), 0, atol=1e-6)
    np.testing.assert_allclose(kernel.var(axis=(0, 1, 2)) * 3 * 3 * 7, 4.0, rtol=1e-3)


def test_widths_and_depths_must_agree():
    with pytest.raises(ValueError, match="same number of stages"):
        ResidualNetwork(widths=(8, 16), depths=(1,))


def test_only_a_view_can_be_mirrored():
    with pytest.raises(ValueError, match="need a view"):
        ResidualNetwork(mirrored=True)
