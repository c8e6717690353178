import numpy as np
import pytest

from training.opacity import fallen_ill, opacity

INSIDE = np.zeros((64, 64), np.uint8)
INSIDE[12:52, 8:28] = INSIDE[12:52, 36:56] = 1
LUNGS = np.kron(INSIDE, np.ones((2, 2))) > 0
FILM = np.where(LUNGS, 50, 180).astype(np.uint8)


@pytest.fixture
def films() -> np.ndarray:
    random = np.random.default_rng(0)
    return np.stack([fallen_ill(FILM, INSIDE, random) for _ in range(60)])


def test_it_is_paler_within_the_lungs_and_nowhere_else(films):
    assert films.dtype == np.uint8
    added = films.astype(int) - FILM
    assert added.min() >= 0  # an opacity hides, it clears nothing
    assert films.max() <= FILM.max()  # nor is it whiter than what surrounds the lungs
    beside = ~LUNGS
    beside[16:112, 10:118] = False
    assert added[:, LUNGS].sum() > 50 * added[:, beside].sum()
    assert np.median(added.max(axis=(1, 2))) > 50
    assert added.max(axis=(1, 2)).min() > 0


def test_no_two_are_alike_and_a_seed_repeats_them():
    first = opacity(INSIDE, np.random.default_rng(1))
    second = opacity(INSIDE, np.random.default_rng(2))
    assert first is not None
    assert np.abs(first - second).max() > 0.1
    np.testing.assert_array_equal(first, opacity(INSIDE, np.random.default_rng(1)))
    assert first.dtype == np.float32
    assert first.min() >= 0
    assert first.max() <= 0.9


def test_a_film_without_lungs_stays_well():
    assert fallen_ill(FILM, np.zeros_like(INSIDE), np.random.default_rng(0)) is None
