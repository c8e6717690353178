"""``explore``: what the data set holds: classes, patients, splits, copies, origins, damage.

Each function makes one part of the page, with its plots and tables as files beside it.
"""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pandas

from training import plots
from training.data import EXCLUDED, Prepared
from training.files import write_csv
from training.page import plot, section, table, text
from training.split import SPLITS
from training.survey import read_spreadsheets

_SHOWN_PAIRS = 12
_SHOWN_ROWS = 30


def classes(folder: Path, prepared: Prepared, complaint: str) -> tuple[str, str]:
    dataset = prepared.dataset
    labels = [finding.label for finding in dataset.classes]
    numbers = np.bincount(prepared.labels, minlength=len(labels)).tolist()
    infected = sum(
        n for n, finding in zip(numbers, dataset.classes, strict=True) if finding.infected
    )
    rows = [
        [label, number, f"{100 * number / sum(numbers):.1f} %"]
        for label, number in zip(labels, numbers, strict=True)
    ]
    write_csv(folder / "classes.csv", ["class", "radiographs"], [row[:2] for row in rows])
    facts = (
        f"{infected:,} of {sum(numbers):,} radiographs show an infection. "
        f"{len(dataset.corrupt)} files could not be read. Lung masks: "
        f"{'present' if dataset.has_masks else 'none'}."
    )
    return section(
        "Classes",
        text(complaint, "note") if complaint else "",
        text(facts),
        table(["Class", "Radiographs", "Share"], rows),
        plot(folder, "classes", plots.counts(labels, numbers), "Radiographs of each class"),
    )


def splits(folder: Path, prepared: Prepared) -> tuple[str, str]:
    records = pandas.DataFrame([asdict(record) for record in prepared.dataset.records])
    rows: list[list[Any]] = []
    for split in (*SPLITS, EXCLUDED):
        of_split = records[records["split"] == split]
        if len(of_split):
            classes = [
                int((of_split["class_id"] == finding.id).sum())
                for finding in prepared.dataset.classes
            ]
            rows.append([split, len(of_split), of_split["group"].nunique(), *classes])
    head = ["Split", "Radiographs", "Patients or groups",
            *(finding.label for finding in prepared.dataset.classes)]  # fmt: skip
    write_csv(folder / "splits.csv", head, rows)
    numbers = np.array([row[3:] for row in rows])
    drawn = plots.matrix(numbers, [row[0] for row in rows], head[3:])
    per_patient = records.groupby("group").size()
    spread = (
        f"{len(per_patient):,} patients, or groups of films that belong together: "
        f"{per_patient.mean():.2f} films each on average, {per_patient.max()} at most. No group is "
        "in two of train, validation and test; excluded films nearly equal one of a later "
        "split, or show its patient."
    )
    return section(
        "Patients and splits",
        text(spread),
        table(head, rows),
        plot(folder, "splits", drawn, "Radiographs of each class in each split"),
    )


def duplicates(folder: Path, prepared: Prepared) -> tuple[str, str]:
    pairs = prepared.dataset.near_duplicates
    kinds = Counter(
        (
            "exact" if pair.exact else "near",
            "same class" if pair.first_class == pair.second_class else "different classes",
            "same split" if pair.first_split == pair.second_split
            else f"{pair.first_split} / {pair.second_split}",
        )
        for pair in pairs
    )  # fmt: skip
    if not pairs:
        return section("Duplicates", text("No two films are equal, or nearly equal."))
    # The telling ones first: classes that contradict each other, then what spans two splits.
    telling = sorted(
        pairs,
        key=lambda p: (
            p.first_class == p.second_class,
            p.first_split == p.second_split,
            p.distance,
        ),
    )[:_SHOWN_PAIRS]
    row_of = {record.path: row for row, record in enumerate(prepared.dataset.records)}
    shown = [[prepared.images[row_of[p.first]], prepared.images[row_of[p.second]]] for p in telling]
    titles = [
        f"{p.first_class} ({p.first_split})\n{p.second_class} ({p.second_split}), "
        f"{p.distance} bits apart"
        for p in telling
    ]
    common = os.path.commonpath(list(row_of))  # a pair is two paths at least
    above = len(common) + 1 if common else 0
    return section(
        "Duplicates",
        text(
            f"{len(pairs):,} pairs of films are equal byte for byte, or so alike (perceptual hash "
            "of 256 bits) that one can be told from the other's answer. near_duplicates.csv "
            "lists them all."
        ),
        table(["Kind", "Classes", "Splits", "Pairs"],
              [[*kind, number] for kind, number in sorted(kinds.items())]),
        plot(
            folder,
            "duplicates",
            plots.pairs(shown, titles),
            "Pairs of films, those that contradict each other first",
        ),
        table(
            ["First film", "Second film", "Bits apart", "Byte for byte"],
            [[p.first[above:], p.second[above:], p.distance, "yes" if p.exact else "no"]
             for p in telling],
        ),
    )  # fmt: skip


def metadata(prepared: Prepared, root: Path) -> tuple[str, str]:
    parts = []
    for path, sheet in read_spreadsheets(root):
        rows = [
            [str(column), int(sheet[column].notna().sum()), int(sheet[column].nunique()),
             ", ".join(f"{value} ({number})"
                       for value, number in sheet[column].value_counts().head(3).items())]
            for column in sheet.columns
        ]  # fmt: skip
        parts += [
            text(f"{path}: {len(sheet):,} rows."),
            table(["Column", "Filled", "Different", "Most frequent"], rows),
        ]
    origins = Counter(
        (record.class_id, record.origin) for record in prepared.dataset.records if record.origin
    )
    if origins:
        parts += [
            text("Where the films of each class came from, by the spreadsheets:"),
            table(["Class", "Origin", "Radiographs"],
                  [[*pair, number] for pair, number in origins.most_common(_SHOWN_ROWS)]),
        ]  # fmt: skip
    return section("Metadata", *(parts or [text("The data set carries no metadata spreadsheets.")]))


def unreadable(prepared: Prepared) -> tuple[str, str]:
    corrupt = prepared.dataset.corrupt
    if not corrupt:
        return section("Unreadable files", text("Every file could be read."))
    rows = [[one.path, one.reason] for one in corrupt[:_SHOWN_ROWS]]
    more = f"The first {_SHOWN_ROWS} of {len(corrupt):,}; " if len(corrupt) > _SHOWN_ROWS else ""
    return section(
        "Unreadable files", text(f"{more}corrupt.csv lists them all."),
        table(["File", "Reason"], rows),
    )  # fmt: skip
