"""``fit``: data → network → calibration → figures → a verified bundle."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import keras
import numpy as np

from cxr.bundle import save_bundle
from cxr.folders import whole_folder
from training.card import write_card
from training.card_tables import interval
from training.companion import Companion, infections_of, normals_of
from training.data import Prepared
from training.device import use_device
from training.document import describe, population_of
from training.errors import TrainingError
from training.files import demand_place, write_csv
from training.members import Rows, calibrated, predict, train_members
from training.metrics import Answers, answers_of, measure
from training.predictions import write_predictions
from training.prepared import prepare_for
from training.probes import make_probes
from training.recipe import Recipe, load_recipe
from training.run import start_run
from training.variants import starting_from, without_augmentation


@dataclass(frozen=True)
class FitOptions:
    """Of one ``fit``; see ``python -m training fit --help``."""

    recipe: str
    data: Path
    out: Path
    runs: Path
    cache: Path
    seed: int = 0
    version: str = "1.0.0"
    precision: str = "auto"
    fresh: bool = False
    epochs: int | None = None
    weights: str | None = None
    augmentation: bool = True
    masks: bool = False
    companion: Path | None = None
    normals: Path | None = None
    population: str | None = None
    ages: tuple[int, int] | None = None


def fit(options: FitOptions) -> Path:
    """Train a recipe and export it; the path of the bundle.

    Raises:
        TrainingError: the recipe, the data or the exported bundle is not usable.
    """
    started = time.time()
    demand_place(options.out)
    device = use_device(options.precision)
    print(f"Training on {device}.", flush=True)
    recipe = _as_asked(load_recipe(options.recipe, epochs=options.epochs), options)
    prepared = prepare_for(recipe, options.data, options.cache, options.seed)
    _say_what_was_read(prepared)
    _say_whether_ages_are_known(options, prepared.dataset.name)
    _check_splits(prepared)
    companions = _companions(prepared, recipe, options)
    # Of all shares the largest says who joined in.
    most = companions[max(companions)] if companions else []
    same = {
        "recipe": recipe.to_json(),
        "data_sha256": prepared.dataset.sha256,
        "companions_sha256": [one.sha256 for one in most],
        "seed": options.seed,
    }
    run = start_run(
        options.recipe,
        options.runs,
        same,
        {"recipe_name": options.recipe, "data": options.data.name},
        fresh=options.fresh,
        device=device,
    )
    prepared.dataset.write_tables(run.folder)
    rows = {split: prepared.indices(split) for split in ("train", "validation", "test")}
    seen = rows["train"], rows["validation"]
    members = train_members(prepared, recipe, seen, options.seed, run.folder, companions=companions)

    # What is exported computes in float32, whatever it was trained in.
    keras.mixed_precision.set_global_policy("float32")
    model, calibration, thresholds = calibrated(
        prepared, recipe, members, rows["validation"], options.seed
    )
    answers = {}
    for split in ("validation", "test"):
        raw = predict(model, prepared.images, rows[split])
        answers[split] = answers_of(prepared, rows[split], calibration.apply(raw))
    metrics = {split: measure(answers[split], thresholds) for split in answers}

    training_seconds = sum(member.seconds for member in members)
    document = describe(
        options,
        recipe,
        prepared,
        device,
        calibration,
        thresholds,
        metrics,
        members,
        run.document["commit"],
        most,
    )
    exported = run.folder / options.out.name
    training = rows["train"]
    probes = make_probes(prepared.images[training], prepared.labels[training], options.seed)
    save_bundle(exported, model, document, probes, write_card(options.out.name, document))
    _write_answers(run.folder, prepared, rows, answers)
    _export_lean_and_verify(exported)
    _publish(exported, options.out)
    seconds = time.time() - started
    run.finish(
        device=str(device),
        seconds={"total": seconds, "training": training_seconds},
        metrics=metrics,
    )
    _say_what_came_out(options.out, metrics)
    # An earlier call that was cut off has its share in the time of training, not in this one's.
    print(
        f"This took {seconds / 60:.0f} minutes, and training in all {training_seconds / 60:.0f}, "
        f"on {device}."
    )
    return options.out


def _as_asked(recipe: Recipe, options: FitOptions) -> Recipe:
    """The recipe with what the command line changes in it.

    Raises:
        TrainingError: its network starts from no weights.
    """
    if not options.augmentation:
        recipe = without_augmentation(recipe)
    if options.masks:
        recipe = replace(recipe, masks=True)
    return recipe if options.weights is None else starting_from(recipe, options.weights)


def _companions(
    prepared: Prepared, recipe: Recipe, options: FitOptions
) -> dict[float, list[Companion]]:
    """The films of other data sets that join in, for each share that the recipe names.

    Who joins in is said, and so is what goes without them.

    Raises:
        TrainingError: they would have no place in the recipe, or there are none.
    """
    given = options.companion, options.normals
    if not recipe.has_companions:
        if any(given):
            raise TrainingError(
                f"The recipe '{options.recipe}' has no stage with companions, so --companion "
                "and --normals would change nothing. Leave them away, or take a recipe that has "
                "one (adult)."
            )
        return {}
    shares = sorted({stage.companions for stage in recipe.stages} - {0.0})
    found: dict[float, list[Companion]] = {share: [] for share in shares}
    if options.companion:
        ill = infections_of(prepared, recipe, options.companion, options.cache, options.seed)
        found = {share: [ill] for share in shares}
    if options.normals:
        places = options.normals, options.cache, options.seed
        for share in shares:
            found[share] += normals_of(prepared, recipe.preprocess, *places, share)
    for one in found[shares[-1]]:
        of_class = ", ".join(f"{count} {name}" for name, count in one.findings.items())
        print(f"  joining in from {one.name}: {of_class}", flush=True)
    if not all(given):
        print(
            "This recipe has a place for infections of another data set (--companion) and for "
            "normal films of another source (--normals): without both it will know fewer looks, "
            "and hospitals, of either.",
            flush=True,
        )
    return found


def _check_splits(prepared: Prepared) -> None:
    for split in ("train", "validation", "test"):
        if not len(prepared.indices(split)):
            raise TrainingError(
                f"No film is left for the {split} split; add films. (Near-duplicates of "
                "validation and test films, and other films of their patients, are not trained on.)"
            )


def _write_answers(
    folder: Path, prepared: Prepared, rows: Mapping[str, Rows], answers: Mapping[str, Answers]
) -> None:
    """The class dictionary, and one line a film for each split that was measured."""
    classes = prepared.dataset.classes
    write_csv(
        folder / "classes.csv",
        ["index", "id", "label", "infected"],
        [[index, one.id, one.label, one.infected] for index, one in enumerate(classes)],
    )
    for split, answered in answers.items():
        path = folder / f"predictions_{split}.csv"
        write_predictions(path, prepared, rows[split], classes, answered.probabilities)


def _export_lean_and_verify(bundle: Path) -> None:
    """In a fresh process, as serving will load it: on TensorFlow, whatever trained."""
    done = subprocess.run(
        [sys.executable, "-m", "training", "export-lean", str(bundle.resolve())],
        cwd=Path(__file__).parents[1],
        env={**os.environ, "KERAS_BACKEND": "tensorflow"},
        capture_output=True,
        text=True,
    )
    if done.returncode:
        reason = done.stderr.strip().rpartition("\n")[2]
        raise TrainingError(
            f"The exported bundle does not verify in a fresh process and was left in {bundle}: "
            f"{reason}"
        )


def _publish(bundle: Path, out: Path) -> None:
    """Copy into place; whoever looks sees the old bundle or the new one."""
    with whole_folder(out) as folder:
        shutil.copytree(bundle, folder, dirs_exist_ok=True)


def _say_what_was_read(prepared: Prepared) -> None:
    dataset = prepared.dataset
    print(f"{dataset.name}: {len(dataset.records)} radiographs, data hash {dataset.sha256[:12]}")
    for split in ("train", "validation", "test", "excluded"):
        counts = np.bincount(
            prepared.labels[prepared.indices(split)], minlength=len(dataset.classes)
        )
        of_class = ", ".join(
            f"{count} {finding.label}"
            for count, finding in zip(counts, dataset.classes, strict=True)
        )
        print(f"  {split:10s} {of_class}")
    if held_out := prepared.of_held_out_patients:
        print(
            f"  {held_out} of the excluded films show patients who are in the test or validation "
            "folder too. If these are other people, give them other folders' names."
        )
    if dataset.corrupt:
        print(f"  {len(dataset.corrupt)} unreadable files were skipped; see corrupt.csv")


def _say_whether_ages_are_known(options: FitOptions, dataset: str) -> None:
    if "min_age_years" not in population_of(options, dataset):
        print(
            "Nobody says how old these patients are, so no film's age will choose the model: it "
            "reads where it is named. --ages 18- would say adults, --ages 0-17 children.",
            flush=True,
        )


def _say_what_came_out(out: Path, metrics: dict[str, Any]) -> None:
    for split, measured in metrics.items():
        figures = (f"{name} {interval(figure, 4)}" for name, figure in measured["figures"].items())
        print(f"{split}: {measured['films']} films, {', '.join(figures)}")
    print(f"Exported and verified: {out}")
