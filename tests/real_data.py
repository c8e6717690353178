"""Where the real radiographs lie, for the tests that need them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


def data_path(name: str) -> Path:
    """The path of one file of real data; skips the test where it is missing.

    Looks in ``$XRAY_DATA``, or in ``../shared/data`` beside the project.
    """
    beside = Path(__file__).resolve().parents[2] / "shared" / "data"
    path = Path(os.environ.get("XRAY_DATA") or beside) / name
    if not path.exists():
        pytest.skip(f"needs the real data: {path} is missing (set XRAY_DATA)")
    return path
