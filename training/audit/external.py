"""Another hospital: films that no model here was trained, calibrated or tuned on.

NIH ChestX-ray films with the verdict of the three radiologists of the RSNA challenge:
*Lung Opacity* against films that NIH's reports call free of findings and that were not in
that challenge (its normals are in the COVID-19 Radiography Database, so a model may have
been trained on them).
"""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cxr.bundle import Bundle
from cxr.decode import decode
from cxr.preprocess import to_model_input
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
    rows, skipped = _rows(data)
    inputs = []
    with Source(data) as source:
        by_name = {Path(member.path).name: member.path for member in source.images}
        rows = [row for row in rows if row["file"] in by_name]
        for row in rows:
            film = decode(source.read(by_name[row["file"]]), reduce_to=bundle.spec.reduce_to)
            inputs.append(to_model_input(film, bundle.spec))
    infected = np.array([row["rsna_class"] == "Lung Opacity" for row in rows], bool)
    if min(infected.sum(), (~infected).sum()) < 20:
        raise DataError(
            f"{data} holds {int(infected.sum())} films of confirmed opacity and "
            f"{int((~infected).sum())} without finding; at least 20 of each are needed."
        )
    probabilities = bundle.predict(np.stack(inputs)).probabilities
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
    pixels = (np.stack(inputs)[~infected, :, :, 0] * 255).round().astype(np.uint8)
    return (
        {
            "name": "NIH ChestX-ray8, films of another hospital, mostly adults",
            "question": "opacity confirmed by three radiologists (RSNA 2018) against reports "
            "without finding",
            "left_out": skipped,
            **measured,
            "parts": [part for part in parts if part is not None],
        },
        pixels,
        answers.groups[~infected],
    )


def _rows(data: Path) -> tuple[Sequence[dict[str, str]], int]:
    """The films that the question is about, and how many others there are."""
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
    lines = list(reader)
    asked = [
        line
        for line in lines
        if line["rsna_class"] == "Lung Opacity"
        or (line["nih_label"] == "No_findings" and not line["rsna_class"])
    ]
    return asked, len(lines) - len(asked)
