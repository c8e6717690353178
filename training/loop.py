"""Training one network: batches, schedule, checkpoints, resumption."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import keras
import numpy as np
from numpy.typing import NDArray

from cxr.preprocess import from_eight_bits
from training.adaptive import AdaptiveRate
from training.architectures import build
from training.architectures.centre import FINDER
from training.augment import augmenter, mixup
from training.blanking import blank
from training.checkpoint import Checkpoint, load_variables
from training.distribute import share_of_batch
from training.errors import TrainingError
from training.optimizers import make_optimizer
from training.recipe import Recipe, Stage


class Batches(keras.utils.PyDataset):  # type: ignore[misc]
    """Shuffled float32 batches out of the memory-mapped images.

    Every batch depends on (seed, epoch, number) alone, so a resumed run sees what an
    uninterrupted one would have seen.

    Targets have a column for each class and one more: infected with anything, for films of which
    nobody says with what. A label of ``classes`` means that.
    """

    def __init__(
        self,
        images: NDArray[np.uint8],
        labels: NDArray[np.int64],
        indices: NDArray[np.int64],
        classes: int,
        recipe: Recipe,
        stage: Stage,
        seed: int,
        *,
        epoch: int = 0,
        training: bool = True,
        devices: int = 1,
        lungs: NDArray[np.uint8] | None = None,
    ) -> None:
        # With one worker Keras goes through tf.data, whose tuning thread sleeps for powers of two
        # of 10 ms and is waited for at the end of an epoch: 6 s of work then take 10.
        super().__init__(workers=2)
        self.images, self.labels, self.indices = images, labels, indices
        self.classes, self.recipe, self.stage, self.seed = classes, recipe, stage, seed
        self.epoch, self.training, self.devices, self.lungs = epoch, training, devices, lungs
        counts = np.bincount(labels[indices], minlength=classes + 1)
        weights = np.maximum(counts, 1.0) ** -recipe.class_balance
        weights = weights * len(indices) / (counts * weights).sum()
        self.weights = np.where(counts, weights, 1.0).astype(np.float32)
        self._shuffle()

    def _shuffle(self) -> None:
        order = np.arange(len(self.indices))
        if self.training:
            order = np.random.default_rng((self.seed, self.epoch)).permutation(len(order))
        self.order = self.indices[order]

    def __len__(self) -> int:
        return -(-len(self.indices) // self.recipe.batch_size)

    def __getitem__(self, number: int) -> tuple[Any, Any]:
        size = self.recipe.batch_size
        chosen = self.order[number * size : (number + 1) * size]
        chosen = np.sort(share_of_batch(chosen, self.order, self.devices))
        films = shrink(self.images[chosen], self.stage.size)
        images = from_eight_bits(films[..., np.newaxis])
        targets = np.eye(self.classes + 1, dtype=np.float32)[self.labels[chosen]]
        if self.training:
            targets = targets * self.weights  # weighted cross-entropy: weight × −log p
            random = np.random.default_rng((self.seed, self.epoch, number))
            if self.lungs is not None:
                outlines = self.lungs[chosen]
                images, targets = blank(images, targets, outlines, self.stage.augmentation, random)
            images, targets = mixup(images, targets, self.stage.augmentation.mixup, random)
        return images, targets

    def on_epoch_end(self) -> None:
        self.epoch += 1
        self._shuffle()


def shrink(images: NDArray[np.uint8], size: int | None) -> NDArray[np.uint8]:
    """Area-averaged to ``size`` pixels a side; shape (n, size, size), or as they are for None."""
    if size is None or images.shape[1] == size:
        return images
    return np.stack(
        [cv2.resize(image, (size, size), interpolation=cv2.INTER_AREA) for image in images]
    )


def smoothed_cross_entropy(smoothing: float, infected: NDArray[np.bool_]) -> Any:
    """Cross-entropy of logits against weighted targets, of which a share goes to all classes.

    Args:
        infected: shape (classes,). Against their probabilities' sum goes what the targets' last
            column says.
    """
    # Finite, since 0 times infinity is no number.
    others = np.where(infected, 0.0, -1e9).astype(np.float32)

    def loss(targets: Any, logits: Any) -> Any:
        named, any_infected = targets[:, :-1], targets[:, -1]
        weight = keras.ops.sum(targets, axis=-1, keepdims=True)
        named = named * (1 - smoothing) + weight * smoothing / len(infected)
        log_probabilities = keras.ops.log_softmax(keras.ops.cast(logits, "float32"))
        log_infected = keras.ops.logsumexp(log_probabilities + others, axis=-1)
        return -(
            keras.ops.sum(named * log_probabilities, axis=-1)
            + any_infected * (1 - smoothing) * log_infected
        )

    return loss


class _OfNamed:
    """A metric of those films that have a class; the others count nothing."""

    def update_state(self, targets: Any, logits: Any, sample_weight: Any = None) -> Any:
        named = targets[:, :-1]
        counted = keras.ops.cast(keras.ops.any(named > 0, axis=-1), "float32")
        return super().update_state(named, logits, counted)  # type: ignore[misc]


class _Accuracy(_OfNamed, keras.metrics.CategoricalAccuracy):  # type: ignore[misc]
    pass


class _LogLoss(_OfNamed, keras.metrics.CategoricalCrossentropy):  # type: ignore[misc]
    pass


@dataclass(frozen=True)
class Trained:
    """A trained network and how it came about.

    Attributes:
        best_epoch: whose weights these are.
    """

    model: keras.Model
    epochs: int
    best_epoch: int
    seconds: float


def compiled(
    recipe: Recipe, stage: Stage, infected: NDArray[np.bool_], steps: int, seed: int
) -> tuple[keras.Model, keras.Model]:
    """What is trained, augmentation included, ready for batches; and the network within it.

    Args:
        infected: which of the classes mean infection.
        steps: batches an epoch.
    """
    keras.utils.set_random_seed(seed)
    network = build(recipe.network, stage.size or recipe.preprocess.size, len(infected))
    model = keras.Sequential([augmenter(stage.augmentation, seed * 10), network])
    model.compile(
        optimizer=make_optimizer(recipe, stage, steps),
        loss=smoothed_cross_entropy(recipe.label_smoothing, infected),
        weighted_metrics=[
            _Accuracy(name="accuracy"),
            # Without smoothing and weights, so that recipes can be told apart by it.
            _LogLoss(name="log_loss", from_logits=True),
        ],
    )
    model.build((None, *network.input_shape[1:]))
    return model, network


def train(
    images: NDArray[np.uint8],
    labels: NDArray[np.int64],
    train_indices: NDArray[np.int64],
    validation_indices: NDArray[np.int64],
    infected: NDArray[np.bool_],
    recipe: Recipe,
    stage: Stage,
    seed: int,
    folder: Path,
    verbose: int = 2,
    start: keras.Model | None = None,
    callbacks: Sequence[keras.callbacks.Callback] = (),
    devices: int = 1,
    lungs: NDArray[np.uint8] | None = None,
    finder: Sequence[NDArray[np.float32]] | None = None,
) -> Trained:
    """Go through one stage, or go on where ``folder`` says that an earlier call was cut off.

    Args:
        images: uint8, shape (n, size, size), at the size of the recipe's input.
        infected: which of the classes mean infection; a label of as many as there are is a film
            infected with anything.
        start: network whose weights it starts from, instead of random ones.
        callbacks: run after the checkpoint of each epoch is written.
        devices: that share each batch; see ``training.distribute``.
        lungs: where they are, uint8, shape (n, 64, 64), if the stage blanks them.
        finder: weights of the lung finder of a network that has one.

    Returns:
        The network with the weights that ``recipe.keep`` names.
    """
    folder.mkdir(parents=True, exist_ok=True)
    checkpoint = Checkpoint(folder, recipe)
    first = checkpoint.state["epoch"]
    data = (len(infected), recipe, stage, seed)
    batches = Batches(
        images, labels, train_indices, *data, epoch=first, devices=devices, lungs=lungs
    )
    validation = Batches(images, labels, validation_indices, *data, training=False, devices=devices)
    model, network = compiled(recipe, stage, infected, len(batches), seed)
    if start is not None:
        network.set_weights(start.get_weights())
    elif finder is not None:
        network.get_layer(FINDER).set_weights(finder)
    if first:
        model.optimizer.build(model.trainable_variables)
        both = {"model": model.variables, "optimizer": model.optimizer.variables}
        load_variables(folder / "last.npz", **both)
    if first < stage.epochs and not checkpoint.finished:
        history = keras.callbacks.CSVLogger(str(folder / "history.csv"), append=bool(first))
        adaptive = recipe.schedule == "adaptive"
        try:
            model.fit(
                batches,
                validation_data=validation,
                initial_epoch=first,
                epochs=stage.epochs,
                verbose=verbose,
                # Batches shuffle by seed and epoch; Keras would put them into another order by a
                # state that a resumed run does not have.
                shuffle=False,
                callbacks=[
                    checkpoint,
                    keras.callbacks.TerminateOnNaN(),
                    history,
                    *_tensorboard(folder),
                    *([AdaptiveRate(folder, stage.epochs)] if adaptive else []),
                    *callbacks,
                ],
            )
        finally:  # Keras closes it only where training came to its end
            if history.csv_file is not None:
                history.csv_file.close()
    kept = folder / f"{recipe.keep}.npz"
    if not kept.exists():
        raise TrainingError(
            "The training diverged in its first epoch: the loss is not a number. Lower the "
            "learning rate, or train in float32 (--precision float32)."
        )
    load_variables(kept, model=model.variables)
    state = checkpoint.state
    epoch = state["epoch"] if recipe.keep == "last" else state["best_epoch"]
    return Trained(network, state["epoch"], epoch, state["seconds"])


def _tensorboard(folder: Path) -> list[keras.callbacks.Callback]:
    """TensorBoard logs where its writer is there (Keras's callback needs TensorFlow for it)."""
    if keras.backend.backend() != "tensorflow":
        return []
    return [keras.callbacks.TensorBoard(str(folder / "tensorboard"), write_graph=False)]
