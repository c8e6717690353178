"""From a Kaggle zip or folder to radiographs that are ready to train on.

``prepare`` is the whole line: list the files, read class and patient from their names,
decode once (or take the cache), put near-duplicates together, split by patient.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cxr.findings import FindingClass
from cxr.preprocess import PreprocessSpec
from training.cache import Corrupt, Decoded, Progress, decode_once
from training.checks import check_trainable, unread
from training.duplicates import linked_groups
from training.errors import DataError
from training.files import write_csv
from training.layout import Named, canonical_order, read_layout
from training.metadata import origin_key, read_origins
from training.source import Source
from training.split import SPLITS, TEST, TRAIN, fixed_sides, seen_later, split_by_patient

#: Split of a radiograph that is kept out of training because it nearly equals one that validates
#: or tests, or shows a patient of whom another one does.
EXCLUDED = "excluded"


@dataclass(frozen=True)
class Record:
    """One radiograph.

    Attributes:
        path: name inside the zip, or path relative to the folder.
        class_id: id of its finding class.
        patient: the finest group known to be one person; the path where names carry none.
        group: patients that share near-duplicates are one group; no group is in two of
            train, validation and test, official splits apart.
        split: "train", "validation", "test", or "excluded".
        official_split: where the data set itself put it, if it says so.
        sha256: of the file's bytes.
        origin: URL of the collection it came from, where a metadata spreadsheet says so.
    """

    path: str
    class_id: str
    patient: str
    group: str
    split: str
    official_split: str | None
    sha256: str
    origin: str | None = None


@dataclass(frozen=True)
class NearDuplicate:
    """Two radiographs that are the same picture, or nearly.

    Attributes:
        distance: Hamming distance of the 256-bit perceptual hashes.
        exact: the files are equal, byte for byte.
        first_class, second_class: ids of their finding classes.
        first_split, second_split: where they are used; "excluded" is not.
    """

    first: str
    second: str
    distance: int
    exact: bool
    first_class: str
    second_class: str
    first_split: str
    second_split: str


@dataclass(frozen=True)
class Dataset:
    """A data set as it is used: every readable radiograph with its split."""

    name: str
    root: Path
    classes: tuple[FindingClass, ...]
    records: tuple[Record, ...]
    corrupt: tuple[Corrupt, ...]
    near_duplicates: tuple[NearDuplicate, ...]
    has_masks: bool

    @property
    def sha256(self) -> str:
        """The training data hash: of path, class, content and split of every record."""
        digest = hashlib.sha256()
        for record in sorted(self.records, key=lambda record: record.path):
            line = (record.path, record.class_id, record.sha256, record.split)
            digest.update(("\0".join(line) + "\n").encode())
        return digest.hexdigest()

    def of_split(self, split: str) -> tuple[Record, ...]:
        return tuple(record for record in self.records if record.split == split)

    def open(self, record: Record) -> bytes:
        """The file's bytes."""
        with Source(self.root) as source:
            return source.read(record.path)

    def write_tables(self, folder: Path) -> None:
        """``manifest.csv``, ``near_duplicates.csv`` and ``corrupt.csv``, in their own order."""
        tables: dict[str, tuple[type, Sequence[object]]] = {
            "manifest": (Record, self.records),
            "near_duplicates": (NearDuplicate, self.near_duplicates),
            "corrupt": (Corrupt, self.corrupt),
        }
        for name, (kind, rows) in tables.items():
            head = [field.name for field in fields(kind)]
            lines = [[getattr(row, column) for column in head] for row in rows]
            write_csv(folder / f"{name}.csv", head, lines)


@dataclass(frozen=True)
class Prepared:
    """A data set with its model inputs.

    Attributes:
        images: memory map, uint8, shape (n, size, size); 255 × the model input; row i
            belongs to ``dataset.records[i]``.
        labels: int64, shape (n,); position in ``dataset.classes``.
        lungs: uint8, shape (n, 64, 64), 1 = inside the hull of a lung; None where the recipe
            has no use for it.
    """

    dataset: Dataset
    images: NDArray[np.uint8]
    labels: NDArray[np.int64]
    lungs: NDArray[np.uint8] | None = None

    @property
    def infected(self) -> NDArray[np.bool_]:
        """Which of the classes mean infection."""
        return np.array([finding.infected for finding in self.dataset.classes])

    def indices(self, split: str) -> NDArray[np.int64]:
        """Rows of "train", "validation", "test", or "all" (all three of them)."""
        wanted = SPLITS if split == "all" else (split,)
        splits = np.array([record.split for record in self.dataset.records], dtype=object)
        return np.flatnonzero(np.isin(splits, np.array(wanted, dtype=object)))

    @property
    def of_held_out_patients(self) -> int:
        """How many films are excluded since their patient is in the test or validation folder."""
        held_out = {
            record.patient
            for record in self.dataset.records
            if record.split != TRAIN and record.split == record.official_split
        }
        excluded = self.dataset.of_split(EXCLUDED)
        return sum(record.patient in held_out for record in excluded)

    @property
    def groups(self) -> NDArray[np.str_]:
        """Group of each row: what bootstraps and folds must not tear apart."""
        return np.array([record.group for record in self.dataset.records])


