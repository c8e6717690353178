"""A radiograph for whoever has none at hand.

The package pydicom-data (MIT) carries one real chest film among its test files. Nothing
here depends on it: without the package the page does not offer the sample.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

#: CR, chest, PA, MONOCHROME1, 1955 × 1841, 15 bits, JPEG 2000 (the smallest of its variants).
FILE_NAME = "RG1_J2KI.dcm"

DESCRIPTION = (
    "A real digital chest radiograph of an adult (computed radiography, PA), from the test "
    "files of the pydicom project. It is read like any other file; nobody has published a "
    "diagnosis for it."
)


@cache
def sample_path() -> Path | None:
    """Where the sample lies on this machine, or None without the package."""
    try:
        from data_store import DataStore  # type: ignore[import-untyped]
    except ImportError:
        return None
    try:
        return Path(DataStore().get_path(FILE_NAME))
    except ValueError:
        return None
