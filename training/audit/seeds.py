"""The same recipe from other random weights: how much of a reading is luck?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from cxr.calibrate import Thresholds
from training.bootstrap import shares_with_intervals
from training.metrics import CUT, Answers


def disagreement(answers: Mapping[str, tuple[Answers, Thresholds]]) -> dict[str, Any]:
    """How often several models, each with its own thresholds, decide a film differently.

    Args:
        answers: name → answers to the same films in the same order, and thresholds.
    """
    decisions = np.array(
        [[thresholds.decide(p) for p in one.infection] for one, thresholds in answers.values()]
    )
    first, _ = next(iter(answers.values()))
    opposite = (decisions == "normal").any(axis=0) & (decisions == "infected").any(axis=0)
    calls = np.array([one.infection >= CUT for one, _ in answers.values()])
    accuracy = (calls == first.infected).mean(axis=1)
    agreed = {
        "same_decision": (decisions == decisions[0]).all(axis=0),
        "opposite_decision": opposite,
        "same_side_of_the_cut": (calls == calls[0]).all(axis=0),
    }
    return {
        "models": list(answers),
        "figures": shares_with_intervals(agreed, first.groups),
        "accuracy": {
            "of_each": accuracy.tolist(),
            "mean": float(accuracy.mean()),
            "standard_deviation": float(accuracy.std(ddof=1)),
        },
    }
