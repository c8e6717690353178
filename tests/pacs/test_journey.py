"""A short version of the journey of real films; ``make round-trip`` runs the whole one."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from tests.pacs.journey import ZIPS, travel
from tests.pacs.orthanc import needs
from tests.real_data import data_path

pytestmark = pytest.mark.slow


def test_real_films_come_back_once_valid_and_as_they_are_read(tmp_path: Path) -> None:
    needs("Orthanc", "storescu", "dciodvfy")
    for name in ZIPS:
        data_path(name)
    wrong, captures = travel(tmp_path, 10, 256, random.Random(3))
    assert wrong == []
    assert captures
