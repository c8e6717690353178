"""95 % intervals from a bootstrap that draws patients, not films.

Films of one patient resemble each other: drawing films as if each were a new person makes
every interval too narrow. So whole patients are drawn with replacement (Efron 1993, the
percentile method), and a film weighs as often as its patient was drawn. A share of exactly 0
or 1 is 0 or 1 in every resample, however few the patients are: there it is Wilson's interval
(1927), for as many patients as hold films that the share is of.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from training.statistics import wilson

RESAMPLES = 1000
#: Percentiles of the resampled values between which the figure lies.
INTERVAL = (2.5, 97.5)

Weights = NDArray[np.float64]
Figure = dict[str, float]


def resampled_weights(
    groups: NDArray[Any], resamples: int = RESAMPLES, seed: int = 0
) -> Iterator[Weights]:
    """How often each film was drawn, float64, shape (n,), ``resamples`` times.

    Args:
        groups: shape (n,): films of one patient share a group.
    """
    _, group = np.unique(groups, return_inverse=True)
    patients = int(group.max()) + 1
    random = np.random.default_rng(seed)
    for _ in range(resamples):
        drawn = np.bincount(random.integers(0, patients, patients), minlength=patients)
        yield drawn[group].astype(np.float64)


def with_intervals(
    figures: Callable[[Weights], Mapping[str, float]],
    groups: NDArray[Any],
    *,
    seed: int = 0,
    resamples: int = RESAMPLES,
    upward: frozenset[str] = frozenset(),
    shares: Mapping[str, NDArray[np.bool_]] | None = None,
) -> dict[str, Figure]:
    """Every figure with its interval: name → {"value", "low", "high"}.

    Args:
        figures: from one weight a film to the figures; NaN where the films define none.
        groups: shape (n,): the patients.
        upward: figures that are sums of absolute deviations. Noise can only raise those, so
            resamples lie above the value itself; the mean excess is taken off their interval
            (Efron 1993, ch. 10), which would otherwise lie beside the value.
        shares: figures that are shares, each with the films that it is a share of, shape (n,).

    Returns:
        Without the figures that the films do not define.
    """
    values = figures(np.ones(len(groups)))
    samples = [figures(weights) for weights in resampled_weights(groups, resamples, seed)]
    found: dict[str, Figure] = {}
    for name, value in values.items():
        if np.isnan(value):
            continue
        drawn = np.array([sample[name] for sample in samples])
        drawn = drawn[~np.isnan(drawn)]
        if name in upward:
            drawn = np.maximum(drawn - (drawn.mean() - value), 0.0)
        low, high = np.percentile(drawn, INTERVAL) if len(drawn) else (value, value)
        found[name] = {"value": float(value), "low": float(low), "high": float(high)}
        if shares and name in shares and value in (0.0, 1.0):
            patients = len(np.unique(groups[shares[name]]))
            found[name] = wilson(patients if value else 0, patients)
    return found


def shares_with_intervals(
    masks: Mapping[str, NDArray[np.bool_]], groups: NDArray[Any], seed: int = 0
) -> dict[str, Figure]:
    """The share of all films that each mask, shape (n,), is true of; as ``with_intervals``."""
    return with_intervals(
        lambda weights: {name: share(mask, weights) for name, mask in masks.items()},
        groups,
        seed=seed,
        shares={name: np.ones_like(mask) for name, mask in masks.items()},
    )


def ratio(part: float, whole: float) -> float:
    """``part / whole``; NaN, not an error, where there is nothing to share."""
    return float(part / whole) if whole else float("nan")


def share(mask: NDArray[np.bool_], weights: Weights, of: NDArray[np.bool_] | None = None) -> float:
    """Weighted share of films in ``mask``, among those in ``of`` (or all)."""
    whole = np.ones_like(mask) if of is None else of
    return ratio(float(weights[mask & whole].sum()), float(weights[whole].sum()))
