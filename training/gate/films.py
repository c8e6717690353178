"""The chest films: which of them train the gate, which choose its threshold, which judge it.

The classifiers' own splits hold: what is their test set is nobody's training film here either.
Two more collections are measured and nothing else.
"""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from cxr.preprocess import PreprocessSpec
from training.data import Prepared, prepare
from training.duplicates import near_pairs, perceptual_hash
from training.errors import DataError
from training.gate.views import WORKING_SIDE
from training.layout import COVID_ZIP, KERMANY_ZIP, MASKS_ZIP
from training.lungs import read_mask
from training.progress import decoding_progress
from training.source import Source

NIH_ZIP = "nih-adult-external.zip"

_WORKING = PreprocessSpec(size=WORKING_SIDE)


@dataclass(frozen=True)
class Measured:
    """Files of chest films that only measure, named as the figures name them.

    Attributes:
        name: of the collection, such as ``Kermany, official test``.
        normal, diseased: the files' bytes.
    """

    name: str
    normal: tuple[bytes, ...]
    diseased: tuple[bytes, ...]


@dataclass(frozen=True)
class Collection:
    """Everything that is known of chest films here.

    Attributes:
        train, validation: uint8, shape (n, WORKING_SIDE, WORKING_SIDE), upright and positive.
        left_out: how many training films are copies of films that another set holds out.
    """

    train: NDArray[np.uint8]
    validation: NDArray[np.uint8]
    measured: tuple[Measured, ...]
    data_sha256: tuple[str, ...]
    left_out: int


def read_films(data: Path, cache: Path, seed: int) -> Collection:
    """Read the two training sets with the classifiers' splits, and the ones that only measure.

    Args:
        data: folder that holds the zips by their usual names; the two external ones may lack.
        seed: of the split, as the classifiers have it.

    Raises:
        DataError: one of the two training sets is missing.
    """
    sets = []
    for name in (KERMANY_ZIP, COVID_ZIP):
        if not (data / name).exists():
            raise DataError(f"{data} lacks {name}. The gate learns from both training sets.")
        with decoding_progress() as progress:
            sets.append(prepare(data / name, _WORKING, cache, seed, progress=progress))
    unseen = _without_held_out(sets)
    measured = [
        _test_films("Kermany, official test", sets[0]),
        _test_films("COVID-19 database, test tenth", sets[1]),
    ]
    if (data / NIH_ZIP).exists():
        measured.append(_nih(data / NIH_ZIP))
    if (data / MASKS_ZIP).exists():
        measured.append(_openi(data / MASKS_ZIP))
    return Collection(
        train=np.concatenate([one.images[rows] for one, rows in zip(sets, unseen, strict=True)]),
        validation=np.concatenate([one.images[one.indices("validation")] for one in sets]),
        measured=tuple(measured),
        data_sha256=tuple(one.dataset.sha256 for one in sets),
        left_out=sum(
            len(one.indices("train")) - len(rows) for one, rows in zip(sets, unseen, strict=True)
        ),
    )


def _without_held_out(sets: list[Prepared]) -> list[NDArray[np.int64]]:
    """Training rows of each set that no set holds out: the COVID set copies Kermany's films."""
    hashes = [np.array([perceptual_hash(image) for image in one.images]) for one in sets]
    offset = len(hashes[0])
    splits = np.array([record.split for one in sets for record in one.dataset.records])
    copies: set[int] = set()
    for first, second, _ in near_pairs(np.concatenate(hashes)).tolist():
        if first < offset <= second:  # within a set the split has already seen to it
            copies |= {
                row
                for row, other in ((first, second), (second, first))
                if splits[row] == "train" and splits[other] in ("validation", "test")
            }
    kept = []
    for start, one in ((0, sets[0]), (offset, sets[1])):
        rows = one.indices("train")
        kept.append(rows[[start + int(row) not in copies for row in rows]])
    return kept


def _test_films(name: str, one: Prepared) -> Measured:
    infected = {finding.id: finding.infected for finding in one.dataset.classes}
    files: dict[bool, list[bytes]] = {False: [], True: []}
    with Source(one.dataset.root) as source:
        for record in one.dataset.of_split("test"):
            files[infected[record.class_id]].append(source.read(record.path))
    return Measured(name, tuple(files[False]), tuple(files[True]))


def _nih(path: Path) -> Measured:
    """Films that the radiologists called normal are left out: the COVID set trains on them."""
    files: dict[bool, list[bytes]] = {False: [], True: []}
    with Source(path) as source:
        (table,) = [member.path for member in source.members if member.path.endswith("labels.csv")]
        labels = {
            row["file"]: row for row in csv.DictReader(io.StringIO(source.read(table).decode()))
        }
        for member in source.images:
            label = labels[Path(member.path).name]
            if label["rsna_class"] != "Normal":
                files[label["nih_label"] == "Pneumonia"].append(source.read(member.path))
    return Measured("NIH ChestX-ray8 (external)", tuple(files[False]), tuple(files[True]))


def _openi(path: Path) -> Measured:
    with Source(path) as source:
        normal = tuple(source.read(member.path) for member in source.images)
    return Measured("Openi normals (external)", normal, ())


def lung_masked_films(data: Path) -> list[tuple[NDArray[np.uint8], NDArray[np.bool_]]]:
    """Films with their lung masks at the film's size, for measuring what a crop cuts off."""
    pairs = []
    with Source(data) as source:
        for path, mask_path in source.masked.items():
            film = cv2.imdecode(np.frombuffer(source.read(path), np.uint8), 0)
            assert film is not None
            size = (film.shape[1], film.shape[0])
            mask = cv2.resize(read_mask(source, mask_path), size, interpolation=cv2.INTER_NEAREST)
            pairs.append((np.asarray(film, np.uint8), np.asarray(mask > 127)))
    return pairs
