"""A data set as a recipe wants it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from cxr.findings import NORMAL, FindingClass
from training.data import Prepared, prepare
from training.layout import FOLDERS
from training.progress import decoding_progress
from training.recipe import Recipe
from training.split import TEST, TRAIN, VALIDATION

INFECTED = FindingClass("infected", "Infected", infected=True)


def prepare_for(recipe: Recipe, data: Path, cache: Path, seed: int) -> Prepared:
    """Read, decode and split; one infected class where the recipe asks for it.

    Of folders with names of their owner's it is said what counts as infected.

    Raises:
        DataError, CacheError: as ``prepare``.
    """
    with decoding_progress() as progress:
        prepared = prepare(
            data, recipe.preprocess, cache, seed, masks=recipe.masks, progress=progress
        )
    if prepared.dataset.name == FOLDERS:
        _say_what_counts(prepared.dataset.classes)
    if recipe.needs_lungs:
        from training.blanking import find_lungs  # not before: it imports Keras

        prepared = replace(prepared, lungs=find_lungs(prepared, data, cache))
    return merge_infected(prepared) if recipe.merge_infected else prepared


def _say_what_counts(classes: Sequence[FindingClass]) -> None:
    def words(infected: bool) -> str:
        return ", ".join(one.label for one in classes if one.infected is infected)

    print(
        f"By their folders' names these films count as infected: {words(True)}; as normal: "
        f"{words(False)}.",
        flush=True,
    )


def merge_infected(prepared: Prepared) -> Prepared:
    """The same films and splits with two classes: normal, and infected with anything."""
    infected = prepared.infected
    records = tuple(
        replace(record, class_id=(INFECTED if infected[label] else NORMAL).id)
        for record, label in zip(prepared.dataset.records, prepared.labels, strict=True)
    )
    dataset = replace(prepared.dataset, classes=(NORMAL, INFECTED), records=records)
    return replace(prepared, dataset=dataset, labels=infected[prepared.labels].astype(np.int64))


def leaky_split(prepared: Prepared, seed: int) -> Prepared:
    """The same films split at random, film by film: 80/10/10, patients torn apart.

    Only to show what figures from such a split are worth; nothing is exported from it.
    """
    order = np.random.default_rng(seed).permutation(len(prepared.labels))
    tenth = round(0.1 * len(order))
    splits = np.full(len(order), TRAIN, dtype=object)
    splits[order[:tenth]], splits[order[tenth : 2 * tenth]] = TEST, VALIDATION
    records = tuple(
        replace(record, split=str(split))
        for record, split in zip(prepared.dataset.records, splits, strict=True)
    )
    return replace(prepared, dataset=replace(prepared.dataset, records=records))
