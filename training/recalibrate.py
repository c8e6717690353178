"""``calibrate``: the same weights for another hospital, their probabilities fitted to its films.

What 90 % means, and where *uncertain* begins and ends, was chosen on films of the hospitals that a
model learned from. Another one's films, normal and infected, say what they should be there: half
of its patients choose a temperature, a shift and the two thresholds, the other half says what
came of it, beside what the bundle said before. Nothing is trained, and the ranking of films, so
the area under the ROC curve, stays nearly what it was.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cxr.bundle import CARD_FILE, DOCUMENT_FILE, Bundle, calibration_to_json, load_bundle
from cxr.bundle_fields import calibration_of
from cxr.calibrate import Calibration
from cxr.engines import LEAN_FILE, MODEL_FILE
from cxr.folders import whole_folder
from cxr.preprocess import in_eight_bits
from cxr.probes import load_probes, save_probes
from training.calibration import choose_thresholds, fit_infection, promises
from training.card import write_card
from training.card_recalibrated import population
from training.card_tables import CALIBRATION, DECISIONS, cell
from training.data import Prepared, prepare
from training.errors import DataError, TrainingError
from training.evaluate import answer, data_of_training, reads_masked
from training.files import demand_place, write_json
from training.layout import FOLDERS
from training.metrics import Answers, measure
from training.progress import decoding_progress
from training.run import now
from training.split import TEST, VALIDATION, halves

#: Patients of each side, normal and infected, that choose: of fewer, 98 % are not to be told.
FEWEST = 50


@dataclass(frozen=True)
class CalibrateOptions:
    """Of one ``calibrate``; see ``python -m training calibrate --help``."""

    bundle: Path
    data: Path
    out: Path
    cache: Path
    prevalence: float = 0.5
    seed: int = 0
    version: str = "1.0.0"


def calibrate(options: CalibrateOptions) -> dict[str, Any]:
    """Write and verify the new bundle; its document.

    Raises:
        TrainingError: the new bundle would take the place of the old one, the films may be those
            that the model was trained on, or the prevalence is no share.
        DataError: too few patients on a side.
        BundleError: the bundle does not verify.
    """
    if options.out.resolve() == options.bundle.resolve():
        raise TrainingError(
            f"--out {options.out} is the bundle itself, whose calibration would be lost. Give "
            "another name; the app serves whatever lies in its models folder."
        )
    if not 0 < options.prevalence < 1:
        raise TrainingError(
            f"--prevalence is a share between 0 and 1, as 0.15; not {options.prevalence:g}."
        )
    demand_place(options.out)
    bundle = load_bundle(options.bundle)
    with decoding_progress() as progress:
        prepared = prepare(
            options.data,
            bundle.spec,
            options.cache,
            for_training=False,
            masks=reads_masked(bundle),
            progress=progress,
        )
    seen = data_of_training(bundle)
    if prepared.dataset.name == FOLDERS and FOLDERS in seen:
        print("The model was trained on folders too: see that none of these films was among them.")
    elif {prepared.dataset.name, options.data.name} & seen:
        raise TrainingError(
            f"{options.data} is of the kind of data that the model was trained on, and films that "
            "it has seen say nothing about others. Give films of your own hospital."
        )
    rows = _halves(prepared, options)
    before = {split: answer(bundle, prepared, rows[split]) for split in rows}

    chosen = before[VALIDATION]
    infected = np.array([finding.infected for finding in bundle.classes])
    local = fit_infection(chosen.probabilities, chosen.infected, infected, options.prevalence)
    after = {split: _recalibrated(answers, local, infected) for split, answers in before.items()}
    thresholds = choose_thresholds(after[VALIDATION].infection, chosen.infected)
    # The films are as many of either side as somebody collected; figures are of the population.
    metrics = {
        split: measure(answers, thresholds, prevalence=options.prevalence)
        for split, answers in after.items()
    }
    document = {
        **bundle.document,
        "name": options.out.name,
        "version": options.version,
        "created": now(),
        "calibration": calibration_to_json(bundle.calibration.then(local)),
        "thresholds": {**asdict(thresholds), "model_sha256": bundle.sha256},
        "thresholds_chosen": {
            "split": VALIDATION,
            "stressed_copies": 0,
            **promises(metrics[VALIDATION]["figures"]),
        },
        "metrics": metrics,
        "recalibrated": _described(bundle, prepared, rows, options, before[TEST]),
    }
    _write(bundle, document, options.out)
    _say(options.out, document)
    return document


def _halves(prepared: Prepared, options: CalibrateOptions) -> dict[str, NDArray[np.int64]]:
    """Rows that choose, and rows that judge; no patient is in both."""
    records = prepared.dataset.records
    labels = [record.class_id for record in records]
    first = halves(labels, [record.group for record in records], seed=options.seed)
    rows = {VALIDATION: np.flatnonzero(first), TEST: np.flatnonzero(~first)}
    for half in rows.values():
        sick = prepared.infected[prepared.labels[half]]
        patients = [len(np.unique(prepared.groups[half][side])) for side in (~sick, sick)]
        if min(patients) < FEWEST:
            raise DataError(
                f"Half of the patients in {options.data} are {patients[0]} with normal and "
                f"{patients[1]} with infected films; at least {FEWEST} of each are needed to "
                "choose a threshold, and as many to judge it. Add films of other patients."
            )
    return rows


def _recalibrated(answers: Answers, local: Calibration, infected: NDArray[np.bool_]) -> Answers:
    probabilities = local.apply(answers.probabilities)
    infection = probabilities[:, infected].sum(axis=1)
    return replace(answers, probabilities=probabilities, infection=infection)


def _described(
    bundle: Bundle,
    prepared: Prepared,
    rows: Mapping[str, NDArray[np.int64]],
    options: CalibrateOptions,
    before: Answers,
) -> dict[str, Any]:
    """On which films, from which bundle, and what that one made of those that judge."""
    dataset = prepared.dataset
    return {
        "from": {"name": bundle.name, "version": bundle.version},
        "prevalence": options.prevalence,
        "seed": options.seed,
        "data": {
            "name": options.data.name,
            "sha256": dataset.sha256,
            "radiographs": {
                split: {
                    finding.label: int((prepared.labels[half] == label).sum())
                    for label, finding in enumerate(dataset.classes)
                }
                for split, half in rows.items()
            },
            "patients": {
                split: len(np.unique(prepared.groups[half])) for split, half in rows.items()
            },
        },
        "before": measure(before, bundle.thresholds, prevalence=options.prevalence)["figures"],
    }


def _write(bundle: Bundle, document: Mapping[str, Any], out: Path) -> None:
    """The bundle's files, with what depends on the calibration anew; the audit was the old one's.

    Nothing is left where it does not verify.
    """
    calibration = calibration_of(document["calibration"], len(document["classes"]))
    images, _ = load_probes(bundle.path)
    raw = np.concatenate([bundle.network(image[np.newaxis])[0] for image in images])
    with whole_folder(out) as folder:
        for name in (MODEL_FILE, LEAN_FILE):
            if (bundle.path / name).exists():
                shutil.copyfile(bundle.path / name, folder / name)
        save_probes(folder, in_eight_bits(images), calibration.apply(raw))
        write_json(folder / DOCUMENT_FILE, document)
        (folder / CARD_FILE).write_text(write_card(out.name, document))
        load_bundle(folder)


def _say(out: Path, document: Mapping[str, Any]) -> None:
    thresholds = document["thresholds"]
    before, after = document["recalibrated"]["before"], document["metrics"][TEST]["figures"]
    films = document["metrics"][TEST]["films"]
    share = population(document["recalibrated"]["prevalence"])
    print(
        f"On the {films} films that chose nothing, weighed as in a population of which {share} is "
        "infected, before and after:"
    )
    for name, title in {"accuracy": "Accuracy", **CALIBRATION, **DECISIONS}.items():
        print(f"  {title:48s} {cell(name, before.get(name)):26s} {cell(name, after.get(name))}")
    print(
        f"Below {thresholds['rule_out']:.3f} the decision is normal, from "
        f"{thresholds['rule_in']:.3f} on infected.\nExported and verified: {out}"
    )
