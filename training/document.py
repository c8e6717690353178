"""What goes into ``bundle.json``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np

from cxr.bundle import calibration_to_json
from cxr.calibrate import Calibration, Thresholds
from training.blanking import masks_for
from training.calibration import promises
from training.companion import Companion
from training.data import Prepared
from training.device import Device
from training.loop import Trained
from training.provenance import provenance_of
from training.recipe import Recipe
from training.run import now
from training.versions import library_versions

if TYPE_CHECKING:
    from training.fit import FitOptions


MASKED = (
    "Trained on films of which all but the lungs was blacked out by the data set's own masks: it "
    "reads films that were masked the same way, and means nothing on whole ones."
)


def population_of(options: FitOptions, dataset: str) -> dict[str, Any]:
    """Whom the model may read: what is known of the data set, or was said of it."""
    population = dict(provenance_of(dataset).population)
    if options.population:
        population["label"] = options.population
    if options.ages:
        population["min_age_years"], population["max_age_years"] = options.ages
    return population


def describe(
    options: FitOptions,
    recipe: Recipe,
    prepared: Prepared,
    device: Device,
    calibration: Calibration,
    thresholds: Thresholds,
    metrics: Mapping[str, Any],
    members: Sequence[Trained],
    commit: str | None,
    companions: Sequence[Companion] = (),
) -> dict[str, Any]:
    """Everything of the contract's ``bundle.json`` that is not found by ``save_bundle``."""
    dataset = prepared.dataset
    provenance = provenance_of(dataset.name)
    masks = None if prepared.lungs is None else masks_for(options.data)
    splits = ("train", "validation", "test", "excluded")
    return {
        "title": provenance.title,
        "version": options.version,
        "created": now(),
        "input": recipe.preprocess.to_json(),
        "classes": [asdict(finding) for finding in dataset.classes],
        "calibration": calibration_to_json(calibration),
        "thresholds": {"rule_out": thresholds.rule_out, "rule_in": thresholds.rule_in},
        "thresholds_chosen": {
            "split": "validation",
            "stressed_copies": recipe.stressed_copies,
            **promises(metrics["validation"]["figures"]),
        },
        "population": population_of(options, dataset.name),
        "metrics": metrics,
        "training": {
            "recipe": options.recipe,
            "settings": recipe.to_json(),
            "data": {
                "name": dataset.name,
                "sha256": dataset.sha256,
                "source": provenance.source,
                "licence": provenance.licence,
                "caveats": [*provenance.caveats, *((MASKED,) if recipe.masks else ())],
                "radiographs": {
                    split: {
                        finding.id: int((prepared.labels[prepared.indices(split)] == label).sum())
                        for label, finding in enumerate(dataset.classes)
                    }
                    for split in splits
                },
                "patients": {
                    split: len(np.unique(prepared.groups[prepared.indices(split)]))
                    for split in splits
                },
                "official_split": any(record.official_split for record in dataset.records),
                "of_held_out_patients": prepared.of_held_out_patients,
                "unreadable": len(dataset.corrupt),
                "lung_masks": masks and masks.name,
                "companions": [_companion(companion) for companion in companions],
            },
            "seed": options.seed,
            "networks": [
                {
                    "epochs": member.epochs,
                    "best_epoch": member.best_epoch,
                    "seconds": round(member.seconds),
                }
                for member in members
            ],
            "device": str(device),
            "commit": commit,
        },
        "libraries": library_versions(),
    }


def _companion(companion: Companion) -> dict[str, Any]:
    """Whose films joined in, and how many."""
    provenance = provenance_of(companion.name)
    return {
        "name": companion.name,
        "infected": companion.infected,
        "repeated": companion.repeated,
        "sha256": companion.sha256,
        "population": provenance.population["label"],
        "source": provenance.source,
        "licence": provenance.licence,
        "radiographs": dict(companion.findings),
    }
