from __future__ import annotations

import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.training.tiny import QUICK, TINY, film
from training.__main__ import main
from training.lean import export_lean
from training.recipes import residual


@pytest.fixture(autouse=True)
def float32_again() -> Iterator[None]:
    """A training sets the precision of the whole process; the next test starts without it."""
    yield
    if keras := sys.modules.get("keras"):
        keras.mixed_precision.set_global_policy("float32")


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """60 phantoms under the names of Kermany's set."""
    path = tmp_path_factory.mktemp("data") / "chest-xray-pneumonia.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for split, count in (("train", 20), ("test", 5)):
            for number in range(count):
                seed = number + (100 if split == "test" else 0)
                folder = f"chest_xray/{split}"
                archive.writestr(f"{folder}/NORMAL/IM-{seed:04d}-0001.jpeg", film(seed, False))
                for kind in ("bacteria", "virus"):
                    name = f"{folder}/PNEUMONIA/person{seed}_{kind}_{seed}.jpeg"
                    offset = 1000 if kind == "bacteria" else 2000
                    archive.writestr(name, film(seed + offset, True))
    return path


@pytest.fixture(scope="session")
def fitted(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What ``fit`` leaves: ``models/there``, ``runs`` and ``cache``. Do not change it."""
    place = tmp_path_factory.mktemp("fitted")
    arguments = ["fit", "residual", "--data", str(data), "--out", str(place / "models" / "there")]
    arguments += ["--cache", str(place / "cache"), "--runs", str(place / "runs"), "--epochs", "2"]
    arguments += ["--precision", "float32", "--population", "Children of ours", "--ages", "0-17"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(residual, "RECIPE", TINY)
        assert main(arguments) == 0
    return place


@pytest.fixture
def verified_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """``fit`` verifies its bundle in this process: another one takes as long as the training."""
    monkeypatch.setattr("training.fit._export_lean_and_verify", export_lean)


@pytest.fixture
def quick_recipe(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(residual, "RECIPE", QUICK)
