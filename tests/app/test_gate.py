"""The gate in front of the models: what gets a reading, and what is refused in which words.

The gate is the shipped one, the models are untrained. The film is the sample of pydicom-data.
"""

from __future__ import annotations

import io
import json
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
from flask import Flask
from flask.testing import FlaskClient
from PIL import Image
from sklearn.datasets import load_sample_image

from app.presentation import WARNING_TITLES
from app.sample import sample_path
from app.settings import PROJECT_ROOT, Settings
from cxr.decode import decode
from tests.app.conftest import CHILDREN, loaded
from tests.app.multipart import multipart
from tests.app.problems import assert_problem
from tests.phantoms import encode_dicom, encode_jpeg, encode_png


@pytest.fixture(scope="module")
def gated(models_folder: Path) -> Flask:
    app = loaded(Settings(models=models_folder))
    assert app.extensions["registry"].failures == {}
    return app


@pytest.fixture
def client(gated: Flask) -> FlaskClient:
    return gated.test_client()


@pytest.fixture(scope="module")
def film() -> np.ndarray:
    """uint8, the sample at half its size."""
    path = sample_path()
    if path is None:
        pytest.skip("the package pydicom-data is not installed")
    pixels = decode(path.read_bytes()).pixels
    return cv2.resize((pixels >> 8).astype(np.uint8), None, fx=0.5, fy=0.5)


def predict(client: FlaskClient, data: bytes):
    return client.post(f"/predict?model={CHILDREN}", **multipart(data))


def codes(response) -> list[str]:
    assert response.status_code == 200, response.get_data(as_text=True)[:300]
    return [warning["code"] for warning in response.get_json()["warnings"]]


def test_a_chest_film_is_read_without_a_warning_in_every_depth(
    client: FlaskClient, film: np.ndarray
) -> None:
    for data in (
        encode_jpeg(film, 80),
        encode_png(film),
        encode_png(film.astype(np.uint16) * 257),
        encode_dicom(film.astype(np.uint16) * 257, photometric="MONOCHROME1"),
    ):
        assert codes(predict(client, data)) == []


def test_its_mirror_image_and_a_slight_tilt_are_read_too(
    client: FlaskClient, film: np.ndarray
) -> None:
    height, width = film.shape
    tilt = cv2.getRotationMatrix2D((width / 2, height / 2), 7, 1.0)
    for changed in (film[:, ::-1], cv2.warpAffine(film, tilt, (width, height))):
        codes(predict(client, encode_png(np.ascontiguousarray(changed))))


