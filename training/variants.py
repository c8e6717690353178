"""A recipe with one thing changed."""

from __future__ import annotations

from dataclasses import replace

from training.architectures import DenseNetwork
from training.augment import NO_AUGMENTATION
from training.errors import TrainingError
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


def starting_from(recipe: Recipe, weights: str) -> Recipe:
    """The recipe with other weights to start from: ``imagenet``, ``none`` or a path.

    Raises:
        TrainingError: its network starts from nothing.
    """
    if not isinstance(recipe.network, DenseNetwork):
        raise TrainingError("The network of this recipe starts from nothing: no --weights.")
    return replace(recipe, network=replace(recipe.network, weights=weights))
