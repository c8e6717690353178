"""Going on from an exported bundle: its network taken apart, trained further, and led part of the
way back.

Weights that were trained on from others lie in one basin with them. On the line between the two
they keep what the first knew and have most of what the second learned (Wortsman 2022, arXiv
2109.01903); the mean of several trainings from there keeps what these have in common (Wortsman
2022, arXiv 2203.05482).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras

from cxr.bundle import load_bundle
from cxr.engines import MODEL_FILE
from training.architectures import ResidualNetwork, assemble
from training.architectures.residual import blended, taken_apart
from training.data import Prepared
from training.errors import TrainingError
from training.recipe import Recipe


@dataclass(frozen=True)
class Start:
    """What a training goes on from.

    Attributes:
        network: as ``build`` makes it, at the size of the recipe's input.
        described: name, version, hash and commit of the bundle.
    """

    network: keras.Model
    described: Mapping[str, Any]


def start_from(folder: Path, recipe: Recipe, prepared: Prepared) -> Start:
    """The network of a bundle.

    Raises:
        BundleError: the bundle does not verify.
        TrainingError: it has other classes, another input or another network than the recipe.
    """
    bundle = load_bundle(folder)
    if [one.id for one in bundle.classes] != [one.id for one in prepared.dataset.classes]:
        theirs = ", ".join(one.label for one in bundle.classes)
        ours = ", ".join(one.label for one in prepared.dataset.classes)
        raise TrainingError(
            f"{folder} tells {theirs} apart, the data {ours}: a training can only go on with the "
            "same classes. Give films of these, or train from nothing with another recipe."
        )
    if bundle.spec != recipe.preprocess or not isinstance(recipe.network, ResidualNetwork):
        raise TrainingError(f"{folder} has another input or network than the recipe.")
    exported = keras.models.load_model(folder / MODEL_FILE, compile=False)
    try:
        network = taken_apart(exported, recipe.network, bundle.spec.size)
    except ValueError as error:
        raise TrainingError(
            f"The network in {folder} is not the recipe's: {error}. Describe it in the recipe "
            "(ResidualNetwork), or go on from a bundle that has the recipe's."
        ) from error
    trained = bundle.document["training"]
    return Start(
        network,
        {
            "name": bundle.name,
            "version": bundle.version,
            "sha256": bundle.sha256,
            "recipe": trained.get("recipe"),
            "commit": trained.get("commit"),
        },
    )


def exported(
    members: Sequence[keras.Model], recipe: Recipe, start: Start | None = None
) -> keras.Model:
    """What is exported of trained networks: all of them side by side, or their mean, on the way.

    Raises:
        TrainingError: the recipe goes on from a bundle, and there is none.
    """
    if recipe.onward is None:
        return assemble(members, recipe.network)
    if start is None:
        raise TrainingError("This recipe goes on from a bundle, which fit alone can be given.")
    models = [assemble([one], recipe.network) for one in (start.network, *members)]
    share = recipe.onward / len(members)
    return blended(models, [1 - recipe.onward, *[share] * len(members)])
