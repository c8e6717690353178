"""``explore``: what the films look like, class by class.

Each function makes one part of the page, with its plots and tables as files beside it.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pandas
from numpy.typing import NDArray

from training import plots
from training.data import Prepared
from training.files import write_csv
from training.page import plot, section, table, text
from training.survey import LEVELS, Survey

_SAMPLES = 8


def pictures(folder: Path, prepared: Prepared, seed: int) -> tuple[str, str]:
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
        plot(
            folder,
            "samples",
            plots.films(samples, titles),
            "Random films of each class, as the model sees them",
        ),
        plot(
            folder,
            "mean_films",
            plots.pairs(moments, [f"{title}: mean, standard deviation" for title in titles]),
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


def grey_levels(
    folder: Path, prepared: Prepared, measured: Survey, labels: NDArray[np.str_]
) -> tuple[str, str]:
    titles = [finding.label for finding in prepared.dataset.classes]
    histograms = {title: measured.levels[labels == title].mean(axis=0) for title in titles}
    across = (np.arange(LEVELS) + 0.5) / LEVELS
    write_csv(
        folder / "grey_levels.csv",
        ["level", *titles],
        [[f"{level:.4f}", *(f"{h[i]:.6f}" for h in histograms.values())]
         for i, level in enumerate(across)],
    )  # fmt: skip
    shown = [("brightness", "mean grey level"), ("contrast", "standard deviation")]
    return section(
        "Grey levels",
        text("Of the films as they are in their files, before anything is stretched or equalised."),
        plot(
            folder,
            "grey_levels",
            plots.lines(histograms, across, "grey level, of the full scale", "share of the pixels"),
            "Pixel intensities of each class",
        ),
        plot(
            folder,
            "brightness_contrast",
            plots.distributions(measured.films, shown, "class"),
            "Brightness and contrast of each class, as box and violin plots",
        ),
        _summary(folder, measured.films, "brightness_contrast", ["brightness", "contrast"]),
    )


def sizes(folder: Path, measured: Survey) -> tuple[str, str]:
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
        plot(
            folder,
            "sizes",
            plots.distributions(films, shown, "class"),
            "Dimensions, aspect ratio and file size of each class",
        ),
        _summary(folder, films, "sizes", [column for column, _ in shown]),
    )


def _summary(folder: Path, films: pandas.DataFrame, name: str, columns: list[str]) -> str:
    rows = []
    for title, group in films.groupby("class", sort=False):
        for column in columns:
            quantiles = group[column].quantile([0, 0.25, 0.5, 0.75, 1])
            rows.append([str(title), column, *(f"{value:.4g}" for value in quantiles)])
    head = ["Class", "Figure", "least", "25 %", "median", "75 %", "most"]
    write_csv(folder / f"{name}.csv", head, rows)
    return table(head, rows)
