"""``explore``: a data set in plots, tables and one page that opens offline."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import pandas
from matplotlib.figure import Figure
from numpy.typing import NDArray

from cxr.preprocess import PreprocessSpec
from training import plots
from training.data import EXCLUDED, NearDuplicate, Prepared, prepare
from training.errors import DataError
from training.files import write_csv, write_whole
from training.page import figure, section, table, text, write_page
from training.progress import decoding_progress
from training.run import Run, start_run
from training.split import SPLITS
from training.survey import LEVELS, Survey, read_spreadsheets, survey

_SAMPLES = 8
_SHOWN_PAIRS = 12
_SHOWN_ROWS = 30


@dataclass(frozen=True)
class ExploreOptions:
    """Of one ``explore``; see ``python -m training explore --help``."""

    data: Path
    runs: Path
    cache: Path
    size: int = 160
    seed: int = 0


class _Folder:
    """Where plots and tables go; each plot also returns its place on the page."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def plot(self, name: str, drawn: Figure, caption: str) -> str:
        content = plots.png(drawn)
        write_whole(self.path / f"{name}.png", content)
        return figure(content, caption)


def explore(options: ExploreOptions) -> Path:
    """Look at a data set; the path of the page.

    Raises:
        DataError: there are no radiographs.
    """
    started = time.time()
    spec = PreprocessSpec(size=options.size)
    prepared, complaint = _prepare(options, spec)
    dataset = prepared.dataset
    run = start_run(
        "explore",
        options.runs,
        {"data_sha256": dataset.sha256, "size": options.size, "seed": options.seed},
        {"data": options.data.name},
    )
    labels = np.array([finding.label for finding in dataset.classes])[prepared.labels]
    measured = survey(options.data, dataset.records, labels.tolist())
    folder = _Folder(run.folder)
    _write_tables(folder, prepared, measured)
    sections = [
        _overview(folder, prepared, complaint),
        _pictures(folder, prepared, options.seed),
        _grey_levels(folder, prepared, measured, labels),
        _sizes(folder, measured),
        _splits(folder, prepared),
        _duplicates(folder, prepared),
        _metadata(prepared, options.data),
        _unreadable(prepared),
    ]
    page = run.folder / "index.html"
    lead = (
        f"{dataset.name}: {len(dataset.records):,} radiographs in {len(dataset.classes)} classes, "
        f"data hash {dataset.sha256[:12]}. Every plot lies beside this page as PNG, every table "
        "as CSV."
    )
    write_page(page, f"What is in {options.data.name}", lead, sections)
    _finish(run, prepared, time.time() - started)
    print(f"Open {page}")
    return page


def _prepare(options: ExploreOptions, spec: PreprocessSpec) -> tuple[Prepared, str]:
    """The data, and why they cannot be trained on if they cannot: looking is still possible."""
    with decoding_progress() as progress:
        try:
            return prepare(options.data, spec, options.cache, options.seed, progress=progress), ""
        except DataError as error:
            loose = prepare(
                options.data,
                spec,
                options.cache,
                options.seed,
                for_training=False,
                progress=progress,
            )
            return loose, error.detail


def _finish(run: Run, prepared: Prepared, seconds: float) -> None:
    dataset = prepared.dataset
    run.finish(
        device="CPU",
        seconds={"total": seconds},
        radiographs=len(dataset.records),
        unreadable=len(dataset.corrupt),
        near_duplicates=len(dataset.near_duplicates),
    )


def _write_tables(folder: _Folder, prepared: Prepared, measured: Survey) -> None:
    dataset = prepared.dataset
    dataset.write_manifest(folder.path / "manifest.csv")
    dataset.write_near_duplicates(folder.path / "near_duplicates.csv")
    dataset.write_corrupt(folder.path / "corrupt.csv")
    films = measured.films.round(5)
    write_csv(folder.path / "films.csv", list(films.columns), films.to_numpy().tolist())


def _overview(folder: _Folder, prepared: Prepared, complaint: str) -> tuple[str, str]:
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
    write_csv(folder.path / "classes.csv", ["class", "radiographs"], [row[:2] for row in rows])
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
        folder.plot("classes", plots.counts(labels, numbers), "Radiographs of each class"),
    )


def _pictures(folder: _Folder, prepared: Prepared, seed: int) -> tuple[str, str]:
    random = np.random.default_rng(seed)
    titles = [finding.label for finding in prepared.dataset.classes]
    rows = [np.flatnonzero(prepared.labels == label) for label in range(len(titles))]
    samples = [
        [prepared.images[row] for row in np.sort(random.permutation(of_class)[:_SAMPLES])]
        for of_class in rows
    ]
    moments = [_moments(prepared.images, of_class) for of_class in rows]
    return section(
        "Films",
        folder.plot(
            "samples",
            plots.films(samples, titles),
            "Random films of each class, as the model sees them",
        ),
        folder.plot(
            "mean_films",
            plots.films(moments, [f"{title}: mean, standard deviation" for title in titles]),
            "Mean and standard-deviation image of each class. Where "
            "these differ in frame, pose or shoulders rather than in the lungs, a network can "
            "learn the source instead of the disease.",
        ),
    )  # fmt: skip


