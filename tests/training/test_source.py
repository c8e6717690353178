"""Radiographs are found wherever people put them."""

from __future__ import annotations

from pathlib import Path

import pytest

from cxr.preprocess import PreprocessSpec
from tests.training.trees import picture, write_folder, write_zip
from training.data import prepare
from training.errors import DataError
from training.source import Source

FILES = {f"{name}/{number}.jpg": picture(number) for name in ("A", "B") for number in range(3)}


def _paths(place: Path) -> list[str]:
    with Source(place) as source:
        for member in source.images:
            assert source.read(member.path) == FILES[member.path.removeprefix("own/")]
        return [member.path for member in source.images]


def test_a_class_may_be_a_link_to_a_folder_and_a_circle_ends(tmp_path):
    elsewhere = write_folder(tmp_path / "elsewhere", FILES)
    given = tmp_path / "given"
    given.mkdir()
    for name in ("A", "B"):
        (given / name).symlink_to(elsewhere / name)
    (elsewhere / "B" / "above").symlink_to(given)
    (elsewhere / "B" / "nowhere.jpg").symlink_to(tmp_path / "nothing")
    assert _paths(given) == sorted(FILES)


def test_what_lies_there_is_found_there_and_not_behind_a_link_to_it(tmp_path):
    given = write_folder(tmp_path / "given", FILES)
    (given / "0").symlink_to(given / "A")
    assert _paths(given) == sorted(FILES)


def test_names_as_old_packers_for_windows_wrote_them(tmp_path):
    named = {f"own/{name}".replace("/", "\\"): content for name, content in FILES.items()}
    given = write_zip(tmp_path / "windows.zip", {"own\\": b"", **named})
    assert _paths(given) == sorted(f"own/{name}" for name in FILES)


def test_a_zip_in_a_zip_is_named(tmp_path):
    inner = write_zip(tmp_path / "inner.zip", FILES)
    outer = write_zip(tmp_path / "outer.zip", {"data/inner.zip": inner.read_bytes()})
    with pytest.raises(DataError, match="another zip, data/inner.zip: extract it"):
        prepare(outer, PreprocessSpec(size=64), tmp_path / "cache")
