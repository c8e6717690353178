"""Fields of a bundle's documents, read and held against the weights they belong to."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from cxr.calibrate import Calibration, Thresholds
from cxr.errors import BundleError
from cxr.findings import FindingClass

#: Plots of the card, inside a bundle's folder.
FIGURES_FOLDER = "figures"


def read_json(path: Path) -> dict[str, Any]:
    """One JSON object.

    Raises:
        BundleError: the file is missing, damaged, or holds something else.
    """
    try:
        document = json.loads(path.read_text())
    except (OSError, ValueError, RecursionError) as error:
        raise BundleError(f"{path} cannot be read: {error}") from error
    if not isinstance(document, dict):
        raise BundleError(f"{path} does not hold an object.")
    return document


def card_of(path: Path) -> str:
    """A card's Markdown; empty where there is none.

    Raises:
        BundleError: the file cannot be read.
    """
    try:
        return path.read_text() if path.exists() else ""
    except (OSError, ValueError) as error:
        raise BundleError(f"{path} cannot be read: {error}") from error


def name_of(value: object, what: str) -> str:
    """A name or a version, which stands in addresses: ``/models/<name>``.

    Raises:
        ValueError: it cannot stand there.
    """
    if not isinstance(value, str) or not value.isprintable() or value in ("", ".", ".."):
        raise ValueError(f"{what} must be a word")
    if "/" in value:
        raise ValueError(f"{what} must not hold a slash")
    return value


def title_of(value: object) -> str:
    """Words for people.

    Raises:
        ValueError: it is no text.
    """
    if not isinstance(value, str) or not value:
        raise ValueError("title and label must be text")
    value.encode()  # JSON can hold half a character, which no answer can
    return value


def classes_of(listed: Sequence[Mapping[str, Any]]) -> tuple[FindingClass, ...]:
    """The classes, in the order of the network's outputs.

    Raises:
        TypeError, ValueError: a field is missing or wrong, or two classes cannot be told apart.
    """
    classes = tuple(FindingClass(**fields) for fields in listed)
    for finding in classes:
        name_of(finding.id, "the id of a class")
        title_of(finding.label)
        # 0 and 1 would choose columns, not say which count: a probability above 1 came out.
        if not isinstance(finding.infected, bool):
            raise ValueError("infected must be true or false")
    if len({one.id for one in classes}) + len({one.label for one in classes}) < 2 * len(classes):
        raise ValueError("two classes have one id or label")
    if {one.infected for one in classes} != {True, False}:
        raise ValueError("some classes must be infected, and some not")
    return classes


def population_of(fields: Mapping[str, Any]) -> Mapping[str, Any]:
    """Whom the model may read: a label and ages in years, as far as they are stated.

    Raises:
        ValueError: one of them is something else.
    """
    if not isinstance(fields, dict):
        raise ValueError("population must be an object")
    if fields.get("label") is not None:
        title_of(fields["label"])
    for age in ("min_age_years", "max_age_years"):
        years = fields.get(age)
        if years is not None and not (type(years) in (int, float) and math.isfinite(years)):
            raise ValueError(f"{age} must be a number")
    return fields


def thresholds_of(fields: Mapping[str, Any], digest: str, path: Path) -> Thresholds:
    """Operating points, if they were chosen for these weights.

    A threshold means something for one set of weights only. The hash of the file is beside
    them, in a document that anyone can edit, so they carry their own.

    Raises:
        BundleError: they were chosen for others.
        KeyError, TypeError, ValueError: a field is missing or wrong.
    """
    chosen_for = fields["model_sha256"]
    if chosen_for != digest:
        raise BundleError(
            f"{path}: the thresholds were chosen for other weights (sha256 "
            f"{str(chosen_for)[:12]}…, here {digest[:12]}…). Copy the whole bundle again, or "
            "choose thresholds for these weights by exporting them anew."
        )
    return Thresholds(rule_out=fields["rule_out"], rule_in=fields["rule_in"])


def map_offset_of(document: Mapping[str, Any]) -> tuple[float, float]:
    """Shares of the height and the width by which activation maps lie too far up and left.

    Raises:
        TypeError, ValueError: they are none.
    """
    down, right = document.get("map_offset", (0.0, 0.0))
    offset = float(down), float(right)
    if not all(abs(share) < 1 for share in offset):
        raise ValueError("map_offset must be two shares of the picture")
    return offset


def audit_of(path: Path, digest: str) -> dict[str, Any] | None:
    """What the audit found, if there was one.

    Raises:
        BundleError: it is the audit of other weights.
    """
    if not path.exists():
        return None
    audit = read_json(path)
    model = audit.get("model")
    audited = model.get("sha256") if isinstance(model, dict) else None
    if audited != digest:
        raise BundleError(
            f"{path} is the audit of other weights (sha256 {str(audited)[:12]}…, here "
            f"{digest[:12]}…). Delete the file, and run the audit again."
        )
    return audit


def calibration_of(fields: Mapping[str, Any], classes: int) -> Calibration:
    """The calibration of the probabilities of so many classes.

    Raises:
        KeyError, TypeError, ValueError: a field is missing or wrong.
    """
    bias = tuple(map(float, fields["bias"]))
    if len(bias) != classes:
        raise ValueError(f"bias must hold {classes} numbers, one a class")
    return Calibration(float(fields["temperature"]), bias)
