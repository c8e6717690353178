"""``compare``: networks and classical baselines on identical splits, and what each owes to
the number of films, to their size and to augmentation."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from cxr.bundle import DOCUMENT_FILE, Bundle, load_bundle
from cxr.calibrate import Thresholds
from cxr.engines import file_sha256
from training.classical import BASELINES
from training.compare_page import FIGURES, write_comparison
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
from training.members import Rows
from training.metrics import Answers, measure
from training.prepared import prepare_for
from training.recipe import Recipe, load_recipe
from training.run import start_run
from training.sensitivity import sensitivity
from training.statistics import delong, mcnemar_p_value


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
        TrainingError: a name is unknown or there twice, or a model does not fit the data.
        BundleError: a model does not verify.
    """
    started = time.time()
    unknown = [name for name in options.baselines if name not in BASELINES]
    if unknown:
        raise TrainingError(
            f"There is no baseline '{unknown[0]}'. Those there are: {', '.join(BASELINES)}."
        )
    device = use_device(options.precision)
    _demand_names(options)
    bundles = {path.resolve().name: load_bundle(path) for path in options.models}
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
        "baselines_read": {"masks": first.masks, **first.preprocess.to_json()},
        # Its document holds the hash of its weights, and the calibration.
        "models": {
            name: file_sha256(bundle.path / DOCUMENT_FILE) for name, bundle in bundles.items()
        },
        "sensitivity": {name: recipe.to_json() for name, recipe in swept.items()},
    }
    facts = {"data": options.data.name, "baselines": list(options.baselines)}
    run = start_run("compare", options.runs, same, facts, fresh=options.fresh, device=device)
    entries = _entries(options, bundles, recipes, prepared, run.folder)
    against = options.against or entries[0].name
    rows = compare_entries(entries, prepared, against)
    points = sensitivity(
        options.sensitivity, swept, prepared, options.data, options.cache, options.seed, run.folder
    )
    write_comparison(run, prepared, entries, rows, points, against)
    run.finish(device=str(device), seconds={"total": time.time() - started}, systems=rows)
    print(f"Open {run.folder / 'index.html'}")
    return run.folder


def _entries(
    options: CompareOptions,
    bundles: dict[str, Bundle],
    recipes: dict[str, Recipe],
    prepared: Prepared,
    folder: Path,
) -> list[Entry]:
    """Models first, then recipes, then baselines; each made once.

    Raises:
        TrainingError: there are none, or one does not judge the same films.
    """
    kept = folder / "answers"
    split = {name: prepared.indices(name) for name in ("train", "validation", "test")}
    places = options.data, options.cache, options.seed
    entries = [
        once(kept, name, partial(bundle_entry, name, bundle, *places))
        for name, bundle in bundles.items()
    ]
    for name, recipe in recipes.items():
        rest = *places, folder / name
        entries.append(once(kept, name, partial(train_recipe, name, recipe, *rest)))
    # What chooses an epoch for the networks is training material for a baseline: it has none.
    seen = np.sort(np.concatenate([split["train"], split["validation"]]))
    for name in options.baselines:
        rows = seen, split["test"]
        entries.append(
            once(kept, name, partial(baseline_entry, name, prepared, *rows, options.seed))
        )
    if not entries:
        raise TrainingError("There is nothing to compare: give --recipes, --models or --baselines.")
    for entry in entries:
        if len(entry.infection) != len(split["test"]):
            raise TrainingError(
                f"'{entry.name}' answers {len(entry.infection)} test films and the others "
                f"{len(split['test'])}: they do not read the same ones. Compare it on its own."
            )
    return entries


def _demand_names(options: CompareOptions) -> None:
    """Answers are kept, and shown, by name."""
    names = [path.resolve().name for path in options.models]
    names += [*options.recipes, *options.baselines]
    for name, count in Counter(names).items():
        if count > 1:
            raise TrainingError(
                f"{count} systems are called '{name}', and their answers would be mixed up. Give "
                "each once, or copy a bundle to a folder of another name."
            )


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
