"""Which films an epoch sees, and what is remembered of them."""

from __future__ import annotations

import numpy as np
import pandas
import pytest

from tests.training.tiny import TINY
from training.augment import NO_AUGMENTATION
from training.loop import Batches, train
from training.recipe import Stage

COUNT, LABELS = 100, np.arange(100) % 2
IMAGES = np.broadcast_to(np.arange(100, dtype=np.uint8)[:, None, None], (COUNT, 64, 64))


def batches(leave_out: float, training: bool = True) -> Batches:
    stage = Stage(epochs=3, leave_out=leave_out)
    return Batches(IMAGES, LABELS, np.arange(COUNT), 2, TINY, stage, 0, training=training)


def test_an_epoch_takes_all_hard_films_and_half_of_the_easy_ones_twice_as_seriously():
    made = batches(0.4)
    made.losses = np.linspace(0, 1, COUNT, dtype=np.float32)
    seen = np.zeros(COUNT)
    for _ in range(60):
        made.on_epoch_end()
        assert len(made.order) == len(set(made.order)) == 60
        assert len(made) == 8
        assert set(range(80, 100)) <= set(made.order)
        weights = np.concatenate([made[number][1].sum(axis=1) for number in range(len(made))])
        films = np.concatenate([made.films(number) for number in range(len(made))])
        np.add.at(seen, films, weights)
    # On average every film weighs what it weighs where none is left out.
    assert np.all(seen[80:] == 60)
    assert seen[:80].mean() == pytest.approx(60)
    assert seen[:80].min() > 30


def test_films_never_trained_on_come_first():
    made = batches(0.4)
    made.losses = np.zeros(COUNT, np.float32)
    made.losses[30:40] = np.inf
    made.on_epoch_end()
    assert set(range(30, 40)) <= set(made.order)


def test_without_leaving_out_and_in_validation_every_film_is_seen_once():
    for made in (batches(0.0), batches(0.4, training=False)):
        assert sorted(made.order) == list(range(COUNT))
        assert np.all(made.repeats == 1)


def test_images_labels_and_film_numbers_of_a_batch_belong_together():
    made = batches(0.4)
    images, targets = made[2]
    films = made.films(2)
    assert np.allclose(images[:, 0, 0, 0], films / 255)
    assert np.array_equal(targets.argmax(axis=1), LABELS[films])


def test_training_remembers_the_loss_of_each_film(tmp_path):
    images = np.full((COUNT, 64, 64), 40, np.uint8)
    images[LABELS == 1, :, :32] = 200
    stage = Stage(epochs=4, leave_out=0.25, augmentation=NO_AUGMENTATION)
    split = np.arange(80), np.arange(80, COUNT)
    trained = train(images, LABELS, *split, 2, TINY, stage, 0, tmp_path, verbose=0)
    with np.load(tmp_path / "last.npz") as arrays:
        losses = arrays[arrays.files[-1]]
    assert losses.shape == (80,)
    assert np.all(np.isfinite(losses))  # after two epochs every film was seen
    # Films of one class are all the same one, so their losses differ by when they were seen.
    last = pandas.read_csv(tmp_path / "history.csv")["log_loss"].iloc[-1]
    assert losses.min() < last < losses.max()
    assert trained.epochs == 4


@pytest.mark.parametrize("share", [-0.1, 0.6])
def test_a_share_that_cannot_be_left_out_is_refused(share):
    with pytest.raises(ValueError, match="at most half"):
        Stage(leave_out=share)
