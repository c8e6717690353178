"""Figures of a classifier, each with a 95 % interval from a bootstrap by patient."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import confusion_matrix

from cxr.calibrate import Thresholds
from training.bootstrap import RESAMPLES, Weights, ratio, share, with_intervals
from training.reliability import calibration_error, reliability_diagram
from training.selective import Selective, risk_coverage_curve

if TYPE_CHECKING:
    from training.data import Prepared

#: Infected from this calibrated probability on, where a figure needs one cut: the probability
#: is calibrated on validation films of which half count as infected, so 0.5 is its middle.
CUT = 0.5

#: Sums of absolute deviations: see ``with_intervals``.
_UPWARD = frozenset({"calibration_error"})


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

    def part(self, rows: NDArray[Any]) -> Answers:
        """The answers in ``rows``: positions, or a mask."""
        return Answers(*(column[rows] for column in vars(self).values()))


def answers_of(
    prepared: Prepared, rows: NDArray[np.int64], probabilities: NDArray[np.float64]
) -> Answers:
    """Calibrated probabilities of the data set's own classes for ``rows``, with the truth."""
    labels, infected = prepared.labels[rows], prepared.infected
    return Answers(
        probabilities,
        labels,
        probabilities[:, infected].sum(axis=1),
        infected[labels],
        prepared.groups[rows],
    )


def measure(
    answers: Answers,
    thresholds: Thresholds,
    seed: int = 0,
    resamples: int = RESAMPLES,
    prevalence: float | None = None,
) -> dict[str, Any]:
    """All figures: name → {"value", "low", "high"}; counts, curves and the confusion matrix.

    The interval is the 2.5th to 97.5th percentile over resamples of the patients with
    replacement (Efron 1993). A figure that the films do not define is left out.

    Args:
        prevalence: share of infected films in the population of which figures and curves are,
            range (0, 1): infected and normal films weigh by it. None for the films as they are.
            Counts and the confusion matrix are of films either way.
    """
    weigh = _population(answers.infected, prevalence)
    figures = _figures(answers, thresholds)
    result: dict[str, Any] = {
        "films": len(answers.labels),
        "patients": len(np.unique(answers.groups)),
        "infected": int(answers.infected.sum()),
        "cut": CUT,
        "figures": with_intervals(
            lambda weights: figures(weigh(weights)),
            answers.groups,
            seed=seed,
            resamples=resamples,
            upward=_UPWARD,
            shares=_shares(answers, thresholds),
        ),
        "decisions": decision_counts(answers, thresholds),
        "reliability": reliability_diagram(
            answers.infection, answers.infected, weigh(np.ones(len(answers.labels)))
        ),
        "risk_coverage": risk_coverage_curve(
            answers.infection,
            answers.infected,
            answers.groups,
            cut=CUT,
            seed=seed,
            resamples=resamples,
            weigh=weigh,
        ),
    }
    if prevalence is not None:
        result["prevalence"] = prevalence
    if (answers.labels >= 0).all():
        predicted = answers.probabilities.argmax(axis=1)
        classes = range(answers.probabilities.shape[1])
        matrix = confusion_matrix(answers.labels, predicted, labels=classes)
        result["confusion_matrix"] = matrix.tolist()
    return result


def _population(
    infected: NDArray[np.bool_], prevalence: float | None
) -> Callable[[Weights], Weights]:
    """From the films' weights to such that infected ones have the share ``prevalence`` of all."""
    if prevalence is None:
        return lambda weights: weights

    def weigh(weights: Weights) -> Weights:
        sick, well = weights[infected].sum(), weights[~infected].sum()
        if not sick or not well:  # a resample of one side alone says nothing of the population
            return weights
        return weights * np.where(infected, prevalence / sick, (1 - prevalence) / well)

    return weigh


class Ranking:
    """Area under the ROC curve for many weightings of the same films.

    The same number as scikit-learn's ``roc_auc_score(…, sample_weight=…)``, to which tests
    hold it; the scores are sorted once, not once a resample.

    Args:
        truth: bool, shape (n,).
        score: shape (n,).
    """

    def __init__(self, truth: NDArray[np.bool_], score: NDArray[Any]) -> None:
        _, self._place = np.unique(score, return_inverse=True)
        self._truth = truth

    def area(self, weights: Weights) -> float:
        """NaN where one side weighs nothing."""
        sick = np.bincount(self._place, weights * self._truth)
        well = np.bincount(self._place, weights * ~self._truth)
        # Equal scores count as half won.
        won = float((sick * (np.cumsum(well) - well / 2)).sum())
        return ratio(won, float(sick.sum() * well.sum()))


