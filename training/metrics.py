"""Figures of a classifier, each with a 95 % interval from a bootstrap by patient."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import confusion_matrix, roc_auc_score

from cxr.calibrate import Thresholds

RESAMPLES = 1000
#: Infected from this calibrated probability on, where a figure needs one cut: the probability
#: is calibrated on validation films of which half count as infected, so 0.5 is its middle.
CUT = 0.5


@dataclass(frozen=True)
class Answers:
    """A model's answers to n films, with the truth.

    Attributes:
        probabilities: float64, shape (n, classes), calibrated.
        labels: int64, shape (n,), or -1 where the model has no such class.
        infection: float64, shape (n,): probability of infection.
        infected: bool, shape (n,): the truth.
        groups: shape (n,): films of one patient share a group.
    """

    probabilities: NDArray[np.float64]
    labels: NDArray[np.int64]
    infection: NDArray[np.float64]
    infected: NDArray[np.bool_]
    groups: NDArray[np.str_]


def measure(answers: Answers, thresholds: Thresholds, seed: int = 0) -> dict[str, Any]:
    """All figures: name → {"value", "low", "high"}; and counts and the confusion matrix.

    The interval is the 2.5th to 97.5th percentile over resamples of the patients with
    replacement (Efron 1993); None for a figure that the films do not define.
    """
    weights = np.ones(len(answers.labels))
    values = _figures(answers, thresholds, weights)
    _, group = np.unique(answers.groups, return_inverse=True)
    random = np.random.default_rng(seed)
    resampled: list[dict[str, float]] = []
    for _ in range(RESAMPLES):
        counts = np.bincount(random.integers(0, group.max() + 1, group.max() + 1))
        counts = np.pad(counts, (0, group.max() + 1 - len(counts)))
        resampled.append(_figures(answers, thresholds, counts[group].astype(float)))
    figures: dict[str, Any] = {}
    for name, value in values.items():
        if np.isnan(value):
            continue
        low, high = np.nanpercentile([figures[name] for figures in resampled], (2.5, 97.5))
        figures[name] = {"value": value, "low": float(low), "high": float(high)}
    classes = answers.probabilities.shape[1]
    result: dict[str, Any] = {
        "films": len(answers.labels),
        "patients": int(group.max() + 1),
        "infected": int(answers.infected.sum()),
        "cut": CUT,
        "figures": figures,
        "decisions": _decisions(answers, thresholds),
    }
    if (answers.labels >= 0).all():
        predicted = answers.probabilities.argmax(axis=1)
        matrix = confusion_matrix(answers.labels, predicted, labels=range(classes))
        result["confusion_matrix"] = matrix.tolist()
    return result


def _figures(answers: Answers, thresholds: Thresholds, weights: NDArray[Any]) -> dict[str, float]:
    sick, called = answers.infected, answers.infection >= CUT
    true_positive = float(weights[sick & called].sum())
    false_positive = float(weights[~sick & called].sum())
    true_negative = float(weights[~sick & ~called].sum())
    false_negative = float(weights[sick & ~called].sum())
    total = float(weights.sum())
    decided = (answers.infection < thresholds.rule_out) | (answers.infection >= thresholds.rule_in)
    right = decided & ((answers.infection >= thresholds.rule_in) == sick)
    figures = {
        "accuracy": _ratio(true_positive + true_negative, total),
        "sensitivity": _ratio(true_positive, true_positive + false_negative),
        "specificity": _ratio(true_negative, true_negative + false_positive),
        "precision": _ratio(true_positive, true_positive + false_positive),
        "f1": _ratio(2 * true_positive, 2 * true_positive + false_positive + false_negative),
        "auc": float("nan"),
        "brier_score": float((weights * (answers.infection - sick) ** 2).sum() / total),
        "calibration_error": calibration_error(answers.infection, sick, weights),
        "share_decided": _ratio(float(weights[decided].sum()), total),
        "accuracy_decided": _ratio(float(weights[right].sum()), float(weights[decided].sum())),
    }
    if 0 < true_positive + false_negative < total:
        figures["auc"] = float(roc_auc_score(sick, answers.infection, sample_weight=weights))
    if (answers.labels >= 0).all():
        hit = answers.probabilities.argmax(axis=1) == answers.labels
        figures["class_accuracy"] = _ratio(float(weights[hit].sum()), total)
    return figures


def calibration_error(
    probability: NDArray[Any], truth: NDArray[np.bool_], weights: NDArray[Any], bins: int = 10
) -> float:
    """Expected calibration error over equal-width bins (Guo 2017, arXiv 1706.04599, eq. 3)."""
    which = np.minimum((probability * bins).astype(int), bins - 1)
    mass = np.bincount(which, weights, bins)
    believed = np.bincount(which, weights * probability, bins)
    happened = np.bincount(which, weights * truth, bins)
    return float(np.abs(believed - happened).sum() / mass.sum())


def _decisions(answers: Answers, thresholds: Thresholds) -> dict[str, dict[str, int]]:
    decisions = np.array([thresholds.decide(p) for p in answers.infection])
    return {
        truth: {
            decision: int(((decisions == decision) & mask).sum())
            for decision in ("normal", "uncertain", "infected")
        }
        for truth, mask in (("normal", ~answers.infected), ("infected", answers.infected))
    }


def _ratio(part: float, whole: float) -> float:
    return part / whole if whole else float("nan")
