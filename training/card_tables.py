"""Figures as the cells and tables of a card."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

#: What each figure of ``measure`` is called, in the order in which it is shown.
FIGURES = {
    "accuracy": "Accuracy, infected against normal",
    "sensitivity": "Sensitivity",
    "specificity": "Specificity",
    "precision": "Precision (positive predictive value)",
    "f1": "F1",
    "auc": "Area under the ROC curve",
    "class_accuracy": "Accuracy over all classes",
    "kind_accuracy": "Accuracy of the kind of infection, among the infected",
    "kind_auc": "Area under the ROC curve of one kind against the other",
}
CALIBRATION = {
    "calibration_error": "Expected calibration error, 10 bins",
    "brier_score": "Brier score (0 is best)",
}
DECISIONS = {
    "sensitivity_rule_out": "Infected films that are not called normal",
    "specificity_rule_in": "Normal films that are not called infected",
    "share_decided": "Share of films decided (not uncertain)",
    "accuracy_decided": "Accuracy among the decided",
    "risk_coverage_area": "Area under the risk-coverage curve (0 is best)",
}
#: What is no percentage.
_PLAIN = frozenset({"auc", "kind_auc", "brier_score", "f1", "risk_coverage_area"})


def table(head: Sequence[str], rows: Sequence[Sequence[str]], left: int = 1) -> str:
    """A Markdown table: the first ``left`` columns to the left, the others to the right."""
    lines = [head, ["---"] * left + ["---:"] * (len(head) - left), *rows]
    return "\n".join("| " + " | ".join(map(_within, line)) + " |" for line in lines)


def _within(cell: str) -> str:
    """A class may be called ``A | B``: its bar is no border."""
    return cell.replace("|", r"\|")


def cell(name: str, figure: Mapping[str, float] | None) -> str:
    """A figure with its interval, as a percentage where it is a share."""
    return plain(figure) if name in _PLAIN else percent(figure)


def plain(figure: Mapping[str, float] | None) -> str:
    return interval(figure, 3) if figure else "–"


def percent(figure: Mapping[str, float] | None) -> str:
    return interval(figure, 1, 100, " %") if figure else "–"


def interval(figure: Mapping[str, float], digits: int, scale: float = 1, unit: str = "") -> str:
    value, low, high = (f"{scale * figure[key]:.{digits}f}" for key in ("value", "low", "high"))
    return f"{value}{unit} [{low}, {high}]"
