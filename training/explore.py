"""``explore``: a data set in plots, tables and one page that opens offline."""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from cxr.preprocess import PreprocessSpec
from training.data import Prepared, prepare
from training.errors import DataError
from training.explore_films import grey_levels, pictures, sizes
from training.explore_records import classes, duplicates, metadata, splits, unreadable
from training.files import write_csv
from training.page import write_page
from training.progress import decoding_progress
from training.run import start_run
from training.survey import survey


@dataclass(frozen=True)
class ExploreOptions:
    """Of one ``explore``; see ``python -m training explore --help``."""

    data: Path
    runs: Path
    cache: Path
    size: int = 160
    seed: int = 0


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
    dataset.write_tables(run.folder)
    films = measured.films.round(5)
    write_csv(run.folder / "films.csv", list(films.columns), films.to_numpy().tolist())
    sections = [
        classes(run.folder, prepared, complaint),
        pictures(run.folder, prepared, options.seed),
        grey_levels(run.folder, prepared, measured, labels),
        sizes(run.folder, measured),
        splits(run.folder, prepared),
        duplicates(run.folder, prepared),
        metadata(prepared, options.data),
        unreadable(prepared),
    ]
    page = run.folder / "index.html"
    lead = (
        f"{dataset.name}: {len(dataset.records):,} radiographs in {len(dataset.classes)} classes, "
        f"data hash {dataset.sha256[:12]}. Every plot lies beside this page as PNG, every table "
        "as CSV."
    )
    write_page(page, f"What is in {options.data.name}", lead, sections)
    run.finish(
        device="CPU",
        seconds={"total": time.time() - started},
        radiographs=len(dataset.records),
        unreadable=len(dataset.corrupt),
        near_duplicates=len(dataset.near_duplicates),
    )
    print(f"Open {page}")
    return page


def _prepare(options: ExploreOptions, spec: PreprocessSpec) -> tuple[Prepared, str]:
    """The data, and why they cannot be trained on if they cannot: looking is still possible."""
    with decoding_progress() as progress:
        read = partial(prepare, options.data, spec, options.cache, options.seed, progress=progress)
        try:
            return read(), ""
        except DataError as error:
            return read(for_training=False), error.detail
