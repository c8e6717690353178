"""``explore``: what it finds, and that its page opens offline."""

from __future__ import annotations

import csv
import io
import json
import re
from pathlib import Path

import openpyxl
import pytest

from cxr.preprocess import PreprocessSpec
from tests.training.trees import covid_files, kermany_files, write_folder, write_zip
from training.__main__ import main
from training.data import prepare
from training.explore_records import duplicates

PLOTS = {
    "classes", "samples", "mean_films", "grey_levels", "brightness_contrast", "sizes", "splits",
}  # fmt: skip


def _explore(data: Path, tmp_path: Path) -> Path:
    places = ["--runs", str(tmp_path / "runs"), "--cache", str(tmp_path / "cache")]
    assert main(["explore", "--data", str(data), "--size", "64", *places]) == 0
    (page,) = (tmp_path / "runs").glob("explore-*/index.html")
    return page


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_everything_is_drawn_listed_and_within_one_page(tmp_path):
    files = kermany_files()
    first = "chest_xray/train/NORMAL/IM-5001-0000.jpeg"
    twin = "chest_xray/train/PNEUMONIA/person19_virus_0.jpeg"
    files[first] = files[twin]  # one film in two classes
    files["chest_xray/train/NORMAL/IM-9999-0001.jpeg"] = b"no picture"
    page = _explore(write_zip(tmp_path / "kermany.zip", files), tmp_path)

    names = {path.stem for path in page.parent.glob("*.png")}
    assert names == PLOTS | {"duplicates"}
    html = page.read_text()
    assert html.count("data:image/png;base64,") == len(names)
    # Nothing is fetched: no address in an attribute or a style.
    assert not re.findall(r"(?:src|href)=\"(?!data:image/png|#)|url\(|@import|<script", html)
    assert "Research use only" in html
    assert "IM-9999-0001.jpeg" in html

    films = _rows(page.parent / "films.csv")
    assert len(films) == len(files) - 1
    assert {(row["width"], row["height"], row["format"]) for row in films} == {("96", "96", "JPEG")}
    assert 0.2 < float(films[0]["brightness"]) < 0.8
    pairs = _rows(page.parent / "near_duplicates.csv")
    assert {(pair["first"], pair["second"]) for pair in pairs} == {(first, twin)}
    assert "different classes" in html
    run = json.loads((page.parent / "run.json").read_text())
    assert run["finished"]
    assert run["unreadable"] == 1
    assert run["libraries"]["python"]


def test_spreadsheets_are_summed_up(tmp_path):
    book = openpyxl.Workbook()
    book.active.append(["FILE NAME", "FORMAT", "SIZE", "URL"])
    for number in range(1, 21):
        book.active.append([f"NORMAL-{number}", "PNG", "256*256", "https://example.org/rsna"])
    content = io.BytesIO()
    book.save(content)
    files = covid_files()
    files["COVID-19_Radiography_Dataset/Normal.metadata.xlsx"] = content.getvalue()
    html = _explore(write_folder(tmp_path / "covid", files), tmp_path).read_text()
    assert "https://example.org/rsna (20)" in html
    assert "Lung masks: present" in html


def test_what_cannot_be_trained_on_is_shown_with_the_reason(tmp_path):
    files = covid_files(classes=("Normal",), each=12)
    html = _explore(write_folder(tmp_path / "one", files), tmp_path).read_text()
    assert "All radiographs in" in html
    assert "of one class" in html


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 cut short"])
def test_a_broken_zip_ends_in_a_sentence_and_leaves_nothing(tmp_path, capsys, content):
    broken = tmp_path / "broken.zip"
    broken.write_bytes(content)
    runs = tmp_path / "runs"
    assert main(["explore", "--data", str(broken), "--runs", str(runs)]) == 1
    message = capsys.readouterr().err
    assert message.startswith("error: ")
    assert "not a readable zip" in message
    assert not runs.exists()


def test_names_of_duplicates_are_whole_where_folders_share_none_above(tmp_path):
    files = covid_files(classes=("Normal", "COVID"), each=2)
    files = {name.split("/", 1)[1]: content for name, content in files.items()}
    files["COVID/images/COVID-1.png"] = files["Normal/images/Normal-2.png"]
    read = prepare(
        write_folder(tmp_path / "data", files),
        PreprocessSpec(size=64),
        tmp_path / "cache",
        for_training=False,
    )
    _, html = duplicates(tmp_path, read)
    for name in ("COVID/images/COVID-1.png", "Normal/images/Normal-2.png"):
        assert f">{name}<" in html