def prepare(
    data: Path,
    spec: PreprocessSpec,
    cache_dir: Path,
    seed: int = 0,
    *,
    for_training: bool = True,
    masks: bool = False,
    progress: Progress | None = None,
) -> Prepared:
    """Read a data set, whole or in part.

    Args:
        data: Kaggle zip or extracted folder of Kermany's set or of the COVID-19
            Radiography Database, or a tree of ``class/`` folders.
        spec: the input of the model that will see the images.
        cache_dir: where decoded images are kept between runs.
        seed: of the split.
        for_training: refuse a set that cannot be trained on (one class, too few images)
            and split what has no official split. Otherwise, to evaluate an existing
            model, everything without an official split is "test".
        masks: black out what the lung masks leave out.
        progress: called with (done, total) while decoding.

    Raises:
        DataError: nothing usable there; the sentence says what to do.
        CacheError: ``cache_dir`` cannot be written.
    """
    with Source(data) as source:
        name, named = read_layout([member.path for member in source.images])
        if not named:
            if source.zips:
                raise DataError(
                    f"No radiographs in {data}, but it holds another zip, {source.zips[0]}: "
                    "extract it, and give what was in it."
                )
            raise DataError(
                f"No radiographs in {data}: expected a folder for each class with images "
                "(JPEG, PNG, TIFF, WebP, BMP or DICOM) in it, or a zip of such folders."
                + unread(source.lists)
            )
        if for_training:
            check_trainable(data, named, lists=source.lists)
        if masks and not source.has_masks:
            raise DataError(
                f"There are no lung masks in {data} (a folder 'masks' beside 'images'). Train "
                "without --masks, or take the data set's edition that has them."
            )
        paths = [one.path for one in named]
        decoded = decode_once(source, paths, spec, cache_dir, progress, masks=masks)
        origins, unreadable = read_origins(source)
        has_masks = source.has_masks
    by_path = {one.path: one for one in named}
    readable = [by_path[path] for path in decoded.paths]
    if for_training or not readable:
        check_trainable(data, readable, decoded.corrupt)
    classes = canonical_order([one.finding for one in readable])
    records = tuple(
        replace(record, origin=origins.get(origin_key(record.path)))
        for record in _split(readable, decoded, seed, for_training)
    )
    position = {finding.id: index for index, finding in enumerate(classes)}
    dataset = Dataset(
        name=name,
        root=data,
        classes=classes,
        records=records,
        corrupt=decoded.corrupt + unreadable,
        near_duplicates=_near_duplicates(records, decoded.pairs),
        has_masks=has_masks,
    )
    labels = np.array([position[record.class_id] for record in records], np.int64)
    return Prepared(dataset, decoded.images, labels)


def _split(
    readable: Sequence[Named], decoded: Decoded, seed: int, for_training: bool
) -> tuple[Record, ...]:
    if for_training:
        sides = fixed_sides([one.official_split for one in readable])
        excluded = seen_later(sides, [one.patient for one in readable], decoded.pairs)
    else:
        sides = [one.official_split or TEST for one in readable]
        excluded = set()
    # Pairs that cross an official border are dealt with by leaving one of them out; they
    # must not tie the patients on both sides together.
    links = [(i, j) for i, j, _ in decoded.pairs.tolist() if not {i, j} & excluded]
    groups = linked_groups([one.patient for one in readable], links)
    if for_training:
        kept = [row for row in range(len(readable)) if row not in excluded]
        shared_out = split_by_patient(
            [sides[row] for row in kept],
            [readable[row].finding.id for row in kept],
            [groups[row] for row in kept],
            seed=seed,
        )
        sides = [EXCLUDED] * len(readable)
        for row, split in zip(kept, shared_out, strict=True):
            sides[row] = split
    return tuple(
        Record(one.path, one.finding.id, one.patient, group, split, one.official_split, sha256)
        for one, group, split, sha256 in zip(readable, groups, sides, decoded.sha256, strict=True)
    )


def _near_duplicates(
    records: Sequence[Record], pairs: NDArray[np.int64]
) -> tuple[NearDuplicate, ...]:
    found = []
    for row, other, distance in pairs.tolist():
        first, second = records[row], records[other]
        found.append(
            NearDuplicate(
                first=first.path,
                second=second.path,
                distance=distance,
                exact=first.sha256 == second.sha256,
                first_class=first.class_id,
                second_class=second.class_id,
                first_split=first.split,
                second_split=second.split,
            )
        )
    return tuple(found)
