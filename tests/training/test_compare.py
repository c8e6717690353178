"""Comparisons: the same films for all, no leak into a baseline, resumable."""

from __future__ import annotations

import csv
import json
from dataclasses import replace

import numpy as np
import pytest

from tests.training.tiny import QUICK, TINY
from training.__main__ import main
from training.classical import BASELINES, hog_features, make_baseline, scores
from training.contest import Entry, infected_of
from training.prepared import prepare_for
from training.sensitivity import share_of
from training.variants import at_size, without_augmentation


@pytest.fixture(scope="module")
def bright_and_dark() -> tuple[np.ndarray, np.ndarray]:
    """Noise with, for the infected half, a bright square in the middle."""
    images = np.random.default_rng(0).integers(0, 120, (60, 64, 64), np.uint8)
    truth = np.arange(60) % 2 == 1
    images[truth, 20:44, 20:44] += 120
    return images, truth


@pytest.mark.parametrize("name", BASELINES)
def test_every_baseline_learns_a_square(name, bright_and_dark):
    images, truth = bright_and_dark
    pipeline = make_baseline(name, 0, 40).fit(images[:40], truth[:40])
    found = scores(pipeline, images[40:])
    np.testing.assert_array_equal(found > 0, pipeline.predict(images[40:]))
    if "boosting" not in name:  # its leaves hold at least 20 of these 40 films
        assert ((found > 0) == truth[40:]).mean() > 0.8


def test_hog_has_the_shape_it_says(bright_and_dark):
    assert hog_features(bright_and_dark[0][:2]).shape == (2, 7 * 7 * 2 * 2 * 9)


@pytest.mark.usefixtures("quick_recipe")
def test_compare_asks_all_the_same_films_once(data, tmp_path, capsys):
    places = ["--runs", str(tmp_path / "runs"), "--cache", str(tmp_path / "cache")]
    command = ["compare", "--data", str(data), "--recipes", "residual", "--epochs", "1"]
    command += ["--baselines", "logistic-hog", "knn-pca", "--sensitivity", "logistic-hog"]
    command += ["--precision", "float32", *places]
    assert main([*command, "--against", "nobody"]) == 1
    assert "no system 'nobody'" in capsys.readouterr().err
    # What was trained before the mistake is not trained again.
    assert main(command) == 0
    assert "logistic-hog …" not in capsys.readouterr().out.splitlines()

    (run,) = (tmp_path / "runs").glob("compare-*")
    with (run / "systems.csv").open(newline="") as file:
        lines = {line["system"]: line for line in csv.DictReader(file)}
    assert set(lines) == {"residual", "logistic-hog", "knn-pca"}
    prepared = prepare_for(TINY, data, tmp_path / "cache", 0)
    truth = infected_of(prepared, prepared.indices("test"))
    for name, line in lines.items():
        entry = Entry.load(run / "answers", name)
        assert entry is not None
        assert entry.infection.shape == truth.shape
        accuracy = ((entry.infection >= 0.5) == truth).mean()
        assert float(line["accuracy"]) == pytest.approx(accuracy)
        assert float(line["auc_low"]) <= float(line["auc"]) <= float(line["auc_high"])
    assert float(lines["residual"]["delong_p"]) == 1.0
    with (run / "sensitivity.csv").open(newline="") as file:
        points = list(csv.DictReader(file))
    assert [point["setting"] for point in points] == ["0.1", "0.25", "0.5", "1"]
    assert {path.name for path in run.glob("*.png")} == {
        "curves.png", "accuracy.png", "auc.png", "sensitivity_films.png",
    }  # fmt: skip
    assert json.loads((run / "run.json").read_text())["systems"][0]["system"] == "residual"


@pytest.mark.usefixtures("verified_here")
def test_a_bundle_reads_the_films_as_it_was_trained_to(data, tmp_path, monkeypatch, capsys):
    import training.recipes.residual as residual

    monkeypatch.setattr(residual, "RECIPE", replace(QUICK, merge_infected=True))
    cache, model = ["--cache", str(tmp_path / "cache")], tmp_path / "models" / "mine"
    places = ["--data", str(data), "--runs", str(tmp_path / "runs"), *cache]
    trained = ["fit", "residual", "--out", str(model), "--epochs", "1", "--precision", "float32"]
    assert main([*trained, *places]) == 0
    answers = tmp_path / "answers.csv"
    asked = ["evaluate", str(model), "--data", str(data), "--predictions", str(answers), *cache]
    assert main(asked) == 0
    with answers.open(newline="") as file:
        said = [float(line["infection_probability"]) for line in csv.DictReader(file)]

    # The others read 160 pixels, and know two kinds of infection.
    command = ["compare", *places, "--recipes", "--models", str(model), "--baselines", "knn-pca"]
    assert main([*command, "--against", "nobody"]) == 1
    (run,) = (tmp_path / "runs").glob("compare-*")
    found = Entry.load(run / "answers", "mine")
    assert found is not None
    np.testing.assert_allclose(found.infection, said, atol=1e-6)

    # Another bundle of that name is asked anew, whatever was cut off.
    document = json.loads((model / "bundle.json").read_text())
    (model / "bundle.json").write_text(json.dumps({**document, "version": "1.0.1"}))
    assert main(command) == 0
    assert len(list((tmp_path / "runs").glob("compare-*"))) == 2
    capsys.readouterr()
    assert main([*command, "--models", str(model), str(tmp_path / "other" / "mine")]) == 1
    assert "2 systems are called 'mine'" in capsys.readouterr().err
    assert main([*command, "--models", str(tmp_path / "nothing")]) == 1


@pytest.mark.parametrize("twice", [["--recipes", "residual", "residual"],
                                   ["--models", "m/residual", "--recipes", "residual"],
                                   ["--baselines", "knn-hog", "knn-hog"]])  # fmt: skip
def test_two_systems_of_one_name_are_refused(twice, data, tmp_path, capsys):
    command = ["compare", "--data", str(data), "--runs", str(tmp_path), *twice]
    assert main(command) == 1
    assert "2 systems are called" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_a_smaller_share_lies_within_a_larger_one_and_keeps_patients_whole(data, tmp_path):
    prepared = prepare_for(TINY, data, tmp_path, 0)
    train = prepared.indices("train")
    tenth, half, all_of_them = (share_of(prepared, train, share, 0) for share in (0.1, 0.5, 1.0))
    assert set(tenth) < set(half) < set(all_of_them) == set(train)
    assert set(prepared.labels[tenth]) == {0, 1, 2}
    others = np.setdiff1d(train, half)
    assert not set(prepared.groups[half]) & set(prepared.groups[others])


def test_a_recipe_moves_to_another_size_and_loses_its_augmentation():
    assert at_size(TINY, 64) == TINY
    assert at_size(TINY, 96).preprocess.size == 96
    plain = without_augmentation(TINY)
    assert not plain.stages[0].augmentation.flip
    assert plain.stressed_copies == 0


def test_an_unknown_baseline_is_named(data, tmp_path, capsys):
    arguments = ["compare", "--data", str(data), "--baselines", "svm", "--runs", str(tmp_path)]
    assert main(arguments) == 1
    assert "rbf_svm-hog" in capsys.readouterr().err
