"""A folder is there whole or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest

from cxr.folders import whole_folder


def _files(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in folder.iterdir()}


def test_it_takes_the_place_of_the_old_one_at_the_end(tmp_path):
    target = tmp_path / "models" / "mine"
    for words in ("old", "new"):
        with whole_folder(target) as folder:
            assert not list(folder.iterdir())
            (folder / words).write_text(words)
            assert not (target / words).exists()
        assert _files(target) == {words: words}
    assert [path.name for path in target.parent.iterdir()] == ["mine"]


def test_after_an_error_the_old_one_is_still_there(tmp_path):
    target = tmp_path / "mine"
    with whole_folder(target) as folder:
        (folder / "old").write_text("old")

    def fail() -> None:
        with whole_folder(target) as folder:
            (folder / "new").write_text("half")
            raise OSError("no space left")

    with pytest.raises(OSError, match="no space left"):
        fail()
    assert _files(target) == {"old": "old"}
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


def test_what_a_killed_process_left_is_cleared_away(tmp_path):
    (tmp_path / ".mine.partial").mkdir()
    (tmp_path / ".mine.partial" / "stale").write_text("stale")
    with whole_folder(tmp_path / "mine") as folder:
        (folder / "new").write_text("new")
    assert _files(tmp_path / "mine") == {"new": "new"}
