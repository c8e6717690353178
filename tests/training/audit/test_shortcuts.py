from __future__ import annotations

import cv2
import numpy as np
import pytest

from training.audit.leaks import (
    ADULT,
    CHILD,
    age_group,
    can_be_told,
    questions,
    source_of,
)
from training.audit.shortcuts import file_statistics, pictures, without_lungs
from training.audit.subgroups import quality, subgroups, thirds
from training.data import Record
from training.errors import DataError
from training.layout import COVID, KERMANY
from training.lungs import segmenter
from training.metrics import Answers

FILM = np.full((200, 100), 100, np.uint8)


def _record(path: str, class_id: str = "normal", split: str = "test") -> Record:
    return Record(path, class_id, path, path, split, None, "0")


def test_the_lungs_go_with_what_lies_between_their_edges():
    lungs = np.zeros((100, 50), np.uint8)
    cv2.ellipse(lungs, (15, 50), (8, 30), 0, 0, 360, 1, -1)
    lungs[45:55, 14:30] = 0  # a consolidation that the segmenter left out
    lungs[20:80, 32:42] = 1
    left = without_lungs(FILM, lungs)
    assert (left[95:105, 16:40] == 0).all()
    assert (left[:, :4] == 100).all()
    assert (left[:20] == 100).all()
    assert set(np.unique(left)) == {0, 100}
    np.testing.assert_array_equal(without_lungs(FILM, np.zeros_like(lungs)), FILM)


def test_what_is_left_of_a_film():
    film = FILM.copy()
    film[2:12, 2:12] = 255  # a side letter
    film[90:110, 40:60] = 200
    cut = pictures(film, None)
    assert set(cut) == {"corners", "borders"}
    assert cut["corners"].max() == 200
    assert (cut["corners"][90:110, 40:60] == 200).all()
    assert cut["borders"][90:110, 40:60].max() == 0
    assert cut["borders"][2:12, 2:10].min() == 255
    assert film[5, 5] == 255


def test_file_statistics_do_not_see_where_anything_is():
    random = np.random.default_rng(0)
    film = random.integers(0, 256, (60, 60), np.uint8)
    shuffled = film.copy()
    inner = shuffled[6:-6, 6:-6]
    shuffled[6:-6, 6:-6] = random.permutation(inner.ravel()).reshape(inner.shape)
    assert file_statistics(film, 3600).shape == (9,)
    np.testing.assert_allclose(file_statistics(film, 3600), file_statistics(shuffled, 3600))
    assert file_statistics(film, 3600)[0] == 1


@pytest.mark.parametrize("turns", range(4))
def test_a_border_is_seen_on_whichever_side_it_is(turns):
    film = np.zeros((60, 60), np.uint8)
    film[:3] = 200
    seen = file_statistics(np.rot90(film, turns), 3600)[-1]
    assert seen == file_statistics(film, 3600)[-1] > 50


def test_a_linear_question_is_answered_where_there_is_an_answer():
    random = np.random.default_rng(0)
    features = random.normal(0, 1, (300, 5))
    groups = np.arange(300).astype(str)
    plain = features[:, 2] + random.normal(0, 0.3, 300) > 0
    told = can_be_told(features, plain, groups)
    assert told is not None
    assert told["low"] > 0.9
    guessed = can_be_told(features, random.random(300) > 0.5, groups)
    assert guessed is not None
    assert guessed["value"] < 0.65
    assert can_be_told(features, np.arange(300) < 5, groups) is None
    assert can_be_told(features, plain, np.where(plain, "one", "other")) is None


def test_patients_are_not_told_by_their_other_films():
    """Ten films a patient, answers by patient: only the patient could give them away."""
    random = np.random.default_rng(0)
    people = np.repeat(np.arange(40), 10)
    features = random.normal(0, 1, (40, 30))[people]
    told = can_be_told(features, (np.arange(40) % 2 == 0)[people], people.astype(str))
    assert told is not None
    assert told["value"] < 0.75


@pytest.mark.parametrize(
    ("path", "class_id", "expected"),
    [
        ("Normal/images/Normal-62.jpg", "normal", ADULT),
        ("Normal/images/Normal-63.jpg", "normal", CHILD),
        ("Normal/images/Normal-1403.png", "normal", CHILD),
        ("Normal/images/Normal-1404.png", "normal", ADULT),
        ("Viral Pneumonia/images/Viral Pneumonia-9.jpg", "viral_pneumonia", CHILD),
        ("COVID/images/COVID-100.jpg", "covid_19", ADULT),
    ],
)
def test_age_by_number_in_the_covid_set(path, class_id, expected):
    assert age_group(_record(path, class_id), COVID) == expected


def test_questions_are_asked_of_normal_films_only():
    records = [
        _record("test/NORMAL/IM-0001-0001.jpeg"),
        _record("train/NORMAL/NORMAL2-IM-0001-0001.jpeg", split="validation"),
        _record("test/PNEUMONIA/person1_virus_1.jpeg", "viral_pneumonia"),
    ]
    asked = questions(records, KERMANY)
    assert all(mask.tolist() == [True, True, False] for _, mask, _ in asked)
    assert [words.split(",")[0] for words, _, _ in asked][1] == "NORMAL2 batch or first batch"
    assert source_of(records[2], KERMANY) is None


def test_quality_measures_what_it_says():
    film = np.random.default_rng(0).integers(0, 120, (224, 224), np.uint8)
    sharp, contrast, bright = quality(film)
    soft = cv2.GaussianBlur(film, (0, 0), 3)
    assert quality(soft)[0] < sharp / 10
    assert quality(film // 2)[1] < contrast
    assert quality(film + 50)[2] == pytest.approx(bright + 50)
    assert np.bincount(thirds(np.arange(90.0))).tolist() == [30, 30, 30]


def test_subgroups_name_every_film_once_and_leave_small_parts_out():
    random = np.random.default_rng(0)
    infected = np.arange(120) % 2 == 0
    infection = np.clip(np.where(infected, 0.8, 0.2) + random.normal(0, 0.1, 120), 0, 1)
    answers = Answers(
        np.stack([1 - infection, infection], axis=1),
        infected.astype(np.int64),
        infection,
        infected,
        np.arange(120).astype(str),
    )
    from cxr.calibrate import Thresholds

    classes = ["Viral" if sick else "Normal" for sick in infected]
    sources: list[str | None] = ["first"] * 70 + ["second"] * 40 + ["tiny"] * 5 + [None] * 5
    lines = subgroups(answers, Thresholds(0.3, 0.7), classes, sources, random.random((120, 3)))
    by = {kind: [line for line in lines if line["by"] == kind] for kind in ("class", "source")}
    assert {line["name"] for line in by["source"]} == {"first", "second"}
    assert sum(line["films"] for line in by["class"]) == 120
    viral = next(line for line in by["class"] if line["name"] == "Viral")
    assert "sensitivity" in viral["figures"]
    assert "specificity" not in viral["figures"]
    for kind in ("sharpness", "contrast", "exposure"):
        assert sum(line["films"] for line in lines if line["by"] == kind) == 120


def test_masks_without_pairs_are_refused_in_a_sentence(tmp_path):
    (tmp_path / "images").mkdir()
    with pytest.raises(DataError, match="0 pairs of images/NAME and masks/NAME"):
        segmenter(tmp_path, tmp_path / "cache")
