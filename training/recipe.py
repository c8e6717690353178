"""What a recipe is: every choice of one training, as frozen data."""

from __future__ import annotations

import importlib
from dataclasses import asdict, dataclass, field
from typing import Any

from cxr.preprocess import PreprocessSpec
from training.architectures import ResidualNetwork
from training.augment import Augmentation
from training.errors import TrainingError


@dataclass(frozen=True)
class Recipe:
    """One training.

    Attributes:
        title: what the model is for, in a line.
        population: whom the model may read; shown on the page and in the card.
        epochs: passes over the training images, for each member.
        warmup_epochs: epochs in which the learning rate climbs from zero, before it
            falls to zero along half a cosine.
        patience: epochs without a better validation loss after which training stops.
        members: networks of different seeds that are averaged into the exported model.
        class_balance: 0 weighs every image alike, 1 every class.
    """

    title: str
    population: dict[str, Any]
    preprocess: PreprocessSpec = PreprocessSpec(size=160)
    network: ResidualNetwork = ResidualNetwork()
    augmentation: Augmentation = field(default_factory=Augmentation)
    epochs: int = 30
    warmup_epochs: float = 1.0
    patience: int = 12
    batch_size: int = 32
    learning_rate: float = 1e-3
    weight_decay: float = 0.05
    label_smoothing: float = 0.05
    gradient_clip: float = 1.0
    class_balance: float = 0.5
    members: int = 1

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def load_recipe(name: str) -> Recipe:
    """The ``RECIPE`` of ``training/recipes/<name>.py``."""
    try:
        module = importlib.import_module(f"training.recipes.{name}")
    except ModuleNotFoundError as error:
        if error.name != f"training.recipes.{name}":
            raise
        raise TrainingError(
            f"There is no recipe '{name}'. Those there are: {', '.join(recipe_names())}."
        ) from error
    recipe: Recipe = module.RECIPE
    return recipe


def recipe_names() -> tuple[str, ...]:
    import pkgutil

    import training.recipes

    return tuple(sorted(found.name for found in pkgutil.iter_modules(training.recipes.__path__)))
