"""Is a film that is given 80 % infected in eight of ten cases?"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from training.statistics import wilson

#: Bins of equal width on the probability of infection.
BINS = 10


def calibration_error(
    probability: NDArray[Any], truth: NDArray[np.bool_], weights: NDArray[Any]
) -> float:
    """Expected calibration error (Guo 2017, arXiv 1706.04599, eq. 3), of one event.

    Probabilities of infection fall into ``BINS`` bins of equal width, each closed below and
    open above (the last closed on both sides). A bin's error is the distance between its
    mean probability and its share of infected films; bins weigh by their films. Guo bins
    the confidence of the most probable class; here the event is infection, which decides.

    Args:
        probability: shape (n,), range [0, 1].
        truth: shape (n,).
        weights: shape (n,); one each for a plain figure.
    """
    which = _bins(probability)
    believed = np.bincount(which, weights * probability, BINS)
    happened = np.bincount(which, weights * truth, BINS)
    return float(np.abs(believed - happened).sum() / weights.sum())


def reliability_diagram(
    probability: NDArray[Any],
    truth: NDArray[np.bool_],
    weights: NDArray[Any] | None = None,
) -> list[dict[str, Any]]:
    """The bins that hold films, from low to high.

    Args:
        weights: shape (n,), one value for all infected and one for all normal films; None for
            one each.

    Returns:
        For each: its bounds ``from`` and ``to``, ``films``, their mean ``probability``, the
        share that is ``infected``, and the 95 % interval ``low`` to ``high`` of that share
        (Wilson 1927, by film; moved by the odds of the weights).
    """
    if weights is None:
        weights = np.ones(len(truth))
    both = truth.any() and not truth.all()
    odds = float(weights[truth].max() / weights[~truth].max()) if both else 1.0
    which = _bins(probability)
    rows = []
    for number in range(BINS):
        inside = which == number
        films, infected = int(inside.sum()), int(truth[inside].sum())
        if not films:
            continue
        observed = {
            key: share if odds == 1 else odds * share / (odds * share + 1 - share)
            for key, share in wilson(infected, films).items()
        }
        rows.append(
            {
                "from": number / BINS,
                "to": (number + 1) / BINS,
                "films": films,
                "probability": float(np.average(probability[inside], weights=weights[inside])),
                "infected": observed["value"],
                "low": observed["low"],
                "high": observed["high"],
            }
        )
    return rows


def _bins(probability: NDArray[Any]) -> NDArray[np.int64]:
    return np.minimum((np.asarray(probability) * BINS).astype(np.int64), BINS - 1)
