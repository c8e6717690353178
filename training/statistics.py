"""How sure is a share, and are two classifiers different on the same films?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binomtest, norm, rankdata
from statsmodels.stats.contingency_tables import mcnemar


def wilson(count: int, total: int) -> dict[str, float]:
    """A share and its 95 % interval (Wilson 1927): ``value``, ``low`` and ``high``, 0 to 1.

    Raises:
        ValueError: ``total`` is 0, or ``count`` larger.
    """
    test = binomtest(count, total)
    interval = test.proportion_ci(0.95, method="wilson")
    return {
        "value": float(test.statistic),
        "low": float(interval.low),
        "high": float(interval.high),
    }


@dataclass(frozen=True)
class DeLong:
    """Areas under the ROC curve of classifiers that judged the same films.

    Attributes:
        areas: float64, shape (k,).
        covariance: float64, shape (k, k), of the areas.
    """

    areas: NDArray[np.float64]
    covariance: NDArray[np.float64]

    def interval(self, number: int) -> tuple[float, float]:
        """95 %, of one area, by its normal approximation, kept within 0 and 1."""
        half = norm.ppf(0.975) * np.sqrt(self.covariance[number, number])
        area = self.areas[number]
        return float(max(area - half, 0.0)), float(min(area + half, 1.0))

    def p_value(self, first: int, second: int) -> float:
        """Two-sided, of no difference between two areas; 1 where they are the same classifier."""
        contrast = np.zeros(len(self.areas))
        contrast[first] += 1
        contrast[second] -= 1
        variance = float(contrast @ self.covariance @ contrast)
        difference = float(contrast @ self.areas)
        if variance <= 1e-18:
            return 1.0 if abs(difference) < 1e-12 else 0.0
        return float(2 * norm.sf(abs(difference) / np.sqrt(variance)))


def delong(truth: NDArray[np.bool_], scores: NDArray[Any]) -> DeLong:
    """DeLong's test for correlated ROC curves, by mid-ranks.

    DeLong, DeLong, Clarke-Pearson 1988 (Biometrics 44:837); the algorithm is that of Sun
    and Xu 2014 (IEEE Signal Processing Letters 21:1389), O(n log n).

    Args:
        truth: shape (n,), both values present.
        scores: shape (k, n), higher = more likely true.
    """
    positive, negative = scores[:, truth], scores[:, ~truth]
    m, n = positive.shape[1], negative.shape[1]
    if not m or not n:
        raise ValueError("the ROC curve needs films of both kinds")
    within_positive = rankdata(positive, axis=1)
    within_negative = rankdata(negative, axis=1)
    together = rankdata(np.concatenate([positive, negative], axis=1), axis=1)
    areas = (together[:, :m].mean(axis=1) - (m + 1) / 2) / n
    of_positive = (together[:, :m] - within_positive) / n
    of_negative = 1 - (together[:, m:] - within_negative) / m
    covariance = _covariance(of_positive) / m + _covariance(of_negative) / n
    return DeLong(areas, covariance)


def _covariance(components: NDArray[np.float64]) -> NDArray[np.float64]:
    if components.shape[1] < 2:
        return np.zeros((len(components), len(components)))
    return np.atleast_2d(np.cov(components))


def mcnemar_p_value(first_right: NDArray[np.bool_], second_right: NDArray[np.bool_]) -> float:
    """Of no difference in accuracy between two classifiers on the same films (McNemar 1947).

    Exact below 25 films on which just one of the two is right, else chi-squared with
    continuity correction, as is usual (Edwards 1948).
    """
    only_first = int((first_right & ~second_right).sum())
    only_second = int((~first_right & second_right).sum())
    if not only_first + only_second:
        return 1.0
    counts = [[0, only_first], [only_second, 0]]
    return float(mcnemar(counts, exact=only_first + only_second < 25, correction=True).pvalue)
