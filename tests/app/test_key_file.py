"""The key file is replaced whole, or not at all."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from app.access.keys import KeyFile, KeyFileError


def test_a_file_that_cannot_be_replaced_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = KeyFile(tmp_path / "api-keys")
    keys.create("ward")

    def full(*_: Any) -> None:
        raise OSError("No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(KeyFileError, match="cannot be written"):
        keys.create("other")
    assert [path.name for path in tmp_path.iterdir()] == ["api-keys"]
    assert set(keys.read()) == {"ward"}


def test_its_bytes_are_on_the_disk_before_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = KeyFile(tmp_path / "api-keys")
    done: list[str] = []
    fsync, replace = os.fsync, os.replace

    def noted_fsync(handle: int) -> None:
        written = os.fstat(handle).st_size
        done.append(f"{written > 0} fsync")
        fsync(handle)

    def noted_replace(source: str, target: Path) -> None:
        done.append("replace")
        replace(source, target)

    monkeypatch.setattr(os, "fsync", noted_fsync)
    monkeypatch.setattr(os, "replace", noted_replace)
    keys.create("ward")
    assert done == ["True fsync", "replace"]


def test_a_file_that_is_given_to_the_right_user_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = KeyFile(tmp_path / "api-keys")
    secret = keys.create("ward")

    def refuse(*_: Any, **__: Any) -> str:
        raise PermissionError(13, "Permission denied")

    with monkeypatch.context() as elsewhere:
        elsewhere.setattr(Path, "read_text", refuse)
        assert keys.identify(secret) is None
    keys.path.chmod(0o640)  # or chown: neither touches what the file holds
    assert keys.identify(secret) is not None


def test_what_is_changed_by_a_link_is_changed_by_every_name(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    real = KeyFile(tmp_path / "real" / "api-keys")
    link = KeyFile(tmp_path / "link")
    link.path.symlink_to(real.path)
    secret = link.create("ward")
    assert real.identify(secret) is not None
    link.revoke("ward")
    assert real.identify(secret) is None
    assert link.path.is_symlink()


def test_a_link_is_followed_anew_each_time(tmp_path: Path) -> None:
    """As Kubernetes changes the files of a secret: the link is switched."""
    old, new = KeyFile(tmp_path / "old"), KeyFile(tmp_path / "new")
    before, after = old.create("ward"), new.create("ward")
    link = KeyFile(tmp_path / "link")
    link.path.symlink_to(old.path)
    assert link.identify(before) is not None
    link.path.unlink()
    link.path.symlink_to(new.path)
    assert link.identify(before) is None
    assert link.identify(after) is not None


def test_what_somebody_wrote_beside_the_keys_stays(tmp_path: Path) -> None:
    keys = KeyFile(tmp_path / "api-keys")
    first = keys.create("ward")
    keys.path.write_text("\ufeff# of the wards\n\n" + keys.path.read_text() + "# of the archive")
    second = keys.create("pacs")
    assert keys.identify(first) is not None
    assert keys.identify(second) is not None
    keys.revoke("ward")
    assert keys.identify(first) is None
    assert keys.identify(second) is not None
    lines = keys.path.read_text().splitlines()
    assert lines[:2] == ["# of the wards", ""]
    assert lines[3] == "# of the archive"
    assert lines[4].startswith("pacs ")


def test_of_two_keys_with_one_name_neither_is_taken(tmp_path: Path, said: list) -> None:
    keys = KeyFile(tmp_path / "api-keys")
    old = keys.create("ward")
    first = keys.path.read_text().splitlines()[1]
    keys.revoke("ward")
    new, other = keys.create("ward"), keys.create("pacs")
    with keys.path.open("a") as file:
        file.write(f"{first}\n")
    assert keys.identify(old) is None
    assert keys.identify(new) is None
    assert keys.identify(other) is not None
    (line,) = [line for line in said if line["log_level"] == "error"]
    assert "two keys named ward" in line["reason"]
    with pytest.raises(KeyFileError, match="already"):
        keys.create("ward")
    keys.revoke("ward")
    assert keys.identify(keys.create("ward")) is not None


def test_a_file_that_all_could_read_is_closed_when_it_is_changed(tmp_path: Path) -> None:
    keys = KeyFile(tmp_path / "api-keys")
    keys.create("ward")
    keys.path.chmod(0o666)
    keys.create("pacs")
    assert keys.path.stat().st_mode & 0o777 == 0o640
