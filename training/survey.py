"""What a data set looks like before anything is evened out: sizes, brightness, grey levels."""

from __future__ import annotations

import io
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas
from numpy.typing import NDArray
from tqdm import tqdm

from cxr.decode import decode
from cxr.errors import CxrError
from training.data import Record
from training.source import Source, UnreadableMemberError

#: Grey levels of the histograms, evenly over the full scale.
LEVELS = 64


@dataclass(frozen=True)
class Survey:
    """Measurements of every film as it is in its file.

    Attributes:
        films: a row for each record, with ``class``, ``split``, ``format``, ``width``,
            ``height``, ``aspect`` (width / height), ``megapixels``, ``kilobytes``,
            ``brightness`` and ``contrast`` (mean and standard deviation of the grey levels,
            of the full scale).
        levels: float64, shape (n, LEVELS): share of each film's pixels on each level.
    """

    films: pandas.DataFrame
    levels: NDArray[np.float64]


def survey(root: Path, records: Sequence[Record], labels: Sequence[str]) -> Survey:
    """Decode every film at its full size, once.

    Args:
        labels: the words for the class of each record.
    """
    with Source(root) as source, ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        measured = pool.map(lambda record: _measure(source.read(record.path)), records)
        bar = tqdm(
            measured, "Measuring", len(records), unit="film", delay=2.0, leave=False, disable=None
        )
        rows = list(bar)
    table = pandas.DataFrame([row for row, _ in rows])
    table.insert(0, "path", [record.path for record in records])
    table.insert(1, "class", list(labels))
    table.insert(2, "split", [record.split for record in records])
    return Survey(table, np.array([levels for _, levels in rows]))


def _measure(data: bytes) -> tuple[dict[str, Any], NDArray[np.float64]]:
    radiograph = decode(data)
    pixels = radiograph.pixels
    scale = np.iinfo(pixels.dtype).max
    histogram = np.bincount(
        (pixels.ravel() >> (scale.bit_length() - LEVELS.bit_length() + 1)), minlength=LEVELS
    )
    row = {
        "format": radiograph.format,
        "width": radiograph.width,
        "height": radiograph.height,
        "aspect": radiograph.width / radiograph.height,
        "megapixels": radiograph.width * radiograph.height / 1e6,
        "kilobytes": len(data) / 1e3,
        "brightness": float(pixels.mean()) / scale,
        "contrast": float(pixels.std()) / scale,
    }
    return row, histogram / pixels.size


def read_spreadsheets(root: Path) -> list[tuple[str, pandas.DataFrame]]:
    """The metadata spreadsheets of a data set, each by its path; none where there is none."""
    found = []
    with Source(root) as source:
        for member in source.metadata:
            try:
                content = io.BytesIO(source.read(member.path))
                found.append((member.path, pandas.read_excel(content, engine="openpyxl")))
            except (UnreadableMemberError, CxrError, ValueError, KeyError, OSError):
                continue  # prepare() lists it among the files that cannot be read
    return found
