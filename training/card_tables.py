"""Figures as the cells and tables of a card."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

#: What is no percentage.
_PLAIN = frozenset({"auc", "kind_auc", "brier_score", "f1", "risk_coverage_area"})


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table: the first column to the left, the others to the right."""
    lines = [head, ["---"] + ["---:"] * (len(head) - 1), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def cell(name: str, figure: Mapping[str, float] | None) -> str:
    """A figure with its interval, as a percentage where it is a share."""
    return plain(figure) if name in _PLAIN else percent(figure)


def plain(figure: Mapping[str, float] | None) -> str:
    if figure is None:
        return "–"
    value, low, high = (f"{figure[key]:.3f}" for key in ("value", "low", "high"))
    return f"{value} [{low}, {high}]"


def percent(figure: Mapping[str, float] | None) -> str:
    if figure is None:
        return "–"
    value, low, high = (f"{100 * figure[key]:.1f}" for key in ("value", "low", "high"))
    return f"{value} % [{low}, {high}]"
