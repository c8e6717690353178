"""Search over a recipe's settings: within its bounds, resumable, on validation films alone."""

from __future__ import annotations

import csv
import json
import sqlite3
from pathlib import Path

import numpy as np
import optuna
import pytest
from optuna.exceptions import StorageInternalError

from tests.training.tiny import TINY
from training import tune as module
from training.__main__ import main
from training.errors import TrainingError
from training.recipe import load_recipe, load_search, recipe_names
from training.search import Choice, Range, apply, resolve, suggest


def test_a_search_space_sets_every_stage_and_leaves_the_rest():
    changed = apply(
        load_recipe("residual"), {"stages.augmentation.gamma": 0.1, "network.dropout": 0.0}
    )
    assert {stage.augmentation.gamma for stage in changed.stages} == {0.1}
    assert changed.network.dropout == 0.0
    assert changed.stages[0].epochs == load_recipe("residual").stages[0].epochs
    with pytest.raises(AttributeError, match="no setting 'depth'"):
        apply(TINY, {"network.depth": 3})


@pytest.mark.parametrize("name", recipe_names())
def test_every_shipped_search_space_fits_its_recipe(name):
    search = load_search(name)
    for one in search:
        values = (one.low, one.high) if isinstance(one, Range) else one.values
        for value in values:
            apply(load_recipe(name), {one.place: value})


def test_values_that_no_database_holds_survive():
    search = (Choice("network.widths", ((8, 8), (8, 16))), Range("weight_decay", 0.01, 0.1, True))
    study = optuna.create_study()
    trial = study.ask()
    values = suggest(search, trial)
    assert values["network.widths"] in ((8, 8), (8, 16))
    assert resolve(search, trial.params) == values
    assert apply(TINY, values).network.widths == values["network.widths"]


def test_a_recipe_without_a_search_space_says_how_to_add_one(monkeypatch):
    import training.recipes.residual as residual

    monkeypatch.delattr(residual, "SEARCH")
    with pytest.raises(TrainingError, match="SEARCH = "):
        load_search("residual")


@pytest.mark.usefixtures("quick_recipe")
def test_an_interrupted_search_goes_on_with_the_trial_that_was_cut_off(data, tmp_path, monkeypatch):
    command = ["tune", "residual", "--data", str(data), "--trials", "4", "--epochs", "2"]
    command += ["--precision", "float32", "--runs", str(tmp_path / "runs")]
    command += ["--cache", str(tmp_path / "cache")]
    reports = []

    class Interrupted(module._Report):
        def on_epoch_end(self, epoch, logs=None):
            reports.append(self.folder.name)
            if len(reports) == 3:  # the first epoch of the second trial
                raise KeyboardInterrupt
            super().on_epoch_end(epoch, logs)

    monkeypatch.setattr(module, "_Report", Interrupted)
    assert main(command) == 130
    (run,) = (tmp_path / "runs").glob("tune-residual-*")
    assert [path.name for path in (run / "trials").iterdir()] == [reports[-1]]

    assert main(command) == 0
    assert reports[3] == reports[2]  # the same settings, and from its second epoch on:
    assert reports.count(reports[2]) == 2
    assert not list((run / "trials").iterdir())

    with (run / "trials.csv").open(newline="") as file:
        trials = list(csv.DictReader(file))
    ended = [trial for trial in trials if trial["state"] in ("complete", "pruned")]
    assert len(ended) == 4
    best = json.loads((run / "best.json").read_text())
    assert best["log_loss"] == pytest.approx(
        min(float(trial["log_loss"]) for trial in ended if trial["state"] == "complete"), abs=1e-6
    )
    assert set(best["settings"]) == {one.place for one in load_search("residual")}
    assert (run / "history.png").exists()
    assert (run / "importance.png").exists() == (
        sum(trial["state"] == "complete" for trial in ended) >= 4
    )
    assert main([*command, "--trials", "4", "--fresh", "--trials", "0"]) == 1


def test_a_hopeless_trial_is_pruned_and_its_weights_removed(tmp_path, monkeypatch):
    study = optuna.create_study(pruner=optuna.pruners.ThresholdPruner(upper=0.5))

    def diverge(prepared, recipe, rows, seed, folder: Path, callbacks):
        place = folder / "member1" / "stage1"
        place.mkdir(parents=True)
        (place / "history.csv").write_text("epoch,val_log_loss\n0,0.9\n")
        callbacks[0].on_epoch_end(0, {})

    monkeypatch.setattr(module, "train_members", diverge)

    class Prepared:
        def indices(self, split):
            return np.arange(3)

    search = (Range("weight_decay", 0.01, 0.1),)
    study.optimize(
        lambda trial: module._objective(trial, TINY, search, Prepared(), 0, tmp_path), n_trials=1
    )
    assert study.trials[0].state == optuna.trial.TrialState.PRUNED
    assert study.trials[0].intermediate_values == {0: 0.9}
    assert not any((tmp_path / "trials").iterdir())


def _tune(data: Path, tmp_path: Path, trials: int) -> int:
    command = ["tune", "residual", "--data", str(data), "--trials", str(trials)]
    command += ["--precision", "float32", "--runs", str(tmp_path / "runs")]
    return main([*command, "--cache", str(tmp_path / "cache")])


@pytest.mark.usefixtures("quick_recipe")
def test_a_finished_search_goes_on_where_more_trials_are_asked_for(data, tmp_path, monkeypatch):
    tried = []

    def objective(trial, recipe, search, *_):
        tried.append(suggest(search, trial))
        return 0.5 / len(tried)

    monkeypatch.setattr(module, "_objective", objective)
    for trials in (2, 3, 3):
        assert _tune(data, tmp_path, trials) == 0
    (run,) = (tmp_path / "runs").iterdir()
    assert len(tried) == 3
    assert json.loads((run / "best.json").read_text())["trial"] == 2


@pytest.mark.usefixtures("quick_recipe")
@pytest.mark.parametrize("name", ["_objective", "_open_study"])
def test_a_full_disk_ends_a_search_with_a_sentence(name, data, tmp_path, monkeypatch, capsys):
    def full(*_):
        raise StorageInternalError from sqlite3.OperationalError("database or disk is full")

    monkeypatch.setattr(module, name, full)
    assert _tune(data, tmp_path, 2) == 1
    assert "study.db cannot be used: database or disk is full" in capsys.readouterr().err
