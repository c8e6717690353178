"""Every command hands all that it was told, and nothing else, to the function that does it."""

from __future__ import annotations

import importlib
import re
from dataclasses import replace
from pathlib import Path

import pytest

from training.__main__ import main

EVERYTHING = {
    "fit": (
        "fit adult --data films.zip --out models/mine --runs r --cache c --seed 3 --epochs 2 "
        "--version 2.0.0 --precision float32 --weights none --no-augmentation --masks --fresh "
        "--companion more.zip --normals well.zip --population Adults --ages 18-",
        "training.fit.FitOptions",
        {
            "recipe": "adult",
            "data": Path("films.zip"),
            "out": Path("models/mine"),
            "runs": Path("r"),
            "cache": Path("c"),
            "seed": 3,
            "epochs": 2,
            "version": "2.0.0",
            "precision": "float32",
            "weights": "none",
            "augmentation": False,
            "masks": True,
            "fresh": True,
            "companion": Path("more.zip"),
            "normals": Path("well.zip"),
            "population": "Adults",
            "ages": (18, 120),
        },
    ),
    "evaluate": (
        "evaluate models/mine --data films.zip --split all --json --predictions p.csv --cache c",
        "training.evaluate.EvaluateOptions",
        {
            "bundle": Path("models/mine"),
            "data": Path("films.zip"),
            "cache": Path("c"),
            "split": "all",
            "predictions": Path("p.csv"),
            "as_json": True,
        },
    ),
    "calibrate": (
        "calibrate models/mine --data ours --out models/here --cache c --seed 3 --version 2.0.0 "
        "--prevalence 0.2",
        "training.recalibrate.CalibrateOptions",
        {
            "bundle": Path("models/mine"),
            "data": Path("ours"),
            "out": Path("models/here"),
            "prevalence": 0.2,
            "cache": Path("c"),
            "seed": 3,
            "version": "2.0.0",
        },
    ),
    "gate": (
        "gate --data zips --out models/gate --cache c --seed 3 --version 2.0.0",
        "training.gate.run.GateOptions",
        {
            "data": Path("zips"),
            "out": Path("models/gate"),
            "cache": Path("c"),
            "seed": 3,
            "version": "2.0.0",
        },
    ),
    "audit": (
        "audit models/mine --data films.zip --external nih.zip --lung-masks masks.zip "
        "--normals well.zip --also models/second models/third --out o --films 50 --seed 3 --json "
        "--cache c",
        "training.audit.run.AuditOptions",
        {
            "bundle": Path("models/mine"),
            "data": Path("films.zip"),
            "cache": Path("c"),
            "external": Path("nih.zip"),
            "lung_masks": Path("masks.zip"),
            "normals": Path("well.zip"),
            "also": (Path("models/second"), Path("models/third")),
            "out": Path("o"),
            "films": 50,
            "seed": 3,
            "as_json": True,
        },
    ),
    "explore": (
        "explore --data films.zip --runs r --cache c --seed 3 --size 64",
        "training.explore.ExploreOptions",
        {
            "data": Path("films.zip"),
            "runs": Path("r"),
            "cache": Path("c"),
            "size": 64,
            "seed": 3,
        },
    ),
    "crossvalidate": (
        "crossvalidate adult --data films.zip --runs r --cache c --seed 3 --folds 4 "
        "--include-test --epochs 2 --precision float32 --fresh",
        "training.crossvalidate.CrossvalidateOptions",
        {
            "recipe": "adult",
            "data": Path("films.zip"),
            "runs": Path("r"),
            "cache": Path("c"),
            "seed": 3,
            "folds": 4,
            "epochs": 2,
            "precision": "float32",
            "include_test": True,
            "fresh": True,
        },
    ),
    "tune": (
        "tune adult --data films.zip --runs r --cache c --seed 3 --trials 7 --epochs 2 "
        "--precision float32 --fresh",
        "training.tune.TuneOptions",
        {
            "recipe": "adult",
            "data": Path("films.zip"),
            "runs": Path("r"),
            "cache": Path("c"),
            "seed": 3,
            "trials": 7,
            "epochs": 2,
            "precision": "float32",
            "fresh": True,
        },
    ),
    "compare": (
        "compare --data films.zip --runs r --cache c --seed 3 --recipes adult rgb156 "
        "--models models/mine --baselines knn-hog --sensitivity adult --against adult "
        "--epochs 2 --precision float32 --fresh",
        "training.compare.CompareOptions",
        {
            "data": Path("films.zip"),
            "runs": Path("r"),
            "cache": Path("c"),
            "seed": 3,
            "recipes": ("adult", "rgb156"),
            "models": (Path("models/mine"),),
            "baselines": ("knn-hog",),
            "against": "adult",
            "sensitivity": ("adult",),
            "epochs": 2,
            "precision": "float32",
            "fresh": True,
        },
    ),
    "report": (
        "report runs/one --data films.zip --cache c --out page.html --split train",
        "training.report.ReportOptions",
        {
            "run": Path("runs/one"),
            "data": Path("films.zip"),
            "cache": Path("c"),
            "out": Path("page.html"),
            "split": "train",
        },
    ),
    "results": (
        "results --data zips --out o --page p.md --cache c --only rgb156 hog_cnn --epochs 2 "
        "--precision float32 --write-only",
        "training.results.ResultsOptions",
        {
            "data": Path("zips"),
            "out": Path("o"),
            "page": Path("p.md"),
            "cache": Path("c"),
            "only": ("rgb156", "hog_cnn"),
            "epochs": 2,
            "precision": "float32",
            "write_only": True,
        },
    ),
}

