from __future__ import annotations

import numpy as np
import pytest
from sklearn import metrics as reference

from cxr.calibrate import Calibration, Thresholds
from training import calibration
from training.augment import Augmentation
from training.calibration import choose_thresholds, fit_calibration, promises
from training.metrics import Answers, Ranking, measure
from training.recipe import Recipe, Stage
from training.reliability import calibration_error
from training.selective import Selective
from training.statistics import wilson

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


def test_areas_and_kinds_agree_with_scikit_learn_under_any_weights():
    answers = _answers()
    random = np.random.default_rng(3)
    weights = random.integers(0, 4, 400).astype(float)
    score = np.round(answers.infection, 1)  # many equal scores
    area = Ranking(answers.infected, score).area(weights)
    expected = reference.roc_auc_score(answers.infected, score, sample_weight=weights)
    assert area == pytest.approx(expected)
    sick = answers.infected
    figures = measure(answers, Thresholds(0.3, 0.7))["figures"]
    kinds = answers.probabilities[sick][:, 1:]
    first = answers.labels[sick] == 1
    assert figures["kind_accuracy"]["value"] == pytest.approx(
        ((kinds[:, 0] >= kinds[:, 1]) == first).mean()
    )
    assert figures["kind_auc"]["value"] == pytest.approx(
        reference.roc_auc_score(first, kinds[:, 0] / kinds.sum(axis=1))
    )


def test_operating_points_keep_their_sides():
    answers = _answers()
    figures = measure(answers, Thresholds(0.2, 0.8))["figures"]
    sick = answers.infected
    assert figures["sensitivity_rule_out"]["value"] == (answers.infection[sick] >= 0.2).mean()
    assert figures["specificity_rule_in"]["value"] == (answers.infection[~sick] < 0.8).mean()


def test_the_risk_coverage_curve_of_a_known_order():
    # Surest first: right, right, wrong, right. Risks 0, 0, 1/3, 1/4.
    probability = np.array([0.99, 0.02, 0.9, 0.3])
    truth = np.array([True, False, False, False])
    selective = Selective(probability, truth)
    ones = np.ones(4)
    assert selective.area(ones) == pytest.approx((0 + 0 + 1 / 3 + 1 / 4) / 4)
    np.testing.assert_allclose(selective.accuracies((0.5, 0.75, 1.0), ones), (1, 2 / 3, 3 / 4))
    # A film that weighs nothing is not there.
    assert selective.area(np.array([1, 1, 0, 1.0])) == 0


def test_knowing_what_it_does_not_know_lowers_the_area():
    answers = _answers(2000)
    known = measure(answers, Thresholds(0.3, 0.7), resamples=20)
    curve = [point["value"] for point in known["risk_coverage"]]
    assert curve[0] > curve[-1] == pytest.approx(known["figures"]["accuracy"]["value"])
    wrong = (answers.infection >= 0.5) != answers.infected
    # Random sureness on the same calls: the area becomes the error rate.
    random = np.random.default_rng(0).uniform(0.5, 1, 2000)
    called = np.where(answers.infection >= 0.5, random, 1 - random)
    blind = Selective(called, answers.infected).area(np.ones(2000))
    assert blind == pytest.approx(wrong.mean(), abs=0.03)
    assert known["figures"]["risk_coverage_area"]["value"] < blind / 2


def test_the_interval_of_the_calibration_error_holds_its_value():
    """Plain percentiles do not: noise only adds to it, so every resample lies above."""
    random = np.random.default_rng(1)
    infection = np.clip(random.beta(0.3, 0.3, 500), 1e-6, 1 - 1e-6)
    truth = random.random(500) < infection
    answers = Answers(
        np.stack([1 - infection, infection], axis=1),
        truth.astype(np.int64),
        infection,
        truth,
        np.arange(500).astype(str),
    )
    figure = measure(answers, Thresholds(0.3, 0.7), resamples=300)["figures"]["calibration_error"]
    assert 0 <= figure["low"] < figure["value"] < figure["high"] < 0.1


def test_the_reliability_diagram_counts_every_film_and_explains_the_error():
    answers = _answers()
    rows = measure(answers, Thresholds(0.3, 0.7), resamples=2)["reliability"]
    assert sum(row["films"] for row in rows) == 400
    for row in rows:
        assert row["from"] <= row["probability"] <= row["to"]
        assert row["low"] <= row["infected"] <= row["high"]
    error = sum(row["films"] * abs(row["probability"] - row["infected"]) for row in rows) / 400
    assert error == pytest.approx(
        calibration_error(answers.infection, answers.infected, np.ones(400))
    )


def test_what_never_happened_in_few_patients_may_happen_in_others():
    """No resample of 20 of 20 right answers holds a wrong one; Wilson (1927) knows better."""
    infected = np.repeat([True, False], 20)
    infection = np.where(infected, 0.9, 0.1)
    answers = Answers(
        np.stack([1 - infection, infection], axis=1),
        infected.astype(int),
        infection,
        infected,
        np.arange(40) // 2,  # two films of each patient
    )
    measured = measure(answers, Thresholds(0.3, 0.7), resamples=20)
    for name, patients in (("sensitivity", 10), ("accuracy_decided", 20), ("precision", 10)):
        assert measured["figures"][name] == pytest.approx(wilson(patients, patients)), name
    half, whole = (measured["risk_coverage"][place] for place in (0, -1))
    assert (half["coverage"], whole["coverage"]) == (0.5, 1.0)
    assert half["low"] < whole["low"] < whole["value"] == 1.0


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
    # Nor does rounding break them: no film lies on a threshold.
    for threshold in (thresholds.rule_out, thresholds.rule_in):
        assert np.abs(answers.infection - threshold).min() > 1e-7


