"""What a recipe is: every choice of one training, as frozen data."""

from __future__ import annotations

import importlib
import pkgutil
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import training.recipes
from cxr.preprocess import PreprocessSpec
from training.architectures import ResidualNetwork
from training.augment import Augmentation
from training.errors import TrainingError


@dataclass(frozen=True)
class Polish:
    """A last stage at a low learning rate with gentle augmentation.

    Strong augmentation makes a network robust, and leaves it looking at films that are all
    worse than those it will get; a few epochs on nearly plain films close that gap
    (Touvron 2019, arXiv 1906.06423). It suits films from the machines of the training set.
    """

    epochs: int = 4
    learning_rate: float = 3e-4
    augmentation: Augmentation = Augmentation(
        rotation=5.0,
        zoom=0.08,
        shift=0.04,
        shear=0.03,
        gamma=0.2,
        contrast=0.1,
        brightness=0.05,
        blur=0.0,
        noise=0.01,
        erase=0.0,
    )


@dataclass(frozen=True)
class Recipe:
    """One training.

    Attributes:
        epochs: passes over the training images, for each member.
        warmup_epochs: epochs in which the learning rate climbs from zero, before it
            falls to zero along half a cosine.
        patience: epochs without a better validation loss after which training stops.
        polish: what follows the main stage, if anything.
        stressed_copies: augmented versions of each validation film on which, beside the film
            itself, calibration and thresholds are fitted (see ``training/calibration.py``).
        members: networks of different seeds that are averaged into the exported model.
        class_balance: 0 weighs every image alike, 1 every class.
    """

    preprocess: PreprocessSpec = PreprocessSpec(size=160)
    network: ResidualNetwork = ResidualNetwork()
    augmentation: Augmentation = field(default_factory=Augmentation)
    epochs: int = 20
    warmup_epochs: float = 1.0
    patience: int = 12
    batch_size: int = 16
    learning_rate: float = 1.5e-3
    weight_decay: float = 0.05
    label_smoothing: float = 0.05
    gradient_clip: float = 1.0
    class_balance: float = 0.5
    polish: Polish | None = None
    stressed_copies: int = 4
    members: int = 1

    def polishing(self) -> Recipe | None:
        """The polishing stage as a recipe of its own."""
        if self.polish is None:
            return None
        return replace(
            self,
            epochs=self.polish.epochs,
            learning_rate=self.polish.learning_rate,
            augmentation=self.polish.augmentation,
            warmup_epochs=0.5,
            polish=None,
        )

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def load_recipe(name: str, epochs: int | None = None) -> Recipe:
    """The ``RECIPE`` of ``training/recipes/<name>.py``, with another number of epochs if given.

    Raises:
        TrainingError: there is no such recipe, or fewer than one epoch is asked for.
    """
    try:
        module = importlib.import_module(f"training.recipes.{name}")
    except ModuleNotFoundError as error:
        if error.name != f"training.recipes.{name}":
            raise
        raise TrainingError(
            f"There is no recipe '{name}'. Those there are: {', '.join(recipe_names())}."
        ) from error
    recipe: Recipe = module.RECIPE
    if epochs is None:
        return recipe
    if epochs < 1:
        raise TrainingError(f"--epochs must be at least 1, not {epochs}.")
    return replace(recipe, epochs=epochs)


def recipe_names() -> tuple[str, ...]:
    return tuple(sorted(found.name for found in pkgutil.iter_modules(training.recipes.__path__)))