PLACES = {"runs": Path("runs"), "cache": Path("cache")}
ONLY_WHAT_IS_NEEDED = {
    "fit": ("fit adult --data d --out o", {"recipe": "adult", "out": Path("o"), **PLACES}),
    "evaluate": ("evaluate b --data d", {"bundle": Path("b"), "cache": Path("cache")}),
    "calibrate": (
        "calibrate b --data d --out o",
        {"bundle": Path("b"), "out": Path("o"), "cache": Path("cache")},
    ),
    "gate": ("gate --data d --out o", {"out": Path("o"), "cache": Path("cache")}),
    "audit": ("audit b --data d", {"bundle": Path("b"), "cache": Path("cache")}),
    "explore": ("explore --data d", PLACES),
    "crossvalidate": ("crossvalidate adult --data d", {"recipe": "adult", **PLACES}),
    "tune": ("tune adult --data d", {"recipe": "adult", **PLACES}),
    "compare": ("compare --data d", PLACES),
    "report": ("report r --data d", {"run": Path("r"), "cache": Path("cache")}),
    "results": (
        "results --data d",
        {"out": Path("runs/results"), "page": Path("docs/results.md"), "cache": Path("cache")},
    ),
}


@pytest.fixture
def carried_out(monkeypatch):
    """Command line and path of its options' class → the options, and that class."""

    def carry_out(name, line, path):
        module_name, kind = path.rsplit(".", 1)
        module = importlib.import_module(module_name)
        got = []
        monkeypatch.setattr(module, name, got.append)
        assert main(line.split()) == 0
        assert len(got) == 1
        return got[0], getattr(module, kind)

    return carry_out


@pytest.mark.parametrize("name", EVERYTHING)
def test_a_command_hands_over_all_that_it_is_told(carried_out, name):
    line, path, fields = EVERYTHING[name]
    options, kind = carried_out(name, line, path)
    assert options == kind(**fields)


@pytest.mark.parametrize("name", EVERYTHING)
def test_no_option_is_missing_above(name, capsys):
    with pytest.raises(SystemExit):
        main([name, "--help"])
    options = set(re.findall(r"(?<!\w)--[a-z-]+", capsys.readouterr().out)) - {"--help"}
    assert options == {word for word in EVERYTHING[name][0].split() if word.startswith("--")}


@pytest.mark.parametrize("name", ONLY_WHAT_IS_NEEDED)
def test_what_is_not_said_is_the_default(carried_out, name):
    line, fields = ONLY_WHAT_IS_NEEDED[name]
    options, kind = carried_out(name, line, EVERYTHING[name][1])
    assert options == kind(data=Path("d"), **fields)


@pytest.mark.parametrize("command", ["export-lean", "card"])
def test_commands_on_bundles_want_at_least_one(command, capsys):
    with pytest.raises(SystemExit):
        main([command])
    assert "models/NAME" in capsys.readouterr().err


@pytest.mark.parametrize("ages", ["adults", "18", "5-1", "-5", "0-121"])
def test_ages_that_are_no_range_are_refused(ages: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["fit", "adult", "--data", "d", "--out", "o", f"--ages={ages}"])
    assert ended.value.code == 2
    assert "ages in years are wanted, as 1-5 or 18-" in capsys.readouterr().err


def test_whom_own_folders_show_is_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    from training.fit import FitOptions, _say_whether_ages_are_known

    place = Path("d")
    options = FitOptions("adult", place, place, place, place)
    _say_whether_ages_are_known(options, "kermany-chest-xray")
    _say_whether_ages_are_known(replace(options, ages=(18, 120)), "folders")
    assert not capsys.readouterr().out
    _say_whether_ages_are_known(options, "folders")
    assert "--ages 18-" in capsys.readouterr().out


def test_an_interrupted_gate_does_not_promise_to_go_on(monkeypatch, capsys):
    import training.gate.run as module

    def interrupted(options):
        raise KeyboardInterrupt

    monkeypatch.setattr(module, "gate", interrupted)
    assert main(["gate", "--data", "films", "--out", "models/gate"]) == 130
    told = capsys.readouterr().err
    assert "to go on" not in told
    assert "trains from the start" in told
