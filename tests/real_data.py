"""Where the real radiographs lie, for the tests that need them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


def data_folder() -> Path:
    """``$XRAY_DATA``, or ``../shared/data`` beside the project; it need not exist."""
    beside = Path(__file__).resolve().parents[2] / "shared" / "data"
    return Path(os.environ.get("XRAY_DATA") or beside)


def data_path(name: str) -> Path:
    """The path of one file of ``data_folder``; skips the test where it is missing."""
    path = data_folder() / name
    if not path.exists():
        pytest.skip(f"needs the real data: {path} is missing (set XRAY_DATA)")
    return path
