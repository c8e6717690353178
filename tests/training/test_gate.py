"""The gate's training: views, pictures of no chest, threshold, and the whole line on phantoms."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path

import cv2
import numpy as np
import pytest

from cxr.decode import decode
from cxr.gate import load_gate
from cxr.preprocess import PreprocessSpec, to_model_input
from cxr.verdict import CLASSES, CROPPED, FRONTAL, INVERTED, OTHER, TURNED_LEFT, UPSIDE_DOWN
from tests.phantoms import chest_phantom, encode_jpeg, encode_png
from tests.training.trees import kermany_files, write_zip
from training.__main__ import main
from training.errors import DataError
from training.gate import measure
from training.gate.films import read_films
from training.gate.negatives import (
    FAMILIES,
    MAKERS,
    Collected,
    read_collected,
    read_dicom_pictures,
    working,
)
from training.gate.pool import FILMS, make_pool
from training.gate.run import GateOptions, gate
from training.gate.scenes import shuffled
from training.gate.views import WORKING_SIDE, plain, view

SPEC = PreprocessSpec(size=64)


@pytest.fixture(scope="module")
def films() -> np.ndarray:
    return np.stack([chest_phantom(WORKING_SIDE, seed) for seed in range(6)])


def likeness(first: np.ndarray, second: np.ndarray) -> float:
    return float(np.corrcoef(first.ravel(), second.ravel())[0, 1])


def test_films_are_measured_as_serving_decodes_them(tmp_path):
    """Once, for the largest of the bundles beside the gate."""
    assert measure.served_at(tmp_path, SPEC) == SPEC.reduce_to
    for size in (96, 224):
        (tmp_path / str(size)).mkdir()
        document = {"input": PreprocessSpec(size=size).to_json()}
        (tmp_path / str(size) / "bundle.json").write_text(json.dumps(document))
    assert measure.served_at(tmp_path, SPEC) == PreprocessSpec(size=224).reduce_to


@pytest.mark.parametrize("kind", CLASSES)
def test_views_are_inputs_of_the_gate_and_repeat_with_their_seed(
    films: np.ndarray, kind: str
) -> None:
    one, same, other = (
        view(films[0], kind, SPEC, np.random.default_rng(seed)) for seed in (5, 5, 6)
    )
    assert one.shape == (64, 64)
    assert one.dtype == np.uint8
    np.testing.assert_array_equal(one, same)
    assert not np.array_equal(one, other)


def test_a_plain_view_is_what_serving_makes_of_the_film(films: np.ndarray) -> None:
    served = to_model_input(decode(encode_png(films[0])), SPEC)[:, :, 0]
    np.testing.assert_allclose(plain(films[0], SPEC) / 255, served, atol=1 / 255)


def test_views_of_a_class_are_turned_and_inverted_as_it_says(films: np.ndarray) -> None:
    random = np.random.default_rng(0)
    # Both mirror images, because views are mirrored at random.
    symmetric = (films[0] // 2 + films[0][:, ::-1] // 2).astype(np.uint8)
    upright = plain(symmetric, SPEC)
    changes = {FRONTAL: upright, UPSIDE_DOWN: upright[::-1, ::-1], TURNED_LEFT: np.rot90(upright)}
    for kind, expected in changes.items():
        mean = np.mean([view(symmetric, kind, SPEC, random) for _ in range(40)], axis=0)
        likest = max(changes, key=lambda name: likeness(mean, changes[name]))
        assert likest == kind
        assert likeness(mean, expected) > 0.7
    inverted = [likeness(view(symmetric, INVERTED, SPEC, random), upright) for _ in range(40)]
    assert np.mean(np.array(inverted) < 0.2) > 0.9


def test_a_cropped_view_shows_less_of_the_film() -> None:
    stripes = np.tile((np.arange(WORKING_SIDE) // 8 % 2 * 255).astype(np.uint8), (WORKING_SIDE, 1))
    random = np.random.default_rng(0)

    def stripes_in(kind: str) -> float:
        rows = [view(stripes, kind, SPEC, random)[20:44].mean(axis=0) for _ in range(40)]
        spectra = [np.abs(np.fft.rfft(row - row.mean())) for row in rows]
        return float(np.median([spectrum.argmax() for spectrum in spectra]))

    assert stripes_in(FRONTAL) >= 6.5  # of eight
    assert stripes_in(CROPPED) <= 5


@pytest.mark.parametrize("kind", MAKERS)
def test_made_pictures_differ_and_are_not_blank(kind: str) -> None:
    pictures = [MAKERS[kind](np.random.default_rng(seed)) for seed in range(12)]
    for picture in pictures:
        assert picture.shape == (WORKING_SIDE, WORKING_SIDE)
        assert picture.dtype == np.uint8
    assert len({picture.tobytes() for picture in pictures}) == len(pictures)
    assert np.median([np.std(picture) for picture in pictures]) > 3
    again = MAKERS[kind](np.random.default_rng(0))
    np.testing.assert_array_equal(again, pictures[0])


def test_ruined_films_are_no_longer_that_film(films: np.ndarray) -> None:
    single = films[:1]
    ruined = [shuffled(single, np.random.default_rng(seed)) for seed in range(60)]
    assert all(picture.shape == films[0].shape for picture in ruined)
    assert np.mean([likeness(picture, films[0]) < 0.8 for picture in ruined]) > 0.9
    assert not any(np.array_equal(picture, films[0]) for picture in ruined)


def collected() -> Collected:
    random = np.random.default_rng(1)
    kinds = {kind for kinds in FAMILIES.values() for kind in kinds} - set(MAKERS)
    return {kind: random.integers(0, 256, (3, 70, 90), np.uint8) for kind in kinds}


def test_a_pool_holds_every_class_and_lets_a_family_go(films: np.ndarray) -> None:
    pool = make_pool(films, collected(), SPEC, upright=40, seed=1)
    assert set(pool.labels) == set(range(len(CLASSES)))
    assert set(pool.families) == {FILMS, *FAMILIES}
    others = pool.labels == CLASSES.index(OTHER)
    assert others[pool.families != FILMS].all()
    assert np.sum(pool.labels == 0) == 40
    less = pool.without("no content")
    assert set(less.families) == {FILMS, *FAMILIES} - {"no content"}
    assert len(less.images) == len(less.labels) == np.sum(pool.families != "no content")
    again = make_pool(films, collected(), SPEC, upright=40, seed=1)
    np.testing.assert_array_equal(pool.images, again.images)


def test_every_kind_has_one_family_and_a_source() -> None:
    kinds = [kind for family in FAMILIES.values() for kind in family]
    assert len(kinds) == len(set(kinds))
    assert set(MAKERS) <= set(kinds)


def test_the_threshold_keeps_its_promise_on_both_kinds_of_validation_film() -> None:
    random = np.random.default_rng(0)
    films = np.zeros((1000, len(CLASSES)))
    films[:, 0] = 1 - random.random(1000) ** 8
    easy, hard = np.ones_like(films), films.copy()
    hard[:, 0] **= 4
    threshold = measure.choose_threshold(films, easy, 0.01)
    assert np.sum(films[:, 0] < threshold) <= 10
    assert np.sum(films[:, 0] < threshold + 0.05) > 10
    lower = measure.choose_threshold(films, hard, 0.01)
    assert lower < threshold
    assert np.sum(hard[:, 0] < lower) <= 40
    assert measure.choose_threshold(easy, easy, 0.01) == 0.5


def test_a_rate_has_wilsons_interval() -> None:
    one = measure.rate([True] * 98 + [False] * 2)
    assert (one["refused"], one["pictures"], one["value"]) == (98, 100, 0.98)
    assert one["low"] == pytest.approx(0.930, abs=5e-4)
    assert one["high"] == pytest.approx(0.9945, abs=5e-4)
    whole = measure.total([one, measure.rate([True] * 100)])
    assert (whole["refused"], whole["pictures"]) == (198, 200)


def test_turned_films_are_counted_by_the_reason_that_they_get() -> None:
    film = encode_png(chest_phantom(100))

    def sees_all_upside_down(inputs: np.ndarray) -> np.ndarray:
        answer = np.zeros((len(inputs), len(CLASSES)))
        answer[:, CLASSES.index(UPSIDE_DOWN)] = 1
        return answer

    figures = measure.measure_turned(sees_all_upside_down, [film, film], SPEC, 0.5, 640)
    assert figures[UPSIDE_DOWN]["named"]["value"] == 1
    assert figures[TURNED_LEFT]["named"]["value"] == 0
    assert figures[TURNED_LEFT]["refused"]["value"] == 1


def test_dicom_pictures_that_are_no_chest_can_all_be_read() -> None:
    pictures = read_dicom_pictures()
    assert {"CT", "MR", "ultrasound", "radiograph of a leg"} <= {kind for kind, _ in pictures}
    for _, picture in pictures:
        assert picture.dtype == np.uint8
        assert picture.ndim == 2
        assert np.std(picture) > 1


def test_parts_of_large_pictures_are_cut_and_small_ones_left_whole() -> None:
    large = np.tile(np.arange(400, dtype=np.uint16) * 255 // 399, (400, 1)).astype(np.uint8)
    cuts = [working(large, np.random.default_rng(seed)) for seed in range(10)]
    assert len({int(np.ptp(cut)) for cut in cuts}) > 3
    small = working(large[:100, :100], np.random.default_rng(0))
    assert small.shape == (WORKING_SIDE, WORKING_SIDE)


def _film(seed: int) -> bytes:
    """Phantoms so disturbed that they do not count as near-duplicates of each other."""
    coarse = np.random.default_rng(seed).normal(0, 60, (8, 8))
    field = cv2.resize(coarse, (128, 128), interpolation=cv2.INTER_CUBIC)
    film = chest_phantom(128, seed).astype(float) + field
    return encode_jpeg(np.clip(film, 0, 255).astype(np.uint8))


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with all five zips, small and drawn."""
    folder = tmp_path_factory.mktemp("data")
    kermany = {
        path: _film(number) for number, path in enumerate(kermany_files()) if "val/" not in path
    }
    write_zip(folder / "chest-xray-pneumonia.zip", kermany)
    top = "COVID-19_Radiography_Dataset"
    covid = {
        f"{top}/{name}/images/{name}-{number}.png": _film(1000 + 100 * index + number)
        for index, name in enumerate(("COVID", "Normal", "Viral Pneumonia"))
        for number in range(1, 21)
    }
    # The last of Kermany's test films is in the other set too, where it would be trained on.
    copied = next(data for path, data in kermany.items() if "/test/NORMAL" in path)
    covid |= {f"{top}/Normal/images/Normal-{number}.png": copied for number in (98, 99)}
    write_zip(folder / "covid19-radiography-database.zip", covid)
    others = {
        f"{name}/{number}.jpg": encode_jpeg(
            np.random.default_rng((index, number)).integers(0, 256, (64, 64), np.uint8)
        )
        for index, name in enumerate(
            (
                "dental",
                *(
                    f"medical-mnist-{n}"
                    for n in ("Hand", "HeadCT", "ChestCT", "AbdomenCT", "BreastMRI")
                ),
            )
        )
        for number in range(3)
    }
    write_zip(folder / "not-chest-xray.zip", others)
    labels = "file,nih_label,rsna_class,age,view,findings\n"
    labels += "1.jpg,No_findings,,30,PA,\n2.jpg,Pneumonia,Lung Opacity,30,PA,\n"
    labels += "3.jpg,No_findings,Normal,30,PA,\n"
    nih = {
        "No_findings/1.jpg": _film(1),
        "Pneumonia/2.jpg": _film(2),
        "No_findings/3.jpg": _film(3),
    }
    write_zip(folder / "nih-adult-external.zip", {**nih, "labels.csv": labels.encode()})
    mask = np.zeros((128, 128), np.uint8)
    mask[30:90, 25:55] = mask[30:90, 75:105] = 255
    masked = {
        f"openist/{part}/{number}.{suffix}": content
        for number in range(4)
        for part, suffix, content in (
            ("images", "jpg", _film(500 + number)),
            ("masks", "png", encode_png(mask)),
        )
    }
    write_zip(folder / "lung-masks.zip", masked)
    return folder


