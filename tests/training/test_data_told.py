"""What cannot be trained on is told in a sentence, and what is understood of folders is said."""

from __future__ import annotations

import re
import zipfile
from pathlib import Path

import pytest

from cxr import PreprocessSpec
from tests.real_data import data_path
from tests.training.test_data import SPEC, _prepare
from tests.training.tiny import TINY, film
from tests.training.trees import kermany_files, picture, write_zip
from training.data import prepare
from training.errors import DataError
from training.prepared import prepare_for


def _of(**classes: int) -> dict[str, bytes]:
    return {
        f"{name}/{number}.jpg": picture(4000 + 100 * index + number)
        for index, (name, count) in enumerate(classes.items())
        for number in range(count)
    }


@pytest.mark.parametrize(
    ("files", "sentence"),
    [
        ({}, "No radiographs"),
        ({"readme.txt": b"text", "masks/1.png": b"x"}, "No radiographs"),
        ({"loose.jpg": picture(1)}, "No radiographs"),
        (_of(Normal=20), "one class, 'Normal'"),
        (_of(Normal=20, COVID=3), "'COVID-19' has only 3 radiographs"),
        (_of(tuberculosis=20, COVID=20), "None of the classes.*normal"),
        (_of(healthy=20, Normal=20), "one class, 'Normal'"),
        ({f"{name}/{i}.jpg": b"x" for name in ("normal", "sick") for i in range(20)}, "decoded"),
    ],
    ids=[
        "empty",
        "no images",
        "no class folder",
        "one class",
        "three of a class",
        "no normals",
        "two names of one class",
        "all corrupt",
    ],
)
def test_what_cannot_be_trained_on_is_told(
    tmp_path: Path, files: dict[str, bytes], sentence: str
) -> None:
    with pytest.raises(DataError, match=sentence) as caught:
        _prepare(tmp_path, files)
    assert re.search(r"[.?]$", caught.value.detail)


def test_an_empty_folder_is_told(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    with pytest.raises(DataError, match="No radiographs"):
        prepare(tmp_path / "data", SPEC, tmp_path / "cache")


def test_a_missing_path_is_told(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no file or folder"):
        prepare(tmp_path / "missing.zip", SPEC, tmp_path / "cache")


@pytest.mark.parametrize("keep", [0, 10, 5000])
def test_a_broken_zip_is_told(tmp_path: Path, keep: int) -> None:
    path = write_zip(tmp_path / "data.zip", kermany_files())
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(DataError, match="not a readable zip"):
        prepare(path, SPEC, tmp_path / "cache")


def test_the_zip_of_negatives_is_not_a_training_set(tmp_path: Path) -> None:
    path = data_path("not-chest-xray.zip")
    with zipfile.ZipFile(path) as archive:
        assert archive.namelist()
    with pytest.raises(DataError, match="normal"):
        prepare(path, SPEC, tmp_path)


@pytest.mark.parametrize("place", ["images", "images/all"])
def test_a_table_of_classes_is_named_and_what_to_make_of_it(tmp_path: Path, place: str) -> None:
    """As many data sets come: ``labels.csv`` beside ``images/``."""
    (tmp_path / place).mkdir(parents=True)
    for number in range(2):
        (tmp_path / place / f"{number}.png").write_bytes(film(number, False))
    (tmp_path / "labels.csv").write_text("film,class\n0.png,Normal\n1.png,TB\n")
    with pytest.raises(DataError, match=r"labels\.csv is not read: .*Make a folder for each class"):
        prepare(tmp_path, PreprocessSpec(size=64), tmp_path / "cache")


def test_it_is_said_which_folders_count_as_infected(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for folder, infected in (("Normal", False), ("Cardiomegaly", True)):
        (tmp_path / "data" / folder).mkdir(parents=True)
        for number in range(20):
            seed = number + 5000 * infected
            (tmp_path / "data" / folder / f"{number}.png").write_bytes(film(seed, infected))
    prepare_for(TINY, tmp_path / "data", tmp_path / "cache", 0)
    assert "count as infected: Cardiomegaly; as normal: Normal." in capsys.readouterr().out
