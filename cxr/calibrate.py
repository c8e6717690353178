"""From the network's probabilities to calibrated ones, and from those to a decision."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Decision = Literal["normal", "infected", "uncertain"]


@dataclass(frozen=True)
class Calibration:
    """Temperature scaling (Guo 2017, arXiv 1706.04599) with a shift per class.

    Attributes:
        temperature: the logits are divided by it.
        bias: added to the logits after that, one per class; takes out how often each class
            stood among the training images.
    """

    temperature: float
    bias: tuple[float, ...]

    def apply(self, probabilities: NDArray[Any]) -> NDArray[np.float64]:
        """float, shape (n, classes), rows that sum to 1 → the same, calibrated, float64."""
        logits = np.log(np.maximum(np.asarray(probabilities, np.float64), 1e-12))
        logits = logits / self.temperature + np.asarray(self.bias)
        exponentials = np.exp(logits - logits.max(axis=-1, keepdims=True))
        return np.asarray(exponentials / exponentials.sum(axis=-1, keepdims=True))

    def then(self, other: Calibration) -> Calibration:
        """The one calibration that does what this one and, on its answers, another one do."""
        bias = np.asarray(self.bias) / other.temperature + np.asarray(other.bias)
        return Calibration(self.temperature * other.temperature, tuple(bias.tolist()))


@dataclass(frozen=True)
class Thresholds:
    """Two operating points on the calibrated probability of infection.

    Attributes:
        rule_out: below it the decision is ``normal``.
        rule_in: from it on the decision is ``infected``; between the two, ``uncertain``.
    """

    rule_out: float
    rule_in: float

    def __post_init__(self) -> None:
        if not 0 < self.rule_out <= self.rule_in < 1:
            raise ValueError(
                f"thresholds must satisfy 0 < rule_out <= rule_in < 1, "
                f"not {self.rule_out} and {self.rule_in}"
            )

    def decide(self, infection_probability: float) -> Decision:
        """The decision in one word."""
        if infection_probability >= self.rule_in:
            return "infected"
        if infection_probability < self.rule_out:
            return "normal"
        return "uncertain"
