"""What a recipe is: every choice of one training, as frozen data."""

from __future__ import annotations

import importlib
import pkgutil
from dataclasses import asdict, dataclass, field, replace
from types import ModuleType
from typing import TYPE_CHECKING, Any

import training.recipes
from cxr.preprocess import PreprocessSpec
from training.architectures import Network, ResidualNetwork
from training.augment import Augmentation
from training.errors import TrainingError
from training.optimizers import OPTIMIZERS

if TYPE_CHECKING:
    from training.search import Search


@dataclass(frozen=True)
class Stage:
    """One stretch of a training, from the weights in which the stretch before it ended.

    Attributes:
        epochs: passes over the training images, for each member.
        size: side to which the films are shrunk, in pixels; None for the input's own. Small
            films cost a fraction of large ones and teach most of what there is to learn
            (progressive resizing; Tan 2021, arXiv 2104.00298).
        learning_rate: its peak.
        final_learning_rate: to which it falls along half a cosine. A stage that another one
            follows need not cool down to zero, only to be heated again.
        warmup_epochs: in which the learning rate climbs from zero to its peak first.
        augmentation: strong makes a network robust, and leaves it looking at films that are
            all worse than those it will get; a last stage with a gentle one closes that gap
            (Touvron 2019, arXiv 1906.06423).
        companions: the share that normal films of another source take on beside those of the
            data set, repeated until they do; with any share infections of another data set join
            in too, where some are given; 0 for none (``training/companion.py``).
    """

    epochs: int = 20
    size: int | None = None
    learning_rate: float = 1.5e-3
    final_learning_rate: float = 0.0
    warmup_epochs: float = 1.0
    augmentation: Augmentation = field(default_factory=Augmentation)
    companions: float = 0.0

    def __post_init__(self) -> None:
        if self.epochs < 1:
            raise ValueError(f"a stage has at least 1 epoch, not {self.epochs}")
        if self.companions < 0:
            raise ValueError(f"a share of companions is 0 or more, not {self.companions}")


@dataclass(frozen=True)
class Recipe:
    """One training.

    Attributes:
        stages: one after the other; the last is at the input's own size.
        keep: ``best``, the weights of the epoch of least validation loss, or ``last``, those of
            the last one: of few validation films the least loss is luck, and its epoch may be one
            whose learning rate had not fallen yet. Every stage then goes to its end.
        patience: epochs without a better validation loss after which a stage stops.
        stressed_copies: augmented versions of each validation film on which, beside the film
            itself, calibration and thresholds are fitted (see ``training/calibration.py``).
        stressed_tone: ``Augmentation.tone`` of these versions, where it is more than the last
            stage's: a detector that training has not imitated, as the next hospital's will be.
        members: networks of different seeds that are averaged into the exported model; an even
            number where several share both ways round (``ResidualNetwork.mirrored``).
        optimizer: one of ``OPTIMIZERS``.
        schedule: ``cosine``, or ``adaptive`` (constant, lowered where training stalls; see
            ``training/adaptive.py``).
        gradient_clip: largest norm of all gradients together; 0 for none.
        class_balance: 0 weighs every image alike, 1 every class.
        masks: black out what the data set's lung masks leave out. Such a network reads films
            that were masked the same way, no others.
        merge_infected: learn one class of everything that is infected, against normal.
    """

    preprocess: PreprocessSpec = PreprocessSpec(size=160)
    network: Network = ResidualNetwork()
    stages: tuple[Stage, ...] = (Stage(),)
    keep: str = "best"
    patience: int = 12
    batch_size: int = 16
    optimizer: str = "adamw"
    schedule: str = "cosine"
    weight_decay: float = 0.05
    label_smoothing: float = 0.05
    gradient_clip: float = 1.0
    class_balance: float = 0.5
    stressed_copies: int = 4
    stressed_tone: float = 0.0
    members: int = 1
    merge_infected: bool = False
    masks: bool = False

    def __post_init__(self) -> None:
        if not self.stages or self.stages[-1].size not in (None, self.preprocess.size):
            raise ValueError("the last stage must be at the size of the input")
        if self.optimizer not in OPTIMIZERS:
            raise ValueError(f"there is no optimizer {self.optimizer!r}")
        if self.keep not in ("best", "last"):
            raise ValueError(f"weights to keep are the best or the last, not {self.keep!r}")
        if self.schedule not in ("cosine", "adaptive"):
            raise ValueError(f"there is no schedule {self.schedule!r}")
        mirrored = isinstance(self.network, ResidualNetwork) and self.network.mirrored
        if mirrored and self.members > 1 and self.members % 2:
            raise ValueError(f"{self.members} networks cannot share both ways round evenly")

    @property
    def centred(self) -> bool:
        """Whether the network looks for the lungs first and reads what lies around them."""
        return isinstance(self.network, ResidualNetwork) and self.network.view > 0

    @property
    def needs_lungs(self) -> bool:
        """Whether it is to be known where the lungs of the training films are."""
        return self.centred or any(stage.augmentation.blanks_lungs for stage in self.stages)

    @property
    def has_companions(self) -> bool:
        """Whether films of other data sets have a place in it."""
        return any(stage.companions > 0 for stage in self.stages)

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def load_recipe(name: str, epochs: int | None = None) -> Recipe:
    """The ``RECIPE`` of ``training/recipes/<name>.py``, each stage with ``epochs`` if given.

    Raises:
        TrainingError: there is no such recipe, or fewer than one epoch is asked for.
    """
    recipe: Recipe = _module(name).RECIPE
    if epochs is None:
        return recipe
    if epochs < 1:
        raise TrainingError(f"--epochs must be at least 1, not {epochs}.")
    return replace(recipe, stages=tuple(replace(stage, epochs=epochs) for stage in recipe.stages))


def load_search(name: str) -> Search:
    """The ``SEARCH`` of a recipe's file: what ``tune`` may change.

    Raises:
        TrainingError: there is no such recipe, or it names no search space.
    """
    search: Search | None = getattr(_module(name), "SEARCH", None)
    if not search:
        raise TrainingError(
            f"The recipe '{name}' names no search space: add SEARCH = (Range(…), Choice(…), …) to "
            f"training/recipes/{name}.py; training/search.py says how."
        )
    return search


def _module(name: str) -> ModuleType:
    if name not in recipe_names():
        raise TrainingError(
            f"There is no recipe '{name}'. Those there are: {', '.join(recipe_names())}."
        )
    return importlib.import_module(f"training.recipes.{name}")


def recipe_names() -> tuple[str, ...]:
    return tuple(sorted(found.name for found in pkgutil.iter_modules(training.recipes.__path__)))
