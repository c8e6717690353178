"""``crossvalidate``: k networks, each judged on films of patients that it never saw."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.model_selection import StratifiedGroupKFold

from cxr.calibrate import Thresholds
from training import plots
from training.card_tables import FIGURES, interval
from training.data import Prepared
from training.device import use_device
from training.errors import DataError
from training.files import write_csv, write_json
from training.members import Rows, Trial, run_trial
from training.metrics import answers_of, measure
from training.page import plot, section, table, text, write_page
from training.predictions import write_predictions
from training.prepared import prepare_for
from training.recipe import load_recipe
from training.run import Run, start_run

#: Share of a fold's training patients that chooses its epoch and calibrates it.
_INNER_FOLDS = 10


@dataclass(frozen=True)
class CrossvalidateOptions:
    """Of one ``crossvalidate``; see ``python -m training crossvalidate --help``."""

    recipe: str
    data: Path
    runs: Path
    cache: Path
    seed: int = 0
    folds: int = 5
    epochs: int | None = None
    precision: str = "auto"
    include_test: bool = False
    fresh: bool = False


def crossvalidate(options: CrossvalidateOptions) -> Path:
    """Train and judge every fold; the run folder.

    Raises:
        TrainingError: the recipe or the data are not usable.
    """
    started = time.time()
    device = use_device(options.precision)
    recipe = load_recipe(options.recipe, epochs=options.epochs)
    prepared = prepare_for(recipe, options.data, options.cache, options.seed)
    same = {
        "recipe": recipe.to_json(),
        "data_sha256": prepared.dataset.sha256,
        "seed": options.seed,
        "folds": options.folds,
        "include_test": options.include_test,
    }
    run = start_run(
        f"crossvalidate-{options.recipe}",
        options.runs,
        same,
        {"recipe_name": options.recipe, "data": options.data.name},
        fresh=options.fresh,
        device=device,
    )
    pool = [prepared.indices(split) for split in ("train", "validation")]
    if options.include_test:
        pool.append(prepared.indices("test"))
    answered: list[tuple[Rows, Trial]] = []
    for number, rows in enumerate(
        fold_rows(prepared, np.sort(np.concatenate(pool)), options.folds, options.seed), 1
    ):
        print(f"Fold {number} of {options.folds}: {len(rows[2])} films are judged.", flush=True)
        folder = run.folder / f"fold{number}"
        answered.append((rows[2], run_trial(prepared, recipe, rows, options.seed, folder)))
    summary = _write_results(run, prepared, answered)
    run.finish(device=str(device), seconds={"total": time.time() - started}, **summary)
    return run.folder


def fold_rows(
    prepared: Prepared, pool: Rows, folds: int, seed: int
) -> Iterator[tuple[Rows, Rows, Rows]]:
    """(train, validation, judged) rows of each fold: stratified by class, whole patients.

    Raises:
        DataError: a class has fewer patients than there are folds.
    """
    labels, groups = prepared.labels[pool], prepared.groups[pool]
    for label, finding in enumerate(prepared.dataset.classes):
        patients = len(np.unique(groups[labels == label]))
        if patients <= folds:
            raise DataError(
                f"Class {finding.label!r} has {patients} patients or groups; {folds} folds need "
                f"at least {folds + 1}. Take fewer folds, or add radiographs."
            )
    outer = StratifiedGroupKFold(folds, shuffle=True, random_state=seed)
    for rest, judged in outer.split(pool, labels, groups):
        fewest = min(
            len(np.unique(groups[rest][labels[rest] == label])) for label in np.unique(labels)
        )
        splitter = StratifiedGroupKFold(min(_INNER_FOLDS, fewest), shuffle=True, random_state=seed)
        inner = next(splitter.split(rest, labels[rest], groups[rest]))
        yield pool[rest[inner[0]]], pool[rest[inner[1]]], pool[judged]


def _write_results(
    run: Run, prepared: Prepared, answered: list[tuple[Rows, Trial]]
) -> dict[str, Any]:
    folds = [
        measure(answers_of(prepared, rows, trial.test), trial.thresholds)["figures"]
        for rows, trial in answered
    ]
    rows = np.concatenate([rows for rows, _ in answered])
    probabilities = np.concatenate([trial.test for _, trial in answered])
    # The folds have cuts of their own; over all of them only figures at 0.5 make sense.
    pooled = measure(answers_of(prepared, rows, probabilities), Thresholds(0.5, 0.5))["figures"]
    shown = [name for name in FIGURES if all(name in found for found in (pooled, *folds))]
    summary = {
        name: {
            "mean": float(np.mean([fold[name]["value"] for fold in folds])),
            "sd": float(np.std([fold[name]["value"] for fold in folds], ddof=1)),
            "out_of_fold": pooled[name],
        }
        for name in shown
    }
    write_csv(
        run.folder / "folds.csv",
        ["fold", "films", *shown],
        [
            [
                number,
                len(answered[number - 1][0]),
                *(f"{fold[name]['value']:.6f}" for name in shown),
            ]
            for number, fold in enumerate(folds, 1)
        ],
    )
    numbers = [number for number, (judged, _) in enumerate(answered, 1) for _ in judged]
    write_predictions(
        run.folder / "out_of_fold.csv",
        prepared,
        rows,
        prepared.dataset.classes,
        probabilities,
        {"fold": numbers},
    )
    write_json(run.folder / "summary.json", summary)
    _write_page(run, prepared, summary, folds, (rows, probabilities))
    for name, found in summary.items():
        print(f"{name:16s} {found['mean']:.4f} ± {found['sd']:.4f}")
    print(f"Open {run.folder / 'index.html'}")
    return {"figures": summary}


def _write_page(
    run: Run,
    prepared: Prepared,
    summary: dict[str, Any],
    folds: list[dict[str, Any]],
    pooled: tuple[Rows, NDArray[np.float64]],
) -> None:
    answers = answers_of(prepared, *pooled)
    curves = plots.roc_and_precision_recall({"out of fold": (answers.infected, answers.infection)})
    head = ["Figure", "mean ± sd", *(f"fold {number}" for number in range(1, len(folds) + 1)),
            "out of fold [95 %]"]  # fmt: skip
    rows = [
        [
            FIGURES[name],
            f"{found['mean']:.4f} ± {found['sd']:.4f}",
            *(f"{fold[name]['value']:.4f}" for fold in folds),
            interval(found["out_of_fold"], 4),
        ]
        for name, found in summary.items()
    ]
    document = run.document
    write_page(
        run.folder / "index.html",
        f"Cross-validation of {document['recipe_name']}",
        f"{len(folds)} folds of {document['data']}, stratified by class, each patient in one fold "
        f"only; seed {document['seed']}.",
        [
            section(
                "Figures",
                text(
                    "In each fold a tenth of the training patients chose the epoch and calibrated "
                    "the network; the cut is a calibrated probability of 0.5. In brackets: "
                    "bootstrap by patient over all films, each answered by the network that never "
                    "saw its patient."
                ),
                table(head, rows),
            ),
            section(
                "Curves",
                plot(run.folder, "curves", curves, "Over all films, out of fold"),
            ),
        ],
    )