def _moments(
    images: NDArray[np.uint8], rows: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean and standard deviation of each pixel, in blocks: the films do not fit in memory."""
    total = np.zeros(images.shape[1:])
    squares = np.zeros(images.shape[1:])
    for start in range(0, len(rows), 512):
        block = images[rows[start : start + 512]].astype(np.float64)
        total += block.sum(axis=0)
        squares += np.square(block).sum(axis=0)
    mean = total / len(rows)
    return mean, np.sqrt(np.maximum(squares / len(rows) - np.square(mean), 0))


def _grey_levels(
    folder: _Folder, prepared: Prepared, measured: Survey, labels: NDArray[np.str_]
) -> tuple[str, str]:
    titles = [finding.label for finding in prepared.dataset.classes]
    histograms = {title: measured.levels[labels == title].mean(axis=0) for title in titles}
    across = (np.arange(LEVELS) + 0.5) / LEVELS
    write_csv(
        folder.path / "grey_levels.csv",
        ["level", *titles],
        [[f"{level:.4f}", *(f"{h[i]:.6f}" for h in histograms.values())]
         for i, level in enumerate(across)],
    )  # fmt: skip
    shown = [("brightness", "mean grey level"), ("contrast", "standard deviation")]
    return section(
        "Grey levels",
        text("Of the films as they are in their files, before anything is stretched or equalised."),
        folder.plot(
            "grey_levels",
            plots.lines(histograms, across, "grey level, of the full scale", "share of the pixels"),
            "Pixel intensities of each class",
        ),
        folder.plot(
            "brightness_contrast",
            plots.distributions(measured.films, shown, "class"),
            "Brightness and contrast of each class, as box and violin plots",
        ),
        _summary(folder, measured.films, "brightness_contrast", ["brightness", "contrast"]),
    )


def _sizes(folder: _Folder, measured: Survey) -> tuple[str, str]:
    films = measured.films
    shown = [
        ("width", "width, pixels"),
        ("height", "height, pixels"),
        ("aspect", "width / height"),
        ("kilobytes", "file size, kB"),
    ]
    formats = ", ".join(f"{number:,} {name}" for name, number in Counter(films["format"]).items())
    return section(
        "Sizes",
        text(f"Files by content: {formats}."),
        folder.plot(
            "sizes",
            plots.distributions(films, shown, "class"),
            "Dimensions, aspect ratio and file size of each class",
        ),
        _summary(folder, films, "sizes", [column for column, _ in shown]),
    )


def _summary(folder: _Folder, films: pandas.DataFrame, name: str, columns: list[str]) -> str:
    rows = []
    for title, group in films.groupby("class", sort=False):
        for column in columns:
            quantiles = group[column].quantile([0, 0.25, 0.5, 0.75, 1])
            rows.append([str(title), column, *(f"{value:.4g}" for value in quantiles)])
    head = ["Class", "Figure", "least", "25 %", "median", "75 %", "most"]
    write_csv(folder.path / f"{name}.csv", head, rows)
    return table(head, rows)


def _splits(folder: _Folder, prepared: Prepared) -> tuple[str, str]:
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
    write_csv(folder.path / "splits.csv", head, rows)
    numbers = np.array([row[3:] for row in rows])
    drawn = plots.matrix(numbers, [row[0] for row in rows], head[3:])
    per_patient = records.groupby("group").size()
    spread = (
        f"{len(per_patient):,} patients, or groups of films that belong together: "
        f"{per_patient.mean():.2f} films each on average, {per_patient.max()} at most. No group is "
        "in two of train, validation and test; excluded films nearly equal one of a later split."
    )
    return section(
        "Patients and splits",
        text(spread),
        table(head, rows),
        folder.plot("splits", drawn, "Radiographs of each class in each split"),
    )


def _duplicates(folder: _Folder, prepared: Prepared) -> tuple[str, str]:
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
        f"{p.first_class} ({p.first_split}) and {p.second_class} ({p.second_split}), "
        f"{p.distance} bits apart"
        for p in telling
    ]
    head = [field.name for field in fields(NearDuplicate)]
    return section(
        "Duplicates",
        text(
            f"{len(pairs):,} pairs of films are equal byte for byte, or so alike (perceptual hash "
            "of 256 bits) that one can be told from the other's answer. near_duplicates.csv "
            "lists them all."
        ),
        table(["Kind", "Classes", "Splits", "Pairs"],
              [[*kind, number] for kind, number in sorted(kinds.items())]),
        folder.plot(
            "duplicates",
            plots.films(shown, titles),
            "Pairs of films, those that contradict each other first",
        ),
        table(head, [[getattr(pair, name) for name in head] for pair in telling]),
    )  # fmt: skip


def _metadata(prepared: Prepared, root: Path) -> tuple[str, str]:
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


def _unreadable(prepared: Prepared) -> tuple[str, str]:
    corrupt = prepared.dataset.corrupt
    if not corrupt:
        return section("Unreadable files", text("Every file could be read."))
    rows = [[one.path, one.reason] for one in corrupt[:_SHOWN_ROWS]]
    more = f"The first {_SHOWN_ROWS} of {len(corrupt):,}; " if len(corrupt) > _SHOWN_ROWS else ""
    return section(
        "Unreadable files", text(f"{more}corrupt.csv lists them all."),
        table(["File", "Reason"], rows),
    )  # fmt: skip
