"""The views that the network trains on, all made before the first of them is shown."""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cxr.preprocess import PreprocessSpec
from cxr.verdict import CLASSES, CROPPED, FRONTAL, INVERTED, OTHER
from training.gate import scenes
from training.gate.negatives import FAMILIES, MAKERS, Collected, working
from training.gate.views import Picture, view

#: Family of views that are made of chest films; never left out.
FILMS = "films"

#: Views of each class for one upright view.
_SHARES = {FRONTAL: 1.0, INVERTED: 0.3, CROPPED: 0.4}
_SHARE_OF_A_TURN = 0.22
#: Views of chest films without their layout for one upright view; and of each negative kind.
_SHUFFLED, _KIND = 0.55, 0.07
_COLLECTED_KIND = 0.09


@dataclass(frozen=True)
class Pool:
    """Views with what they are.

    Attributes:
        images: uint8, shape (n, size, size).
        labels: int64, shape (n,), position in ``CLASSES``.
        families: shape (n,): ``FILMS`` or the family of the negative.
    """

    images: NDArray[np.uint8]
    labels: NDArray[np.int64]
    families: NDArray[np.str_]

    def without(self, family: str) -> Pool:
        kept = self.families != family
        return Pool(self.images[kept], self.labels[kept], self.families[kept])


def make_pool(
    films: NDArray[np.uint8],
    collected: Collected,
    spec: PreprocessSpec,
    upright: int,
    seed: int,
) -> Pool:
    """Draw views: ``upright`` of whole upright films, the other classes in proportion.

    The same arguments give the same pool, however many threads draw it.
    """
    plan = list(_plan(upright))
    seeds = np.random.SeedSequence(seed).spawn(len(plan))

    def draw(number: int) -> Picture:
        random = np.random.default_rng(seeds[number])
        kind, _, what = plan[number]
        if what is None:
            picture = films[random.integers(len(films))]
        elif what == "shuffled":
            picture = scenes.shuffled(films, random)
        elif what in MAKERS:
            picture = MAKERS[what](random)
        else:
            pictures = collected[what]
            picture = working(pictures[int(random.integers(len(pictures)))], random)
        return view(np.asarray(picture), kind, spec, random)

    with ThreadPoolExecutor(os.cpu_count() or 1) as threads:
        images = np.stack(list(threads.map(draw, range(len(plan)), chunksize=64)))
    labels = np.array([CLASSES.index(kind) for kind, _, _ in plan], np.int64)
    return Pool(images, labels, np.array([family for _, family, _ in plan]))


def _plan(upright: int) -> Iterator[tuple[str, str, str | None]]:
    """(class, family, kind of picture or None for a chest film) of every view."""
    for kind in CLASSES:
        if kind != OTHER:
            yield from [(kind, FILMS, None)] * round(upright * _SHARES.get(kind, _SHARE_OF_A_TURN))
    yield from [(OTHER, FILMS, "shuffled")] * round(upright * _SHUFFLED)
    for family, kinds in FAMILIES.items():
        for what in kinds:
            share = _KIND if what in MAKERS else _COLLECTED_KIND
            yield from [(OTHER, family, what)] * round(upright * share)
