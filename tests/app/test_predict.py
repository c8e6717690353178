"""``POST /predict``: the contract's reading, whichever way the bytes come."""

from __future__ import annotations

import base64
import hashlib
import weakref
from dataclasses import replace
from typing import Any

import cv2
import numpy as np
import pytest
from flask import Flask
from flask.testing import FlaskClient
from PIL import ExifTags, Image
from pydicom.dataset import Dataset

from app import predictor as predictor_module
from app.population import describe, group_of
from app.presentation import WARNING_TITLES
from cxr.bundle import Bundle
from cxr.calibrate import Thresholds
from cxr.decode import decode
from cxr.explain import class_activation, map_png, overlay_png
from cxr.preprocess import to_model_input
from tests.app.conftest import ADULTS, CHILDREN
from tests.app.multipart import multipart
from tests.bad_inputs import saved
from tests.phantoms import chest_phantom, encode_dicom, encode_jpeg, encode_png


def post_file(client: FlaskClient, data: bytes, query: str = ""):
    return client.post(f"/predict{query}", **multipart(data))


def dicom(**fields: Any) -> bytes:
    return encode_dicom(chest_phantom(300).astype(np.uint16) * 257, fields=fields)


def codes(reading: dict) -> list[str]:
    return [warning["code"] for warning in reading["warnings"]]


def test_a_reading_is_the_contracts_json(client: FlaskClient, app: Flask, jpeg: bytes) -> None:
    response = post_file(client, jpeg, f"?model={CHILDREN}")
    assert response.status_code == 200
    assert response.mimetype == "application/json"
    reading = response.get_json()
    assert list(reading) == [
        "finding",
        "decision",
        "infection_probability",
        "probabilities",
        "thresholds",
        "warnings",
        "model",
        "image",
        "heatmap",
        "timing_ms",
        "notice",
    ]
    bundle = app.extensions["registry"].predictor.bundle(CHILDREN)
    probabilities = reading["probabilities"]
    assert list(probabilities) == ["Normal", "Bacterial pneumonia", "Viral pneumonia"]
    assert sum(probabilities.values()) == pytest.approx(1, abs=1e-5)
    assert reading["infection_probability"] == pytest.approx(1 - probabilities["Normal"], abs=1e-5)
    assert reading["finding"] == max(probabilities, key=probabilities.__getitem__)
    assert reading["decision"] == bundle.thresholds.decide(reading["infection_probability"])
    assert reading["thresholds"] == {"rule_out": 0.3, "rule_in": 0.7}
    assert reading["model"] == {"name": CHILDREN, "version": "0.0.1", "sha256": bundle.sha256}
    assert reading["image"] == {
        "format": "JPEG",
        "width": 400,
        "height": 400,
        "sha256": hashlib.sha256(jpeg).hexdigest(),
    }
    assert reading["heatmap"] is None
    assert set(reading["timing_ms"]) == {"decode", "model", "total"}
    assert 0 < reading["timing_ms"]["decode"] <= reading["timing_ms"]["total"]
    assert reading["notice"] == "Research use only. Not a medical device."


@pytest.mark.parametrize(
    "content_type",
    ["image/jpeg", "image/png", "image/x-unheard-of", "application/octet-stream", ""],
)
def test_raw_bytes_give_the_same_reading(
    client: FlaskClient, jpeg: bytes, content_type: str
) -> None:
    form = post_file(client, jpeg).get_json()
    raw = client.post("/predict", data=jpeg, content_type=content_type)
    assert raw.status_code == 200
    assert raw.get_json()["probabilities"] == form["probabilities"]


def test_raw_dicom(client: FlaskClient) -> None:
    response = client.post("/predict", data=dicom(), content_type="application/dicom")
    assert response.get_json()["image"]["format"] == "DICOM"


def png_of(uri: str) -> np.ndarray:
    head, _, body = uri.partition(",")
    assert head == "data:image/png;base64"
    picture = cv2.imdecode(np.frombuffer(base64.b64decode(body), np.uint8), cv2.IMREAD_UNCHANGED)
    assert picture is not None
    return picture


