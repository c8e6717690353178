"""What ``compare`` leaves in its run folder: tables, plots and a page."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from training import plots
from training.contest import Entry, infected_of
from training.data import Prepared
from training.files import write_csv, write_json
from training.page import plot, section, table, text, write_page
from training.run import Run
from training.sensitivity import Point

FIGURES = ("accuracy", "sensitivity", "specificity", "auc")


def write_comparison(
    run: Run,
    prepared: Prepared,
    entries: Sequence[Entry],
    lines: list[dict[str, Any]],
    points: Sequence[Point],
    against: str,
) -> None:
    """Tables, plots and ``index.html`` in the run's folder.

    Args:
        lines: of ``compare_entries``, one for each entry.
        points: of the sensitivity analysis, if there was one.
        against: the system that the others were tested against.
    """
    folder = run.folder
    write_csv(folder / "systems.csv", list(lines[0]), [list(line.values()) for line in lines])
    write_json(folder / "systems.json", lines)
    truth = infected_of(prepared, prepared.indices("test"))
    best = sorted(lines, key=lambda line: -line["auc"])[:6]
    shown = {line["system"] for line in best} | {against}
    drawn = {
        "curves": plots.roc_and_precision_recall(
            {entry.name: (truth, entry.infection) for entry in entries if entry.name in shown}
        )
    }
    for name in ("accuracy", "auc"):
        drawn[name] = plots.intervals(
            [line["system"] for line in lines],
            np.array([line[name] for line in lines]),
            np.array([line[f"{name}_low"] for line in lines]),
            np.array([line[f"{name}_high"] for line in lines]),
            f"{_SHORT[name]} on {len(truth)} test films, with its 95 % interval",
        )
    sections = [
        section(
            "Systems",
            text(
                f"Infected against normal on the same {len(truth)} test films; all were fitted on "
                "the same patients. In brackets: 95 % intervals, bootstrap by patient. p: no "
                f"difference from {against} in accuracy (McNemar) and in AUC (DeLong), not "
                "corrected for the number of systems."
            ),
            table(HEAD, [table_row(line, against) for line in lines]),
        )
    ]
    captions = {
        "curves": "The best systems",
        "accuracy": "Accuracy at each system's own cut",
        "auc": "Area under the ROC curve",
    }
    pictures = [plot(folder, name, one, captions[name]) for name, one in drawn.items()]
    sections.append(section("Curves and intervals", *pictures))
    if points:
        sections.append(_sensitivity_section(folder, points))
    write_page(
        folder / "index.html",
        f"Systems compared on {run.document['data']}",
        f"Data hash {prepared.dataset.sha256[:12]}, seed {run.document['seed']}.",
        sections,
    )


_SHORT = {"accuracy": "accuracy", "auc": "AUC"}

HEAD = ["System", "Accuracy", "Sensitivity", "Specificity", "AUC", "McNemar p", "DeLong p",
        "fit, s", "predict, ms a film", "MB"]  # fmt: skip


def table_row(line: dict[str, Any], against: str) -> list[str]:
    """The cells under ``HEAD``."""
    cells = [line["system"]]
    for name in FIGURES:
        value, low, high = line[name], line[f"{name}_low"], line[f"{name}_high"]
        # A narrow column breaks before the interval, never within it.
        cells.append(f"{value:.3f} [{low:.3f},\N{NO-BREAK SPACE}{high:.3f}]")
    itself = line["system"] == against
    cells += ["–" if itself else _p(line[name]) for name in ("mcnemar_p", "delong_p")]
    fit = line["fit_seconds"]
    cells += ["–" if np.isnan(fit) else f"{fit:.0f}"]
    return [*cells, f"{line['predict_ms_a_film']:.2f}", f"{line['megabytes']:.1f}"]


def _p(value: float) -> str:
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def _sensitivity_section(folder: Path, points: Sequence[Point]) -> tuple[str, str]:
    rows = [point.row() for point in points]
    head = ["kind", "system", "setting", "accuracy", "auc", "fit_seconds"]
    write_csv(folder / "sensitivity.csv", head, rows)
    shown = ["What changes", "System", "Setting", "Accuracy", "AUC", "Fit, s"]
    parts = [
        text("Each point is one more training on the same split, judged on the validation films.")
    ]
    for kind, words in (("films", "share of the training patients"), ("size", "side, pixels")):
        chosen = [point for point in points if point.kind == kind]
        if chosen:
            caption = f"AUC and accuracy against the {words}"
            parts.append(plot(folder, f"sensitivity_{kind}", _lines(chosen, words), caption))
    return section("What it owes to films, size and augmentation", *parts, table(shown, rows))


def _lines(points: Sequence[Point], words: str) -> Any:
    drawn, axes = plots.canvas(9, 3.6, 1, 2)
    for place, name in zip(axes, ("auc", "accuracy"), strict=True):
        for number, system in enumerate(dict.fromkeys(point.system for point in points)):
            mine = sorted((p for p in points if p.system == system), key=lambda p: float(p.setting))
            place.plot(
                [float(point.setting) for point in mine],
                [getattr(point, name) for point in mine],
                marker="o",
                color=plots.COLOURS[number % len(plots.COLOURS)],
                label=system,
            )
        place.set(xlabel=words, ylabel=_SHORT[name])
        place.legend(frameon=False)
    return drawn
