"""What is gained by leaving the doubtful films to a person: the risk-coverage curve.

Films are taken from the surest to the least sure; at each share of films taken (coverage)
the risk is the share of wrong calls among them (El-Yaniv 2010, JMLR 11:1605; Geifman 2019,
arXiv 1805.08206, for the area under it).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from training.bootstrap import RESAMPLES, Figure, Weights, with_intervals

#: Shares of the films at which the curve is published.
COVERAGES = tuple(round(0.5 + 0.05 * step, 2) for step in range(11))


class Selective:
    """The order in which films are taken, and which of them are called wrongly.

    Args:
        probability: of infection, shape (n,).
        truth: shape (n,).
        cut: infected from this probability on; the farther from it, the surer.
    """

    def __init__(
        self, probability: NDArray[Any], truth: NDArray[np.bool_], cut: float = 0.5
    ) -> None:
        # The margin on the side of the call, so that both sides reach 1.
        sure = np.where(probability >= cut, (probability - cut) / (1 - cut), 1 - probability / cut)
        self._order = np.argsort(-sure, kind="stable")
        self._wrong = ((probability >= cut) != truth)[self._order]

    def area(self, weights: Weights) -> float:
        """Area under the risk-coverage curve: the mean risk over all coverages; 0 is best."""
        taken = weights[self._order]
        risk = np.cumsum(taken * self._wrong) / np.maximum(np.cumsum(taken), 1e-12)
        return float((taken * risk).sum() / taken.sum())

    def accuracies(self, coverages: Sequence[float], weights: Weights) -> NDArray[np.float64]:
        """Accuracy among the surest films, for each share of them that is taken."""
        taken = weights[self._order]
        reached, wrong = np.cumsum(taken), np.cumsum(taken * self._wrong)
        last = _last(reached, coverages)
        return np.asarray(1 - wrong[last] / reached[last])

    def surest(self, coverages: Sequence[float], weights: Weights) -> list[NDArray[np.bool_]]:
        """The films of which ``accuracies`` speaks, shape (n,) each."""
        place = np.argsort(self._order)
        return [place <= last for last in _last(np.cumsum(weights[self._order]), coverages)]


def _last(reached: NDArray[np.float64], coverages: Sequence[float]) -> NDArray[np.int64]:
    return np.searchsorted(reached, np.asarray(coverages) * reached[-1] - 1e-9)


def risk_coverage_curve(
    probability: NDArray[Any],
    truth: NDArray[np.bool_],
    groups: NDArray[Any],
    *,
    cut: float = 0.5,
    seed: int = 0,
    resamples: int = RESAMPLES,
    weigh: Callable[[Weights], Weights] = lambda weights: weights,
) -> list[dict[str, float]]:
    """Accuracy at each published coverage, with its interval.

    Args:
        weigh: from the films' weights to those in the population that is meant.

    Returns:
        ``{"coverage", "value", "low", "high"}`` for each of ``COVERAGES``.
    """
    selective = Selective(probability, truth, cut)
    names = [str(coverage) for coverage in COVERAGES]
    found: dict[str, Figure] = with_intervals(
        lambda weights: dict(
            zip(names, selective.accuracies(COVERAGES, weigh(weights)), strict=True)
        ),
        groups,
        seed=seed,
        resamples=resamples,
        shares=dict(
            zip(names, selective.surest(COVERAGES, weigh(np.ones(len(truth)))), strict=True)
        ),
    )
    return [{"coverage": coverage, **found[str(coverage)]} for coverage in COVERAGES]
