"""How many normal films of another source a bundle calls infected."""

from __future__ import annotations

import dataclasses
import zipfile
from pathlib import Path

import numpy as np
import pytest

from cxr.bundle import Bundle, load_bundle
from cxr.calibrate import Thresholds
from cxr.decode import decode
from cxr.preprocess import to_model_input
from tests.conftest import write_tiny_bundle
from tests.training.tiny import write_masks
from training.audit.normals import normals_elsewhere
from training.companion import held_out
from training.errors import DataError


@pytest.fixture(scope="module")
def well(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("normals") / "well.zip"
    write_masks(path, 100)
    return path


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    made = load_bundle(write_tiny_bundle(tmp_path_factory.mktemp("models") / "tiny"))
    return _trained_with(made, [])


def _trained_with(bundle: Bundle, companions: list[dict[str, str]]) -> Bundle:
    training = {"data": {"companions": companions}}
    return dataclasses.replace(bundle, document={**bundle.document, "training": training})


def test_it_counts_what_the_bundle_says_of_the_held_out_films(well, bundle):
    with zipfile.ZipFile(well) as archive:
        paths = [path for path in archive.namelist() if "/images/" in path and held_out(path)]
        films = [decode(archive.read(path)) for path in paths]
    inputs = np.stack([to_model_input(film, bundle.spec) for film in films])
    infection = bundle.infection_probability(bundle.predict(inputs).probabilities)
    low, high = np.quantile(infection, [0.3, 0.8])
    between = Thresholds(float(low), float(high))
    found = normals_elsewhere(dataclasses.replace(bundle, thresholds=between), well)
    assert found["films"] == len(paths)
    assert found["decisions"] == {
        "normal": (infection < low).sum(),
        "uncertain": ((infection >= low) & (infection < high)).sum(),
        "infected": (infection >= high).sum(),
    }
    assert found["over_called"]["value"] == pytest.approx((infection >= 0.5).mean())
    share = found["decided_infected"]
    assert share["value"] == pytest.approx((infection >= high).mean())
    assert share["low"] < share["value"] < share["high"]


def test_a_damaged_film_is_named_and_left_out(well, bundle, tmp_path, capsys):
    given = tmp_path / "well.zip"
    with zipfile.ZipFile(well) as whole, zipfile.ZipFile(given, "w") as archive:
        broken = next(n for n in whole.namelist() if "/images/" in n and held_out(n))
        for name in whole.namelist():
            content = whole.read(name)
            archive.writestr(name, content[:200] if name == broken else content)
    found = normals_elsewhere(bundle, given)
    assert found["films"] == normals_elsewhere(bundle, well)["films"] - 1
    assert broken in capsys.readouterr().err


def test_it_says_whether_others_of_the_source_were_trained_on(well, bundle):
    assert not normals_elsewhere(bundle, well)["trained_on"]
    assert normals_elsewhere(_trained_with(bundle, [{"name": well.name}]), well)["trained_on"]


def test_too_few_say_nothing(tmp_path, bundle):
    write_masks(tmp_path / "few.zip", 25)
    with pytest.raises(DataError, match="at least 20 are needed"):
        normals_elsewhere(bundle, tmp_path / "few.zip")