@pytest.mark.parametrize("films", [20, 40])
def test_thresholds_keep_their_promises_where_a_normal_film_looks_surely_infected(films):
    truth = np.arange(films) % 2 == 1
    probability = np.where(truth, 0.99, 0.01)
    probability[0], probability[1] = 0.99995, 0.00003
    thresholds = choose_thresholds(probability, truth)
    assert (probability[truth] >= thresholds.rule_out).mean() >= 0.98
    assert (probability[~truth] < thresholds.rule_in).mean() >= 0.97


def test_what_no_cut_can_keep_is_not_promised():
    truth = np.arange(20) % 2 == 1
    infection = np.where(truth, 0.99, 0.01)
    infection[0], infection[1] = 1.0, 0.0
    both = np.stack([1 - infection, infection], axis=1)
    answers = Answers(both, truth.astype(int), infection, truth, np.arange(20).astype(str))
    thresholds = choose_thresholds(infection, truth)
    kept = promises(measure(answers, thresholds, resamples=2)["figures"])
    assert kept["rule_out"].startswith("sensitivity 0.900 (of the 0.98")
    assert kept["rule_in"].startswith("specificity 0.900 (of the 0.97")
    easy = choose_thresholds(infection[2:], truth[2:])
    figures = measure(answers.part(np.arange(2, 20)), easy, resamples=2)["figures"]
    assert promises(figures) == {
        "rule_out": "sensitivity >= 0.98", "rule_in": "specificity >= 0.97"
    }  # fmt: skip


def test_a_film_on_a_threshold_counts_as_it_is_decided():
    infection, truth = np.array([0.3, 0.7, 0.3, 0.7]), np.array([True, True, False, False])
    both = np.stack([1 - infection, infection], axis=1)
    answers = Answers(both, truth.astype(int), infection, truth, np.arange(4).astype(str))
    result = measure(answers, Thresholds(0.3, 0.7), resamples=2)
    assert result["decisions"]["infected"] == {"normal": 0, "uncertain": 1, "infected": 1}
    assert result["figures"]["sensitivity_rule_out"]["value"] == 1.0
    assert result["figures"]["specificity_rule_in"]["value"] == 0.5
    assert result["figures"]["share_decided"]["value"] == 0.5


def test_figures_are_of_the_population_that_is_named():
    random = np.random.default_rng(5)
    honest = random.beta(0.4, 3.6, 200_000)  # of which a tenth is infected
    sick = random.random(200_000) < honest
    # Somebody collects as many infected films as normal ones.
    sick_rows, well_rows = np.flatnonzero(sick), np.flatnonzero(~sick)[: sick.sum()]
    rows = np.concatenate([sick_rows, well_rows])
    infection, truth = honest[rows], sick[rows]
    both = np.stack([1 - infection, infection], axis=1)
    groups = np.arange(len(rows)).astype(str)
    answers = Answers(both, truth.astype(int), infection, truth, groups)
    cuts = Thresholds(0.3, 0.7)
    plain = measure(answers, cuts, resamples=5)
    there = measure(answers, cuts, resamples=5, prevalence=0.1)
    assert plain["figures"]["calibration_error"]["value"] > 0.2
    assert there["figures"]["calibration_error"]["value"] < 0.02
    everybody = ((honest - sick) ** 2).mean()
    assert there["figures"]["brier_score"]["value"] == pytest.approx(everybody, rel=0.05)
    right = ((honest >= 0.5) == sick).mean()
    assert there["figures"]["accuracy"]["value"] == pytest.approx(right, abs=0.01)
    for row in there["reliability"][:7]:  # beyond there are hardly any normal films
        assert row["low"] < row["infected"] < row["high"]
        assert row["infected"] == pytest.approx(row["probability"], abs=0.1)
    assert there["risk_coverage"][-1]["value"] == pytest.approx(right, abs=0.01)
    for name in ("sensitivity", "specificity", "auc"):  # within a class nothing weighs anew
        figures = (one["figures"][name]["value"] for one in (plain, there))
        assert next(figures) == pytest.approx(next(figures))
    assert there["infected"] == plain["infected"]
    assert (there["prevalence"], plain.get("prevalence")) == (0.1, None)


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


@pytest.mark.parametrize(("asked", "of_training", "seen"), [(0.5, 0.0, 0.5), (0.1, 0.3, 0.3)])
def test_calibration_is_stressed_with_the_recipe_s_tone_curves(
    monkeypatch, asked, of_training, seen
):
    tones = []

    def note(films, settings, copies, seed):
        tones.append(settings.tone)
        return np.concatenate([films] * (1 + copies))

    monkeypatch.setattr(calibration, "stressed", note)
    stage = Stage(augmentation=Augmentation(tone=of_training))
    recipe = Recipe(stages=(stage,), stressed_copies=2, stressed_tone=asked)
    films = np.linspace(0.1, 0.9, 20, dtype=np.float32).reshape(-1, 1, 1, 1)
    labels = (films.ravel() > 0.5).astype(np.int64)
    calibration.calibrate(
        lambda shown: np.column_stack([1 - shown.ravel(), shown.ravel()]),
        films,
        labels,
        np.array([False, True]),
        recipe,
        0,
    )
    assert tones == [seen]