@pytest.mark.parametrize(
    ("reason", "change", "words"),
    [
        ("upside_down", lambda f: f[::-1, ::-1], "half a turn"),
        ("turned_left", lambda f: np.rot90(f, 1), "Turn it clockwise"),
        ("turned_right", lambda f: np.rot90(f, 3), "Turn it anticlockwise"),
        ("inverted", lambda f: 255 - f, "Invert its grey levels"),
        ("cropped", lambda f: f[: f.shape[0] // 2, : f.shape[1] // 2], "Send the whole film"),
    ],
)
def test_a_film_that_can_be_put_right_is_refused_with_the_remedy(
    client: FlaskClient, film: np.ndarray, reason: str, change, words: str
) -> None:
    data = encode_png(np.ascontiguousarray(change(film)))
    body = assert_problem(predict(client, data), "unsuitable_image", reason=reason)
    assert words in body["detail"]
    page = client.post("/", **multipart(data))
    assert page.status_code == 422
    text = page.get_data(as_text=True)
    assert "No reading was made" in text
    assert words in text
    assert 'id="decision"' not in text


def test_doing_what_the_refusal_says_gets_a_reading(client: FlaskClient, film: np.ndarray) -> None:
    lying = np.ascontiguousarray(np.rot90(film, 1))
    assert "clockwise" in predict(client, encode_png(lying)).get_json()["detail"]
    codes(predict(client, encode_png(np.asarray(cv2.rotate(lying, cv2.ROTATE_90_CLOCKWISE)))))


def photograph() -> np.ndarray:
    return cv2.cvtColor(load_sample_image("china.jpg"), cv2.COLOR_RGB2GRAY)


def page_of_text() -> np.ndarray:
    page = np.full((700, 500), 250, np.uint8)
    for line in range(20, 690, 18):
        cv2.putText(page, "The patient was seen on ward 4 again", (20, line), 0, 0.6, 10, 1)
    return page


@pytest.mark.parametrize(
    "picture",
    [
        photograph,
        page_of_text,
        lambda: np.random.default_rng(0).integers(0, 256, (400, 400), np.uint8),
        lambda: np.tile(np.arange(256, dtype=np.uint8), (256, 1)),
    ],
    ids=["photograph", "page", "noise", "gradient"],
)
def test_what_is_no_chest_is_refused_by_api_and_page(client: FlaskClient, picture) -> None:
    data = encode_png(picture())
    body = assert_problem(predict(client, data), "not_a_chest_xray")
    assert "Send one frontal" in body["detail"]
    page = client.post("/", **multipart(data)).get_data(as_text=True)
    assert "This does not look like a chest radiograph" in page
    assert "No reading was made" in page
    assert 'class="verdict"' not in page


def test_a_colour_photograph_too(client: FlaskClient) -> None:
    buffer = io.BytesIO()
    Image.fromarray(load_sample_image("flower.jpg")).save(buffer, "JPEG")
    assert_problem(predict(client, buffer.getvalue()), "not_a_chest_xray")


def test_a_blank_picture_is_refused_as_blank(client: FlaskClient) -> None:
    data = encode_png(np.full((300, 300), 90, np.uint8))
    body = assert_problem(predict(client, data), "unsuitable_image", reason="no_contrast")
    assert "blank" in body["detail"]


def test_a_long_strip_and_a_faint_film_are_read_with_a_warning(
    client: FlaskClient, film: np.ndarray
) -> None:
    longer = film.shape[0] * 5 // 4
    strip = np.pad(film, ((0, longer), (0, 0)), mode="edge")
    answer = predict(client, encode_png(strip))
    assert answer.status_code == 422 or "heavily_cropped" in codes(answer)
    # What lies on a black canvas as long is no strip.
    answer = predict(client, encode_png(np.pad(film, ((0, longer), (0, 0)))))
    assert answer.status_code == 200
    assert not codes(answer)
    faint = (film // 20 + 100).astype(np.uint8)
    assert "low_contrast" in codes(predict(client, encode_png(faint)))


def test_what_passes_only_just_is_read_with_a_warning(
    gated: Flask, film: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    from dataclasses import replace

    from cxr.verdict import CLASSES

    predictor = gated.extensions["registry"].predictor
    answer = np.array([[0.4] + [0.1] * (len(CLASSES) - 1)], np.float32)
    unsure = replace(predictor.gate, threshold=0.3, network=lambda _: (answer,))
    monkeypatch.setattr(predictor, "gate", unsure)
    client = gated.test_client()
    assert codes(predict(client, encode_png(film))) == ["doubtful_chest_xray"]
    page = client.post("/", **multipart(encode_png(film))).get_data(as_text=True)
    assert WARNING_TITLES["doubtful_chest_xray"] in page


def test_the_gate_is_named_where_the_service_says_that_it_is_ready(client: FlaskClient) -> None:
    document = json.loads((PROJECT_ROOT / "models" / "gate" / "gate.json").read_text())
    ready = client.get("/readyz").get_json()
    assert ready["gate"] == {"version": document["version"], "sha256": document["sha256"]}


@pytest.fixture
def own_models(models_folder: Path, tmp_path: Path) -> Path:
    """A models folder with a gate of its own."""
    models = tmp_path / "models"
    shutil.copytree(models_folder, models)
    shutil.copytree(PROJECT_ROOT / "models" / "gate", models / "gate")
    return models


@pytest.fixture
def ready(own_models: Path) -> FlaskClient:
    return loaded(Settings(models=own_models)).test_client()


def test_the_gate_is_no_model_that_reads(ready: FlaskClient) -> None:
    assert "gate" not in [model["name"] for model in ready.get("/models").get_json()["models"]]
    assert ready.get("/readyz").get_json()["failed"] == []
    assert_problem(ready.get("/models/gate"), "unknown_model")


@pytest.mark.parametrize("name", ["model.keras", "gate.json", "probes/probes.npz"])
def test_without_its_gate_the_service_reads_nothing_and_names_the_file(
    own_models: Path, name: str, film: np.ndarray
) -> None:
    (own_models / "gate" / name).write_bytes(b"damaged")
    client = loaded(Settings(models=own_models)).test_client()
    body = assert_problem(client.get("/readyz"), "not_ready")
    assert name in body["detail"]
    assert_problem(predict(client, encode_png(film)), "not_ready")


def test_switched_off_every_picture_gets_a_reading(models_folder: Path) -> None:
    environment = {"XRAY_GATE": "off", "XRAY_MODELS": str(models_folder)}
    client = loaded(Settings.from_environment(environment)).test_client()
    codes(predict(client, encode_png(photograph())))
    assert client.get("/readyz").get_json()["gate"] is None