def test_heatmaps_are_pictures_in_the_films_proportions(client: FlaskClient) -> None:
    film = encode_jpeg(cv2.resize(chest_phantom(400), (600, 300)))
    overlay = png_of(post_file(client, film, "?heatmap=overlay").get_json()["heatmap"])
    bare = png_of(post_file(client, film, "?heatmap=map").get_json()["heatmap"])
    assert overlay.shape == bare.shape
    assert overlay.shape[1] / overlay.shape[0] == pytest.approx(2, rel=0.02)
    assert post_file(client, film, "?heatmap=none").get_json()["heatmap"] is None


def test_each_class_has_its_own_map_and_infection_is_the_default(
    client: FlaskClient, app: Flask, jpeg: bytes
) -> None:
    bundle = app.extensions["registry"].predictor.bundles[CHILDREN]
    maps = bundle.predict(to_model_input(decode(jpeg), bundle.spec)[np.newaxis]).activation_maps

    def map_of(query: str) -> np.ndarray:
        reading = post_file(client, jpeg, f"?model={CHILDREN}&heatmap=map{query}").get_json()
        return png_of(reading["heatmap"])

    for index, finding in enumerate(bundle.classes):
        expected = map_png(class_activation(maps[0], index), 400, 400)
        expected = cv2.imdecode(np.frombuffer(expected, np.uint8), cv2.IMREAD_UNCHANGED)
        np.testing.assert_array_equal(map_of(f"&heatmap_class={finding.id}"), expected)
    default = map_of("")
    np.testing.assert_array_equal(default, map_of("&heatmap_class=infection"))
    assert not np.array_equal(default, map_of("&heatmap_class=normal"))


