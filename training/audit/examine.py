"""One pass over the test films: everything that needs the film itself, not its model input."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cxr.bundle import Bundle
from cxr.preprocess import in_eight_bits
from training.audit.attention import Deletion, delete
from training.audit.changes import CHANGES
from training.audit.films import Grey, for_each_film, predict_pictures, prepare_picture
from training.audit.shortcuts import file_statistics, pictures
from training.audit.subgroups import quality
from training.data import Prepared
from training.metrics import CUT
from training.source import Source

#: Films whose maps are put to the deletion test at most.
MOST_DELETIONS = 300


@dataclass(frozen=True)
class Examined:
    """What was seen of n films.

    Attributes:
        changed: probability of infection under each of ``CHANGES``, shape (n, changes).
        pictures: name → (probability of infection (n,), model inputs uint8 (n, size, size)).
        deletions: position of the film → what deleting did; of films called infected that are.
        qualities: shape (n, 3); see ``subgroups.quality``.
        statistics: shape (n, 9); see ``shortcuts.file_statistics``.
    """

    changed: NDArray[np.float64]
    pictures: dict[str, tuple[NDArray[np.float64], NDArray[np.uint8]]]
    deletions: dict[int, Deletion]
    qualities: NDArray[np.float64]
    statistics: NDArray[np.float64]


@dataclass(frozen=True)
class _Seen:
    changed: NDArray[np.float64]
    names: tuple[str, ...]
    infection: NDArray[np.float64]
    inputs: NDArray[np.uint8]
    deletion: Deletion | None
    quality: NDArray[np.float64]
    statistics: NDArray[np.float64]


def examine(
    bundle: Bundle,
    prepared: Prepared,
    rows: NDArray[np.int64],
    infection: NDArray[np.float64],
    infected: NDArray[np.bool_],
    lungs: NDArray[np.uint8] | None,
    seed: int = 0,
) -> Examined:
    """Read every film once, and every changed version of it.

    Args:
        rows: of ``prepared``.
        infection, infected: probability and truth of these films, shape (n,).
        lungs: masks of these films, or None.
    """
    right = np.flatnonzero(infected & (infection >= CUT))
    chosen = np.random.default_rng(seed).permutation(right)[:MOST_DELETIONS]
    to_delete = set(chosen.tolist())
    records = prepared.dataset.records
    with Source(prepared.dataset.root) as source:
        sizes = {member.path: member.size for member in source.members}

    def look(position: int, film: Grey) -> _Seen:
        random = np.random.default_rng((seed, position))
        versions = [change.apply(film, random) for change in CHANGES]
        changed = predict_pictures(bundle, versions).probabilities
        cut = pictures(film, None if lungs is None else lungs[position])
        inputs = np.stack([prepare_picture(one, bundle.spec) for one in cut.values()])
        return _Seen(
            bundle.infection_probability(changed),
            tuple(cut),
            bundle.infection_probability(bundle.predict(inputs).probabilities),
            in_eight_bits(inputs[..., 0]),
            delete(bundle, film, random) if position in to_delete else None,
            quality(film),
            file_statistics(film, sizes[records[rows[position]].path]),
        )

    seen = for_each_film(prepared, rows, bundle.spec, look, words="Examining")
    return Examined(
        np.stack([one.changed for one in seen]),
        {
            name: (
                np.array([one.infection[number] for one in seen]),
                np.stack([one.inputs[number] for one in seen]),
            )
            for number, name in enumerate(seen[0].names)
        },
        {position: one.deletion for position, one in enumerate(seen) if one.deletion is not None},
        np.stack([one.quality for one in seen]),
        np.stack([one.statistics for one in seen]),
    )
