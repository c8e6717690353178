from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from tests.phantoms import chest_phantom
from training.augment import (
    Augmentation,
    RandomAffine,
    RandomBorder,
    RandomTone,
    augmenter,
    mixup,
)

NOTHING = Augmentation(
    flip=False, rotation=0, zoom=0, shift=0, shear=0, gamma=0, tone=0, contrast=0, brightness=0,
    blur=0, noise=0, erase=0, border=0, mixup=0,
)  # fmt: skip


@pytest.fixture
def images() -> np.ndarray:
    films = [chest_phantom(size=64, seed=seed) for seed in range(6)]
    return np.stack(films).astype(np.float32)[..., None] / 255


def test_nothing_happens_outside_training(images):
    np.testing.assert_array_equal(np.asarray(augmenter(Augmentation(), 0)(images)), images)


def test_training_changes_each_image_and_keeps_shape_and_range(images):
    changed = np.asarray(augmenter(Augmentation(), 0)(images, training=True))
    assert changed.shape == images.shape
    assert changed.min() >= 0
    assert changed.max() <= 1
    assert (np.abs(changed - images).mean(axis=(1, 2, 3)) > 0.01).all()


def test_same_seed_same_images(images):
    first, second, other = (
        np.asarray(augmenter(Augmentation(), seed)(images, training=True)) for seed in (7, 7, 8)
    )
    np.testing.assert_array_equal(first, second)
    assert np.abs(first - other).mean() > 0.01


def test_settings_of_zero_change_nothing(images):
    changed = np.asarray(augmenter(NOTHING, 0)(images, training=True))
    np.testing.assert_allclose(changed, images, atol=1e-3)


def test_flip_mirrors_left_and_right_only(images):
    layer = RandomAffine(dataclasses.replace(NOTHING, flip=True), 3)
    changed = np.asarray(layer(images, training=True))
    mirrored = images[:, :, ::-1]
    flipped = [np.abs(a - b).max() < 1e-3 for a, b in zip(changed, mirrored, strict=True)]
    kept = [np.abs(a - b).max() < 1e-3 for a, b in zip(changed, images, strict=True)]
    assert any(flipped)
    assert any(kept)
    assert all(f or k for f, k in zip(flipped, kept, strict=True))


def test_shift_moves_by_no_more_than_asked(images):
    spot = np.zeros_like(images)
    spot[:, 32, 32] = 1
    layer = RandomAffine(dataclasses.replace(NOTHING, shift=0.1), 3)
    moved = np.asarray(layer(spot, training=True))[..., 0]
    for image in moved:
        row, column = np.unravel_index(image.argmax(), image.shape)
        assert abs(row - 32) <= 7
        assert abs(column - 32) <= 7


def test_a_frame_is_blanked_in_one_grey_and_the_middle_is_kept(images):
    layer = RandomBorder(dataclasses.replace(NOTHING, border=1), 3)
    changed = np.asarray(layer(images, training=True))[..., 0]
    np.testing.assert_array_equal(changed[:, 8:56, 8:56], images[:, 8:56, 8:56, 0])
    for before, after in zip(images[..., 0], changed, strict=True):
        blanked = before != after
        assert 0.01 < blanked.mean() < 0.45
        assert len(np.unique(after[blanked])) == 1


def test_mixup_blends_images_and_targets_alike():
    images = np.arange(4, dtype=np.float32).reshape(4, 1, 1, 1) * np.ones((4, 2, 2, 1), np.float32)
    targets = np.eye(4, dtype=np.float32)
    blended, mixed = mixup(images, targets, 0.4, np.random.default_rng(0))
    np.testing.assert_allclose(mixed.sum(axis=1), 1, atol=1e-6)
    np.testing.assert_allclose(blended[:, 0, 0, 0], mixed @ np.arange(4), atol=1e-5)


def test_tone_curves_differ_per_image_and_keep_the_order_of_greys():
    ramp = np.tile(np.linspace(0, 1, 64, dtype=np.float32)[None, :, None, None], (6, 1, 4, 1))
    layer = RandomTone(dataclasses.replace(NOTHING, tone=0.5), 3)
    curves = np.asarray(layer(ramp, training=True))[:, :, 0, 0]
    assert (np.diff(curves, axis=1) > 0).all()
    np.testing.assert_allclose(curves[:, [0, -1]], [[0, 1]] * 6, atol=1e-6)
    assert np.abs(curves[0] - curves[1]).max() > 0.02
