"""Files are whole or absent, and a full disk ends in a sentence."""

from __future__ import annotations

import errno
from pathlib import Path

import numpy as np
import pytest

from training import __main__ as command
from training.errors import TrainingError
from training.files import read_arrays, write_arrays, write_csv, write_whole


def _full(*_: object, **__: object) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


def test_a_full_disk_leaves_the_old_file_and_no_half_of_the_new(tmp_path, monkeypatch):
    target = tmp_path / "deep" / "figure.png"
    write_whole(target, b"old")
    monkeypatch.setattr(Path, "write_bytes", _full)
    with pytest.raises(TrainingError, match="disk is full"):
        write_whole(target, b"new")
    assert target.read_bytes() == b"old"
    assert [path.name for path in target.parent.iterdir()] == ["figure.png"]


def test_a_disk_that_fills_during_training_ends_in_a_sentence(tmp_path, monkeypatch, capsys):
    import training.fit

    monkeypatch.setattr(training.fit, "fit", _full)
    assert command.main(["fit", "residual", "--data", str(tmp_path), "--out", "x"]) == 1
    assert capsys.readouterr().err.startswith("error: The disk is full.")


def test_arrays_and_tables_come_back(tmp_path):
    write_arrays(tmp_path / "a.npz", first=np.arange(3), second=np.eye(2))
    found = read_arrays(tmp_path / "a.npz")
    np.testing.assert_array_equal(found["first"], np.arange(3))
    np.testing.assert_array_equal(found["second"], np.eye(2))
    write_csv(tmp_path / "t.csv", ["a", "b"], [["x,y", 1]])
    assert (tmp_path / "t.csv").read_bytes() == b'a,b\r\n"x,y",1\r\n'
