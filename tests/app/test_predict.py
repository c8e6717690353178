"""``POST /predict``: the contract's reading, whichever way the bytes come."""

from __future__ import annotations

import base64
import hashlib
import weakref
from dataclasses import replace

import cv2
import numpy as np
import pytest
from flask import Flask
from flask.testing import FlaskClient

from app import predictor as predictor_module
from cxr.bundle import Bundle
from cxr.calibrate import Thresholds
from cxr.decode import decode
from cxr.explain import class_activation, map_png
from cxr.preprocess import to_model_input
from tests.app.asking import dicom, post_file
from tests.app.conftest import CHILDREN
from tests.phantoms import chest_phantom, encode_dicom, encode_jpeg, encode_png


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
