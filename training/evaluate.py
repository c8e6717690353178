"""``evaluate``: a bundle's figures on a data set, through the code that serves it."""

from __future__ import annotations

import json
import sys
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from cxr.bundle import Bundle, load_bundle
from cxr.preprocess import from_eight_bits
from training.data import Prepared, prepare
from training.errors import DataError, TrainingError
from training.layout import FOLDERS
from training.metrics import Answers, measure
from training.predictions import write_predictions
from training.prepared import INFECTED, merge_infected
from training.progress import decoding_progress
from training.split import TEST


@dataclass(frozen=True)
class EvaluateOptions:
    """Of one ``evaluate``; see ``python -m training evaluate --help``."""

    bundle: Path
    data: Path
    cache: Path
    split: str = "test"
    predictions: Path | None = None
    as_json: bool = False


def evaluate(options: EvaluateOptions) -> dict[str, Any]:
    """Measure and print; the same figures as a dictionary.

    Raises:
        TrainingError: the data hold no such split, no class that the bundle knows, or films that
            it may have been trained on.
        BundleError: the bundle does not verify.
    """
    bundle = load_bundle(options.bundle)
    prepared = prepare_as_trained(bundle, options.data, options.cache)
    rows = prepared.indices(options.split)
    if not len(rows):
        raise TrainingError(f"There are no '{options.split}' films in {options.data}.")
    _demand_unseen(bundle, prepared, rows, options)
    answers = answer(bundle, prepared, rows)
    result = {
        "model": {"name": bundle.name, "version": bundle.version, "sha256": bundle.sha256},
        "data": {
            "name": prepared.dataset.name,
            "file": options.data.name,
            "sha256": prepared.dataset.sha256,
            "split": options.split,
        },
        "classes": [finding.label for finding in bundle.classes],
        **measure(answers, bundle.thresholds),
    }
    if options.predictions:
        more: dict[str, list[Any]] = {
            "decision": [bundle.thresholds.decide(float(one)) for one in answers.infection],
            "infection_probability": [f"{one:.6f}" for one in answers.infection],
        }
        write_predictions(
            options.predictions, prepared, rows, bundle.classes, answers.probabilities, more
        )
    print(json.dumps(result, indent=2) if options.as_json else _table(result))
    return result


def prepare_as_trained(bundle: Bundle, data: Path, cache: Path) -> Prepared:
    """Split as for training where these are the training data; else every film is unseen.

    Raises:
        TrainingError: it cannot be told which of the films the model has seen.
    """
    training = bundle.document["training"]
    trained_on = training.get("data", {})
    with decoding_progress() as progress:
        seed, masks = training.get("seed", 0), reads_masked(bundle)
        read = partial(prepare, data, bundle.spec, cache, seed, masks=masks)
        known = read(for_training=False, progress=progress)
        name = known.dataset.name
        as_trained = None
        if name == trained_on.get("name"):
            with suppress(DataError):  # of what nothing can be trained on no model was made
                as_trained = read()
    if as_trained is not None:
        if INFECTED in bundle.classes:
            as_trained = merge_infected(as_trained)
        if as_trained.dataset.sha256 == trained_on["sha256"]:
            return as_trained
    if name == FOLDERS:  # what every private collection is called: whose films these are it hides
        if FOLDERS in data_of_training(bundle):
            print(
                "note: the model was trained on folders too: see that none of these films was "
                "among them.",
                file=sys.stderr,
            )
    elif name == trained_on.get("name") and not any(
        record.official_split for record in known.dataset.records
    ):
        raise TrainingError(
            f"{data} is a part or another edition of the data set that the model was "
            "trained on, and it has no official split: which films the model has seen cannot be "
            "told. Give the whole data set that it was trained on, or films from elsewhere."
        )
    return known


def reads_masked(bundle: Bundle) -> bool:
    """Whether it was trained on films of which all but the lungs was blacked out."""
    return bool(bundle.document["training"].get("settings", {}).get("masks"))


