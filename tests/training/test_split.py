"""Splits: by patient, in proportion, reproducible."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from training.errors import DataError
from training.split import fixed_sides, split_by_patient


def _people(seed: int = 0) -> tuple[list[str], list[str]]:
    """900 images: classes 6:2:1, patients with one to five images."""
    random = np.random.default_rng(seed)
    classes, groups = [], []
    for name, total in (("bacterial", 600), ("normal", 200), ("viral", 100)):
        while classes.count(name) < total:
            patient = f"{name}{len(groups)}"
            images = min(int(random.integers(1, 6)), total - classes.count(name))
            classes += [name] * images
            groups += [patient] * images
    return classes, groups


def test_shares_out_80_10_10_by_class() -> None:
    classes, groups = _people()
    splits = split_by_patient(["train"] * len(classes), classes, groups, seed=0)
    counts = Counter(zip(splits, classes, strict=True))
    for name, total in Counter(classes).items():
        assert counts["validation", name] == pytest.approx(total / 10, abs=2)
        assert counts["test", name] == pytest.approx(total / 10, abs=2)


def test_no_patient_is_on_two_sides() -> None:
    classes, groups = _people()
    splits = split_by_patient(["train"] * len(classes), classes, groups, seed=0)
    sides: dict[str, set[str]] = {}
    for group, split in zip(groups, splits, strict=True):
        sides.setdefault(group, set()).add(split)
    assert all(len(found) == 1 for found in sides.values())
    assert {split for found in sides.values() for split in found} == {
        "train",
        "validation",
        "test",
    }


def test_the_seed_decides() -> None:
    classes, groups = _people()
    sides = ["train"] * len(classes)
    first = split_by_patient(sides, classes, groups, seed=1)
    assert first == split_by_patient(sides, classes, groups, seed=1)
    assert first != split_by_patient(sides, classes, groups, seed=2)


def test_one_patient_more_does_not_reshuffle_the_others() -> None:
    classes, groups = _people()
    before = split_by_patient(["train"] * 900, classes, groups, seed=0)
    after = split_by_patient(["train"] * 901, ["normal", *classes], ["new", *groups], seed=0)
    moved = sum(old != new for old, new in zip(before, after[1:], strict=True))
    assert moved <= 10


def test_patients_with_many_images_are_not_kept_out_of_the_test_set() -> None:
    classes, groups = _people()
    large = {group for group, count in Counter(groups).items() if count >= 4}
    tested = []
    for seed in range(20):
        splits = split_by_patient(["train"] * len(classes), classes, groups, seed=seed)
        tested += [
            group in large for group, split in zip(groups, splits, strict=True) if split == "test"
        ]
    share = sum(count for count in Counter(groups).values() if count >= 4) / len(groups)
    assert np.mean(tested) == pytest.approx(share, abs=0.06)


def test_an_official_test_set_stays_whole() -> None:
    sides = ["test"] * 60 + ["train"] * 240
    classes = ["normal", "viral"] * 150
    splits = split_by_patient(sides, classes, [str(i) for i in range(300)], seed=0)
    assert splits[:60] == ["test"] * 60
    assert Counter(splits[60:]) == {"train": 216, "validation": 24}


def test_a_tiny_official_validation_folder_joins_the_pool() -> None:
    official = ["train"] * 5216 + ["validation"] * 16 + ["test"] * 624
    assert Counter(fixed_sides(official)) == {"train": 5232, "test": 624}


def test_a_large_official_validation_folder_stays() -> None:
    official = ["train"] * 80 + ["validation"] * 10 + [None] * 10
    sides = fixed_sides(official)
    assert Counter(sides) == {"train": 90, "validation": 10}
    splits = split_by_patient(sides, ["a", "b"] * 50, [str(i) for i in range(100)], seed=0)
    assert splits[80:90] == ["validation"] * 10
    assert Counter(splits)["test"] in {8, 9, 10}


def test_a_test_folder_alone_is_all_test() -> None:
    splits = split_by_patient(["test"] * 4, ["a", "b"] * 2, list("wxyz"), seed=0)
    assert splits == ["test"] * 4


def test_three_large_patients_of_a_class_go_one_to_each_side() -> None:
    classes = ["rare"] * 30 + ["normal"] * 100
    groups = ["p"] * 10 + ["q"] * 10 + ["r"] * 10 + [str(i) for i in range(100)]
    splits = split_by_patient(["train"] * 130, classes, groups, seed=0)
    assert sorted({splits[0], splits[10], splits[20]}) == ["test", "train", "validation"]


def test_two_patients_of_a_class_are_too_few() -> None:
    classes = ["rare"] * 20 + ["normal"] * 100
    groups = ["p"] * 10 + ["q"] * 10 + [str(i) for i in range(100)]
    with pytest.raises(DataError, match=r"'rare'.*patients"):
        split_by_patient(["train"] * 120, classes, groups, seed=0)
