"""The same figures for parts of the films: nobody is average."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from cxr.calibrate import Thresholds
from training.audit.films import Grey
from training.metrics import Answers, measure

#: Smaller parts say nothing.
FEWEST = 20
RESAMPLES = 500
FIGURES = ("accuracy", "sensitivity", "specificity", "auc", "share_decided", "accuracy_decided")

#: What a picture is like, each cut into thirds.
QUALITIES = {"sharpness": "least sharp", "contrast": "least contrast", "exposure": "darkest"}
THIRDS = ("lowest third", "middle third", "highest third")
_SIDE = 224


def quality(film: Grey) -> NDArray[np.float64]:
    """Sharpness (variance of the Laplacian), contrast (spread) and exposure (mean), shape (3,).

    Of the film at 224 × 224, so that large and small ones are compared alike.
    """
    shrinking = min(film.shape) >= _SIDE
    method = cv2.INTER_AREA if shrinking else cv2.INTER_LINEAR
    small = cv2.resize(film, (_SIDE, _SIDE), interpolation=method)
    edges = cv2.Laplacian(small, cv2.CV_64F)
    return np.array([edges.var(), small.std(), small.mean()])


def thirds(values: NDArray[np.float64]) -> NDArray[np.int64]:
    """0, 1 or 2 for each film: the third of the films that its value lies in."""
    return np.searchsorted(np.quantile(values, (1 / 3, 2 / 3)), values, side="right")


def measure_part(
    answers: Answers, part: NDArray[np.bool_], thresholds: Thresholds, by: str, name: str
) -> dict[str, Any] | None:
    """One line of the table; None where the part is too small."""
    if part.sum() < FEWEST:
        return None
    measured = measure(answers.part(part), thresholds, resamples=RESAMPLES)
    figures = measured["figures"]
    return {
        "by": by,
        "name": name,
        "films": measured["films"],
        "infected": measured["infected"],
        "figures": {key: figures[key] for key in FIGURES if key in figures},
        "decisions": measured["decisions"],
    }


def subgroups(
    answers: Answers,
    thresholds: Thresholds,
    classes: Sequence[str],
    sources: Sequence[str | None],
    qualities: NDArray[np.float64],
) -> list[dict[str, Any]]:
    """By class, by source where names tell it, and by thirds of what the picture is like.

    Args:
        classes: label of each film's true class.
        sources: of each film; None where nothing tells.
        qualities: shape (n, 3), from ``quality``.
    """
    lines = []
    for name in dict.fromkeys(classes):
        part = np.array([one == name for one in classes])
        lines.append(measure_part(answers, part, thresholds, "class", name))
    named = sorted({source for source in sources if source})
    for name in named if len(named) > 1 else []:
        part = np.array([source == name for source in sources])
        lines.append(measure_part(answers, part, thresholds, "source", name))
    for column, by in enumerate(QUALITIES):
        third = thirds(qualities[:, column])
        for number, name in enumerate(THIRDS):
            lines.append(measure_part(answers, third == number, thresholds, by, name))
    return [line for line in lines if line is not None]
