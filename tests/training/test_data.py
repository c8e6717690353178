"""Data sets as Kaggle ships them, and as users keep them, become manifests."""

from __future__ import annotations

import csv
import hashlib
import io
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import openpyxl
import pytest

from cxr import PreprocessSpec
from tests.phantoms import chest_phantom, encode_dicom
from tests.real_data import data_path
from tests.training.trees import covid_files, kermany_files, picture, write_folder, write_zip
from training.data import Prepared, prepare

SPEC = PreprocessSpec(size=64)
KERMANY_CLASSES = ("normal", "bacterial_pneumonia", "viral_pneumonia")


def _prepare(tmp_path: Path, files: Mapping[str, bytes], **options) -> Prepared:
    data = write_zip(tmp_path / "data.zip", files)
    return prepare(data, SPEC, tmp_path / "cache", **options)


def _class_ids(prepared: Prepared) -> tuple[str, ...]:
    return tuple(finding.id for finding in prepared.dataset.classes)


def _no_group_on_two_sides(prepared: Prepared) -> bool:
    sides: dict[str, set[str]] = {}
    for record in prepared.dataset.records:
        sides.setdefault(record.group, set()).add(record.split)
    return all(len(splits) == 1 for splits in sides.values())


def test_a_label_is_a_place_among_the_classes(tmp_path: Path) -> None:
    prepared = _prepare(tmp_path, kermany_files())
    assert _class_ids(prepared) == KERMANY_CLASSES
    said = [KERMANY_CLASSES[label] for label in prepared.labels]
    assert said == [record.class_id for record in prepared.dataset.records]


def test_kermany_official_test_stays_and_its_tiny_validation_joins_the_pool(
    tmp_path: Path,
) -> None:
    files = kermany_files()
    prepared = _prepare(tmp_path, files)
    official = {path for path in files if "/test/" in path}
    assert {record.path for record in prepared.dataset.of_split("test")} == official
    validation = prepared.dataset.of_split("validation")
    assert {record.official_split for record in validation} <= {"train", "validation"}
    assert any(record.official_split == "train" for record in validation)
    assert {record.class_id for record in validation} == set(KERMANY_CLASSES)
    assert _no_group_on_two_sides(prepared)


def test_kaggles_second_copy_and_macos_leftovers_are_left_out(tmp_path: Path) -> None:
    files = kermany_files()
    shipped = dict(files)
    for path, content in files.items():
        shipped[f"chest_xray/{path}"] = content
        folder, name = path.rsplit("/", 1)
        shipped[f"chest_xray/__MACOSX/{folder}/._{name}"] = b"\0\5\x16\7"
        shipped[f"{folder}/.DS_Store"] = b"\0\0\0\1Bud1"
    prepared = _prepare(tmp_path, shipped)
    assert {record.path for record in prepared.dataset.records} == set(files)
    assert prepared.dataset.corrupt == ()


@pytest.mark.parametrize("part", ["train", "test"])
def test_one_folder_of_kermany_alone(tmp_path: Path, part: str) -> None:
    write_folder(tmp_path, kermany_files())
    prepared = prepare(
        tmp_path / "chest_xray" / part,
        SPEC,
        tmp_path / "cache",
        for_training=part == "train",
    )
    assert prepared.dataset.name == "kermany-chest-xray"
    assert _class_ids(prepared) == KERMANY_CLASSES
    expected = {"train", "validation", "test"} if part == "train" else {"test"}
    assert {record.split for record in prepared.dataset.records} == expected


def test_zip_and_folder_give_the_same_manifest(tmp_path: Path) -> None:
    files = kermany_files()
    from_zip = _prepare(tmp_path, files)
    folder = write_folder(tmp_path / "folder", files)
    from_folder = prepare(folder, SPEC, tmp_path / "cache")
    assert from_zip.dataset.records == from_folder.dataset.records
    assert from_zip.dataset.sha256 == from_folder.dataset.sha256
    record = from_zip.dataset.records[5]
    for prepared in (from_zip, from_folder):
        content = prepared.dataset.open(record)
        assert content == files[record.path]
        assert hashlib.sha256(content).hexdigest() == record.sha256


def test_covid_set_with_masks(tmp_path: Path) -> None:
    prepared = _prepare(tmp_path, covid_files())
    assert prepared.dataset.name == "covid19-radiography-database"
    assert _class_ids(prepared) == ("normal", "covid_19", "viral_pneumonia", "lung_opacity")
    assert prepared.dataset.has_masks
    assert len(prepared.dataset.records) == 80
    assert not any("masks" in record.path for record in prepared.dataset.records)
    counts = Counter((r.split, r.class_id) for r in prepared.dataset.records)
    for finding in prepared.dataset.classes:
        shares = [counts[split, finding.id] for split in ("train", "validation", "test")]
        assert shares == [16, 2, 2]


