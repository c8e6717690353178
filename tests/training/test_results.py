"""The results page: written from measured pieces, each made once, none invented."""

from __future__ import annotations

import importlib
import json
import zipfile
from pathlib import Path

import numpy as np
import pytest

from tests.training.tiny import TINY
from training import results as module
from training import results_page
from training.__main__ import main
from training.layout import KERMANY_ZIP
from training.prepared import leaky_split, prepare_for
from training.recipe import load_recipe
from training.systems import SYSTEMS, System

RESULTS = Path(__file__).parents[2] / "docs" / "results.md"


@pytest.mark.parametrize("system", SYSTEMS, ids=lambda system: system.name)
def test_every_system_is_a_recipe_with_a_claim_or_a_reason(system):
    recipe = module.recipe_of(system, None)
    assert recipe.preprocess == load_recipe(system.recipe).preprocess
    assert system.claim or system.why
    assert len({one.name for one in SYSTEMS}) == len(SYSTEMS)


def test_a_leaky_split_tears_patients_apart_and_keeps_every_film(data, tmp_path):
    prepared = prepare_for(TINY, data, tmp_path, 0)
    leaky = leaky_split(prepared, 0)
    rows = [leaky.indices(split) for split in ("train", "validation", "test")]
    assert sorted(np.concatenate(rows).tolist()) == list(range(len(prepared.labels)))
    assert len(rows[2]) == round(0.1 * len(prepared.labels))
    official = set(prepared.indices("test").tolist())
    assert official & set(rows[0].tolist())


@pytest.mark.usefixtures("quick_recipe")
def test_pieces_are_made_once_and_the_page_says_what_was_not_run(
    data, tmp_path, monkeypatch, capsys
):
    systems = (
        System("residual", "residual", KERMANY_ZIP, "above them all", flagship=True),
        System("leaky", "residual", KERMANY_ZIP, leaky=True, why="Because."),
        System("other", "residual", KERMANY_ZIP, "99 %"),
    )
    monkeypatch.setattr(module, "SYSTEMS", systems)
    monkeypatch.setattr(results_page, "SYSTEMS", systems)
    monkeypatch.setattr(module, "BASELINES", ("logistic-hog", "knn-pca"))
    page = tmp_path / "docs" / "results.md"
    command = ["results", "--data", str(data.parent), "--out", str(tmp_path / "kept")]
    command += ["--page", str(page), "--cache", str(tmp_path / "cache"), "--epochs", "1"]
    command += ["--precision", "float32", "--only"]
    assert main([*command, "residual", "leaky", f"baselines-{Path(KERMANY_ZIP).stem}"]) == 0

    text = page.read_text()
    kept = json.loads((tmp_path / "kept" / "residual" / "result.json").read_text())
    accuracy = kept["figures"]["accuracy"]
    assert f"| `residual` | above them all | {100 * accuracy['value']:.1f} %" in text
    assert "`leaky`: " in text
    assert "Because." in text
    assert "`other`: `make results` trains them" in text
    assert "99 %" not in text  # a claim without a measurement is no row
    assert "logistic-hog" in text
    picture = "results/baselines-chest-xray-pneumonia.png"
    assert f"]({picture})" in text
    assert (page.parent / picture).exists()

    trained = []
    monkeypatch.setattr(module, "run_trial", lambda *given: trained.append(given))
    assert (tmp_path / "kept" / "residual" / "answers.npz").exists()
    assert main([*command, "residual", "leaky"]) == 0
    assert trained == []
    assert page.read_text() == text
    assert main([*command, "nobody"]) == 1

    # What was made of other films or settings is neither shown as this nor gone on with.
    capsys.readouterr()
    epochs = command.index("--epochs") + 1
    assert main([*command[:epochs], "2", *command[epochs + 1 :], "residual"]) == 1
    assert "residual keeps what was made of other films or settings" in capsys.readouterr().err
    others = tmp_path / "others"
    others.mkdir()
    with zipfile.ZipFile(data) as whole, zipfile.ZipFile(others / KERMANY_ZIP, "w") as part:
        for name in whole.namelist()[1:]:
            part.writestr(name, whole.read(name))
    elsewhere = [*command]
    elsewhere[elsewhere.index("--data") + 1] = str(others)
    for name in ("residual", f"baselines-{Path(KERMANY_ZIP).stem}"):
        assert main([*elsewhere, name]) == 1
        assert f"{name} keeps what was made of other films" in capsys.readouterr().err

    # On another machine, which has none of the pieces, no row is lost.
    command[command.index("--out") + 1] = str(tmp_path / "nothing")
    assert main([*command[:-1], "--write-only"]) == 0
    assert page.read_text() == text


def test_the_page_shows_the_figures_that_lie_beside_it(tmp_path):
    """Nobody has changed one without the other."""
    beside = RESULTS.with_suffix("") / results_page.FIGURES
    copy = tmp_path / RESULTS.name
    (tmp_path / RESULTS.stem).mkdir()
    (tmp_path / RESULTS.stem / results_page.FIGURES).write_bytes(beside.read_bytes())
    results_page.write_results_page(copy, tmp_path / "nothing")
    assert copy.read_text() == RESULTS.read_text()


@pytest.mark.parametrize(
    "system", [one for one in SYSTEMS if not one.leaky], ids=lambda system: system.name
)
def test_the_head_of_a_recipe_names_the_accuracy_that_the_results_page_shows(system):
    head = importlib.import_module(f"training.recipes.{system.recipe}").__doc__
    shown = RESULTS.read_text()
    rows = [line for line in shown.splitlines() if f"| `{system.name}` |" in line]
    if not rows:
        assert f"`{system.name}`" in shown.partition("## Not run yet")[2]
        return
    accuracy = rows[0].split("|")[3].split("[")[0].strip()
    assert accuracy.endswith(" %")
    assert accuracy in " ".join(head.split())
