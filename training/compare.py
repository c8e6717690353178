"""``compare``: networks and classical baselines on identical splits, and what each owes to
the number of films, to their size and to augmentation."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from cxr.calibrate import Thresholds
from training import plots
from training.classical import BASELINES
from training.contest import (
    Entry,
    baseline_entry,
    bundle_entry,
    infected_of,
    once,
    recipe_entry,
)
from training.data import Prepared
from training.device import use_device
from training.errors import TrainingError
from training.files import write_csv, write_json
from training.members import Rows
from training.metrics import Answers, measure
from training.page import plot, section, table, text, write_page
from training.prepared import prepare_for
from training.recipe import Recipe, load_recipe
from training.run import Run, start_run
from training.sensitivity import Point, sensitivity
from training.statistics import delong, mcnemar_p_value

FIGURES = ("accuracy", "sensitivity", "specificity", "auc")


@dataclass(frozen=True)
class CompareOptions:
    """Of one ``compare``; see ``python -m training compare --help``."""

    data: Path
    runs: Path
    cache: Path
    seed: int = 0
    recipes: tuple[str, ...] = ("residual",)
    models: tuple[Path, ...] = ()
    baselines: tuple[str, ...] = BASELINES
    against: str | None = None
    sensitivity: tuple[str, ...] = ()
    epochs: int | None = None
    precision: str = "auto"
    fresh: bool = False


def compare(options: CompareOptions) -> Path:
    """Train what is not trained yet, ask everything, and write it down; the run folder.

    Raises:
        TrainingError: a name is unknown, or a model does not fit the data.
    """
    started = time.time()
    unknown = [name for name in options.baselines if name not in BASELINES]
    if unknown:
        raise TrainingError(
            f"There is no baseline '{unknown[0]}'. Those there are: {', '.join(BASELINES)}."
        )
    device = use_device(options.precision)
    recipes = {name: load_recipe(name, epochs=options.epochs) for name in options.recipes}
    swept = {name: load_recipe(name, epochs=options.epochs) for name in options.sensitivity
             if name not in BASELINES}  # fmt: skip
    first = next(iter(recipes.values()), Recipe())
    prepared = prepare_for(replace(first, merge_infected=False), options.data, options.cache,
                           options.seed)  # fmt: skip
    same = {
        "data_sha256": prepared.dataset.sha256,
        "seed": options.seed,
        "recipes": {name: recipe.to_json() for name, recipe in recipes.items()},
    }
    facts = {"data": options.data.name, "baselines": list(options.baselines)}
    run = start_run("compare", options.runs, same, facts, fresh=options.fresh)
    entries = _entries(options, recipes, prepared, run.folder)
    against = options.against or entries[0].name
    rows = compare_entries(entries, prepared, against)
    points = sensitivity(
        options.sensitivity, swept, prepared, options.data, options.cache, options.seed, run.folder
    )
    _write_results(run, prepared, entries, rows, points, against)
    run.finish(device=str(device), seconds={"total": time.time() - started}, systems=rows)
    print(f"Open {run.folder / 'index.html'}")
    return run.folder


def _entries(
    options: CompareOptions, recipes: dict[str, Recipe], prepared: Prepared, folder: Path
) -> list[Entry]:
    """Models first, then recipes, then baselines; each made once."""
    kept = folder / "answers"
    split = {name: prepared.indices(name) for name in ("train", "validation", "test")}
    entries = [
        once(kept, path.name, partial(bundle_entry, path, prepared, options.seed))
        for path in options.models
    ]
    for name, recipe in recipes.items():
        places = options.data, options.cache, options.seed, folder / name
        entries.append(once(kept, name, partial(train_recipe, name, recipe, *places)))
    # What chooses an epoch for the networks is training material for a baseline: it has none.
    seen = np.sort(np.concatenate([split["train"], split["validation"]]))
    for name in options.baselines:
        rows = seen, split["test"]
        entries.append(
            once(kept, name, partial(baseline_entry, name, prepared, *rows, options.seed))
        )
    if not entries:
        raise TrainingError("There is nothing to compare: give --recipes, --models or --baselines.")
    return entries


def train_recipe(
    name: str, recipe: Recipe, data: Path, cache: Path, seed: int, folder: Path
) -> Entry:
    """A recipe on its own inputs (size, classes), on the split that all share."""
    own = prepare_for(recipe, data, cache, seed)
    rows = tuple(own.indices(split) for split in ("train", "validation", "test"))
    return recipe_entry(name, recipe, own, rows, seed, folder)  # type: ignore[arg-type]


def compare_entries(
    entries: Sequence[Entry], prepared: Prepared, against: str
) -> list[dict[str, Any]]:
    """One line of figures for each system, with its tests against one of them.

    Raises:
        TrainingError: ``against`` is none of the systems.
    """
    test = prepared.indices("test")
    truth = infected_of(prepared, test)
    names = [entry.name for entry in entries]
    if against not in names:
        raise TrainingError(f"There is no system '{against}' to compare with: {', '.join(names)}.")
    reference = names.index(against)
    areas = delong(truth, np.stack([entry.infection for entry in entries]))
    right = [(entry.infection >= 0.5) == truth for entry in entries]
    lines = []
    for number, entry in enumerate(entries):
        figures = measure(_answers(entry, truth, prepared, test), Thresholds(0.5, 0.5))["figures"]
        low, high = areas.interval(number)
        line: dict[str, Any] = {"system": entry.name}
        for name in FIGURES:
            line[name] = figures[name]["value"]
            line[f"{name}_low"], line[f"{name}_high"] = figures[name]["low"], figures[name]["high"]
        line |= {
            "auc_delong_low": low,
            "auc_delong_high": high,
            "mcnemar_p": mcnemar_p_value(right[number], right[reference]),
            "delong_p": areas.p_value(number, reference),
            "fit_seconds": entry.fit_seconds,
            "predict_ms_a_film": 1000 * entry.predict_seconds / len(truth),
            "megabytes": entry.bytes / 1e6,
        }
        lines.append(line)
    return lines


def _answers(entry: Entry, truth: Any, prepared: Prepared, rows: Rows) -> Answers:
    probabilities = np.stack([1 - entry.infection, entry.infection], axis=1)
    return Answers(
        probabilities, truth.astype(np.int64), entry.infection, truth, prepared.groups[rows]
    )


def _write_results(
    run: Run,
    prepared: Prepared,
    entries: Sequence[Entry],
    lines: list[dict[str, Any]],
    points: Sequence[Point],
    against: str,
) -> None:
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