@pytest.mark.parametrize("write", [write_zip, write_folder])
def test_dicom_files_of_a_pacs_need_no_suffix(tmp_path: Path, write) -> None:
    film = encode_dicom(chest_phantom(size=96, seed=1).astype(np.uint16))
    files = {
        "mine/Normal/p1/IM000001": film,
        "mine/Normal/p1/1.2.840.10008.1": film,
        "mine/Normal/p1/DICOMDIR": film,
        "mine/Normal/p1/README": b"nothing" * 100,
        "mine/Normal/p1/short": b"DICM",
        "mine/Sick/p2/film.png": picture(1),
    }
    source = write(tmp_path / "data", files)
    prepared = prepare(source, SPEC, tmp_path / "cache", for_training=False)
    names = {record.path.rsplit("/", 1)[1] for record in prepared.dataset.records}
    assert names == {"IM000001", "1.2.840.10008.1", "film.png"}
    assert prepared.dataset.corrupt == ()


def test_films_of_test_patients_are_not_trained_on(tmp_path: Path) -> None:
    files = {
        f"mine/{side}/{name}/{name}-{patient}/{side}.jpg": picture(9000 + number)
        for number, (side, name, patient) in enumerate(
            [("train", name, patient) for name in ("Normal", "TB") for patient in range(30)]
            + [("test", name, patient) for name in ("Normal", "TB") for patient in range(4)]
        )
    }
    prepared = _prepare(tmp_path, files)
    tested = {record.patient for record in prepared.dataset.of_split("test")}
    assert len(tested) == prepared.of_held_out_patients == 8
    for split in ("train", "validation"):
        assert not tested & {record.patient for record in prepared.dataset.of_split(split)}
    excluded = prepared.dataset.of_split("excluded")
    assert {record.patient for record in excluded} == tested


def _spreadsheet(rows: list[list[object]]) -> bytes:
    book = openpyxl.Workbook()
    for row in [["FILE NAME", "FORMAT", "SIZE", "URL"], *rows]:
        book.active.append(row)
    buffer = io.BytesIO()
    book.save(buffer)
    return buffer.getvalue()


def test_covid_spreadsheets_tell_the_origin(tmp_path: Path) -> None:
    top = "COVID-19_Radiography_Dataset"
    files = covid_files() | {
        f"{top}/Normal.metadata.xlsx": _spreadsheet(
            [["NORMAL-3", "PNG", "256*256", "https://www.kaggle.com/c/rsna"]]
        ),
        f"{top}/COVID.metadata.xlsx": b"not a spreadsheet",
        f"{top}/README.md.txt": b"text",
    }
    dataset = _prepare(tmp_path, files).dataset
    origins = {record.path: record.origin for record in dataset.records if record.origin}
    assert origins == {f"{top}/Normal/images/Normal-3.png": "https://www.kaggle.com/c/rsna"}
    assert [one.path for one in dataset.corrupt] == [f"{top}/COVID.metadata.xlsx"]


def _own_folders() -> dict[str, bytes]:
    return {
        f"mine/{name}/{number}.jpg": picture(2000 + 100 * index + number)
        for index, name in enumerate(["healthy", "tuberculosis", "Lung_Opacity"])
        for number in range(20)
    }


def test_own_train_validation_and_test_folders_are_honoured(tmp_path: Path) -> None:
    files = {}
    for number, (path, content) in enumerate(_own_folders().items()):
        split = ("Train", "Train", "Train", "valid", "testing")[number % 5]
        files[path.replace("mine/", f"mine/{split}/")] = content
    prepared = _prepare(tmp_path, files)
    for record in prepared.dataset.records:
        folder = record.path.split("/")[1]
        assert {"Train": "train", "valid": "validation", "testing": "test"}[folder] == record.split