def test_films_follow_the_classifiers_splits_and_copies_are_not_trained_on(
    data: Path, tmp_path: Path
) -> None:
    films = read_films(data, tmp_path, 0)
    names = [one.name for one in films.measured]
    assert len(names) == 4
    with zipfile.ZipFile(data / "chest-xray-pneumonia.zip") as archive:
        tested = {archive.read(name) for name in archive.namelist() if "/test/" in name}
    assert {*films.measured[0].normal, *films.measured[0].diseased} == tested
    nih = films.measured[2]
    assert (len(nih.normal), len(nih.diseased)) == (1, 1)  # what the COVID set trains on is out
    assert films.left_out >= 1
    copied = films.measured[0].normal[0]
    pixels = cv2.imdecode(np.frombuffer(copied, np.uint8), 0)
    assert pixels is not None
    alike = [likeness(picture, pixels) for picture in films.train]
    assert max(alike) < 0.99


def test_a_folder_without_the_zips_is_refused(tmp_path: Path, capsys) -> None:
    with pytest.raises(DataError, match="not-chest-xray.zip"):
        read_collected(tmp_path)
    arguments = ["gate", "--data", str(tmp_path), "--out", str(tmp_path / "gate")]
    assert main(arguments) == 1
    assert "chest-xray-pneumonia.zip" in capsys.readouterr().err


@pytest.mark.slow
def test_the_whole_line_ends_in_a_gate_that_loads_with_all_its_figures(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(measure, "MADE", 4)
    monkeypatch.setattr(measure, "CUTS", 1)
    out = gate(GateOptions(data, tmp_path / "gate", tmp_path / "cache", upright=24, views=640))
    loaded = load_gate(out)
    document = json.loads((out / "gate.json").read_text())
    assert 0 < loaded.threshold <= 0.5
    metrics = document["metrics"]
    assert set(metrics["left_out"]) == set(FAMILIES)
    for family, kinds in FAMILIES.items():
        assert set(kinds) <= set(metrics["left_out"][family]["kinds"])
    assert metrics["films"]["all"]["normal"]["pictures"] > 0
    assert sum(row["refused"]["pictures"] for row in metrics["crops"]) == 40
    assert "Research use only. Not a medical device." in loaded.card
    for family in FAMILIES:
        assert f"**{family}**" in loaded.card
    with np.load(io.BytesIO((out / "probes/probes.npz").read_bytes())) as probes:
        assert probes["images"].shape[1:] == (64, 64, 1)
