"""The networks of a recipe, trained on given rows: what ``fit`` and the comparisons share."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from cxr.calibrate import Calibration, Thresholds
from cxr.preprocess import from_eight_bits
from training.architectures import assemble
from training.calibration import calibrate
from training.companion import Companion, joined
from training.data import Prepared
from training.device import in_float32
from training.distribute import on_all_devices
from training.files import read_arrays, write_arrays
from training.finder import taught_finder
from training.loop import Trained, train
from training.recipe import Recipe

Rows = NDArray[np.int64]
_BATCH = 64


def train_members(
    prepared: Prepared,
    recipe: Recipe,
    rows: tuple[Rows, Rows],
    seed: int,
    folder: Path,
    callbacks: Sequence[keras.callbacks.Callback] = (),
    companions: Mapping[float, Sequence[Companion]] | None = None,
) -> list[Trained]:
    """Every member of the recipe, each resumed where an earlier call was cut off.

    Args:
        rows: those to train on, and those whose loss chooses the epoch.
        callbacks: more of them, in every stage of every member.
        companions: films that join in, for each share that a stage names.
    """
    finder = None
    if recipe.centred and prepared.lungs is not None:
        finder = taught_finder(prepared.images, prepared.lungs, rows, seed, folder)
    with on_all_devices() as devices:
        return [
            _train_one(
                prepared,
                recipe,
                rows,
                seed + number,
                folder / f"member{number + 1}",
                callbacks,
                devices,
                finder,
                companions or {},
            )
            for number in range(recipe.members)
        ]


def _train_one(
    prepared: Prepared,
    recipe: Recipe,
    rows: tuple[Rows, Rows],
    seed: int,
    folder: Path,
    callbacks: Sequence[keras.callbacks.Callback],
    devices: int,
    finder: Sequence[NDArray[np.float32]] | None,
    companions: Mapping[float, Sequence[Companion]],
) -> Trained:
    """All stages, one after the other; the epochs are counted through."""
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
        joins = companions.get(stage.companions, ())
        images, labels, lungs, seen = joined(prepared, rows[0], joins)
        trained = train(
            images,
            labels,
            seen,
            rows[1],
            prepared.infected,
            recipe,
            stage,
            seed,
            place,
            verbose,
            before.model if before else None,
            callbacks,
            devices,
            lungs,
            finder,
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
        test: float64, shape (n, classes), calibrated probabilities.
        thresholds: chosen, like the calibration, on the validation rows.
        fit_seconds, predict_seconds: the latter for all test films together.
        parameters: weights of the exported model.
    """

    test: NDArray[np.float64]
    thresholds: Thresholds
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
        low, high, fit_seconds, predict_seconds, parameters, epochs = found["facts"].tolist()
        return Trial(
            found["test"],
            Thresholds(low, high),
            fit_seconds,
            predict_seconds,
            int(parameters),
            int(epochs),
        )
    members = train_members(prepared, recipe, rows[:2], seed, folder)
    with in_float32():
        model, calibration, thresholds = calibrated(prepared, recipe, members, rows[1], seed)
        began = time.perf_counter()
        test = calibration.apply(predict(model, prepared.images, rows[2]))
        seconds = time.perf_counter() - began
    trial = Trial(
        test,
        thresholds,
        sum(member.seconds for member in members),
        seconds,
        model.count_params(),
        sum(member.epochs for member in members),
    )
    facts = [
        thresholds.rule_out,
        thresholds.rule_in,
        trial.fit_seconds,
        seconds,
        trial.parameters,
        trial.epochs,
    ]
    write_arrays(done, test=test, facts=np.array(facts, np.float64))
    return trial


def calibrated(
    prepared: Prepared, recipe: Recipe, members: Sequence[Trained], validation: Rows, seed: int
) -> tuple[keras.Model, Calibration, Thresholds]:
    """The model that is exported, its calibration and its operating points.

    Call it in float32, whatever the members were trained in.
    """
    model = assemble([member.model for member in members], recipe.network)
    calibration, thresholds = calibrate(
        lambda films: predict(model, films),
        from_eight_bits(prepared.images[validation][..., np.newaxis]),
        prepared.labels[validation],
        prepared.infected,
        recipe,
        seed,
    )
    return model, calibration, thresholds


def predict(
    model: keras.Model, films: NDArray[Any], rows: Rows | None = None
) -> NDArray[np.float64]:
    """Probabilities, a batch at a time: shape (n, classes).

    Args:
        films: model inputs, or uint8 images of which ``rows`` are taken.
    """
    answers = []
    for start in range(0, len(films if rows is None else rows), _BATCH):
        part = slice(start, start + _BATCH)
        if rows is None:
            inputs = films[part]
        else:
            inputs = from_eight_bits(films[rows[part]][..., np.newaxis])
        answers.append(model.predict_on_batch(inputs))
    return np.concatenate(answers).astype(np.float64)
