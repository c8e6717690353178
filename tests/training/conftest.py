from __future__ import annotations

import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.training.tiny import TINY, film


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


@pytest.fixture
def tiny_recipe(monkeypatch: pytest.MonkeyPatch) -> None:
    import training.recipes.residual as residual

    monkeypatch.setattr(residual, "RECIPE", TINY)
