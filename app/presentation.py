"""A reading in words and positions, ready for a template. Never "healthy"."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, floor
from typing import TYPE_CHECKING, Literal

from app.pictures import data_uri
from app.population import describe, group_of
from app.predictor import Predictor
from app.reading import NOTICE, Reading
from cxr.calibrate import Decision

if TYPE_CHECKING:
    from cxr.bundle import Bundle

DECISION_WORDS: dict[Decision, str] = {
    "infected": "Signs of infection",
    "normal": "No sign of infection found",
    "uncertain": "Uncertain: needs a reader",
}

DECISION_ADVICE: dict[Decision, str] = {
    "infected": "The probability is above the level from which the model calls infection. "
    "A clinician must confirm it.",
    "normal": "The probability is below the level under which the model finds no sign. That "
    "does not rule out illness, and other conditions were not looked for.",
    "uncertain": "The probability lies between the two levels: the model cannot tell. "
    "A radiologist should read this film.",
}

WARNING_TITLES = {
    "low_resolution": "Low resolution",
    "doubtful_chest_xray": "Perhaps not a frontal chest radiograph",
    "low_contrast": "Hardly any contrast",
    "overexposed": "Burnt out",
    "coloured_picture": "In colour",
    "photograph": "Photographed from a screen or a light box",
    "heavily_cropped": "Cut off",
    "no_heatmap": "No heatmap",
    "patient_unknown": "The patient's age is not known",
    "age_outside_population": "The patient's age does not fit",
    "view_outside_population": "Not a frontal view",
    "body_part_outside_population": "Perhaps not a chest",
}


# What the form sends for "the age in the file decides"; no bundle has this name.
BY_AGE = "by-age"

# Baselines of the words under the scale, in pixels of its SVG.
FIRST_ROW, SECOND_ROW = 54, 72


@dataclass(frozen=True)
class Choice:
    """One patient group that can be chosen in the form."""

    model: str
    label: str
    detail: str
    chosen: bool


@dataclass(frozen=True)
class ClassBar:
    """One class with its probability in words and as the length of a bar."""

    label: str
    words: str
    percent: float
    is_finding: bool


@dataclass(frozen=True)
class LevelMark:
    """Where the words of one threshold stand on the scale, in the units of its SVG."""

    words: str
    percent: float
    anchor: Literal["start", "end"]
    y: int


@dataclass(frozen=True)
class Shown:
    """What the result page shows."""

    decision: str
    advice: str
    probability: str
    marker_percent: float
    rule_out_percent: float
    rule_in_percent: float
    rule_out: str
    rule_in: str
    levels: tuple[LevelMark, ...]
    scale_height: int
    classes: tuple[ClassBar, ...]
    warnings: tuple[tuple[str, str], ...]
    population: str
    film: str | None
    overlay: str | None
    milliseconds: str


def percent_words(probability: float) -> str:
    """A probability as whole per cent; never 0 or 100, which no model can know."""
    if probability <= 0.005:
        return "under 1%"
    if probability >= 0.995:
        return "over 99%"
    return f"{probability * 100:.0f}%"


def figure_words(probability: float, *thresholds: float) -> str:
    """A probability that never seems to lie on the other side of a threshold than it does.

    As whole per cent; where these would cross a threshold as it stands beside them, as tenths:
    cut off below it, rounded up from it on.
    """
    if not 0.005 < probability < 0.995:
        return percent_words(probability)
    least = max((_tenths(level) for level in thresholds if level <= probability), default=0)
    most = min((_tenths(level) - 1 for level in thresholds if level > probability), default=1000)
    whole = 10 * round(probability * 100)
    if least <= whole <= most:
        return percent_words(probability)
    tenths = floor(probability * 1000) if whole > most else ceil(probability * 1000)
    return f"{min(max(tenths, least), most) / 10:.1f}%"


def threshold_words(threshold: float) -> str:
    """A threshold as per cent, exactly enough to tell it from its neighbour."""
    return f"{threshold * 100:.1f}".rstrip("0").rstrip(".") + "%"


def _tenths(threshold: float) -> int:
    """The threshold as its words say it, in tenths of a per cent."""
    return round(10 * float(threshold_words(threshold).rstrip("%")))


def _percent(fraction: float) -> float:
    return round(min(max(fraction, 0.0), 1.0) * 100, 2)


def level_marks(rule_out: float, rule_in: float) -> tuple[LevelMark, LevelMark]:
    """The words of both thresholds, outwards of their ticks where there is room.

    Near an end of the scale the words turn inwards; where they would then meet, the
    second one goes a row down.
    """
    out_anchor: Literal["start", "end"] = "end" if rule_out > 0.15 else "start"
    in_anchor: Literal["start", "end"] = "start" if rule_in < 0.85 else "end"
    meet = out_anchor == in_anchor and rule_in - rule_out < 0.15
    in_row = SECOND_ROW if meet else FIRST_ROW
    return (
        LevelMark(threshold_words(rule_out), _percent(rule_out), out_anchor, FIRST_ROW),
        LevelMark(threshold_words(rule_in), _percent(rule_in), in_anchor, in_row),
    )


def choices(predictor: Predictor, chosen: str | None = None) -> list[Choice]:
    """The loaded bundles in the patient's terms: children, adults, then by their own titles."""
    order = ("child", "adult", None)
    bundles = sorted(
        predictor.bundles.values(), key=lambda bundle: order.index(group_of(bundle.population))
    )
    labels = [_label(bundle) for bundle in bundles]
    return [
        Choice(
            model=bundle.name,
            # Two bundles for the same group are told apart by their names.
            label=label if labels.count(label) == 1 else f"{label} ({bundle.name})",
            detail=describe(bundle.population),
            chosen=bundle.name == chosen,
        )
        for bundle, label in zip(bundles, labels, strict=True)
    ]


