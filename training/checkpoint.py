"""The state of a training on the disk: written after every epoch, read to go on."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np

from training.errors import TrainingError
from training.files import write_json
from training.recipe import Recipe


class Checkpoint(keras.callbacks.Callback):  # type: ignore[misc]
    """Writes the last and the best state after every epoch, each by an atomic rename.

    The epoch lies in ``last.npz`` with the weights: what was killed between two files would
    otherwise go through an epoch again with the weights of after it. ``state.json`` is for people.
    """

    def __init__(self, folder: Path, recipe: Recipe) -> None:
        super().__init__()
        self.folder, self.recipe = folder, recipe
        self.state: dict[str, Any] = {"epoch": 0, "best": None, "best_epoch": 0, "seconds": 0.0}
        if (folder / "last.npz").exists():
            with np.load(folder / "last.npz") as arrays:
                if "state" in arrays:  # an earlier version's is not gone on with
                    self.state = json.loads(str(arrays["state"]))
        self.started = time.monotonic()

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self.started = time.monotonic()

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        assert logs is not None
        if not np.isfinite(logs["val_loss"]):
            return  # TerminateOnNaN ends the stage; what the epoch before left is kept
        state = self.state
        state["epoch"] = epoch + 1
        state["seconds"] += time.monotonic() - self.started
        if state["best"] is None or logs["val_loss"] < state["best"]:
            state["best"], state["best_epoch"] = float(logs["val_loss"]), epoch + 1
            self._save("best")
        self._save("last")
        write_json(self.folder / "state.json", state)
        if self.finished:
            self.model.stop_training = True

    @property
    def finished(self) -> bool:
        """Whether the validation loss has stood still for too long."""
        waited = self.state["epoch"] - self.state["best_epoch"]
        return self.recipe.keep == "best" and waited >= self.recipe.patience

    def _save(self, name: str) -> None:
        # The weights as plain arrays: Keras's own weights files leave out what subclasses of
        # its convolutions add, and the state of the random generators.
        groups = {"model": self.model.variables}
        if name == "last":
            groups["optimizer"] = self.model.optimizer.variables
        arrays = {
            f"{group}{number}": keras.ops.convert_to_numpy(variable)
            for group, variables in groups.items()
            for number, variable in enumerate(variables)
        }
        temporary = self.folder / f"{name}.partial.npz"
        np.savez(temporary, allow_pickle=False, state=np.array(json.dumps(self.state)), **arrays)
        os.replace(temporary, self.folder / f"{name}.npz")


def load_variables(path: Path, **groups: Sequence[keras.Variable]) -> None:
    """Assign what ``Checkpoint`` saved.

    Args:
        groups: ``model``, and of ``last.npz`` ``optimizer``: their variables.

    Raises:
        TrainingError: it holds others.
    """
    with np.load(path) as arrays:
        for group, variables in groups.items():
            saved = [arrays[name] for name in arrays.files if name.startswith(group)]
            if [one.shape for one in saved] != [tuple(one.shape) for one in variables]:
                raise TrainingError(
                    f"{path} is of another network, optimizer or precision: the training cannot "
                    "go on with it. Call it as it was begun, or start anew (--fresh)."
                )
            for variable, array in zip(variables, saved, strict=True):
                variable.assign(array)
