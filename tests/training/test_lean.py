"""``export-lean`` writes a file that ``compare-engines`` proves on films."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import onnx
import pytest

import training.lean
from cxr.engine_keras import KerasNetwork
from cxr.engine_lean import LeanNetwork
from cxr.engines import file_sha256
from tests.phantoms import chest_phantom, encode_jpeg
from training.__main__ import main
from training.architectures import ResidualNetwork, assemble, build


@pytest.fixture
def films(tmp_path: Path) -> Path:
    folder = tmp_path / "films" / "Normal"
    folder.mkdir(parents=True)
    for seed in range(6):
        (folder / f"{seed}.jpg").write_bytes(encode_jpeg(chest_phantom(200, seed)))
    (folder / "torn.jpg").write_bytes(b"\xff\xd8\xff")
    return folder.parent


def test_export_again_gives_the_same_answers(tiny_bundle, tmp_path, capsys):
    folder = shutil.copytree(tiny_bundle, tmp_path / "bundle")
    before = json.loads((folder / "bundle.json").read_text())
    for _ in range(2):
        assert main(["export-lean", str(folder)]) == 0
        assert "0 other findings" in capsys.readouterr().out
        document = json.loads((folder / "bundle.json").read_text())
        assert document.pop("lean") == {
            "file": "model.onnx",
            "sha256": file_sha256(folder / "model.onnx"),
        }
        assert document == before
    assert {path.name for path in folder.iterdir()} == {
        "bundle.json",
        "CARD.md",
        "model.keras",
        "model.onnx",
        "probes",
    }


def test_weights_that_are_halves_are_stored_so(tmp_path, monkeypatch):
    shape = ResidualNetwork(stem=(8, 16), widths=(16, 32), depths=(1, 1))
    assemble([build(shape, 64, 3)], shape).save(tmp_path / "model.keras")
    network = KerasNetwork(tmp_path / "model.keras")
    sizes, answers = [], []
    for worthwhile in (1024, 10**9):
        monkeypatch.setattr(training.lean, "_WORTHWHILE", worthwhile)
        training.lean._write_onnx(network, tmp_path / "model.onnx")
        sizes.append((tmp_path / "model.onnx").stat().st_size)
        film = np.random.default_rng(0).random((1, 64, 64, 1), np.float32)
        answers.append(LeanNetwork(tmp_path / "model.onnx")(film)[0])
    np.testing.assert_array_equal(*answers)
    weights = onnx.load(tmp_path / "model.onnx").graph.initializer
    large = [one for one in weights if np.prod(one.dims) >= 1024]
    assert len(large) == 5
    # Half of their bytes, less the nodes that widen them.
    saved = sum(4 * np.prod(one.dims) for one in large) / 2
    assert saved - 300 * len(large) < sizes[1] - sizes[0] < saved


def test_engines_are_compared_on_films(lean_bundle, films, capsys):
    assert main(["compare-engines", str(lean_bundle), "--data", str(films), "--films", "5"]) == 0
    assert "5 images" in capsys.readouterr().out
    assert main(["compare-engines", str(lean_bundle), "--data", str(films), "--films", "9"]) == 1
    assert "only 6 readable films" in capsys.readouterr().err


def test_engines_that_disagree_are_told(lean_bundle, films, monkeypatch, capsys):
    monkeypatch.setattr(training.lean, "TOLERANCE", -1.0)
    assert main(["compare-engines", str(lean_bundle), "--data", str(films), "--films", "3"]) == 1
    assert "the engines disagree on 3 images" in capsys.readouterr().err


def test_a_failed_export_leaves_the_folder_as_it_was(lean_bundle, tmp_path, monkeypatch, capsys):
    folder = shutil.copytree(lean_bundle, tmp_path / "bundle")
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    monkeypatch.setattr(training.lean, "TOLERANCE", -1.0)
    assert main(["export-lean", str(folder)]) == 1
    assert "the engines disagree" in capsys.readouterr().err
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before


def test_a_folder_that_is_no_bundle_is_told(tmp_path, capsys):
    assert main(["export-lean", str(tmp_path)]) == 1
    assert "no bundle" in capsys.readouterr().err
