"""The networks of a recipe, trained on given rows: what ``fit`` and the comparisons share."""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass, replace
from pathlib import Path

import keras
import numpy as np
from numpy.typing import NDArray

from training.architectures import assemble
from training.data import Prepared
from training.files import read_arrays, write_arrays
from training.loop import Trained, train
from training.recipe import Recipe

Rows = NDArray[np.int64]


def train_members(
    prepared: Prepared, recipe: Recipe, rows: tuple[Rows, Rows], seed: int, folder: Path
) -> list[Trained]:
    """Every member of the recipe, each resumed where an earlier call was cut off.

    Args:
        rows: those to train on, and those whose loss chooses the epoch.
    """
    return [
        _train_one(prepared, recipe, rows, seed + number, folder / f"member{number + 1}")
        for number in range(recipe.members)
    ]


def _train_one(
    prepared: Prepared, recipe: Recipe, rows: tuple[Rows, Rows], seed: int, folder: Path
) -> Trained:
    """All stages, one after the other; the epochs are counted through."""
    classes = len(prepared.dataset.classes)
    verbose = 1 if sys.stdout.isatty() else 2
    trained: Trained | None = None
    for number, stage in enumerate(recipe.stages, 1):
        place = folder / f"stage{number}"
        size = stage.size or recipe.preprocess.size
        print(
            f"{place.relative_to(folder.parent)}: at most {stage.epochs} epochs "
            f"at {size} × {size} pixels.",
            flush=True,
        )
        before = trained
        trained = train(
            prepared.images,
            prepared.labels,
            *rows,
            classes,
            recipe,
            stage,
            seed,
            place,
            verbose,
            before.model if before else None,
        )
        if before:
            trained = replace(
                trained,
                epochs=before.epochs + trained.epochs,
                best_epoch=before.epochs + trained.best_epoch,
                seconds=before.seconds + trained.seconds,
            )
    assert trained is not None  # a recipe has at least one stage
    return trained


@dataclass(frozen=True)
class Trial:
    """A recipe trained on some rows, and what it answers to others.

    Attributes:
        validation, test: float64, shape (n, classes), probabilities as the network gives
            them, uncalibrated.
        fit_seconds, predict_seconds: the latter for all test films together.
        parameters: weights of the exported model.
    """

    validation: NDArray[np.float64]
    test: NDArray[np.float64]
    fit_seconds: float
    predict_seconds: float
    parameters: int
    epochs: int


def run_trial(
    prepared: Prepared,
    recipe: Recipe,
    rows: tuple[Rows, Rows, Rows],
    seed: int,
    folder: Path,
) -> Trial:
    """Train on the first rows, choose the epoch on the second, answer the third.

    Resumable: a finished trial is read from ``folder``, a cut-off one goes on from its last
    epoch.
    """
    done = folder / "trial.npz"
    if done.exists():
        found = read_arrays(done)
        fit_seconds, predict_seconds, parameters, epochs = found["facts"].tolist()
        return Trial(
            found["validation"],
            found["test"],
            fit_seconds,
            predict_seconds,
            int(parameters),
            int(epochs),
        )
    train_rows, validation_rows, test_rows = rows
    policy = keras.mixed_precision.dtype_policy()
    members = train_members(prepared, recipe, (train_rows, validation_rows), seed, folder)
    keras.mixed_precision.set_global_policy("float32")
    try:
        model = assemble([member.model for member in members], recipe.network)
        validation = predict(model, prepared.images, validation_rows)
        began = time.perf_counter()
        test = predict(model, prepared.images, test_rows)
        seconds = time.perf_counter() - began
        trial = Trial(
            validation,
            test,
            sum(member.seconds for member in members),
            seconds,
            model.count_params(),
            sum(member.epochs for member in members),
        )
    finally:
        keras.mixed_precision.set_global_policy(policy)
    facts = [trial.fit_seconds, trial.predict_seconds, trial.parameters, trial.epochs]
    write_arrays(done, validation=validation, test=test, facts=np.array(facts, np.float64))
    return trial


def predict(
    model: keras.Model, images: NDArray[np.uint8], rows: NDArray[np.int64], batch: int = 64
) -> NDArray[np.float64]:
    """Probabilities of the films in ``rows``, a batch at a time: (n, classes)."""
    answers = [
        model.predict_on_batch(
            images[rows[start : start + batch]].astype(np.float32)[..., np.newaxis]
            / np.float32(255)
        )
        for start in range(0, len(rows), batch)
    ]
    return np.concatenate(answers).astype(np.float64)
