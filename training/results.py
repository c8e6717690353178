"""``results``: every known system run here, its claim beside what was measured.

Each piece is kept as soon as it is finished, so hours of training can be cut off and gone on
with; the page is written from what is there.
"""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from training.classical import BASELINES
from training.compare import compare_entries
from training.contest import Entry, baseline_entry, once
from training.crossvalidate import answers_of
from training.data import Prepared
from training.device import Device, use_device
from training.errors import TrainingError
from training.files import read_arrays, write_json
from training.members import run_trial
from training.metrics import measure
from training.prepared import leaky_split, prepare_for
from training.recipe import Recipe, load_recipe
from training.results_page import write_results_page
from training.run import git_commit
from training.systems import COVID_ZIP, KERMANY_ZIP, SYSTEMS, System
from training.variants import starting_from, without_augmentation
from training.versions import library_versions

__all__ = ["COVID_ZIP", "KERMANY_ZIP", "ResultsOptions", "results"]


@dataclass(frozen=True)
class ResultsOptions:
    """Of one ``results``; see ``python -m training results --help``."""

    data: Path
    out: Path
    page: Path
    cache: Path
    only: tuple[str, ...] = ()
    epochs: int | None = None
    precision: str = "auto"
    seed: int = 0
    write_only: bool = False


def results(options: ResultsOptions) -> Path:
    """Run what is asked for and not there yet, then write the page; its path.

    Raises:
        TrainingError: a system is unknown, or a data set is missing.
    """
    known = [system.name for system in SYSTEMS]
    names = [*known, *(f"baselines-{place.stem}" for place in map(Path, (KERMANY_ZIP, COVID_ZIP)))]
    for name in options.only:
        if name not in names:
            raise TrainingError(
                f"There is no system '{name}'. Those there are: {', '.join(names)}."
            )
    if not options.write_only:
        device = use_device(options.precision)
        for system in SYSTEMS:
            if not options.only or system.name in options.only:
                _run(system, options, device)
        for archive in (KERMANY_ZIP, COVID_ZIP):
            if not options.only or f"baselines-{Path(archive).stem}" in options.only:
                _run_baselines(archive, options, device)
    write_results_page(options.page, options.out)
    print(f"Written: {options.page}")
    return options.page


def recipe_of(system: System, epochs: int | None) -> Recipe:
    """The system's recipe with what the system changes in it."""
    recipe = load_recipe(system.recipe, epochs=epochs or system.epochs)
    if not system.augmentation:
        recipe = without_augmentation(recipe)
    return recipe if system.weights is None else starting_from(recipe, system.weights)


def _run(system: System, options: ResultsOptions, device: Device) -> None:
    place = options.out / system.name
    if (place / "result.json").exists():
        return
    print(f"== {system.name}", flush=True)
    recipe = recipe_of(system, options.epochs)
    prepared = prepare_for(recipe, _archive(options, system.archive), options.cache, options.seed)
    if system.leaky:
        prepared = leaky_split(prepared, options.seed)
    rows = tuple(prepared.indices(split) for split in ("train", "validation", "test"))
    trial = run_trial(prepared, recipe, rows, options.seed, place)  # type: ignore[arg-type]
    answers = answers_of(prepared, rows[2], trial.test)
    measured = measure(answers, trial.thresholds)
    _write(
        place,
        prepared,
        options,
        device,
        system=asdict(system),
        recipe=recipe.to_json(),
        figures=measured["figures"],
        confusion_matrix=measured["confusion_matrix"],
        films=dict(zip(("train", "validation", "test"), map(len, rows), strict=True)),
        epochs=trial.epochs,
        fit_seconds=trial.fit_seconds,
        predict_ms_a_film=1000 * trial.predict_seconds / len(rows[2]),
        parameters=trial.parameters,
    )


def _run_baselines(archive: str, options: ResultsOptions, device: Device) -> None:
    """All classical baselines on one data set, tested against the flagship where it was run."""
    place = options.out / f"baselines-{Path(archive).stem}"
    recipe = load_recipe("residual")
    prepared = prepare_for(recipe, _archive(options, archive), options.cache, options.seed)
    train, validation, test = (prepared.indices(s) for s in ("train", "validation", "test"))
    seen = np.sort(np.concatenate([train, validation]))
    entries = [
        once(place, name, partial(baseline_entry, name, prepared, seen, test, options.seed))
        for name in BASELINES
    ]
    flagship = next(
        (system for system in SYSTEMS if system.flagship and system.archive == archive), None
    )
    against = entries[0].name
    if flagship and (options.out / flagship.name / "trial.npz").exists():
        found = read_arrays(options.out / flagship.name / "trial.npz")
        infected = [finding.infected for finding in prepared.dataset.classes]
        _, _, fit_seconds, predict_seconds, parameters, _ = found["facts"].tolist()
        entries.insert(
            0,
            Entry(
                flagship.name,
                found["test"][:, infected].sum(axis=1),
                fit_seconds,
                predict_seconds,
                4 * int(parameters),
            ),
        )
        against = flagship.name
    lines = compare_entries(entries, prepared, against)
    _write(place, prepared, options, device, archive=archive, against=against, systems=lines,
           films={"train": len(train) + len(validation), "test": len(test)})  # fmt: skip


def _archive(options: ResultsOptions, name: str) -> Path:
    path = options.data / name
    if not path.exists():
        raise TrainingError(f"{path} is missing: --data is the folder with the two Kaggle zips.")
    return path


def _write(
    place: Path, prepared: Prepared, options: ResultsOptions, device: Device, **facts: Any
) -> None:
    document = {
        **facts,
        "data": {
            "name": prepared.dataset.name,
            "sha256": prepared.dataset.sha256,
            "classes": [finding.label for finding in prepared.dataset.classes],
        },
        "seed": options.seed,
        "device": str(device),
        "commit": git_commit(),
        "libraries": library_versions(),
        "finished": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    write_json(place / "result.json", document)
    print(f"   kept in {place}, {time.strftime('%H:%M:%S')}", flush=True)
