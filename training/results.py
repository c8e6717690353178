"""``results``: every known system run here, its claim beside what was measured.

Each piece is kept as soon as it is finished, so hours of training can be cut off and gone on
with; the page is written from what is there.
"""

from __future__ import annotations

import json
import time
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import keras
import numpy as np

from cxr.bundle import DOCUMENT_FILE, load_bundle
from cxr.calibrate import Thresholds
from cxr.engines import MODEL_FILE
from training.classical import BASELINES
from training.compare import compare_entries
from training.contest import Entry, baseline_entry, once
from training.data import Prepared
from training.device import Device, use_device
from training.errors import TrainingError
from training.evaluate import answer
from training.files import read_arrays, write_arrays, write_json
from training.layout import COVID_ZIP, KERMANY_ZIP
from training.members import run_trial
from training.metrics import Answers, answers_of, measure
from training.prepared import leaky_split, prepare_for
from training.recipe import Recipe, load_recipe
from training.results_page import write_results_page
from training.run import git_commit, now
from training.source import Source, fingerprint
from training.systems import SYSTEMS, System
from training.variants import starting_from, without_augmentation
from training.versions import library_versions

#: In the folder of a system: what its answers were made of.
ASKED = "asked.json"


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
        TrainingError: a system is unknown, a data set is missing, or what is kept in ``out`` was
            made of other films or settings.
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
    recipe = recipe_of(system, options.epochs)
    archive = _archive(options, system.archive)
    bundle = Path(system.bundle) / DOCUMENT_FILE
    shipped = json.loads(bundle.read_text()) if system.bundle and bundle.exists() else {}
    _demand_same(
        place,
        {
            **_films(archive, options.seed),
            "recipe": recipe.to_json(),
            "leaky": system.leaky,
            "bundle": [shipped.get("sha256"), shipped.get("calibration")],
        },
    )
    if (place / "result.json").exists():
        return
    print(f"== {system.name}", flush=True)
    prepared = prepare_for(recipe, archive, options.cache, options.seed)
    if system.leaky:
        prepared = leaky_split(prepared, options.seed)
    answered = _ask_bundle(system, recipe, prepared, options) or _train(
        recipe, prepared, options.seed, place
    )
    measured = measure(answered.answers, answered.thresholds)
    splits = ("train", "validation", "test")
    write_arrays(place / "answers.npz", infection=answered.answers.infection)
    _write(
        place,
        prepared,
        options,
        answered.facts.pop("device", str(device)),
        system=asdict(system),
        figures=measured["figures"],
        confusion_matrix=measured["confusion_matrix"],
        films={split: len(prepared.indices(split)) for split in splits},
        **answered.facts,
    )


def _films(archive: Path, seed: int) -> dict[str, Any]:
    """Changes with the files and the split."""
    with Source(archive) as source:
        return {"data": fingerprint(source.members), "seed": seed}


def _demand_same(place: Path, asked: dict[str, Any]) -> None:
    """Note in a folder what it is made of, and go on with nothing that was made of something else.

    Raises:
        TrainingError: it was.
    """
    note, asked = place / ASKED, json.loads(json.dumps(asked))
    if note.exists() and json.loads(note.read_text()) == asked:
        return
    if place.exists() and any(place.iterdir()):
        raise TrainingError(
            f"{place} keeps what was made of other films or settings than are asked for now. Give "
            "another folder (--out), or delete this one to have it made anew."
        )
    write_json(note, asked)


@dataclass(frozen=True)
class _Answered:
    answers: Answers
    thresholds: Thresholds
    facts: dict[str, Any]


def _train(recipe: Recipe, prepared: Prepared, seed: int, place: Path) -> _Answered:
    rows = prepared.indices("train"), prepared.indices("validation"), prepared.indices("test")
    trial = run_trial(prepared, recipe, rows, seed, place)
    facts = {
        "recipe": recipe.to_json(),
        "epochs": trial.epochs,
        "fit_seconds": trial.fit_seconds,
        "predict_ms_a_film": 1000 * trial.predict_seconds / len(rows[2]),
        "parameters": trial.parameters,
    }
    return _Answered(answers_of(prepared, rows[2], trial.test), trial.thresholds, facts)


