"""Cross-validation: every film judged once, by a network that never saw its patient."""

from __future__ import annotations

import csv
import json

import numpy as np
import pytest

from tests.training.tiny import TINY
from training import crossvalidate as module
from training.__main__ import main
from training.crossvalidate import fold_rows
from training.errors import DataError
from training.prepared import merge_infected, prepare_for


def test_folds_keep_patients_whole_and_judge_every_film_once(data, tmp_path):
    prepared = prepare_for(TINY, data, tmp_path, 0)
    pool = np.concatenate([prepared.indices("train"), prepared.indices("validation")])
    judged = []
    for train, validation, held_out in fold_rows(prepared, np.sort(pool), 4, 0):
        sides = [set(prepared.groups[rows]) for rows in (train, validation, held_out)]
        assert not sides[0] & sides[1]
        assert not sides[2] & (sides[0] | sides[1])
        for rows in (train, validation, held_out):
            assert set(prepared.labels[rows]) == {0, 1, 2}
        judged += held_out.tolist()
    assert sorted(judged) == sorted(pool.tolist())


def test_too_many_folds_are_refused(data, tmp_path):
    prepared = prepare_for(TINY, data, tmp_path, 0)
    with pytest.raises(DataError, match="Take fewer folds"):
        next(fold_rows(prepared, prepared.indices("train"), 30, 0))


def test_infected_classes_are_merged(data, tmp_path):
    prepared = prepare_for(TINY, data, tmp_path, 0)
    merged = merge_infected(prepared)
    assert [finding.id for finding in merged.dataset.classes] == ["normal", "infected"]
    np.testing.assert_array_equal(merged.labels, prepared.labels > 0)
    assert {record.class_id for record in merged.dataset.records} == {"normal", "infected"}
    assert merged.dataset.sha256 != prepared.dataset.sha256


@pytest.mark.usefixtures("quick_recipe")
def test_a_cut_off_run_goes_on_with_the_next_fold(data, tmp_path, monkeypatch, capsys):
    places = ["--runs", str(tmp_path / "runs"), "--cache", str(tmp_path / "cache")]
    command = ["crossvalidate", "residual", "--data", str(data), "--folds", "3", "--epochs", "1"]
    command += ["--precision", "float32", *places]
    trained = []
    run_trial = module.run_trial

    def interrupted_in_the_second(prepared, recipe, rows, seed, folder):
        if folder.name == "fold2" and "cut" not in trained:
            trained.append("cut")
            raise KeyboardInterrupt
        if not (folder / "trial.npz").exists():
            trained.append(folder.name)
        return run_trial(prepared, recipe, rows, seed, folder)

    monkeypatch.setattr(module, "run_trial", interrupted_in_the_second)
    assert main(command) == 130
    assert main(command) == 0
    assert trained == ["fold1", "cut", "fold2", "fold3"]
    assert "Going on with" in capsys.readouterr().out

    (run,) = (tmp_path / "runs").glob("crossvalidate-residual-*")
    with (run / "out_of_fold.csv").open(newline="") as file:
        answers = list(csv.DictReader(file))
    assert len(answers) == 60  # the official test films stay out
    assert {answer["fold"] for answer in answers} == {"1", "2", "3"}
    for answer in answers:
        classes = ("Normal", "Bacterial pneumonia", "Viral pneumonia")
        assert sum(float(answer[name]) for name in classes) == pytest.approx(1, abs=1e-5)
    summary = json.loads((run / "summary.json").read_text())
    with (run / "folds.csv").open(newline="") as file:
        folds = [float(row["auc"]) for row in csv.DictReader(file)]
    assert summary["auc"]["mean"] == pytest.approx(np.mean(folds), abs=1e-5)
    assert summary["auc"]["sd"] == pytest.approx(np.std(folds, ddof=1), abs=1e-5)
    assert json.loads((run / "run.json").read_text())["device"]
    assert "out of fold" in (run / "index.html").read_text()
