"""Another hospital: films that no model here was trained, calibrated or tuned on.

NIH ChestX-ray films with the verdict of the three radiologists of the RSNA challenge:
*Lung Opacity* against films that NIH's reports call free of findings and that were not in
that challenge (its normals are in the COVID-19 Radiography Database, so a model may have
been trained on them).
"""

from __future__ import annotations

import csv
import io
import sys
from collections.abc import Sequence
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cxr.bundle import Bundle
from cxr.preprocess import in_eight_bits
from training.audit.films import read_inputs
from training.audit.subgroups import measure_part
from training.errors import DataError
from training.metrics import Answers, measure
from training.source import Source

LABELS = "labels.csv"
_COLUMNS = {"file", "nih_label", "rsna_class"}


def external(bundle: Bundle, data: Path) -> tuple[dict[str, Any], NDArray[np.uint8], NDArray]:
    """Measure a bundle on them.

    Returns:
        The figures; the model inputs of the normal films, uint8 (n, size, size); and the
        patients of these.

    Raises:
        DataError: the folder or zip has no ``labels.csv`` of the expected columns, or too
            few films on a side.
    """
    asked, skipped = read_labels(data)
    with Source(data) as source:
        by_name = {PurePosixPath(member.path).name: member.path for member in source.images}
        by_path = {by_name[row["file"]]: row for row in asked if row["file"] in by_name}
        paths, inputs = read_inputs(source, list(by_path), bundle.spec)
    missing = sum(row["file"] not in by_name for row in asked)
    if missing:
        print(f"\n{missing} films that {LABELS} names are not in {data}.", file=sys.stderr)
    rows = [by_path[path] for path in paths]
    infected = np.array([row["rsna_class"] == "Lung Opacity" for row in rows], bool)
    if min(infected.sum(), (~infected).sum()) < 20:
        raise DataError(
            f"{data} holds {int(infected.sum())} films of confirmed opacity and "
            f"{int((~infected).sum())} without finding that can be read; at least 20 of each are "
            f"needed. {LABELS} names {missing} more that are not there."
        )
    probabilities = bundle.predict(inputs).probabilities
    answers = Answers(
        probabilities,
        np.full(len(rows), -1),
        bundle.infection_probability(probabilities),
        infected,
        np.array([row["file"].split("_")[0] for row in rows]),
    )
    measured = measure(answers, bundle.thresholds)
    views = sorted({row.get("view", "") for row in rows} - {""})
    parts = [
        measure_part(
            answers,
            np.array([row.get("view") == view for row in rows]),
            bundle.thresholds,
            "view",
            view,
        )
        for view in views
    ]
    return (
        {
            "name": "NIH ChestX-ray8, films of another hospital, mostly adults",
            "question": "opacity confirmed by three radiologists (RSNA 2018) against reports "
            "without finding",
            "left_out": skipped,
            "missing": missing,
            "unreadable": len(by_path) - len(rows),
            **measured,
            "parts": [part for part in parts if part is not None],
        },
        in_eight_bits(inputs[~infected, :, :, 0]),
        answers.groups[~infected],
    )


def read_labels(data: Path) -> tuple[Sequence[dict[str, str]], int]:
    """The films that the question is about, ``file`` without folders; how many others there are.

    Raises:
        DataError: as ``external``.
    """
    with Source(data) as source:
        names = [member.path for member in source.members if member.path.endswith(LABELS)]
        if not names:
            raise DataError(f"{data} holds no {LABELS}: it must say what each film shows.")
        table = io.StringIO(source.read(names[0]).decode("utf-8-sig"))
    reader = csv.DictReader(table)
    if not set(reader.fieldnames or ()) >= _COLUMNS:
        raise DataError(
            f"{names[0]} in {data} must have the columns {', '.join(sorted(_COLUMNS))}."
        )
    # Names with folders are known too, as / or \ writes them.
    lines = [{**line, "file": PureWindowsPath(line["file"] or "").name} for line in reader]
    asked = [
        line
        for line in lines
        if line["rsna_class"] == "Lung Opacity"
        or (line["nih_label"] == "No_findings" and not line["rsna_class"])
    ]
    return asked, len(lines) - len(asked)
