"""The learning rate that falls when training stalls, and the question at a terminal."""

from __future__ import annotations

import sys
from pathlib import Path

import keras
import numpy as np
import pytest

from training.adaptive import FACTOR, FIRST_QUESTION, PATIENCE, AdaptiveRate


def _attached(folder: Path, rate: float = 0.1, **options) -> AdaptiveRate:
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    model.compile(keras.optimizers.Adamax(rate), "mse")
    callback = AdaptiveRate(folder, epochs=40, **options)
    callback.set_model(model)
    callback.on_train_begin()
    return callback


def _rate(callback: AdaptiveRate) -> float:
    return float(np.asarray(callback.model.optimizer.learning_rate))


def _go(callback: AdaptiveRate, epochs: range, accuracy=0.5, loss=1.0) -> None:
    for epoch in epochs:
        callback.on_epoch_end(epoch, {"accuracy": accuracy, "val_loss": loss})


def test_accuracy_steers_while_it_is_low(tmp_path):
    callback = _attached(tmp_path)
    for epoch in range(5):  # accuracy climbs; the validation loss does not fall
        callback.on_epoch_end(epoch, {"accuracy": 0.1 * epoch + 0.1, "val_loss": 2.0})
    assert _rate(callback) == pytest.approx(0.1)
    _go(callback, range(5, 5 + PATIENCE), accuracy=0.2, loss=0.1)
    assert _rate(callback) == pytest.approx(0.1 * FACTOR)


def test_validation_loss_steers_once_accuracy_is_high(tmp_path, capsys):
    callback = _attached(tmp_path)
    for epoch in range(5):
        callback.on_epoch_end(epoch, {"accuracy": 0.95, "val_loss": 1.0 / (epoch + 1)})
    assert _rate(callback) == pytest.approx(0.1)
    for epoch in range(5, 5 + PATIENCE):  # accuracy still climbs, which no longer counts
        callback.on_epoch_end(epoch, {"accuracy": 0.95 + epoch / 1000, "val_loss": 1.0})
    assert _rate(callback) == pytest.approx(0.1 * FACTOR)
    assert "falls" in capsys.readouterr().out


def test_a_resumed_training_keeps_the_rate_and_the_records(tmp_path):
    callback = _attached(tmp_path)
    _go(callback, range(1 + 2 * PATIENCE))
    lowered = _rate(callback)
    assert lowered < 0.1
    assert _rate(_attached(tmp_path)) == pytest.approx(lowered)
    again = _attached(tmp_path)
    again.on_epoch_end(9, {"accuracy": 0.4, "val_loss": 3.0})
    assert again.state["accuracy"] == 0.5


def test_nobody_is_asked_where_there_is_no_terminal(tmp_path, monkeypatch):
    monkeypatch.setattr(sys.stdin, "isatty", lambda: False, raising=False)
    callback = _attached(tmp_path)
    assert callback.ask is None
    _go(callback, range(30))


@pytest.mark.parametrize(
    ("answers", "asked", "stopped"),
    [([""], 1, False), (["s"], 1, True), (["nonsense", "5", "stop"], 3, True)],
)
def test_a_person_may_go_on_stop_or_be_asked_again(tmp_path, answers, asked, stopped):
    given = iter(answers)
    questions = []

    def ask(words: str) -> str:
        questions.append(words)
        return next(given)

    callback = _attached(tmp_path, ask=ask)
    callback.model.stop_training = False
    _go(callback, range(FIRST_QUESTION - 1))
    assert questions == []
    _go(callback, range(FIRST_QUESTION - 1, 30))
    assert len(questions) == asked
    assert callback.model.stop_training == stopped


def test_a_terminal_that_goes_away_does_not_stop_the_training(tmp_path):
    def gone(words: str) -> str:
        raise EOFError

    callback = _attached(tmp_path, ask=gone)
    callback.model.stop_training = False
    _go(callback, range(30))
    assert not callback.model.stop_training
