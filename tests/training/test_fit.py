"""The whole training line, on phantoms: fit, interrupt, resume, export, evaluate."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import pytest

from cxr.bundle import load_bundle
from cxr.errors import BundleError
from tests.training.tiny import TINY
from training import checkpoint
from training.__main__ import main
from training.augment import NO_AUGMENTATION
from training.device import Device
from training.errors import TrainingError
from training.loop import train
from training.recipe import Stage, load_recipe, recipe_names
from training.run import start_run

ROOT = Path(__file__).parents[2]
INFECTED = np.array([False, True])
STAGE = TINY.stages[0]
#: The best epoch may lie before an interruption, and would come out alike whatever followed.
LAST = replace(TINY, keep="last")
#: Augmentation takes as long to trace as the network; only one test is about its state.
PLAIN = replace(STAGE, augmentation=NO_AUGMENTATION)


def test_fit_exports_a_bundle_that_evaluate_confirms(data, fitted, tmp_path, capsys):
    out = Path(shutil.copytree(fitted / "models" / "there", tmp_path / "there"))
    document = json.loads((out / "bundle.json").read_text())
    assert [c["id"] for c in document["classes"]] == [
        "normal",
        "bacterial_pneumonia",
        "viral_pneumonia",
    ]
    said = document["population"]
    assert (said["label"], said["min_age_years"], said["max_age_years"]) == (
        "Children of ours",
        0,
        17,
    )
    assert document["metrics"]["test"]["films"] == 15
    assert load_bundle(out, "lean").replay_probes() < 1e-4
    assert "Research use only" in (out / "CARD.md").read_text()
    (run,) = (fitted / "runs").glob("*/run.json")
    assert json.loads(run.read_text())["finished"]
    assert {"manifest.csv", "corrupt.csv", "near_duplicates.csv"} <= {
        path.name for path in run.parent.iterdir()
    }

    capsys.readouterr()
    predictions = tmp_path / "predictions.csv"
    assert (
        main(
            ["evaluate", str(out), "--data", str(data), "--json", "--cache"]
            + [str(fitted / "cache"), "--predictions", str(predictions)]
        )
        == 0
    )
    confirmed = json.loads(capsys.readouterr().out)
    exported = document["metrics"]["test"]["figures"]
    for name in ("accuracy", "auc", "class_accuracy"):
        assert confirmed["figures"][name]["value"] == pytest.approx(exported[name]["value"])
    assert len(predictions.read_text().splitlines()) == 16

    # A bundle whose weights, document or probes were exchanged does not load.
    (out / "bundle.json").write_text(
        json.dumps({**document, "calibration": {"temperature": 9.0, "bias": [0, 1, 0]}})
    )
    with pytest.raises(BundleError, match=r"probes\.npz"):
        load_bundle(out)
    with (out / "model.keras").open("ab") as file:
        file.write(b"x")
    with pytest.raises(BundleError, match=r"model\.keras"):
        load_bundle(out)


def test_a_killed_training_goes_on_and_ends_where_an_uninterrupted_one_does(tmp_path):
    # Four batches: of fewer, two in another order come to the same.
    images = np.random.default_rng(0).integers(0, 256, (40, 64, 64), np.uint8)
    rest = (np.arange(40) % 2, np.arange(32), np.arange(32, 40), INFECTED)

    def run(folder: Path) -> list[np.ndarray]:
        trained = train(images, *rest, LAST, STAGE, 0, folder, verbose=0)
        return trained.model.get_weights()

    whole = run(tmp_path / "whole")
    program = (
        "import os, sys, numpy as np, pathlib, keras\n"
        "from tests.training import test_fit as t\n"
        "from training import loop\n"
        "class Kill(loop.Checkpoint):\n"
        "    def on_epoch_end(self, epoch, logs=None):\n"
        "        super().on_epoch_end(epoch, logs)\n"
        "        if epoch == 0: os.kill(os.getpid(), 9)\n"
        "loop.Checkpoint = Kill\n"
        "images = np.random.default_rng(0).integers(0, 256, (40, 64, 64), np.uint8)\n"
        "loop.train(images, np.arange(40) % 2, np.arange(32), np.arange(32, 40),\n"
        "           t.INFECTED, t.LAST, t.STAGE, 0, pathlib.Path(sys.argv[1]), verbose=0)\n"
    )
    killed = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path / "cut")], cwd=ROOT, capture_output=True
    )
    assert killed.returncode == -9, killed.stderr.decode()
    assert json.loads((tmp_path / "cut" / "state.json").read_text())["epoch"] == 1

    resumed = run(tmp_path / "cut")
    state = json.loads((tmp_path / "cut" / "state.json").read_text())
    assert state["epoch"] == STAGE.epochs
    for first, second in zip(whole, resumed, strict=True):
        np.testing.assert_allclose(first, second, atol=1e-5)


def test_a_training_that_was_killed_between_two_files_goes_through_no_epoch_twice(
    tmp_path, monkeypatch
):
    images = np.random.default_rng(0).integers(0, 256, (24, 64, 64), np.uint8)
    rest = (np.arange(24) % 2, np.arange(16), np.arange(16, 24), INFECTED)

    def run(folder: Path, stage: Stage = PLAIN) -> list[np.ndarray]:
        trained = train(images, *rest, LAST, stage, 0, folder, verbose=0)
        return trained.model.get_weights()

    written = checkpoint.write_json

    def cut(path, document):
        if document["epoch"] == 2:
            raise KeyboardInterrupt
        written(path, document)

    monkeypatch.setattr(checkpoint, "write_json", cut)
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "cut")
    monkeypatch.undo()
    for first, second in zip(run(tmp_path / "whole"), run(tmp_path / "cut"), strict=True):
        np.testing.assert_allclose(first, second, atol=1e-5)
    # What was saved in another precision has other variables.
    keras.mixed_precision.set_global_policy("mixed_float16")
    with pytest.raises(TrainingError, match="optimizer or precision"):
        run(tmp_path / "cut", replace(PLAIN, epochs=PLAIN.epochs + 1))


def test_a_run_is_gone_on_with_in_the_precision_in_which_it_was_begun(tmp_path, capsys):
    device = Device("tensorflow", "CPU", "float32")
    same, facts = {"seed": 0}, {"data": "films"}
    begun = start_run("one", tmp_path, same, facts, device=device)
    assert start_run("one", tmp_path, same, facts, device=device).folder == begun.folder
    for other in (replace(device, precision="mixed_float16"), replace(device, backend="jax")):
        with pytest.raises(TrainingError, match="was begun in float32"):
            start_run("one", tmp_path, same, facts, device=other)
        assert start_run("one", tmp_path, same, facts, device=other, fresh=True).folder.exists()
        shutil.rmtree(max(tmp_path.iterdir()))


def test_a_run_in_which_another_process_is_at_work_is_left_to_it(tmp_path):
    run = start_run("one", tmp_path, {"seed": 0}, {})
    there = (
        "import sys; from pathlib import Path; from training import run\n"
        "run.library_versions = dict\n"  # without it nothing starts TensorFlow
        "run.start_run('one', Path(sys.argv[1]), {'seed': 0}, {}, fresh=len(sys.argv) > 2)"
    )

    def elsewhere(*more: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-c", there, str(tmp_path), *more]
        return subprocess.run(command, capture_output=True, text=True)

    assert f"Another process is at work in {run.folder}" in elsewhere().stderr
    assert elsewhere("fresh").returncode == 0
    shutil.rmtree(max(tmp_path.iterdir()))


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("fit residual --precision foo --out o", "There is no precision 'foo'"),
        ("fit training/recipes/residual.py --out o", "no recipe 'training/recipes/residual.py'"),
        ("fit ../x --out o", "no recipe '../x'"),
        ("fit __init__ --out o", "no recipe '__init__'"),
        ("fit residual --out {file}/below", "cannot be written"),
        ("fit residual --out {file}", "it is a file"),
        ("calibrate b --out {file}/below", "cannot be written"),
        ("gate --out {file}/below", "cannot be written"),
        ("fit residual --seed -1 --out o", "from 0 to"),
        ("fit residual --seed 99999999999 --out o", "from 0 to"),
        ("crossvalidate residual --folds 1", "from 2"),
        ("crossvalidate residual --folds 0", "from 2"),
        ("explore --size 0", "from 32"),
        ("explore --size -5", "from 32"),
        ("compare-engines b --films 0", "from 1"),
    ],
)
def test_what_cannot_be_done_ends_in_a_sentence(line, said, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "file"
    file.touch()
    try:
        status = main([*line.format(file=file).split(), "--data", "nothing"])
    except SystemExit as ended:  # of argparse
        status = ended.code
    assert status in (1, 2)
    assert said in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == [file]


@pytest.mark.parametrize("backend", ["jax", "torch"])
def test_the_same_recipe_trains_on_other_backends(backend, tmp_path):
    if importlib.util.find_spec(backend) is None:
        pytest.skip(f"{backend} is not installed")
    program = (
        "import sys; sys.modules['tensorflow'] = None\n"  # as where it is not installed
        "import numpy as np, pathlib\n"
        "from tests.training import test_fit as t\n"
        "from training.loop import train\n"
        "from training.architectures import assemble\n"
        "images = np.random.default_rng(0).integers(0, 256, (24, 64, 64), np.uint8)\n"
        "done = train(images, np.arange(24) % 2, np.arange(16), np.arange(16, 24),\n"
        "             t.INFECTED, t.TINY, t.Stage(epochs=2), 0, pathlib.Path(sys.argv[1]),\n"
        "             verbose=0)\n"
        "assemble([done.model], t.TINY.network).save(sys.argv[1] + '/model.keras')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path)],
        cwd=ROOT,
        env={**os.environ, "KERAS_BACKEND": backend},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "model.keras").exists()


def test_unknown_recipe_and_missing_data_end_in_a_sentence(tmp_path, capsys):
    out = ["--out", str(tmp_path / "model")]
    assert main(["fit", "nonsense", "--data", str(tmp_path), *out]) == 1
    assert f"Those there are: {', '.join(recipe_names())}." in capsys.readouterr().err
    assert {"adult", "residual"} <= set(recipe_names())
    assert main(["fit", "residual", "--data", str(tmp_path / "no.zip"), *out]) == 1
    message = capsys.readouterr().err
    assert message.startswith("error: ")
    assert "Traceback" not in message
    assert not (tmp_path / "model").exists()


def test_help_teaches(capsys):
    for command in (["--help"], ["fit", "--help"], ["evaluate", "--help"]):
        with pytest.raises(SystemExit) as ended:
            main(command)
        assert ended.value.code == 0
        assert len(capsys.readouterr().out) > 400


def test_a_stage_starts_from_the_weights_of_the_one_before(tmp_path):
    images = np.random.default_rng(0).integers(0, 256, (24, 64, 64), np.uint8)
    rest = (np.arange(24) % 2, np.arange(16), np.arange(16, 24), INFECTED)
    half = replace(PLAIN, epochs=2, size=32)
    small = train(images, *rest, TINY, half, 0, tmp_path / "small", verbose=0)
    assert small.model.input_shape == (None, 32, 32, 1)
    still = replace(PLAIN, epochs=1, learning_rate=0.0)
    whole = train(images, *rest, TINY, still, 0, tmp_path / "whole", verbose=0, start=small.model)
    assert whole.model.input_shape == (None, 64, 64, 1)
    for before, after in zip(small.model.get_weights(), whole.model.get_weights(), strict=True):
        np.testing.assert_array_equal(before, after)


def test_the_last_weights_are_kept_where_the_recipe_asks_for_them(tmp_path):
    labels = np.arange(24) % 2
    images = np.repeat(90 + 70 * labels, 64 * 64).reshape(24, 64, 64).astype(np.uint8)
    labels[16:] = 1 - labels[16:]  # the better it learns, the worse it is at these
    rest = (labels, np.arange(16), np.arange(16, 24), INFECTED)
    impatient = replace(TINY, patience=1, optimizer="adamw")
    stage = Stage(4, learning_rate=1e-2, warmup_epochs=0.0)
    best = train(images, *rest, impatient, stage, 0, tmp_path / "best", verbose=0)
    keeping = replace(impatient, keep="last")
    last = train(images, *rest, keeping, stage, 0, tmp_path / "last", verbose=0)
    assert best.best_epoch == best.epochs - 1  # it waited for one epoch
    assert last.best_epoch == last.epochs == stage.epochs
    again = train(images, *rest, keeping, stage, 0, tmp_path / "last", verbose=0)
    for first, second in zip(last.model.get_weights(), again.model.get_weights(), strict=True):
        np.testing.assert_array_equal(first, second)
    with pytest.raises(ValueError, match="'median'"):
        replace(TINY, keep="median")


@pytest.mark.parametrize("keep", ["best", "last"])
def test_a_training_that_diverges_at_once_ends_in_a_sentence(keep, tmp_path):
    images = np.random.default_rng(0).integers(0, 256, (24, 64, 64), np.uint8)
    wild = replace(TINY, keep=keep, optimizer="adamw", gradient_clip=0.0)
    stage = replace(PLAIN, epochs=2, learning_rate=1e30, warmup_epochs=0.0)
    rest = (np.arange(24) % 2, np.arange(16), np.arange(16, 24), INFECTED)
    with pytest.raises(TrainingError, match="diverged in its first epoch"):
        train(images, *rest, wild, stage, 0, tmp_path, verbose=0)


def test_recipes_load():
    assert load_recipe("residual").members >= 1
    stages = load_recipe("residual", epochs=7).stages
    assert {stage.epochs for stage in stages} == {7}
    assert len(stages) == len(load_recipe("residual").stages)


def test_a_recipe_must_end_at_the_size_of_its_input():
    with pytest.raises(ValueError, match="size of the input"):
        replace(TINY, stages=(Stage(size=32),))
    with pytest.raises(ValueError, match="size of the input"):
        replace(TINY, stages=())
