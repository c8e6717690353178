"""Answers to films as CSV, one line a film."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cxr.findings import FindingClass
from training.data import Prepared
from training.files import write_csv


def write_predictions(
    path: Path,
    prepared: Prepared,
    rows: NDArray[np.int64],
    classes: Sequence[FindingClass],
    probabilities: NDArray[np.float64],
    more: Mapping[str, Sequence[Any]] | None = None,
) -> None:
    """Path, group, true class, most probable class, ``more``, and the probability of each class.

    Args:
        rows: of ``prepared``, shape (n,).
        classes: of the model.
        probabilities: shape (n, classes).
        more: further columns by their head, n values each.

    Raises:
        TrainingError: the place cannot be written.
    """
    more = more or {}
    lines = []
    for row, answer, *rest in zip(rows, probabilities, *more.values(), strict=True):
        record = prepared.dataset.records[row]
        believed = classes[int(answer.argmax())].id
        shares = [f"{one:.6f}" for one in answer]
        lines.append([record.path, record.group, record.class_id, believed, *rest, *shares])
    labels = [finding.label for finding in classes]
    write_csv(path, ["path", "group", "class", "finding", *more, *labels], lines)