def decision_counts(answers: Answers, thresholds: Thresholds) -> dict[str, dict[str, int]]:
    """How many normal and infected films got each of the three decisions."""
    decisions = np.array([thresholds.decide(p) for p in answers.infection])
    return {
        truth: {
            decision: int(((decisions == decision) & mask).sum())
            for decision in ("normal", "uncertain", "infected")
        }
        for truth, mask in (("normal", ~answers.infected), ("infected", answers.infected))
    }


def _figures(answers: Answers, thresholds: Thresholds) -> Callable[[Weights], dict[str, float]]:
    """The figures as a function of the films' weights; what does not depend on them, once."""
    sick, infection = answers.infected, answers.infection
    called = infection >= CUT
    ruled_in = infection >= thresholds.rule_in
    ruled_out = infection < thresholds.rule_out
    decided = ruled_in | ruled_out
    selective, ranking = Selective(infection, sick, CUT), Ranking(sick, infection)
    known = bool((answers.labels >= 0).all())
    hit = answers.probabilities.argmax(axis=1) == answers.labels
    kinds = _kinds(answers)

    def figures(weights: Weights) -> dict[str, float]:
        tp, fp = (float(weights[called & side].sum()) for side in (sick, ~sick))
        fn = float(weights[~called & sick].sum())
        found = {
            "accuracy": share(called == sick, weights),
            "sensitivity": share(called, weights, sick),
            "specificity": share(~called, weights, ~sick),
            "precision": ratio(tp, tp + fp),
            "f1": ratio(2 * tp, 2 * tp + fp + fn),
            "auc": ranking.area(weights),
            "brier_score": float((weights * (infection - sick) ** 2).sum() / weights.sum()),
            "calibration_error": calibration_error(infection, sick, weights),
            "share_decided": share(decided, weights),
            "accuracy_decided": share(ruled_in == sick, weights, decided),
            "sensitivity_rule_out": share(~ruled_out, weights, sick),
            "specificity_rule_in": share(~ruled_in, weights, ~sick),
            "risk_coverage_area": selective.area(weights),
        }
        if known:
            found["class_accuracy"] = share(hit, weights)
        if kinds is not None:
            found["kind_accuracy"] = share(kinds.right, weights, kinds.films)
            if kinds.ranking is not None:
                found["kind_auc"] = kinds.ranking.area(weights[kinds.films])
        return found

    return figures


def _shares(answers: Answers, thresholds: Thresholds) -> dict[str, NDArray[np.bool_]]:
    """The films that each of the shares among the figures is a share of."""
    sick, infection = answers.infected, answers.infection
    every = np.ones_like(sick)
    return {
        **dict.fromkeys(("accuracy", "class_accuracy", "share_decided"), every),
        **dict.fromkeys(("sensitivity", "sensitivity_rule_out", "kind_accuracy"), sick),
        **dict.fromkeys(("specificity", "specificity_rule_in"), ~sick),
        "precision": infection >= CUT,
        "accuracy_decided": (infection >= thresholds.rule_in) | (infection < thresholds.rule_out),
    }


@dataclass(frozen=True)
class _Kinds:
    """Telling one kind of infection from another, among films that are truly infected.

    Attributes:
        films: bool, shape (n,): the truly infected.
        right: bool, shape (n,): the most probable infected class is the true one.
        ranking: of two kinds, of the infected films by the first one's share of the
            probability of both; None where there are more.
    """

    films: NDArray[np.bool_]
    right: NDArray[np.bool_]
    ranking: Ranking | None


def _kinds(answers: Answers) -> _Kinds | None:
    films = answers.infected
    classes = np.unique(answers.labels[films])
    if len(classes) < 2 or classes[0] < 0:
        return None
    among = answers.probabilities[:, classes]
    right = classes[among.argmax(axis=1)] == answers.labels
    ranking = None
    if len(classes) == 2:
        first = among[films, 0] / np.maximum(among[films].sum(axis=1), 1e-12)
        ranking = Ranking(answers.labels[films] == classes[0], first)
    return _Kinds(films, right, ranking)
