"""The committed bundles, on real radiographs: what the README promises must hold of the files."""

from __future__ import annotations

import csv
import io
import re
import zipfile
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from cxr.bundle import Bundle, list_bundles, load_bundle
from cxr.decode import decode
from cxr.gate import Gate, load_gate
from cxr.preprocess import to_model_input
from tests.phantoms import encode_dicom, encode_jpeg, encode_png
from tests.real_data import data_path

MODELS = Path(__file__).parents[1] / "models"
KERMANY, COVID = "chest-xray-pneumonia.zip", "covid19-radiography-database.zip"


@pytest.fixture(scope="module")
def pediatric() -> Bundle:
    return load_bundle(MODELS / "pediatric-pneumonia")


@pytest.fixture(scope="module")
def adult() -> Bundle:
    return load_bundle(MODELS / "covid19-radiography")


def _infection(bundle: Bundle, data: bytes, reduce_to: int | None = None) -> float:
    radiograph = decode(data, reduce_to=reduce_to)
    prediction = bundle.predict(to_model_input(radiograph, bundle.spec)[np.newaxis])
    return float(bundle.infection_probability(prediction.probabilities)[0])


def _films(name: str, folder: str, count: int) -> list[bytes]:
    with zipfile.ZipFile(data_path(name)) as archive:
        members = sorted(
            member
            for member in archive.namelist()
            if folder in member and member.endswith(("jpeg", "jpg"))
        )
        step = len(members) // count
        return [archive.read(member) for member in members[::step][:count]]


@pytest.mark.parametrize("name", ["pediatric-pneumonia", "covid19-radiography"])
def test_bundle_is_small_and_its_card_says_what_it_is(name):
    bundle = load_bundle(MODELS / name)
    assert (bundle.path / "model.keras").stat().st_size < 10_000_000
    assert bundle.name == name
    assert "Research use only. Not a medical device." in bundle.card
    for figure in ("accuracy", "sensitivity", "precision", "auc", "class_accuracy"):
        measured = bundle.metrics["test"]["figures"][figure]
        assert measured["low"] <= measured["value"] <= measured["high"]


@pytest.mark.parametrize("name", ["pediatric-pneumonia", "covid19-radiography"])
def test_no_hand_has_touched_the_card(name):
    """It is what the program writes from the figures beside it."""
    folder = MODELS / name
    if not (folder / "audit.json").exists():
        pytest.skip(f"models/{name} was not audited: python -m training audit models/{name}")
    from training.card import card_of

    assert (folder / "CARD.md").read_text() == card_of(folder, MODELS), (
        f"write it anew: python -m training card models/{name}"
    )


@pytest.mark.parametrize("path", list_bundles(MODELS), ids=lambda path: path.name)
def test_bundle_reads_alike_without_tensorflow(path):
    """Where this fails after a training: python -m training export-lean models/*/"""
    assert (path / "model.onnx").stat().st_size < 10_000_000
    assert load_bundle(path, "lean").replay_probes() < 1e-4


@pytest.fixture(scope="module")
def gate() -> Gate:
    return load_gate(MODELS / "gate")


def test_the_gate_is_small_and_its_card_shows_the_figures_of_its_document(gate):
    assert (gate.path / "model.keras").stat().st_size < 1_000_000
    metrics = gate.document["metrics"]
    for condition in ("normal", "diseased"):
        figure = metrics["films"]["all"][condition]
        assert figure["refused"] <= 0.01 * figure["pictures"]
        assert f"{figure['refused']} of {figure['pictures']} (" in gate.card
    for family in metrics["left_out"].values():
        assert family["total"]["refused"] >= 0.98 * family["total"]["pictures"]


@pytest.mark.real_data
@pytest.mark.parametrize(
    ("name", "folder"),
    [
        (KERMANY, "test/NORMAL/"),
        (KERMANY, "test/PNEUMONIA/"),
        ("nih-adult-external.zip", "No_findings/"),
        ("nih-adult-external.zip", "Pneumonia/"),
    ],
)
def test_the_gate_lets_chest_films_pass_whatever_they_show(gate, name, folder):
    passed = [gate.judge(decode(film)).reason is None for film in _films(name, folder, 60)]
    assert np.mean(passed) >= 0.96


@pytest.mark.real_data
@pytest.mark.parametrize("kind", ["dental/", "Hand/", "HeadCT/", "ChestCT/", "BreastMRI/"])
def test_the_gate_refuses_what_is_no_chest_film(gate, kind):
    others = _films("not-chest-xray.zip", kind, 60)
    refused = [gate.judge(decode(other)).reason is not None for other in others]
    assert np.mean(refused) >= 0.98