def test_a_map_that_is_asked_for_is_drawn_whatever_the_decision(
    client: FlaskClient, app: Flask, jpeg: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    predictor = app.extensions["registry"].predictor
    bundle = predictor.bundles[CHILDREN]
    for thresholds, decision in (
        (Thresholds(0.98, 0.99), "normal"),
        (Thresholds(0.01, 0.99), "uncertain"),
        (Thresholds(0.01, 0.02), "infected"),
    ):
        changed = replace(bundle, thresholds=thresholds)
        monkeypatch.setitem(predictor.bundles, CHILDREN, changed)
        asked = post_file(client, jpeg, f"?model={CHILDREN}&heatmap=overlay").get_json()
        assert asked["decision"] == decision
        assert asked["heatmap"].startswith("data:image/png;base64,")
        shown = predictor.read(jpeg, CHILDREN, "overlay", map_if_normal=False)
        assert (shown.heatmap is None) == (decision == "normal")


def test_a_model_that_cuts_borders_off_first_shows_no_map(
    app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    predictor = app.extensions["registry"].predictor
    bundle = predictor.bundles[CHILDREN]
    spec = replace(bundle.spec, remove_artefacts=True)
    monkeypatch.setitem(predictor.bundles, CHILDREN, replace(bundle, spec=spec))
    film = encode_png(cv2.copyMakeBorder(chest_phantom(400), 40, 40, 0, 0, cv2.BORDER_CONSTANT))
    reading = predictor.read(film, CHILDREN, "map", with_evidence=True)
    assert reading.heatmap is None
    assert [warning.code for warning in reading.warnings] == ["no_heatmap"]
    assert reading.evidence.activation.max() == 0


def test_the_default_bundle_reads_when_nothing_else_chooses_and_says_so(
    client: FlaskClient, jpeg: bytes
) -> None:
    for data in (jpeg, dicom(PatientAge="")):
        reading = post_file(client, data).get_json()
        assert reading["model"]["name"] == CHILDREN
        assert codes(reading) == ["patient_unknown"]
        assert "Children, 1 to 5 years" in reading["warnings"][0]["detail"]
        assert codes(post_file(client, data, f"?model={ADULTS}").get_json()) == []
        page = client.post("/", **multipart(data)).get_data(as_text=True)
        assert WARNING_TITLES["patient_unknown"].replace("'", "&#39;") in page


def test_one_group_alone_needs_no_word_of_the_patient(
    app: Flask, monkeypatch: pytest.MonkeyPatch, jpeg: bytes
) -> None:
    predictor = app.extensions["registry"].predictor
    monkeypatch.delitem(predictor.bundles, ADULTS)
    assert predictor.read(jpeg).warnings == ()
    # Nor does one beside it that states no ages: no age would choose it.
    ours = replace(predictor.bundles[CHILDREN], name="by-us", population={"label": "Any"})
    monkeypatch.setitem(predictor.bundles, "by-us", ours)
    assert predictor.read(jpeg).warnings == ()


@pytest.mark.parametrize(
    ("ages", "group"),
    [
        ({"min_age_years": 0, "max_age_years": 17}, "child"),
        ({"min_age_years": 0, "max_age_years": 18}, None),
        ({"min_age_years": 17}, None),
        ({"min_age_years": 18}, "adult"),
        ({}, None),
    ],
)
def test_a_bundle_for_both_sides_of_eighteen_is_for_neither_group(
    ages: dict, group: str | None
) -> None:
    assert group_of(ages) == group


def test_a_population_of_one_limit_is_said_in_words() -> None:
    assert describe({"max_age_years": 17}) == "Patients, up to 17 years"


@pytest.mark.parametrize(
    ("born", "expected"), [("19610713", ADULTS), ("20060301", CHILDREN), ("20060229", ADULTS)]
)
def test_without_an_age_the_dates_of_birth_and_study_choose_the_bundle(
    client: FlaskClient, born: str, expected: str
) -> None:
    film = dicom(PatientAge=None, PatientBirthDate=born, StudyDate="20240229")
    reading = post_file(client, film).get_json()
    assert reading["model"]["name"] == expected
    assert "patient_unknown" not in codes(reading)


@pytest.mark.parametrize(
    ("age", "expected"),
    [("004Y", CHILDREN), ("006M", CHILDREN), ("018Y", ADULTS), ("071Y", ADULTS)],
)
def test_the_age_in_a_dicom_file_chooses_the_bundle(
    client: FlaskClient, age: str, expected: str
) -> None:
    reading = post_file(client, dicom(PatientAge=age)).get_json()
    assert reading["model"]["name"] == expected


def test_no_age_chooses_a_bundle_that_states_none(
    client: FlaskClient, app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One trained on own folders, whose name comes before the adults'."""
    predictor = app.extensions["registry"].predictor
    population = {"label": "As in the training data"}
    ours = replace(predictor.bundles[ADULTS], name="by-us", population=population)
    monkeypatch.setattr(predictor, "bundles", {"by-us": ours, **predictor.bundles})
    for age, expected in (("004Y", CHILDREN), ("071Y", ADULTS)):
        reading = post_file(client, dicom(PatientAge=age)).get_json()
        assert reading["model"]["name"] == expected
    reading = post_file(client, dicom(PatientAge="071Y"), "?model=by-us").get_json()
    assert (reading["model"]["name"], codes(reading)) == ("by-us", [])
    page = client.get("/").get_data(as_text=True)
    assert page.index(">Child<") < page.index(">Adult<") < page.index(f">{ours.title}<")
    assert "As in the training data, ages not stated" in page


@pytest.mark.parametrize("age", ["004Y", "071Y"])
def test_the_only_bundle_reads_whatever_the_age(
    client: FlaskClient, app: Flask, monkeypatch: pytest.MonkeyPatch, age: str
) -> None:
    predictor = app.extensions["registry"].predictor
    ours = replace(predictor.bundles[ADULTS], name="by-us", population={"label": "Any"})
    monkeypatch.setattr(predictor, "bundles", {"by-us": ours})
    monkeypatch.setattr(predictor, "default", ours)
    reading = post_file(client, dicom(PatientAge=age)).get_json()
    assert reading["model"]["name"] == "by-us"


@pytest.mark.parametrize(
    ("age", "model", "words"),
    [
        ("071Y", CHILDREN, "71 years"),
        ("006Y", CHILDREN, "6 years"),
        ("011M", CHILDREN, "11 months"),
        ("017Y", ADULTS, "17 years"),
        ("018M", ADULTS, "18 months"),
        ("001M", ADULTS, "1 month"),
    ],
)
def test_a_named_bundle_wins_over_the_age_and_warns(
    client: FlaskClient, age: str, model: str, words: str
) -> None:
    reading = post_file(client, dicom(PatientAge=age), f"?model={model}").get_json()
    assert reading["model"]["name"] == model
    assert codes(reading) == ["age_outside_population"]
    made_for = {CHILDREN: "1 to 5 years", ADULTS: "18 years and older"}[model]
    assert f"is {words} old" in reading["warnings"][0]["detail"]
    assert f"made for {made_for}." in reading["warnings"][0]["detail"]


@pytest.mark.parametrize("age", ["001Y", "005Y", "070M"])
def test_no_warning_about_an_age_inside_the_population(client: FlaskClient, age: str) -> None:
    reading = post_file(client, dicom(PatientAge=age), f"?model={CHILDREN}").get_json()
    assert codes(reading) == []


@pytest.mark.parametrize(("side", "warned"), [(159, True), (160, False)])
def test_low_resolution_warns(client: FlaskClient, side: int, warned: bool) -> None:
    film = encode_png(cv2.resize(chest_phantom(400), (300, side)))
    reading = post_file(client, film).get_json()
    assert ("low_resolution" in codes(reading)) is warned


@pytest.mark.parametrize(("height", "warned"), [(800, False), (802, True)])
def test_twice_as_long_as_wide_is_the_most(client: FlaskClient, height: int, warned: bool) -> None:
    film = cv2.resize(chest_phantom(400), (400, height))
    for pixels in (film, film.T):
        reading = post_file(client, encode_png(np.ascontiguousarray(pixels))).get_json()
        assert ("heavily_cropped" in codes(reading)) is warned


@pytest.mark.parametrize(("levels", "warned"), [(15, True), (17, False)])
def test_hardly_any_contrast_warns(client: FlaskClient, levels: int, warned: bool) -> None:
    pixels = chest_phantom(400).astype(float)
    low, high = np.percentile(pixels, (0.5, 99.5))
    faint = np.clip((pixels - low) / (high - low), 0, 1) * levels + 100
    reading = post_file(client, encode_png(faint.round().astype(np.uint8))).get_json()
    assert ("low_contrast" in codes(reading)) is warned


def test_resolution_is_that_of_the_file_not_of_the_reduced_decode(client: FlaskClient) -> None:
    reading = post_file(client, encode_jpeg(chest_phantom(2048)), f"?model={CHILDREN}").get_json()
    assert codes(reading) == []
    assert reading["image"]["width"] == 2048


@pytest.mark.parametrize(
    ("data", "warned"),
    [
        (encode_png(np.clip(chest_phantom(400) * 2.5, 0, 255).astype(np.uint8)), True),
        (encode_png(np.pad(chest_phantom(400), 40, constant_values=255)), False),
        (dicom(WindowCenter=60 * 257, WindowWidth=80 * 257), True),
        (dicom(WindowCenter=128 * 257, WindowWidth=255 * 257), False),
    ],
    ids=["brightened", "in a white frame", "narrow window", "wide window"],
)
def test_a_burnt_out_film_warns(client: FlaskClient, data: bytes, warned: bool) -> None:
    reading = post_file(client, data, f"?model={CHILDREN}").get_json()
    assert codes(reading) == (["overexposed"] if warned else [])
    page = client.post(f"/?model={CHILDREN}", **multipart(data)).get_data(as_text=True)
    assert (WARNING_TITLES["overexposed"] in page) is warned


def test_a_photograph_of_a_film_warns(client: FlaskClient) -> None:
    exif = Image.Exif()
    exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.FNumber] = 1.8
    data = saved("JPEG", Image.fromarray(chest_phantom(400)), exif=exif)
    assert codes(post_file(client, data, f"?model={CHILDREN}").get_json()) == ["photograph"]
    page = client.post(f"/?model={CHILDREN}", **multipart(data)).get_data(as_text=True)
    assert WARNING_TITLES["photograph"] in page


def test_an_overlay_that_is_sent_back_for_a_film_warns(client: FlaskClient, jpeg: bytes) -> None:
    activation = np.zeros((4, 4), np.float32)
    activation[1, 1] = 1
    data = overlay_png(decode(jpeg), activation)
    assert codes(post_file(client, data, f"?model={CHILDREN}").get_json()) == ["coloured_picture"]
    page = client.post(f"/?model={CHILDREN}", **multipart(data)).get_data(as_text=True)
    assert WARNING_TITLES["coloured_picture"] in page


@pytest.mark.parametrize("with_film", [False, True])
def test_full_size_pixels_stay_only_where_the_film_is_shown(
    app: Flask, monkeypatch: pytest.MonkeyPatch, with_film: bool
) -> None:
    """Several films of 8 MB in memory at once are what a worker's size comes to."""
    film, full_size, held = encode_dicom(chest_phantom(600).astype(np.uint16) * 257), [], []

    def decode_and_watch(*args, **kwargs):
        radiograph = decode(*args, **kwargs)
        full_size.append(weakref.ref(radiograph.pixels))
        return radiograph

    def predict_and_look(bundle, images):
        held.append(full_size[0]() is not None)
        return predict(bundle, images)

    predict = Bundle.predict
    monkeypatch.setattr(predictor_module, "decode", decode_and_watch)
    monkeypatch.setattr(Bundle, "predict", predict_and_look)
    reading = app.extensions["registry"].predictor.read(film, with_film=with_film)
    assert held == [with_film]
    assert (reading.image_width, reading.image_height) == (600, 600)


def coded(code: str, meaning: str) -> list[Dataset]:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = code, "SCT", meaning
    return [item]


@pytest.mark.parametrize(
    ("fields", "warned"),
    [
        *(({"ViewPosition": view}, True) for view in (
            "LATERAL", "LL", "RL", "RLO", "LLO", "RAO", "LAO", "LPO", "OBLIQUE", "LEFT LATERAL",
            "LLAT", "L LAT", "LATERAL-L", "DECUB", "PA OBLIQUE", "AP LAT")),
        *(({"ViewPosition": view}, False) for view in (
            "PA", "ap ", "AP SUPINE", "AP_ERECT", "P-A", "FRONTAL", "POSTERO-ANTERIOR", "")),
        ({"ViewPosition": "", "ViewCodeSequence": coded("399173006", "left lateral")}, True),
        ({"ViewPosition": "", "ViewCodeSequence": coded("399182000", "oblique")}, True),
        ({"ViewPosition": "", "ViewCodeSequence": coded("272479007", "any")}, False),
        ({"ViewPosition": "", "PatientOrientation": ["P", "F"]}, True),
        ({"ViewPosition": "", "PatientOrientation": ["A", "F"]}, True),
        ({"ViewPosition": "", "PatientOrientation": ["L", "F"]}, False),
        ({"ViewPosition": "", "PatientOrientation": ""}, False),
    ],
)  # fmt: skip
def test_every_view_but_a_frontal_one_warns(client: FlaskClient, fields: Any, warned: bool) -> None:
    reading = post_file(client, dicom(**fields)).get_json()
    assert codes(reading) == (["view_outside_population"] if warned else [])


@pytest.mark.parametrize(
    ("fields", "warned"),
    [
        *(({"BodyPartExamined": part}, True) for part in ("ABDOMEN", "C-SPINE", "Hand, left")),
        *(({"BodyPartExamined": part}, False) for part in (
            "CHEST", "Chest PA", "THORAX", "PECHO", "POITRINE", "CXR", "")),
        ({"BodyPartExamined": "", "AnatomicRegionSequence": coded("72696002", "Knee")}, True),
        ({"BodyPartExamined": "", "AnatomicRegionSequence": coded("51185008", "any")}, False),
        ({"BodyPartExamined": "", "AnatomicRegionSequence": coded("1", "Thorax")}, False),
    ],
)  # fmt: skip
def test_another_body_part_is_warned_about(client: FlaskClient, fields: Any, warned: bool) -> None:
    reading = post_file(client, dicom(**fields)).get_json()
    assert codes(reading) == (["body_part_outside_population"] if warned else [])
