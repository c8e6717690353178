"""Films of other data sets that help in a training, and belong to none of its splits.

*Infections.* A data set that knows few infections teaches few of their looks. Another one's
training films show more of them: those of its infected classes that the first one has no name
for. They are shown as *infected with anything*: the loss asks that the infected classes'
probabilities sum to one and leaves open which (partial labels; Cour 2011, J Mach Learn Res
12:1501), so that no film is taught a name that is not its own.

*Normals.* Where each class is from hospitals of its own, a normal film of yet another one looks
like whatever its detector resembles. Normal films of one more source show that it is not the
detector that matters; with opacities drawn into some of them (``training/opacity.py``) that source
has infected films too. A quarter of them is never trained on and is what the audit measures.

The data set itself alone still validates, calibrates and tests.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from cxr.preprocess import PreprocessSpec
from training.blanking import SIDE
from training.cache import decode_once
from training.data import Prepared
from training.duplicates import near_pairs, perceptual_hash
from training.errors import DataError
from training.lungs import hulls, read_mask
from training.opacity import DRAWN, fallen_ill
from training.prepared import prepare_for
from training.recipe import Recipe
from training.source import Source, fingerprint


@dataclass(frozen=True)
class Companion:
    """Films beside those of the data set that is trained on.

    Attributes:
        name: of the data set that they are from.
        sha256: changes with its files.
        images: uint8, shape (n, size, size); 255 × the model input.
        lungs: uint8, shape (n, 64, 64), 1 = inside the hull of a lung, or None.
        findings: how many films of which finding class.
        infected: with anything; otherwise they are normal.
        repeated: how often an epoch shows each.
    """

    name: str
    sha256: str
    images: NDArray[np.uint8]
    lungs: NDArray[np.uint8] | None
    findings: Mapping[str, int]
    infected: bool
    repeated: int = 1


def infections_of(
    prepared: Prepared, recipe: Recipe, data: Path, cache: Path, seed: int
) -> Companion:
    """The training films of ``data`` that are infected with what ``prepared`` has no class for.

    Without those that nearly equal a film that validates or tests.

    Raises:
        DataError: there are none, or the lungs of one set are known and not of the other.
        CacheError: as ``prepare``.
    """
    other = prepare_for(recipe, data, cache, seed)
    known = {finding.id for finding in prepared.dataset.classes}
    new = [one.infected and one.id not in known for one in other.dataset.classes]
    rows = other.indices("train")
    rows = rows[np.array(new)[other.labels[rows]]]
    rows = rows[~_seen_again(other.images[rows], _judged(prepared))]
    if not len(rows):
        raise DataError(
            f"--companion {data} has no training films of an infection that the data set does not "
            "have itself. Give one that has, or leave it away."
        )
    if (prepared.lungs is None) != (other.lungs is None):
        raise DataError(
            f"Lung masks belong to only one of the data set and {data}: put lung-masks.zip beside "
            "both, or beside neither."
        )
    names = [finding.id for finding in other.dataset.classes]
    counts = np.bincount(other.labels[rows], minlength=len(names)).tolist()
    return Companion(
        other.dataset.name,
        other.dataset.sha256,
        other.images[rows],
        None if other.lungs is None else other.lungs[rows],
        {name: count for name, count in zip(names, counts, strict=True) if count},
        infected=True,
    )


def normals_of(
    prepared: Prepared, spec: PreprocessSpec, data: Path, cache: Path, seed: int, share: float
) -> list[Companion]:
    """Three in four of the films in ``data``, all of them normal, with a lung mask for each.

    And every second of them with an opacity, as often, so that this source too has both.

    Args:
        share: of the data set's own normal films that they are repeated up to.

    Raises:
        DataError: there are none.
        CacheError: as ``prepare``.
    """
    with Source(data) as source:
        masks = source.masked
        paths = [path for path in masks if not held_out(path)]
        # A mask lies over the whole picture.
        decoded = decode_once(source, paths, replace(spec, cut_frame=False), cache)
        lungs = [_hull(source, masks[path]) for path in decoded.paths]
        stamp = fingerprint(source.members)
    images = np.asarray(decoded.images)
    again = _seen_again(images, _judged(prepared)) if len(images) else np.zeros(0, bool)
    images, lungs = images[~again], [one for one, out in zip(lungs, again, strict=True) if not out]
    if not len(images):
        raise DataError(
            f"--normals {data} has no film with a lung mask: images/NAME and masks/NAME are looked "
            "for, and every film must be normal."
        )
    own = int((prepared.labels[prepared.indices("train")] == 0).sum())
    repeated = max(round(share * own / len(images)), 1)
    outlines = None if prepared.lungs is None else np.stack(lungs)
    normal = {prepared.dataset.classes[0].id: len(images)}
    found = [Companion(data.name, stamp, images, outlines, normal, False, repeated)]
    random = np.random.default_rng(seed)
    ill, where = [], []
    # Every second one, as often as an epoch shows the films themselves.
    for row in np.tile(np.arange(0, len(images), 2), repeated):
        film = fallen_ill(images[row], lungs[row], random)
        if film is not None:
            ill.append(film)
            where.append(lungs[row])
    if ill:
        outlines = None if prepared.lungs is None else np.stack(where)
        found.append(
            Companion(data.name, stamp, np.stack(ill), outlines, {DRAWN: len(ill)}, infected=True)
        )
    return found


def held_out(path: str) -> bool:
    """Whether a normal film is one of the quarter that is measured with, by hash of its name."""
    return hashlib.sha256(Path(path).name.encode()).digest()[0] % 4 == 0


def _hull(source: Source, mask: str) -> NDArray[np.uint8]:
    lungs = hulls((read_mask(source, mask) > 127).astype(np.uint8))
    return np.asarray(cv2.resize(lungs, (SIDE, SIDE), interpolation=cv2.INTER_AREA), np.uint8)


def _judged(prepared: Prepared) -> NDArray[np.uint8]:
    rows = np.concatenate([prepared.indices(split) for split in ("validation", "test")])
    return prepared.images[rows]


def _seen_again(films: NDArray[np.uint8], judged: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Which of the films nearly equal one of ``judged``."""
    hashes = np.stack([perceptual_hash(film) for part in (films, judged) for film in part])
    pairs = near_pairs(hashes)
    found = np.zeros(len(films), bool)
    found[[first for first, second, _ in pairs.tolist() if first < len(films) <= second]] = True
    return found