def test_recipes_are_those_of_make_train(pediatric, adult):
    makefile = (MODELS.parent / "Makefile").read_text()
    for bundle in (pediatric, adult):
        recipe = bundle.document["training"]["recipe"]
        command = rf"fit {recipe} --version {re.escape(bundle.version)} (?:.*\\\n)+?"
        assert re.search(rf"{command}.*--out models/{bundle.name}\n", makefile)


@pytest.mark.real_data
def test_children_s_test_films_are_told_apart(pediatric):
    """A sample of the official test: near the card's accuracy, far from chance."""
    sick = [_infection(pediatric, film) for film in _films(KERMANY, "test/PNEUMONIA/", 40)]
    well = [_infection(pediatric, film) for film in _films(KERMANY, "test/NORMAL/", 40)]
    assert np.mean(np.array(sick) >= 0.5) >= 0.85
    assert np.mean(np.array(well) < 0.5) >= 0.75
    assert np.median(sick) > 0.9


@pytest.mark.real_data
def test_large_jpegs_read_alike_whole_and_reduced(pediatric):
    """Decoding at reduced scale moves probabilities by less than other JPEG settings do."""
    films = _films(KERMANY, "test/PNEUMONIA/", 30) + _films(KERMANY, "test/NORMAL/", 30)
    moved = []
    for film in films:
        small = cv2.imdecode(np.frombuffer(film, np.uint8), cv2.IMREAD_GRAYSCALE)
        large = cv2.resize(small, (2048, 1792), interpolation=cv2.INTER_CUBIC)
        data = encode_jpeg(large)
        reduce_to = pediatric.spec.reduce_to
        assert decode(data, reduce_to=reduce_to).pixels.shape == (896, 1024)
        whole, reduced = _infection(pediatric, data), _infection(pediatric, data, reduce_to)
        moved.append(abs(whole - reduced))
        assert pediatric.thresholds.decide(whole) == pediatric.thresholds.decide(reduced)
    assert max(moved) <= 0.02


@pytest.mark.real_data
def test_one_film_in_every_format_gives_one_reading(pediatric):
    film = _films(KERMANY, "test/PNEUMONIA/", 3)[1]
    pixels = cv2.imdecode(np.frombuffer(film, np.uint8), cv2.IMREAD_GRAYSCALE)
    pixels = cv2.resize(pixels, (512, 512), interpolation=cv2.INTER_CUBIC)
    tiff = io.BytesIO()
    Image.fromarray(pixels).save(tiff, "TIFF")
    encodings = {
        "png8": encode_png(pixels),
        "png16": encode_png(pixels.astype(np.uint16) * 257),
        "jpeg": encode_jpeg(pixels),
        "tiff": tiff.getvalue(),
        "monochrome2": encode_dicom(pixels),
        "monochrome1": encode_dicom(pixels, photometric="MONOCHROME1"),
    }
    readings = {name: _infection(pediatric, data) for name, data in encodings.items()}
    assert max(readings.values()) - min(readings.values()) <= 0.02, readings


@pytest.mark.real_data
def test_a_film_tagged_monochrome1_is_inverted_before_it_is_read():
    plain = decode(data_path("dicom/chest_pa_monochrome2_jpeg.dcm").read_bytes())
    tagged = decode(data_path("dicom/chest_pa_tagged_monochrome1.dcm").read_bytes())
    correlation = np.corrcoef(plain.pixels.ravel(), tagged.pixels.ravel())[0, 1]
    assert correlation < -0.99


@pytest.mark.real_data
def test_evaluate_confirms_the_card_on_a_part_of_the_official_test(pediatric, tmp_path):
    """Through the command that users run: the first films of each class, one line each."""
    from training.__main__ import main

    part = tmp_path / "part.zip"
    with zipfile.ZipFile(data_path(KERMANY)) as archive, zipfile.ZipFile(part, "w") as out:
        names = [n for n in archive.namelist() if "/test/" in n and n.endswith("jpeg")]
        for name in sorted(names)[::10]:
            out.writestr(name, archive.read(name))
    predictions = tmp_path / "predictions.csv"
    arguments = ["evaluate", str(pediatric.path), "--data", str(part)]
    arguments += ["--predictions", str(predictions), "--cache", str(tmp_path)]
    assert main(arguments) == 0
    with predictions.open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 63
    right = [(float(r["infection_probability"]) >= 0.5) == (r["class"] != "normal") for r in rows]
    assert np.mean(right) >= 0.8
