"""A data set as a recipe wants it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from cxr.findings import NORMAL, FindingClass
from training.data import Prepared, prepare
from training.progress import decoding_progress
from training.recipe import Recipe

INFECTED = FindingClass("infected", "Infected", infected=True)


def prepare_for(recipe: Recipe, data: Path, cache: Path, seed: int) -> Prepared:
    """Read, decode and split; one infected class where the recipe asks for it.

    Raises:
        DataError, CacheError: as ``prepare``.
    """
    with decoding_progress() as progress:
        prepared = prepare(
            data, recipe.preprocess, cache, seed, masks=recipe.masks, progress=progress
        )
    return merge_infected(prepared) if recipe.merge_infected else prepared


def merge_infected(prepared: Prepared) -> Prepared:
    """The same films and splits with two classes: normal, and infected with anything."""
    infected = np.array([finding.infected for finding in prepared.dataset.classes])
    records = tuple(
        replace(record, class_id=(INFECTED if infected[label] else NORMAL).id)
        for record, label in zip(prepared.dataset.records, prepared.labels, strict=True)
    )
    dataset = replace(prepared.dataset, classes=(NORMAL, INFECTED), records=records)
    return Prepared(dataset, prepared.images, infected[prepared.labels].astype(np.int64))