def joined(
    prepared: Prepared, rows: NDArray[np.int64], companions: Sequence[Companion]
) -> tuple[Any, NDArray[np.int64], Any, NDArray[np.int64]]:
    """What a stage trains on, the companions' films behind those of the data set.

    Args:
        rows: of the data set, to train on.

    Returns:
        images, labels, lungs and rows as ``training.loop.train`` takes them. The label of a film
        that is infected with anything is the number of classes.
    """
    images: Any = prepared.images
    labels, lungs = prepared.labels, prepared.lungs
    for companion in companions:
        own, more = len(labels), len(companion.images)
        label = len(prepared.dataset.classes) if companion.infected else 0
        labels = np.append(labels, np.full(more, label))
        rows = np.append(rows, np.tile(np.arange(own, own + more), companion.repeated))
        if lungs is not None:
            assert companion.lungs is not None
            lungs = np.concatenate([lungs, companion.lungs])
        images = _Both(images, companion.images)
    return images, labels, lungs, rows


class _Both:
    """Two sets of films as one, without a copy of the first, which is mapped from the disk."""

    def __init__(self, first: Any, second: NDArray[np.uint8]) -> None:
        self.first, self.second = first, second
        self.shape = (first.shape[0] + len(second), *first.shape[1:])

    def __getitem__(self, rows: NDArray[np.int64]) -> NDArray[np.uint8]:
        """Shape (len(rows), size, size); rows ascending, as a batch's are."""
        border = self.first.shape[0]
        ours = rows[rows < border]
        return np.concatenate([self.first[ours], self.second[rows[len(ours) :] - border]])
