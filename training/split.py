"""Which radiographs train, which choose (validation), and which judge (test)."""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from training.errors import DataError

TRAIN, VALIDATION, TEST = "train", "validation", "test"
SPLITS = (TRAIN, VALIDATION, TEST)

#: Share of the pool that is taken for validation, and for test, where there is none.
SHARE = 0.1

#: An official validation folder below this share of the training pool is too small to
#: choose thresholds on (Kermany's has 16 images), and joins the pool.
SMALLEST_VALIDATION = 0.05


def fixed_sides(official: Sequence[str | None]) -> list[str]:
    """Where the data set itself puts each radiograph, "train" being the pool.

    An official test set stays as it is; an official validation set only if it is large
    enough; everything else is the pool.
    """
    sides = [split or TRAIN for split in official]
    counts = Counter(sides)
    if counts[VALIDATION] < SMALLEST_VALIDATION * (counts[TRAIN] + counts[VALIDATION]):
        sides = [TRAIN if side == VALIDATION else side for side in sides]
    return sides


def seen_later(sides: Sequence[str], patients: Sequence[str], pairs: NDArray[np.int64]) -> set[int]:
    """Rows to leave out: of a patient of whom a later side has a film, or nearly equal to one.

    Never a test film.

    Args:
        sides: of each radiograph, from ``fixed_sides``.
        patients: of each radiograph.
        pairs: shape (m, 3): two rows that are near-duplicates, and their distance.
    """
    place = [SPLITS.index(side) for side in sides]
    latest: dict[str, int] = defaultdict(int)
    for patient, side in zip(patients, place, strict=True):
        latest[patient] = max(latest[patient], side)
    rows = {
        row
        for row, (patient, side) in enumerate(zip(patients, place, strict=True))
        if side < latest[patient]
    }
    for first, second, _ in pairs.tolist():
        if place[first] != place[second]:
            rows.add(min(first, second, key=lambda row: place[row]))
    return rows


def split_by_patient(
    sides: Sequence[str], class_ids: Sequence[str], groups: Sequence[str], *, seed: int
) -> list[str]:
    """Take test and validation, where there are none, out of the pool, by whole groups.

    Args:
        sides: of each radiograph, from ``fixed_sides``.
        class_ids: class of each radiograph; each class is shared out in proportion.
        groups: patient (or cluster of near-duplicates) of each radiograph.
        seed: the same seed gives the same split.

    Returns:
        "train", "validation" or "test" for each radiograph.

    Raises:
        DataError: a class has too few groups to be on all sides.
    """
    splits = np.array(sides, dtype=object)
    share = SHARE
    if TEST not in sides:
        pool = np.flatnonzero(splits == TRAIN)
        splits[_take(pool, class_ids, groups, share, seed)] = TEST
        share /= 1 - share  # still a tenth of the whole
    if VALIDATION not in sides and TRAIN in sides:
        pool = np.flatnonzero(splits == TRAIN)
        splits[_take(pool, class_ids, groups, share, seed)] = VALIDATION
    return [str(split) for split in splits]


def halves(class_ids: Sequence[str], groups: Sequence[str], *, seed: int) -> NDArray[np.bool_]:
    """Which radiographs are in the first of two halves, by whole groups, each class in proportion.

    Raises:
        DataError: a class has only one group.
    """
    first = np.zeros(len(groups), bool)
    first[_take(np.arange(len(groups)), class_ids, groups, 0.5, seed)] = True
    return first


def _take(
    pool: NDArray[np.int64],
    class_ids: Sequence[str],
    groups: Sequence[str],
    share: float,
    seed: int,
) -> list[int]:
    """Rows of randomly ordered groups, each taken if no class exceeds its quota by it.

    Scikit-learn's StratifiedGroupKFold gives the same balance, but needs eight seconds
    for the COVID set's thirteen thousand groups, at every start.
    """
    rows: dict[str, list[int]] = defaultdict(list)
    for row in pool.tolist():
        rows[groups[row]].append(row)
    # Ordered by hash, not by a shuffle of the list: one image more or less must not send
    # everybody else to another side.
    names = sorted(rows, key=lambda name: hashlib.sha256(f"{seed}\0{name}".encode()).digest())
    counts = {name: Counter(class_ids[row] for row in rows[name]) for name in names}
    totals = sum(counts.values(), Counter())
    quota = {one: max(1, round(share * total)) for one, total in totals.items()}
    taken: dict[str, None] = {}
    so_far: Counter[str] = Counter()
    for name in names:
        if all(so_far[one] + count <= quota[one] for one, count in counts[name].items()):
            taken[name] = None
            so_far += counts[name]
    for one in sorted(totals):
        left = [name for name in names if one in counts[name] and name not in taken]
        if so_far[one] == 0 and len(left) > 1:  # its patients have many images each
            smallest = min(left, key=lambda name: counts[name].total())
            taken[smallest] = None
            so_far += counts[smallest]
            left.remove(smallest)
        if so_far[one] == 0 or not left:
            raise DataError(
                f"Class {one!r} has too few different patients to be on every side of a split. "
                "Add radiographs of other patients, or leave the class out."
            )
    return [row for name in taken for row in rows[name]]