def _ask_bundle(
    system: System, recipe: Recipe, prepared: Prepared, options: ResultsOptions
) -> _Answered | None:
    """The shipped model's answers, if it was trained on just these films by this recipe."""
    path = Path(system.bundle)
    if not system.bundle or not (path / DOCUMENT_FILE).exists():
        return None
    bundle = load_bundle(path)
    training = bundle.document["training"]
    if (training["data"]["sha256"], training["recipe"], training["seed"]) != (
        prepared.dataset.sha256,
        system.recipe,
        options.seed,
    ):
        print(f"   {path} is of another recipe, data or seed: it is trained anew.", flush=True)
        return None
    if bundle.spec != recipe.preprocess:  # it was exported when the recipe's input was another
        other = replace(recipe, preprocess=bundle.spec)
        data = _archive(options, system.archive)
        prepared = prepare_for(other, data, options.cache, options.seed)
    rows = prepared.indices("test")
    began = time.perf_counter()
    answers = answer(bundle, prepared, rows)
    seconds = time.perf_counter() - began
    networks = training["networks"]
    facts = {
        "bundle": {"path": system.bundle, "sha256": bundle.sha256, "version": bundle.version},
        "trained_at": training["commit"],
        "recipe": training["settings"],
        "epochs": sum(network["epochs"] for network in networks),
        "fit_seconds": sum(network["seconds"] for network in networks),
        "predict_ms_a_film": 1000 * seconds / len(rows),
        "parameters": keras.saving.load_model(path / MODEL_FILE, compile=False).count_params(),
        "device": training["device"],
    }
    return _Answered(answers, bundle.thresholds, facts)


def _run_baselines(archive: str, options: ResultsOptions, device: Device) -> None:
    """All classical baselines on one data set, tested against the flagship where it was run."""
    place = options.out / f"baselines-{Path(archive).stem}"
    films = _films(_archive(options, archive), options.seed)
    _demand_same(place, films)
    # Whole films of 160 pixels, whatever the flagship reads.
    prepared = prepare_for(Recipe(), _archive(options, archive), options.cache, options.seed)
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
    kept = options.out / flagship.name if flagship else place
    if flagship and (kept / "answers.npz").exists():
        note = kept / ASKED
        _demand_same(kept, (json.loads(note.read_text()) if note.exists() else {}) | films)
        facts = json.loads((kept / "result.json").read_text())
        entry = Entry(
            flagship.name,
            read_arrays(kept / "answers.npz")["infection"],
            facts["fit_seconds"],
            facts["predict_ms_a_film"] * len(test) / 1000,
            4 * facts["parameters"],
        )
        entries.insert(0, entry)
        against = flagship.name
    lines = compare_entries(entries, prepared, against)
    _write(place, prepared, options, str(device), archive=archive, against=against, systems=lines,
           films={"train": len(train) + len(validation), "test": len(test)})  # fmt: skip


def _archive(options: ResultsOptions, name: str) -> Path:
    path = options.data / name
    if not path.exists():
        raise TrainingError(f"{path} is missing: --data is the folder with the two Kaggle zips.")
    return path


def _write(
    place: Path, prepared: Prepared, options: ResultsOptions, device: str, **facts: Any
) -> None:
    document = {
        **facts,
        "data": {
            "name": prepared.dataset.name,
            "sha256": prepared.dataset.sha256,
            "classes": [finding.label for finding in prepared.dataset.classes],
        },
        "seed": options.seed,
        "device": device,
        "commit": git_commit(),
        "libraries": library_versions(),
        "finished": now(),
    }
    write_json(place / "result.json", document)
    print(f"   kept in {place}, {time.strftime('%H:%M:%S')}", flush=True)
