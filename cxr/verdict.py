"""What the gate can say of a picture, and the words in which it is refused."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from cxr.errors import NotAChestXrayError, RadiographError, UnsuitableImageError
from cxr.suitability import NO_CONTRAST

FRONTAL = "frontal"
UPSIDE_DOWN = "upside_down"
TURNED_LEFT = "turned_left"
TURNED_RIGHT = "turned_right"
INVERTED = "inverted"
CROPPED = "cropped"
OTHER = "not_a_chest_xray"
#: Of the network's outputs, in their order. ``turned_left``: the head points to the left.
CLASSES = (FRONTAL, UPSIDE_DOWN, TURNED_LEFT, TURNED_RIGHT, INVERTED, CROPPED, OTHER)

#: A refusal names what to put right where the network is at least this sure of it; otherwise
#: it says that this is no chest radiograph.
SURE = 0.5

_ADVICE = {
    UPSIDE_DOWN: "This looks like a chest radiograph upside down. Turn it by half a turn and "
    "send it again.",
    TURNED_LEFT: "This looks like a chest radiograph lying on its side, the head to the left. "
    "Turn it clockwise by a quarter turn and send it again.",
    TURNED_RIGHT: "This looks like a chest radiograph lying on its side, the head to the right. "
    "Turn it anticlockwise by a quarter turn and send it again.",
    INVERTED: "This looks like a chest radiograph with black and white exchanged. Invert its "
    "grey levels, so that bones are bright and air is dark, and send it again.",
    CROPPED: "This looks like only a part of a chest radiograph. Send the whole film, with "
    "both lungs from their tips to the diaphragm.",
}
_NOT_A_CHEST = (
    "The image does not look like a frontal chest radiograph. Send one frontal (PA or AP) chest "
    "radiograph, alone and whole: no photograph of a screen, other view or other part of the body."
)

#: What ``reason`` may be where a picture is refused as unsuitable.
REASONS = (*_ADVICE, NO_CONTRAST)


@dataclass(frozen=True)
class Verdict:
    """What the gate makes of one picture.

    Attributes:
        reason: None where it may be read; else the id of the class that it is refused as.
        probabilities: class id → probability; they sum to 1.
    """

    reason: str | None
    probabilities: Mapping[str, float]

    @property
    def doubtful(self) -> bool:
        """Whether it passes although it is more probably something else."""
        return self.reason is None and self.probabilities[FRONTAL] < SURE

    def error(self) -> RadiographError | None:
        """The refusal, in words that say what to do, or None."""
        if self.reason is None:
            return None
        if self.reason == OTHER:
            return NotAChestXrayError(_NOT_A_CHEST)
        return UnsuitableImageError(_ADVICE[self.reason], reason=self.reason)


def judge(probabilities: NDArray[Any], threshold: float) -> Verdict:
    """Of one picture's probabilities, shape (len(CLASSES),)."""
    named = {name: float(p) for name, p in zip(CLASSES, probabilities, strict=True)}
    if named[FRONTAL] >= threshold:
        return Verdict(None, named)
    reason = max((name for name in CLASSES if name != FRONTAL), key=named.__getitem__)
    return Verdict(reason if named[reason] >= SURE else OTHER, named)
