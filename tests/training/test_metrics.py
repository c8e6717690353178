from __future__ import annotations

import numpy as np
import pytest
from sklearn import metrics as reference

from cxr.calibrate import Calibration, Thresholds
from training.calibration import choose_thresholds, fit_calibration
from training.metrics import Answers, calibration_error, measure

INFECTED = np.array([False, True, True])


def _answers(films: int = 400, seed: int = 0, films_per_patient: int = 1) -> Answers:
    random = np.random.default_rng(seed)
    labels = random.integers(0, 3, films)
    logits = random.normal(0, 1.2, (films, 3)) + 2 * np.eye(3)[labels]
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    groups = np.array([f"patient{n // films_per_patient}" for n in range(films)])
    return Answers(
        probabilities, labels, probabilities[:, 1:].sum(axis=1), INFECTED[labels], groups
    )


def test_figures_agree_with_scikit_learn():
    answers = _answers()
    figures = measure(answers, Thresholds(0.3, 0.7))["figures"]
    truth, called = answers.infected, answers.infection >= 0.5
    expected = {
        "accuracy": reference.accuracy_score(truth, called),
        "sensitivity": reference.recall_score(truth, called),
        "specificity": reference.recall_score(~truth, ~called),
        "precision": reference.precision_score(truth, called),
        "f1": reference.f1_score(truth, called),
        "auc": reference.roc_auc_score(truth, answers.infection),
        "brier_score": reference.brier_score_loss(truth, answers.infection),
        "class_accuracy": (answers.probabilities.argmax(axis=1) == answers.labels).mean(),
    }
    assert {name: figures[name]["value"] for name in expected} == pytest.approx(expected)


def test_interval_surrounds_the_value_and_widens_when_patients_repeat():
    single = measure(_answers(), Thresholds(0.3, 0.7))["figures"]["accuracy"]
    assert single["low"] < single["value"] < single["high"]
    one = _answers(100)
    repeated = Answers(*(np.repeat(column, 4, axis=0) for column in vars(one).values()))
    by_patient = measure(repeated, Thresholds(0.3, 0.7))["figures"]["accuracy"]
    by_film = measure(
        Answers(*list(vars(repeated).values())[:4], np.arange(400).astype(str)),
        Thresholds(0.3, 0.7),
    )["figures"]["accuracy"]
    assert by_patient["high"] - by_patient["low"] > 1.5 * (by_film["high"] - by_film["low"])


def test_figures_that_the_films_do_not_define_are_left_out():
    answers = _answers()
    only_sick = Answers(*(column[answers.infected] for column in vars(answers).values()))
    figures = measure(only_sick, Thresholds(0.3, 0.7))["figures"]
    assert "sensitivity" in figures
    assert not {"specificity", "auc"} & set(figures)


def test_unknown_classes_leave_only_the_infection_figures():
    answers = _answers()
    labels = np.where(answers.labels == 2, -1, answers.labels)
    result = measure(
        Answers(answers.probabilities, labels, answers.infection, answers.infected, answers.groups),
        Thresholds(0.3, 0.7),
    )
    assert "confusion_matrix" not in result
    assert "class_accuracy" not in result["figures"]
    assert "auc" in result["figures"]


def test_decisions_count_every_film_once():
    result = measure(_answers(), Thresholds(0.3, 0.7))
    assert sum(sum(counts.values()) for counts in result["decisions"].values()) == 400
    assert sum(map(sum, result["confusion_matrix"])) == 400


def test_calibration_error_of_honest_and_of_boastful_probabilities():
    random = np.random.default_rng(0)
    probability = random.random(20_000)
    truth = random.random(20_000) < probability
    ones = np.ones(20_000)
    assert calibration_error(probability, truth, ones) < 0.02
    assert calibration_error(np.where(probability > 0.5, 1.0, 0.0), truth, ones) > 0.2


def test_calibration_undoes_overconfidence():
    # Labels drawn from the very probabilities, half of them normal: these are calibrated.
    random = np.random.default_rng(0)
    logits = random.normal(0, 1.5, (6000, 3)) + [np.log(2), 0, 0]
    honest = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    labels = (random.random((6000, 1)) > honest.cumsum(axis=1)).sum(axis=1)
    sharp = honest**3 / (honest**3).sum(axis=1, keepdims=True)
    calibration = fit_calibration(sharp, labels, INFECTED)
    assert calibration.temperature == pytest.approx(3, rel=0.1)
    after = calibration.apply(sharp)
    np.testing.assert_allclose(after.sum(axis=1), 1)
    ones, sick = np.ones(6000), INFECTED[labels]
    before_error = calibration_error(sharp[:, 1:].sum(axis=1), sick, ones)
    after_error = calibration_error(after[:, 1:].sum(axis=1), sick, ones)
    assert after_error < before_error / 2


def test_calibration_without_change_is_the_identity():
    probabilities = _answers(10).probabilities
    np.testing.assert_allclose(Calibration(1.0, (0, 0, 0)).apply(probabilities), probabilities)


@pytest.mark.parametrize("seed", range(5))
def test_thresholds_keep_their_promises(seed):
    answers = _answers(600, seed)
    thresholds = choose_thresholds(answers.infection, answers.infected)
    sensitivity = (answers.infection[answers.infected] >= thresholds.rule_out).mean()
    specificity = (answers.infection[~answers.infected] < thresholds.rule_in).mean()
    assert sensitivity >= 0.98
    assert specificity >= 0.97
    assert thresholds.rule_out < thresholds.rule_in


def test_thresholds_keep_their_promises_on_the_films_and_on_their_versions():
    plain, stressed = _answers(400, 1), _answers(400, 2)
    # The versions look more infected than the films: a cut for them alone fails the films.
    shifted = np.minimum(stressed.infection + 0.2, 1)
    both = np.concatenate([plain.infection, shifted])
    truth = np.concatenate([plain.infected, stressed.infected])
    thresholds = choose_thresholds(both, truth, versions=2)
    for probability, infected in ((plain.infection, plain.infected), (both, truth)):
        assert (probability[infected] >= thresholds.rule_out).mean() >= 0.98
        assert (probability[~infected] < thresholds.rule_in).mean() >= 0.97


def test_thresholds_of_a_perfect_model_stay_in_order():
    truth = np.array([False] * 50 + [True] * 50)
    thresholds = choose_thresholds(np.where(truth, 0.9, 0.1), truth)
    assert 0 < thresholds.rule_out <= thresholds.rule_in < 1


def test_decisions_at_the_edges():
    thresholds = Thresholds(0.3, 0.7)
    assert [thresholds.decide(p) for p in (0.0, 0.299, 0.3, 0.699, 0.7, 1.0)] == [
        "normal", "normal", "uncertain", "uncertain", "infected", "infected",
    ]  # fmt: skip
    with pytest.raises(ValueError, match="rule_out <= rule_in"):
        Thresholds(0.8, 0.2)
