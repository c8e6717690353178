"""Fields of a bundle's documents, read and held against the weights they belong to."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cxr.calibrate import Calibration, Thresholds
from cxr.errors import BundleError

#: Plots of the card, inside a bundle's folder.
FIGURES_FOLDER = "figures"


def read_json(path: Path) -> dict[str, Any]:
    """One JSON object.

    Raises:
        BundleError: the file is missing, damaged, or holds something else.
    """
    try:
        document = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise BundleError(f"{path} cannot be read: {error}") from error
    if not isinstance(document, dict):
        raise BundleError(f"{path} does not hold an object.")
    return document


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
    """Shares of the height and the width by which activation maps lie too far up and left."""
    down, right = document.get("map_offset", (0.0, 0.0))
    return float(down), float(right)


def audit_of(path: Path, digest: str) -> dict[str, Any] | None:
    """What the audit found, if there was one.

    Raises:
        BundleError: it is the audit of other weights.
    """
    if not path.exists():
        return None
    audit = read_json(path)
    audited = audit.get("model", {}).get("sha256")
    if audited != digest:
        raise BundleError(
            f"{path} is the audit of other weights (sha256 {str(audited)[:12]}…, here "
            f"{digest[:12]}…). Delete the file, and run the audit again."
        )
    return audit


def calibration_of(fields: Mapping[str, Any]) -> Calibration:
    """The calibration of the probabilities."""
    return Calibration(float(fields["temperature"]), tuple(map(float, fields["bias"])))