def data_of_training(bundle: Bundle) -> frozenset[str]:
    """Names of the data sets of which films trained it; of the companions too."""
    data = bundle.document["training"].get("data", {})
    named = (data, *data.get("companions", ()))
    return frozenset(one["name"] for one in named if "name" in one)


def _demand_unseen(
    bundle: Bundle, prepared: Prepared, rows: np.ndarray[Any, Any], options: EvaluateOptions
) -> None:
    """Say so where films that trained the bundle were asked for; let none slip in otherwise.

    Raises:
        TrainingError: films of a data set that it was trained on are asked for, and which of them
            it has seen is not known.
    """
    trained_on = bundle.document["training"].get("data", {})
    if prepared.dataset.sha256 == trained_on.get("sha256"):
        if options.split != TEST:
            print(
                f"note: '{options.split}' films trained the model or chose its epoch, calibration "
                "and thresholds; figures on them say nothing of other films.",
                file=sys.stderr,
            )
        return
    again = bundle.document.get("recalibrated", {}).get("data", {})
    if prepared.dataset.sha256 == again.get("sha256"):
        print("note: half of these films chose this model's calibration.", file=sys.stderr)
    seen = ({prepared.dataset.name, options.data.name} & data_of_training(bundle)) - {FOLDERS}
    official = all(prepared.dataset.records[row].official_split == TEST for row in rows)
    if seen and not official:
        raise TrainingError(
            f"Films of {sorted(seen)[0]} took part in this model's training, and which of those "
            f"in {options.data} did cannot be told. Give --split test of a data set that has test "
            "films of its own, or films from elsewhere."
        )


def answer(bundle: Bundle, prepared: Prepared, rows: np.ndarray[Any, Any]) -> Answers:
    """The bundle's answers to the films in ``rows``, with the truth in its own classes."""
    films = tqdm(rows, desc="Reading", unit="film", delay=2.0, leave=False, disable=None)
    inputs = (from_eight_bits(prepared.images[row][np.newaxis, ..., np.newaxis]) for row in films)
    probabilities = np.concatenate([bundle.predict(one).probabilities for one in inputs])
    known = {finding.id: index for index, finding in enumerate(bundle.classes)}
    other = known.get(INFECTED.id, -1)  # a model of two classes calls every infection this
    of_dataset = [
        known.get(finding.id, other if finding.infected else -1)
        for finding in prepared.dataset.classes
    ]
    labels = prepared.labels[rows]
    return Answers(
        probabilities,
        np.array(of_dataset)[labels],
        bundle.infection_probability(probabilities),
        prepared.infected[labels],
        prepared.groups[rows],
    )


def _table(result: dict[str, Any]) -> str:
    lines = [
        f"{result['model']['name']} {result['model']['version']} on {result['data']['name']}, "
        f"split '{result['data']['split']}': {result['films']} films, {result['patients']} "
        f"patients or groups, {result['infected']} infected",
        "",
        f"{'figure':22s} value   95 % interval",
    ]
    lines += [
        f"{name:22s} {figure['value']:.4f}  [{figure['low']:.4f}, {figure['high']:.4f}]"
        for name, figure in result["figures"].items()
    ]
    if "confusion_matrix" in result:
        lines += ["", "confusion matrix (rows: truth)"]
        width = max(len(label) for label in result["classes"])
        for label, counts in zip(result["classes"], result["confusion_matrix"], strict=True):
            lines.append(f"{label:{width}s} " + " ".join(f"{count:6d}" for count in counts))
    lines += ["", f"{'decisions':12s} normal  uncertain  infected"]
    for truth, counts in result["decisions"].items():
        lines.append(
            f"{truth:12s} {counts['normal']:6d}  {counts['uncertain']:9d}  {counts['infected']:8d}"
        )
    return "\n".join(lines)
