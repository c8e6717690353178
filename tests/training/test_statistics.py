from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binomtest
from sklearn.metrics import roc_auc_score

from training.statistics import delong, mcnemar_p_value, wilson


def test_a_shares_interval_is_wilsons() -> None:
    # Newcombe 1998, Stat Med 17:857, table I, method 3: 81 of 263, 1 of 29, 0 of 20.
    for count, total, low, high in ((81, 263, 0.2553, 0.3662), (1, 29, 0.0061, 0.1718)):
        found = wilson(count, total)
        assert found["value"] == count / total
        assert found["low"] == pytest.approx(low, abs=5e-5)
        assert found["high"] == pytest.approx(high, abs=5e-5)
    assert wilson(0, 20)["low"] == 0
    assert wilson(0, 20)["high"] == pytest.approx(0.1611, abs=5e-5)
    with pytest.raises(ValueError, match="n"):
        wilson(0, 0)


def _two_readers(films: int = 300) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(3)
    truth = random.random(films) < 0.4
    good = truth + random.normal(0, 0.8, films)
    poor = np.round(0.5 * good + random.normal(0, 0.8, films), 1)  # with ties
    return truth, np.stack([good, poor])


def test_areas_are_scikit_learns():
    truth, scores = _two_readers()
    areas = delong(truth, scores).areas
    np.testing.assert_allclose(areas, [roc_auc_score(truth, one) for one in scores])


def test_variance_is_that_of_the_definition():
    """DeLong 1988, equations 5 and 6, written out over all pairs."""
    truth, scores = _two_readers(60)
    components = []
    for score in scores:
        pairs = score[truth][:, None] - score[~truth][None, :]
        wins = (pairs > 0) + 0.5 * (pairs == 0)
        components.append((wins.mean(axis=1), wins.mean(axis=0)))
    expected = sum(np.cov(np.stack([c[side] for c in components])) / len(components[0][side])
                   for side in (0, 1))  # fmt: skip
    np.testing.assert_allclose(delong(truth, scores).covariance, expected)


def test_p_value_tells_readers_apart_and_a_reader_not_from_itself():
    truth, scores = _two_readers()
    result = delong(truth, np.concatenate([scores, scores[:1]]))
    assert result.p_value(0, 1) < 0.001
    assert result.p_value(0, 2) == 1.0
    assert result.p_value(1, 1) == 1.0
    low, high = result.interval(0)
    assert 0 < low < result.areas[0] < high < 1


def test_chance_is_called_different_in_about_five_of_a_hundred():
    random = np.random.default_rng(0)
    small = 0
    for _ in range(400):
        truth = random.random(200) < 0.5
        scores = truth + random.normal(0, 1, (2, 200))
        small += delong(truth, scores).p_value(0, 1) < 0.05
    assert 0.025 < small / 400 < 0.08


def test_a_perfect_reader_has_an_interval_of_no_width():
    truth = np.array([True, False, True, False])
    assert delong(truth, truth[None].astype(float)).interval(0) == (1.0, 1.0)
    with pytest.raises(ValueError, match="both kinds"):
        delong(np.ones(3, bool), np.ones((1, 3)))


def test_mcnemar_counts_only_the_films_on_which_one_is_right():
    first = np.array([True] * 50 + [True] * 9 + [False] * 2 + [False] * 5)
    second = np.array([True] * 50 + [False] * 9 + [True] * 2 + [False] * 5)
    assert mcnemar_p_value(first, second) == pytest.approx(binomtest(2, 11).pvalue)
    assert mcnemar_p_value(first, first) == 1.0
    # 60 against 30: (|60 - 30| - 1)² / 90 = 9.34, one degree of freedom.
    first = np.array([True] * 60 + [False] * 30)
    assert mcnemar_p_value(first, ~first) == pytest.approx(0.00224, abs=1e-5)
