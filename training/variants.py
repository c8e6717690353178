"""A recipe with one thing changed."""

from __future__ import annotations

from dataclasses import replace

from training.augment import NO_AUGMENTATION
from training.recipe import Recipe


def at_size(recipe: Recipe, size: int) -> Recipe:
    """The recipe for an input of another side; stages on smaller films keep their proportion."""
    ratio = size / recipe.preprocess.size
    stages = tuple(
        replace(stage, size=None if stage.size is None else max(32, round(stage.size * ratio)))
        for stage in recipe.stages
    )
    return replace(recipe, preprocess=replace(recipe.preprocess, size=size), stages=stages)


def without_augmentation(recipe: Recipe) -> Recipe:
    """The recipe on the films as they are; calibrated as before."""
    return replace(
        recipe,
        stages=tuple(replace(stage, augmentation=NO_AUGMENTATION) for stage in recipe.stages),
        stressed_copies=0,
    )
