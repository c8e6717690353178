"""A learning rate that falls when training stalls, and a person who may be asked.

Accuracy on the training films steers first; once that is high, validation loss does. At a
terminal the person in front of it is asked now and then whether to go on. Where nobody sits
(a batch job, a container, a test) nothing is ever asked.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras

from training.files import write_json

#: Accuracy on training films from which validation loss steers instead.
HIGH_ACCURACY = 0.9
FACTOR = 0.5
#: Epochs without progress after which the rate falls.
PATIENCE = 2
#: After this many epochs the person is asked for the first time.
FIRST_QUESTION = 10


class AdaptiveRate(keras.callbacks.Callback):  # type: ignore[misc]
    """Lowers a constant learning rate, and asks a person at a terminal.

    Its state lies in ``folder``, so a resumed training has the rate that it was cut off with.

    Args:
        epochs: those planned.
        ask: reads one answer; None asks at a terminal, and nobody where there is none.
    """

    def __init__(self, folder: Path, epochs: int, ask: Callable[[str], str] | None = None) -> None:
        super().__init__()
        self.path = folder / "adaptive.json"
        self.epochs = epochs
        interactive = sys.stdin is not None and sys.stdin.isatty() and sys.stdout.isatty()
        self.ask = ask or (input if interactive else None)
        self.state: dict[str, Any] = {
            "rate": None,
            "accuracy": 0.0,
            "loss": float("inf"),
            "stalled": 0,
            "question": FIRST_QUESTION,
        }

    def on_train_begin(self, logs: Any = None) -> None:
        if self.path.exists():
            self.state = json.loads(self.path.read_text())
            self.model.optimizer.learning_rate.assign(self.state["rate"])

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        assert logs is not None
        state = self.state
        progressed = self._progressed(logs["accuracy"], logs["val_loss"])
        state["stalled"] = 0 if progressed else state["stalled"] + 1
        rate = float(keras.ops.convert_to_numpy(self.model.optimizer.learning_rate))
        if state["stalled"] >= PATIENCE:
            rate, state["stalled"] = rate * FACTOR, 0
            self.model.optimizer.learning_rate.assign(rate)
            print(f"No progress for {PATIENCE} epochs: the learning rate falls to {rate:.2g}.")
        state["rate"] = rate
        if self.ask and epoch + 1 == state["question"] < self.epochs:
            self._question(epoch + 1)
        write_json(self.path, state)

    def _progressed(self, accuracy: float, validation_loss: float) -> bool:
        """Whether what steers now has got better; both records are kept."""
        state = self.state
        steering = accuracy > state["accuracy"]
        if accuracy >= HIGH_ACCURACY:
            steering = validation_loss < state["loss"]
        state["accuracy"] = max(state["accuracy"], accuracy)
        state["loss"] = min(state["loss"], validation_loss)
        return steering

    def _question(self, epoch: int) -> None:
        assert self.ask is not None
        words = (
            f"Epoch {epoch} of at most {self.epochs}. Enter: go on to the end; a number: ask again "
            "after so many epochs; s: stop and take the best epoch so far: "
        )
        while True:
            try:
                answer = self.ask(words).strip().lower()
            except EOFError:  # the terminal went away: go on
                answer = ""
            if answer in ("s", "stop"):
                self.model.stop_training = True
                self.state["question"] = None
                return
            if not answer:
                self.state["question"] = None
                return
            if answer.isdecimal() and int(answer) > 0:
                self.state["question"] = epoch + int(answer)
                return
