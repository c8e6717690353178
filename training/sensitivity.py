"""What a system owes to the number of films, to their size, and to augmentation.

Judged on validation films: dozens of trainings that were each looked at on the test films
would leave nothing to judge the final one by.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
from sklearn.metrics import roc_auc_score

from training.classical import BASELINES
from training.contest import Entry, baseline_entry, infected_of, once, recipe_entry
from training.data import Prepared
from training.members import Rows
from training.prepared import prepare_for
from training.recipe import Recipe
from training.variants import at_size, without_augmentation

SHARES = (0.1, 0.25, 0.5, 1.0)
SIZES = (64, 96, 128, 160, 224)


@dataclass(frozen=True)
class Point:
    """One training of the sensitivity analysis.

    Attributes:
        kind: "films" (share of the training patients), "size" (side of the input, pixels) or
            "augmentation" ("on", "off").
        accuracy, auc: infected against normal on the validation films.
    """

    kind: str
    system: str
    setting: str
    accuracy: float
    auc: float
    fit_seconds: float

    def row(self) -> list[str]:
        measured = [f"{self.accuracy:.4f}", f"{self.auc:.4f}", f"{self.fit_seconds:.1f}"]
        return [self.kind, self.system, self.setting, *measured]


def sensitivity(
    systems: Sequence[str],
    recipes: Mapping[str, Recipe],
    prepared: Prepared,
    data: Path,
    cache: Path,
    seed: int,
    folder: Path,
) -> list[Point]:
    """Every point of every system; those that ``folder`` knows already are not trained again.

    Args:
        systems: names of recipes or of classical baselines; baselines are swept over the
            number of films only, as they have a size of their own and no augmentation.
    """
    points: list[Point] = []
    for system in systems:
        if system in BASELINES:
            points += _sweep_baseline(system, prepared, seed, folder)
        else:
            points += _sweep_recipe(system, recipes[system], data, cache, seed, folder)
    return points


def share_of(prepared: Prepared, rows: Rows, share: float, seed: int) -> Rows:
    """Films of a share of the patients; those of a smaller share are among those of a larger.

    By class, so that even a tenth holds all of them.
    """
    taken = []
    groups = prepared.groups
    for label in range(len(prepared.dataset.classes)):
        of_class = rows[prepared.labels[rows] == label]
        names = sorted(
            set(groups[of_class].tolist()),
            key=lambda name: hashlib.sha256(f"{seed}\0{name}".encode()).digest(),
        )
        kept = set(names[: max(1, round(share * len(names)))])
        taken.append(np.array([row for row in of_class if groups[row] in kept], np.int64))
    return np.sort(np.concatenate(taken))


def _sweep_baseline(system: str, prepared: Prepared, seed: int, folder: Path) -> list[Point]:
    train, validation = prepared.indices("train"), prepared.indices("validation")
    points = []
    for share in SHARES:
        rows = share_of(prepared, train, share, seed)
        entry = once(
            folder / "sensitivity",
            f"{system}-films-{share:g}",
            partial(baseline_entry, system, prepared, rows, validation, seed),
        )
        points.append(_point("films", system, f"{share:g}", entry, prepared, validation))
    return points


def _sweep_recipe(
    system: str, recipe: Recipe, data: Path, cache: Path, seed: int, folder: Path
) -> list[Point]:
    plain = replace(recipe, stressed_copies=0)
    variants = [("films", f"{share:g}", plain, share) for share in SHARES]
    variants += [
        ("size", str(size), at_size(plain, size), 1.0)
        for size in sorted({*SIZES, plain.preprocess.size})
    ]
    variants += [
        ("augmentation", "on", plain, 1.0),
        ("augmentation", "off", without_augmentation(plain), 1.0),
    ]
    made: dict[tuple[Recipe, float], Entry] = {}
    points = []
    for kind, setting, variant, share in variants:
        prepared = prepare_for(variant, data, cache, seed)
        train, validation = prepared.indices("train"), prepared.indices("validation")
        if (variant, share) not in made:  # the whole recipe is a point of every kind
            name = f"{system}-{kind}-{setting}"
            rows = (share_of(prepared, train, share, seed), validation, validation)
            place = folder / "sensitivity" / name
            made[variant, share] = once(
                folder / "sensitivity",
                name,
                partial(recipe_entry, name, variant, prepared, rows, seed, place),
            )
        points.append(_point(kind, system, setting, made[variant, share], prepared, validation))
    return points


def _point(
    kind: str, system: str, setting: str, entry: Entry, prepared: Prepared, rows: Rows
) -> Point:
    truth = infected_of(prepared, rows)
    return Point(
        kind,
        system,
        setting,
        float(((entry.infection >= 0.5) == truth).mean()),
        float(roc_auc_score(truth, entry.infection)),
        entry.fit_seconds,
    )
