"""What a batch holds, and what the loss asks of it."""

from __future__ import annotations

from dataclasses import replace

import keras
import numpy as np
import pytest
from scipy.spatial.distance import jensenshannon
from scipy.special import softmax

from tests.training.tiny import TINY
from training.loop import Agreement, Batches

FILMS = 20


def batches(agreement: float, *, training: bool = True) -> Batches:
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (FILMS, 64, 64), np.uint8)
    labels = np.arange(FILMS) % 3
    recipe = replace(TINY, agreement=agreement)
    return Batches(
        images, labels, np.arange(FILMS), 3, recipe, TINY.stages[0], 0, training=training
    )


def test_two_views_of_a_film_are_neighbours_and_an_epoch_still_has_every_film():
    pairs = batches(1.0)
    seen = [pairs[number][0] for number in range(len(pairs))]
    assert [len(images) for images in seen] == [TINY.batch_size] * (2 * FILMS // TINY.batch_size)
    images = np.concatenate(seen)
    np.testing.assert_array_equal(images[::2], images[1::2])
    assert len(np.unique(images.reshape(len(images), -1), axis=0)) == FILMS
    assert len(batches(0.0)) == len(batches(1.0, training=False)) == -(-FILMS // TINY.batch_size)


@pytest.mark.parametrize("second", [[4.0, 0.0, 0.0], [0.0, 40.0, 0.0], [1.0, 2.0, 3.0]])
def test_answers_to_two_views_cost_what_parts_them(second):
    logits = np.array([[4.0, 0.0, 0.0], second], np.float32)
    layer = Agreement(3.0)
    passed = layer(logits, training=True)
    np.testing.assert_array_equal(keras.ops.convert_to_numpy(passed), logits)
    (loss,) = layer.losses
    assert float(loss) == pytest.approx(3 * jensenshannon(*softmax(logits, 1)) ** 2, abs=1e-5)


def test_what_is_read_is_not_asked_to_agree():
    layer = Agreement(3.0)
    layer(np.array([[4.0, 0.0], [0.0, 4.0], [1.0, 1.0]], np.float32))
    assert layer.losses == []