def _label(bundle: Bundle) -> str:
    group = group_of(bundle.population)
    return group.capitalize() if group else bundle.title


def present(reading: Reading) -> Shown:
    """The reading in words, percentages and ``data:`` URIs."""
    thresholds = reading.bundle.thresholds
    levels = level_marks(thresholds.rule_out, thresholds.rule_in)
    ranked = sorted(reading.probabilities.items(), key=lambda item: -item[1])
    milliseconds = reading.timing_ms["total"]
    return Shown(
        decision=DECISION_WORDS[reading.decision],
        advice=DECISION_ADVICE[reading.decision],
        probability=figure_words(
            reading.infection_probability, thresholds.rule_out, thresholds.rule_in
        ),
        marker_percent=_percent(reading.infection_probability),
        rule_out_percent=_percent(thresholds.rule_out),
        rule_in_percent=_percent(thresholds.rule_in),
        rule_out=threshold_words(thresholds.rule_out),
        rule_in=threshold_words(thresholds.rule_in),
        levels=levels,
        scale_height=max(level.y for level in levels) + 6,
        classes=tuple(
            ClassBar(label, percent_words(p), _percent(p), label == reading.finding)
            for label, p in ranked
        ),
        warnings=tuple(
            (WARNING_TITLES.get(warning.code, "Note"), warning.detail)
            for warning in reading.warnings
        ),
        population=describe(reading.bundle.population),
        film=data_uri(reading.film) if reading.film else None,
        overlay=data_uri(reading.heatmap) if reading.heatmap else None,
        milliseconds=f"{milliseconds:.0f} ms" if milliseconds >= 1 else "under 1 ms",
    )


def report_text(reading: Reading) -> str:
    """The reading as plain text, for a clipboard: the page's words, nothing about a patient."""
    shown = present(reading)
    bundle = reading.bundle
    lines = [
        f"{shown.decision}. Probability of infection {shown.probability} "
        f"(no sign below {shown.rule_out}, signs from {shown.rule_in}).",
        f"Most probable: {reading.finding}. "
        + ", ".join(f"{bar.label} {bar.words}" for bar in shown.classes)
        + ".",
        *(f"Warning: {title}. {detail}" for title, detail in shown.warnings),
        shown.advice,
        f"Model {bundle.name} {bundle.version}, made for: {shown.population}. "
        f"Image {reading.image_format}, {reading.image_width} × {reading.image_height} pixels, "
        f"SHA-256 {reading.image_sha256[:16]}…",
        NOTICE,
    ]
    return "\n".join(lines)