def test_corrupt_files_are_listed_and_skipped(tmp_path: Path) -> None:
    files = kermany_files()
    broken = sorted(files)[7]
    files[broken] = files[broken][:100]
    prepared = _prepare(tmp_path, files)
    assert [one.path for one in prepared.dataset.corrupt] == [broken]
    assert len(prepared.dataset.records) == len(files) - 1 == len(prepared.images)
    prepared.dataset.write_tables(tmp_path)
    with (tmp_path / "corrupt.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert rows[0]["path"] == broken
    assert rows[0]["reason"]


def test_a_training_image_that_equals_a_test_image_is_kept_out(tmp_path: Path) -> None:
    files = kermany_files()
    original = "chest_xray/test/NORMAL/IM-4001-0000.jpeg"
    copy = "chest_xray/train/NORMAL/IM-9999-0001.jpeg"
    prepared = _prepare(tmp_path, files | {copy: files[original]})
    splits = {record.path: record.split for record in prepared.dataset.records}
    assert splits[original] == "test"
    assert splits[copy] == "excluded"
    (pair,) = prepared.dataset.near_duplicates
    assert {pair.first, pair.second} == {original, copy}
    assert pair.exact
    assert pair.distance == 0
    used = [set(prepared.indices(split)) for split in ("train", "validation", "test")]
    assert len(set.union(*used)) == len(files) == sum(map(len, used))
    assert set(prepared.indices("all")) == set.union(*used)
    (row,) = prepared.indices("excluded")
    assert prepared.dataset.records[row].path == copy


def test_near_duplicates_without_official_split_stay_on_one_side(tmp_path: Path) -> None:
    files = {path: c for path, c in covid_files(each=40).items() if "masks" not in path}
    paths = sorted(files)
    for first, second in zip(paths[0:160:4], paths[1:160:4], strict=True):
        files[second] = files[first]
    prepared = _prepare(tmp_path, files)
    splits = {record.path: record.split for record in prepared.dataset.records}
    assert len(prepared.dataset.near_duplicates) == 40
    for pair in prepared.dataset.near_duplicates:
        assert splits[pair.first] == splits[pair.second]
        assert pair.first_split == pair.second_split
    assert set(splits.values()) == {"train", "validation", "test"}


def test_the_seed_and_the_content_decide_the_hash(tmp_path: Path) -> None:
    files = covid_files()
    first = _prepare(tmp_path, files, seed=1)
    assert first.dataset.sha256 == _prepare(tmp_path, files, seed=1).dataset.sha256
    assert first.dataset.sha256 != _prepare(tmp_path, files, seed=2).dataset.sha256
    files[first.dataset.records[0].path] = picture(77777)
    assert first.dataset.sha256 != _prepare(tmp_path, files, seed=1).dataset.sha256


def test_the_manifest_has_a_line_for_each_record(tmp_path: Path) -> None:
    dataset = _prepare(tmp_path, kermany_files()).dataset
    dataset.write_tables(tmp_path)
    with (tmp_path / "manifest.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    written = [(r["path"], r["class_id"], r["patient"], r["split"], r["sha256"]) for r in rows]
    assert written == [(r.path, r.class_id, r.patient, r.split, r.sha256) for r in dataset.records]


def test_to_evaluate_one_class_is_enough(tmp_path: Path) -> None:
    files = {f"normal/{number}.jpg": picture(number) for number in range(3)}
    prepared = _prepare(tmp_path, files, for_training=False)
    assert _class_ids(prepared) == ("normal",)
    assert len(prepared.indices("test")) == 3


def test_models_of_different_input_size_share_the_split(tmp_path: Path) -> None:
    data = write_zip(tmp_path / "data.zip", covid_files())
    small, large = (
        prepare(data, PreprocessSpec(size=size), tmp_path / "cache") for size in (32, 160)
    )
    assert small.dataset.records == large.dataset.records
    assert small.dataset.near_duplicates == large.dataset.near_duplicates


# Counts published with the two sets; the split is this project's own.


@pytest.mark.slow
@pytest.mark.real_data
def test_the_real_kermany_set(tmp_path: Path) -> None:
    prepared = prepare(data_path("chest-xray-pneumonia.zip"), SPEC, tmp_path)
    records = prepared.dataset.records
    assert prepared.dataset.corrupt == ()
    assert Counter(record.official_split for record in records) == {
        "train": 5216,
        "validation": 16,
        "test": 624,
    }
    tested = Counter(record.class_id for record in prepared.dataset.of_split("test"))
    assert tested == {"normal": 234, "bacterial_pneumonia": 242, "viral_pneumonia": 148}
    train_folder = [r for r in records if r.path.startswith("chest_xray/train/")]
    bacterial = [r for r in train_folder if r.class_id == "bacterial_pneumonia"]
    assert len(bacterial) == 2530
    assert len({record.patient for record in bacterial}) == 1353
    assert len(prepared.indices("validation")) == pytest.approx(523, abs=5)
    assert _no_group_on_two_sides(prepared)
    # Its copies all lie within the train folder or within the test folder: nothing leaks.
    assert sum(pair.exact for pair in prepared.dataset.near_duplicates) == 34
    assert len(prepared.dataset.near_duplicates) < 40
    assert len(prepared.indices("excluded")) == 0


@pytest.mark.slow
@pytest.mark.real_data
def test_the_real_covid_set(tmp_path: Path) -> None:
    prepared = prepare(data_path("covid19-radiography-database.zip"), SPEC, tmp_path)
    assert prepared.dataset.name == "covid19-radiography-database"
    assert Counter(record.class_id for record in prepared.dataset.records) == {
        "normal": 9170,
        "covid_19": 3242,
        "viral_pneumonia": 1194,
    }
    assert len(prepared.dataset.near_duplicates) > 250
    assert all(pair.first_class == pair.second_class for pair in prepared.dataset.near_duplicates)
    assert _no_group_on_two_sides(prepared)
    groups = Counter(record.group for record in prepared.dataset.records)
    assert max(groups.values()) < 10  # the threshold does not chain strangers together
