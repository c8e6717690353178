"""A bundle calibrated for another hospital: the same weights, other probabilities and cuts."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from scipy.special import expit, logit

from cxr.bundle import load_bundle
from cxr.calibrate import Calibration
from tests.training.tiny import film
from training.__main__ import main
from training.calibration import fit_infection

BOTH = np.array([False, True])


@pytest.fixture(scope="module")
def hospital(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """120 patients a side; every fourth of the infected ones shows nothing."""
    folder = tmp_path_factory.mktemp("hospital")
    for number in range(120):
        for name, sick in (("Normal", False), ("Pneumonia", number % 4 > 0)):
            patient = folder / name / f"patient-{name}-{number}"
            patient.mkdir(parents=True)
            seed = 5000 + number + 500 * (name == "Normal")
            (patient / "film.png").write_bytes(film(seed, sick))
    return folder


@pytest.fixture
def bundle(fitted: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(fitted / "models" / "there", tmp_path / "models" / "there"))


def test_a_bundle_is_calibrated_for_another_hospital(bundle, hospital, tmp_path, capsys):
    here = tmp_path / "models" / "here"
    arguments = ["calibrate", str(bundle), "--data", str(hospital), "--out", str(here)]
    assert main([*arguments, "--cache", str(tmp_path / "cache")]) == 0
    assert "before and after" in capsys.readouterr().out

    there, document = load_bundle(bundle), json.loads((here / "bundle.json").read_text())
    assert document["sha256"] == there.sha256
    assert document["recalibrated"]["from"] == {"name": "there", "version": "1.0.0"}
    counts = document["recalibrated"]["data"]["radiographs"]
    assert counts["validation"] == counts["test"] == {"Normal": 60, "Pneumonia": 60}
    # What the document promises is what both engines answer to its own films and probes.
    for engine in ("keras", "lean"):
        assert load_bundle(here, engine).replay_probes() < 1e-4
    new, images = load_bundle(here), np.random.default_rng(0).random((4, 64, 64, 1), np.float32)
    expected = new.calibration.apply(
        np.concatenate([new.network(image[None])[0] for image in images])
    )
    np.testing.assert_allclose(new.predict(images).probabilities, expected)
    assert not np.allclose(new.predict(images).probabilities, there.predict(images).probabilities)
    # Chosen on the half that chooses, not on the other.
    chosen = document["metrics"]["validation"]["figures"]
    assert chosen["sensitivity_rule_out"]["value"] >= 0.98
    assert chosen["specificity_rule_in"]["value"] >= 0.97
    card = (here / "CARD.md").read_text()
    assert "## Calibrated for another hospital" in card
    assert "| validation | 60 | 60 | 120 |" in card
    assert "augmented versions" not in card
    assert "training calibrate models/there --data <the same films>" in card
    assert "of which half is infected" in card
    assert "calibrated for one half infected" in card
    assert "| updating | calibration and thresholds anew" in card

    again = tmp_path / "models" / "again"
    arguments[-1] = str(again)
    assert main([*arguments, "--cache", str(tmp_path / "cache")]) == 0
    assert json.loads((again / "bundle.json").read_text())["calibration"] == document["calibration"]
    rare = ["--prevalence", "0.1", "--cache", str(tmp_path / "cache")]
    assert main([*arguments, *rare]) == 0
    rarer = json.loads((again / "bundle.json").read_text())
    assert rarer["calibration"]["bias"][1] < document["calibration"]["bias"][1]
    assert rarer["recalibrated"]["prevalence"] == 0.1
    card = (again / "CARD.md").read_text()
    assert "of which 10 % is infected" in card
    assert "has 10 % infected films" in card
    assert "calibrated for 10 % infected" in card
    assert "weigh as in a population of which 10 % is infected" in card
    # Half of the films that judge are infected; the figures are of a population that is not.
    figures, before = rarer["metrics"]["test"]["figures"], rarer["recalibrated"]["before"]
    assert rarer["metrics"]["test"]["infected"] == 60
    assert figures["calibration_error"]["value"] < 0.15
    for_half = document["recalibrated"]["before"]
    assert before["sensitivity"]["value"] == pytest.approx(for_half["sensitivity"]["value"])
    assert before["precision"]["value"] < for_half["precision"]["value"]
    assert "weighed as in a population of which 10 % is infected" in capsys.readouterr().out


def test_what_cannot_be_calibrated_on_is_refused(bundle, data, hospital, tmp_path, capsys):
    def said(films: Path, out: Path) -> str:
        arguments = ["calibrate", str(bundle), "--data", str(films), "--out", str(out)]
        assert main([*arguments, "--cache", str(tmp_path / "cache")]) == 1
        return capsys.readouterr().err

    before = (bundle / "bundle.json").read_bytes()
    assert "is the bundle itself" in said(hospital, bundle)
    here = tmp_path / "models" / "here"
    arguments = ["calibrate", str(bundle), "--data", str(hospital), "--out", str(here)]
    assert main([*arguments, "--prevalence", "15"]) == 1
    assert "as 0.15; not 15" in capsys.readouterr().err
    assert "that the model was trained on" in said(data, here)
    few = tmp_path / "few"
    for name in ("Normal", "Pneumonia"):
        (few / name).mkdir(parents=True)
        for number in range(20):
            path = few / name / f"{number}.png"
            path.write_bytes(film(7000 + number + 500 * (name == "Normal"), name != "Normal"))
    assert "10 with normal and 10 with infected films; at least 50" in said(few, here)
    assert not here.exists()
    assert (bundle / "bundle.json").read_bytes() == before


def test_temperature_and_shift_are_found_again():
    random = np.random.default_rng(0)
    honest = random.uniform(0.001, 0.999, 20_000)
    sick = random.random(20_000) < honest
    # As many of either: the answers are calibrated for such a population.
    distorted = expit(1.6 * (logit(honest) + 0.7))
    found = fit_infection(np.stack([1 - distorted, distorted], axis=1), sick, BOTH)
    assert found.temperature == pytest.approx(1.6, rel=0.05)
    assert found.bias[0] == 0
    assert found.bias[1] == pytest.approx(-0.7, abs=0.05)


def test_probabilities_are_made_for_the_share_of_infected_that_is_asked_for():
    random = np.random.default_rng(3)
    honest = random.beta(0.3, 1.7, 40_000)  # of which 15 % are infected
    sick = random.random(40_000) < honest
    probabilities = np.stack([1 - honest, honest], axis=1)
    there = fit_infection(probabilities, sick, BOTH, prevalence=float(sick.mean()))
    # The pull towards no change keeps back a little of the way to a half.
    assert there.bias[1] == pytest.approx(0, abs=0.1)
    assert there.temperature == pytest.approx(1, rel=0.03)
    # With as many infected as normal films the odds of each are larger by what infection is rarer.
    half = fit_infection(probabilities, sick, BOTH)
    assert half.bias[1] == pytest.approx(-logit(sick.mean()), abs=0.15)


@pytest.mark.parametrize("share", [0.001, 0.01, 0.15])
def test_a_rare_infection_is_as_rare_as_was_asked_for(share):
    random = np.random.default_rng(4)
    honest = random.uniform(0.001, 0.999, 2000)
    sick = random.random(2000) < honest
    probabilities = np.stack([1 - honest, honest], axis=1)
    half = fit_infection(probabilities, sick, BOTH)
    rare = fit_infection(probabilities, sick, BOTH, share)
    # The odds move by Bayes' rule, and nothing else does.
    assert rare.temperature == pytest.approx(half.temperature)
    assert rare.bias[1] - half.bias[1] == pytest.approx(logit(share))
    weights = np.where(sick, share / sick.sum(), (1 - share) / (~sick).sum())
    assert (weights * rare.apply(probabilities)[:, 1]).sum() == pytest.approx(share, rel=0.15)


def test_what_kind_of_infection_stays_as_probable_among_the_infected():
    kinds = np.array([False, True, True])
    probabilities = np.random.default_rng(1).dirichlet([1, 1, 1], 500)
    sick = np.random.default_rng(2).random(500) < probabilities[:, 1:].sum(axis=1)
    after = fit_infection(probabilities, sick, kinds).apply(probabilities)
    order = probabilities[:, 1] > probabilities[:, 2]
    np.testing.assert_array_equal(after[:, 1] > after[:, 2], order)


def test_two_calibrations_in_turn_are_one():
    probabilities = np.random.default_rng(0).dirichlet([1, 1, 1], 50)
    first, second = Calibration(0.8, (0.0, -0.3, 0.2)), Calibration(1.7, (0.0, 0.5, 0.5))
    np.testing.assert_allclose(
        first.then(second).apply(probabilities), second.apply(first.apply(probabilities))
    )
