"""What a model says about one radiograph, and the contract's JSON of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from app.pictures import data_uri
from app.population import ReadingWarning
from cxr.calibrate import Decision
from cxr.radiograph import Radiograph

if TYPE_CHECKING:
    from cxr.bundle import Bundle

NOTICE = "Research use only. Not a medical device."


@dataclass(frozen=True, eq=False)
class Evidence:
    """What was read and what spoke for infection, for whoever draws it in a way of its own.

    Attributes:
        film: the radiograph as decoded.
        activation: float32, shape (h, w), range [0, 1]; see ``infection_activation``.
        offset: where the map really lies; see ``cxr.explain.upsample``.
    """

    film: Radiograph
    activation: NDArray[np.float32]
    offset: tuple[float, float]


@dataclass(frozen=True)
class Reading:
    """What the model says about one radiograph, with all that is needed to judge it.

    Attributes:
        probabilities: label → calibrated probability, in the bundle's order.
        film, heatmap, thumbnail: PNG bytes, or None where they were not asked for.
        evidence: None where it was not asked for.
        timing_ms: ``decode``, ``model`` and ``total``, in milliseconds.
    """

    finding: str
    decision: Decision
    infection_probability: float
    probabilities: Mapping[str, float]
    warnings: tuple[ReadingWarning, ...]
    bundle: Bundle
    image_format: str
    image_width: int
    image_height: int
    image_sha256: str
    timing_ms: Mapping[str, float]
    heatmap: bytes | None = field(default=None, repr=False)
    film: bytes | None = field(default=None, repr=False)
    evidence: Evidence | None = field(default=None, repr=False)
    thumbnail: bytes | None = field(default=None, repr=False)

    def to_json(self) -> dict[str, Any]:
        """The contract's JSON reading."""
        thresholds = self.bundle.thresholds
        return {
            "finding": self.finding,
            "decision": self.decision,
            "infection_probability": round(self.infection_probability, 6),
            "probabilities": {label: round(p, 6) for label, p in self.probabilities.items()},
            "thresholds": {"rule_out": thresholds.rule_out, "rule_in": thresholds.rule_in},
            "warnings": [warning.to_json() for warning in self.warnings],
            "model": {
                "name": self.bundle.name,
                "version": self.bundle.version,
                "sha256": self.bundle.sha256,
            },
            "image": {
                "format": self.image_format,
                "width": self.image_width,
                "height": self.image_height,
                "sha256": self.image_sha256,
            },
            "heatmap": None if self.heatmap is None else data_uri(self.heatmap),
            "timing_ms": {stage: round(ms, 2) for stage, ms in self.timing_ms.items()},
            "notice": NOTICE,
        }
