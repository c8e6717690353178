"""What is measured are films that the model has not seen, or it is said."""

from __future__ import annotations

import json
import shutil
import zipfile
from pathlib import Path

import pytest

from cxr.bundle import load_bundle
from tests.training.tiny import film, write_masks
from training.__main__ import main
from training.prepared import prepare_for
from training.recipe import Recipe

MODELS = Path(__file__).parents[2] / "models"


def _evaluate(bundle: Path, data: Path, split: str, tmp_path: Path) -> int:
    arguments = ["evaluate", str(bundle), "--data", str(data), "--split", split]
    return main([*arguments, "--cache", str(tmp_path / "cache")])


@pytest.mark.parametrize("name", ["pediatric-pneumonia", "covid19-radiography"])
def test_of_data_that_a_model_learned_from_only_the_official_test_is_measured(
    name, data, tmp_path, capsys
):
    """The one was trained on Kermany's set, in the other's training its films joined."""
    assert _evaluate(MODELS / name, data, "test", tmp_path) == 0
    assert "15 films" in capsys.readouterr().out
    for split in ("train", "all"):
        assert _evaluate(MODELS / name, data, split, tmp_path) == 1
        assert "took part in this model's training" in capsys.readouterr().err


def test_films_of_a_companion_without_a_test_of_its_own_are_refused(data, tmp_path, capsys):
    adult = MODELS / "covid19-radiography"
    normals, part = tmp_path / "lung-masks.zip", tmp_path / "part.zip"
    write_masks(normals)
    with zipfile.ZipFile(data) as whole, zipfile.ZipFile(part, "w") as archive:
        for member in whole.namelist():
            if "/train/" in member:
                archive.writestr(member.replace("train/", ""), whole.read(member))
    for films in (normals, part):
        assert _evaluate(adult, films, "test", tmp_path) == 1
        assert "took part in this model's training" in capsys.readouterr().err


def test_whose_films_these_are_is_said_where_they_are_asked_for(data, tmp_path, capsys):
    copy = tmp_path / "models" / "mine"
    shutil.copytree(MODELS / "pediatric-pneumonia", copy)
    document = json.loads((copy / "bundle.json").read_text())
    read = Recipe(preprocess=load_bundle(copy).spec)
    films = prepare_for(read, data, tmp_path / "cache", document["training"]["seed"])
    document["training"]["data"]["sha256"] = films.dataset.sha256
    (copy / "bundle.json").write_text(json.dumps(document))
    assert _evaluate(copy, data, "test", tmp_path) == 0
    assert "note:" not in capsys.readouterr().err
    assert _evaluate(copy, data, "train", tmp_path) == 0
    assert "'train' films trained the model" in capsys.readouterr().err


@pytest.mark.parametrize("films", [12, 3])  # of 3 in each class no training could be made
def test_a_model_of_own_folders_is_measured_on_another_hospital_s_folders(films, tmp_path, capsys):
    """All private collections are called alike: folders."""
    copy, other = tmp_path / "models" / "mine", tmp_path / "other"
    shutil.copytree(MODELS / "pediatric-pneumonia", copy)
    document = json.loads((copy / "bundle.json").read_text())
    document["training"]["data"]["name"] = "folders"
    (copy / "bundle.json").write_text(json.dumps(document))
    for name in ("Normal", "Tuberculosis"):
        (other / name).mkdir(parents=True)
        for number in range(films):
            content = film(number + 500 * len(name), name != "Normal")
            (other / name / f"{number}.png").write_bytes(content)
    assert _evaluate(copy, other, "test", tmp_path) == 0
    told = capsys.readouterr()
    assert f"{2 * films} films" in told.out
    assert "see that none of these films was among them" in told.err
