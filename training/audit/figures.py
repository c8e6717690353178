"""The card's plots, as SVG: readable in print, in grey, and without colour vision."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure

RELIABILITY, RISK_COVERAGE = "reliability.svg", "risk-coverage.svg"
ROBUSTNESS, SHORTCUTS = "robustness.svg", "shortcuts.svg"

#: Blue and orange of Okabe and Ito's palette (2008) and two greys, apart in lightness too.
BLUE, ORANGE, GREY, LINE = "#0072B2", "#D55E00", "#5b6670", "#c3cad0"
_STYLE: Any = {
    "font.family": "DejaVu Sans",
    "font.size": 9,
    "text.color": "#1b2126",
    "axes.edgecolor": LINE,
    "axes.labelcolor": "#1b2126",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.color": GREY,
    "ytick.color": GREY,
    "axes.grid": True,
    "grid.color": "#e6eaed",
    "grid.linewidth": 0.8,
    "axes.axisbelow": True,
    "savefig.facecolor": "white",
    "svg.hashsalt": "xray",  # the same bytes for the same figures
}


def draw_figures(folder: Path, metrics: Mapping[str, Any], report: Mapping[str, Any]) -> None:
    """Write every plot that the figures allow into ``folder``."""
    with rc_context(_STYLE):
        _save(folder / RELIABILITY, _reliability(metrics))
        _save(folder / RISK_COVERAGE, _risk_coverage(metrics["test"]))
        _save(folder / ROBUSTNESS, _robustness(report["robustness"]))
        _save(folder / SHORTCUTS, _shortcuts(report["shortcuts"]["pictures"]))


def _save(path: Path, figure: Figure) -> None:
    figure.savefig(path, format="svg", metadata={"Date": None})


def _canvas(width: float, height: float) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, figure.subplots()


def _reliability(metrics: Mapping[str, Any]) -> Figure:
    """What was promised against what happened, over how many films there are of each."""
    figure = Figure(figsize=(4.6, 5.4), layout="constrained")
    axes, below = figure.subplots(2, 1, sharex=True, height_ratios=(4, 1))
    axes.plot([0, 1], [0, 1], color=GREY, linewidth=1, linestyle=(0, (4, 3)), label="as promised")
    for split, colour, marker, shift in (
        ("validation", ORANGE, "s", -0.006),
        ("test", BLUE, "o", 0.006),
    ):
        rows = metrics[split]["reliability"]
        x = [row["probability"] + shift for row in rows]
        y = [row["infected"] for row in rows]
        errors = [
            [max(row["infected"] - row["low"], 0) for row in rows],
            [max(row["high"] - row["infected"], 0) for row in rows],
        ]
        axes.errorbar(x, y, errors, color=colour, marker=marker, markersize=5, linewidth=0,
                      elinewidth=1.2, label=f"{split} ({metrics[split]['films']} films)",
                      markerfacecolor="white" if split == "validation" else colour)  # fmt: skip
    axes.set(ylim=(-0.03, 1.03), ylabel="share of films that are infected")
    figure.legend(frameon=False, loc="outside upper left", ncols=3, handlelength=1.6,
                  columnspacing=1.2)  # fmt: skip
    rows = metrics["test"]["reliability"]
    below.bar([(row["from"] + row["to"]) / 2 for row in rows], [row["films"] for row in rows],
              width=0.085, color=BLUE)  # fmt: skip
    below.set(xlim=(-0.03, 1.03), xlabel="calibrated probability of infection", ylabel="test films")
    below.grid(axis="x", visible=False)
    return figure


def _risk_coverage(test: Mapping[str, Any]) -> Figure:
    """How right the model is on the films that it is surest of."""
    figure, axes = _canvas(4.6, 3.4)
    points = test["risk_coverage"]
    x = [100 * point["coverage"] for point in points]
    axes.fill_between(x, [100 * point["low"] for point in points],
                      [100 * point["high"] for point in points], color=BLUE, alpha=0.18,
                      linewidth=0)  # fmt: skip
    axes.plot(x, [100 * point["value"] for point in points], color=BLUE, linewidth=2)
    figures = test["figures"]
    if "accuracy_decided" in figures:  # a model that is never sure decides nothing
        place = tuple(
            100 * figures[name]["value"] for name in ("share_decided", "accuracy_decided")
        )
        axes.plot(*place, marker="D", color=ORANGE, markersize=7, linewidth=0)
        axes.annotate("the shipped thresholds", place, (-9, -6), textcoords="offset points",
                      color=ORANGE, ha="right", va="top")  # fmt: skip
    axes.set(xlabel="films decided, surest first (%)", ylabel="of these decided rightly (%)")
    axes.set_ylim(top=100.3)
    return figure


def _dots(
    axes: Axes,
    lines: list[Mapping[str, float] | None],
    scale: float,
    *,
    colour: str = BLUE,
    marker: str = "o",
    shift: float = 0.0,
    label: str | None = None,
) -> None:
    """One value with its interval a row, the first on top."""
    for row, line in enumerate(lines):
        if line is None:
            continue
        ends = [scale * line["low"], scale * line["high"]]
        axes.plot(ends, [row + shift] * 2, color=colour, linewidth=1.6, solid_capstyle="butt")
        axes.plot(scale * line["value"], row + shift, marker=marker, color=colour, markersize=6,
                  markerfacecolor=colour if marker == "o" else "white", linewidth=0,
                  label=label)  # fmt: skip
        label = None


def _name_rows(axes: Axes, names: list[str]) -> None:
    axes.set_yticks(range(len(names)), names, color="#1b2126")
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.grid(axis="y", visible=False)
    axes.spines["left"].set_visible(False)
    axes.tick_params("y", length=0)


def _robustness(lines: list[Mapping[str, Any]]) -> Figure:
    figure, axes = _canvas(6.4, 0.27 * len(lines) + 1.0)
    _dots(axes, [line["stands"] for line in lines], 100)
    _name_rows(axes, [line["change"] for line in lines])
    axes.axvline(97, color=ORANGE, linewidth=1.2, linestyle=(0, (4, 3)))
    axes.annotate("97 %", (97, -0.5), (0, 3), textcoords="offset points", color=ORANGE,
                  ha="center", va="bottom")  # fmt: skip
    axes.set_xlim(right=100.4)
    axes.set_xlabel("decisions that stand (%), with 95 % intervals")
    return figure


_PICTURES = {
    "whole": "the whole film",
    "corners": "corners painted over",
    "no_lungs": "lungs blacked out",
    "borders": "only the borders",
}


def _shortcuts(pictures: list[Mapping[str, Any]]) -> Figure:
    figure, axes = _canvas(6.4, 0.42 * len(pictures) + 1.3)
    chosen = {one["picture"]: one for one in pictures}
    order = [name for name in _PICTURES if name in chosen]
    _dots(axes, [chosen[name]["auc"] for name in order], 1, shift=-0.14, label="as shipped")
    _dots(axes, [chosen[name]["relearned_auc"] for name in order], 1, colour=ORANGE, marker="D",
          shift=0.14, label="relearned from its features")  # fmt: skip
    _name_rows(axes, [_PICTURES[name] for name in order])
    axes.axvline(0.5, color=GREY, linewidth=1, linestyle=(0, (4, 3)))
    axes.annotate("chance", (0.5, -0.5), (0, 3), textcoords="offset points", color=GREY,
                  ha="center", va="bottom")  # fmt: skip
    axes.set_xlim(min(0.45, axes.get_xlim()[0]), 1.01)
    axes.set_xlabel("area under the ROC curve, with 95 % intervals")
    figure.legend(loc="outside lower center", ncols=2, frameon=False)
    return figure
