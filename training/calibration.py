"""Fitting the calibration and choosing the operating points, on validation films only.

Validation films come from the hospital that the network learned from, where it is nearly
always right; a cut chosen there over-calls on the next hospital's films. So the films are
also shown *stressed*: through the intensities, optics and poses of the training
augmentation, and through tone curves that training need not have had (``stressed_tone``).
They stand in for the detectors that nobody has films of.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from keras import ops
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import log_softmax, logsumexp
from sklearn.metrics import roc_curve

from cxr.calibrate import Calibration, Thresholds
from training.augment import Augmentation, augmenter
from training.recipe import Recipe

_BATCH = 64

#: What each operating point promises on the validation images.
RULE_OUT_SENSITIVITY = 0.98
RULE_IN_SPECIFICITY = 0.97
#: Distance of a threshold from 0 and 1; nearer than this no film's probability should come.
_EDGE = 1e-12


def stressed(
    images: NDArray[np.float32], settings: Augmentation, copies: int, seed: int
) -> NDArray[np.float32]:
    """The films as they are, followed by ``copies`` augmented versions of all of them.

    Args:
        images: float32, shape (n, size, size, 1), range [0, 1].

    Returns:
        float32, shape ((1 + copies) × n, size, size, 1).
    """
    change = augmenter(settings, seed)
    versions = [images]
    for _ in range(copies):
        for start in range(0, len(images), _BATCH):
            batch = change(images[start : start + _BATCH], training=True)
            versions.append(np.asarray(ops.convert_to_numpy(batch)))
    return np.concatenate(versions)


def calibrate(
    predict: Callable[[NDArray[np.float32]], NDArray[np.float64]],
    films: NDArray[np.float32],
    labels: NDArray[np.int64],
    infected: NDArray[np.bool_],
    recipe: Recipe,
    seed: int,
) -> tuple[Calibration, Thresholds]:
    """Calibration and operating points of a trained model, from validation films alone.

    Args:
        predict: float32 films (n, size, size, 1) → probabilities (n, classes).
        films: the validation films.
        labels: shape (n,).
        infected: shape (classes,).
    """
    # Stressed as the network last saw films: what a gentle last stage unlearned it does not meet.
    last = recipe.stages[-1].augmentation
    last = replace(last, tone=max(last.tone, recipe.stressed_tone))
    raw = predict(stressed(films, last, recipe.stressed_copies, seed))
    versions = 1 + recipe.stressed_copies
    truth = np.tile(labels, versions)
    calibration = fit_calibration(raw, truth, infected, versions)
    infection = calibration.apply(raw)[:, infected].sum(axis=1)
    return calibration, choose_thresholds(infection, infected[truth], versions)


def fit_calibration(
    probabilities: NDArray[Any],
    labels: NDArray[np.int64],
    infected: NDArray[np.bool_],
    versions: int = 1,
) -> Calibration:
    """Temperature and bias of least cross-entropy, normal and infected films weighing alike.

    The share of infected films in a training set is an accident of its collection, so the
    probabilities are calibrated for a population of which half is infected. Half of the
    weight is on the films as they are, the other half on their versions, however many: a
    film from home is as likely as one from elsewhere.

    Args:
        probabilities: shape (versions × n, classes), of the exported model, the films as
            they are first.
        labels: shape (versions × n,).
        infected: shape (classes,).
    """
    logits = np.log(np.maximum(np.asarray(probabilities, np.float64), 1e-12))
    sick = infected[labels]
    weights = np.full(len(labels), 1 / max(versions - 1, 1))
    weights[: len(labels) // versions] = 1.0
    for group in (sick, ~sick):
        weights[group] *= 0.5 / max(weights[group].sum(), 1e-12)
    rows = np.arange(len(labels))

    def cross_entropy(parameters: NDArray[Any]) -> float:
        scaled = logits / np.exp(parameters[0]) + np.append(0.0, parameters[1:])
        loss = -(weights * log_softmax(scaled, axis=1)[rows, labels]).sum()
        return float(loss) + _pull(parameters)

    found = minimize(cross_entropy, np.zeros(logits.shape[1]), method="L-BFGS-B").x
    return Calibration(float(np.exp(found[0])), (0.0, *map(float, found[1:])))


def fit_infection(
    probabilities: NDArray[Any],
    sick: NDArray[np.bool_],
    infected: NDArray[np.bool_],
    prevalence: float = 0.5,
) -> Calibration:
    """Temperature, and one shift of all infected classes, by which infection is calibrated.

    For films of which nobody says with what they are infected. Fitted for a population of which
    half is infected, and moved from there to another one by its odds of infection: that is exact
    (Saerens 2002, doi:10.1162/089976602753284446), where a fit for a rare disease would
    hang on a few films of much weight and be held back by ``_pull``.

    Args:
        probabilities: shape (n, classes).
        sick: the truth, shape (n,).
        infected: shape (classes,).
        prevalence: share of infected films in the population that it is made for, above 0 and
            below 1, whatever their share here; a half in ``fit_calibration``.
    """
    logits = np.log(np.maximum(np.asarray(probabilities, np.float64), 1e-12))
    weights = np.where(sick, 0.5 / max(sick.sum(), 1), 0.5 / max((~sick).sum(), 1))

    def cross_entropy(parameters: NDArray[Any]) -> float:
        scaled = log_softmax(logits / np.exp(parameters[0]) + parameters[1] * infected, axis=1)
        of_truth = np.where(sick[:, np.newaxis] == infected, scaled, -np.inf)
        return float(-(weights * logsumexp(of_truth, axis=1)).sum()) + _pull(parameters)

    temperature, shift = minimize(cross_entropy, np.zeros(2), method="L-BFGS-B").x
    shift += np.log(prevalence / (1 - prevalence))
    return Calibration(float(np.exp(temperature)), tuple((shift * infected).tolist()))


def _pull(parameters: NDArray[Any]) -> float:
    """Towards no change, a little: keeps a perfectly separated set of films finite."""
    return 1e-3 * float(np.square(parameters).sum())


def choose_thresholds(
    infection_probability: NDArray[Any], infected: NDArray[np.bool_], versions: int = 1
) -> Thresholds:
    """The two operating points: sensitivity from the lower on, specificity below the upper.

    Both promises hold on the films as they are and, separately, on all their versions.
    Where the model separates the films so well that one cut would keep both promises, the
    two bounds cross; they are then taken in ascending order, which keeps both promises too
    and leaves the films between them to a person.

    Args:
        infection_probability: shape (versions × n,), the films as they are first.
        infected: the truth, same shape.
    """
    films = len(infected) // versions
    bounds = [
        _bounds(infection_probability[:films], infected[:films]),
        _bounds(infection_probability, infected),
    ]
    low, high = min(low for low, _ in bounds), max(high for _, high in bounds)
    # Halfway to the next film: at a film's own probability a rounding would decide its side,
    # and with it, on another machine, whether the promises hold.
    below = infection_probability[infection_probability < low]
    low = (low + float(below.max())) / 2 if len(below) else low
    inside = infection_probability[infection_probability < high]
    # A cut above all films is infinite.
    high = (min(high, 1.0) + float(inside.max())) / 2 if len(inside) else high
    return Thresholds(
        rule_out=min(max(low, _EDGE), 1 - _EDGE), rule_in=min(max(high, _EDGE), 1 - _EDGE)
    )


def promises(figures: Mapping[str, Mapping[str, float]]) -> dict[str, str]:
    """What the operating points keep on the films that chose them, or what they reached.

    No cut is on the right side of an infected film at 0, or of a normal one at 1.

    Args:
        figures: of ``measure``, on these films.
    """
    kept = {}
    for point, name, promise in (
        ("rule_out", "sensitivity", RULE_OUT_SENSITIVITY),
        ("rule_in", "specificity", RULE_IN_SPECIFICITY),
    ):
        reached = figures[f"{name}_{point}"]["value"]
        kept[point] = f"{name} >= {promise}"
        if reached < promise - 1e-9:
            kept[point] = f"{name} {reached:.3f} (of the {promise} that were to be kept)"
    return kept


def _bounds(probability: NDArray[Any], infected: NDArray[np.bool_]) -> tuple[float, float]:
    false_positives, sensitivity, cuts = roc_curve(infected, probability, drop_intermediate=False)
    sensitive = float(cuts[sensitivity >= RULE_OUT_SENSITIVITY].max())
    specific = float(cuts[1 - false_positives >= RULE_IN_SPECIFICITY].min())
    return min(sensitive, specific), max(sensitive, specific)
