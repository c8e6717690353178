"""What the page's script gets: the result page's own words, and films at full depth."""

from __future__ import annotations

import base64
import gzip
import io
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from flask import Flask
from flask.testing import FlaskClient
from PIL import Image

from app import station
from app.errors import OverloadedError
from app.presentation import BY_AGE, DECISION_ADVICE, DECISION_WORDS
from cxr.film import Film, Window
from tests.app.conftest import ADULTS, CHILDREN
from tests.app.multipart import multipart
from tests.phantoms import PATIENT_ID, PATIENT_NAME, chest_phantom, encode_dicom, encode_png

SCRIPT = {"Accept": "text/html, application/json;q=0.9"}
DEEP = chest_phantom(128).astype(np.uint16) * 16


def picture(uri: str) -> Image.Image:
    return Image.open(io.BytesIO(base64.b64decode(uri.partition(",")[2])))


def test_a_reading_comes_with_the_words_of_the_result_page(
    client: FlaskClient, jpeg: bytes
) -> None:
    answer = client.post("/station/reading", headers=SCRIPT, **multipart(jpeg, model=ADULTS)).json
    reading = client.post(f"/predict?model={ADULTS}", data=jpeg, content_type="image/jpeg").json
    for name in ("decision", "infection_probability", "probabilities", "image", "model"):
        assert answer["reading"][name] == reading[name]
    assert answer["words"]["decision"] == DECISION_WORDS[reading["decision"]]
    page = client.post("/", **multipart(jpeg, model=ADULTS)).get_data(as_text=True)
    verdict = answer["html"][answer["html"].index("<header") : answer["html"].index("</header>")]
    assert verdict in page
    assert [other["model"] for other in answer["others"]] == [CHILDREN]


def test_the_copied_text_says_what_the_page_says(client: FlaskClient) -> None:
    data = encode_dicom(DEEP, bits_stored=12, fields={"PatientAge": "071Y"})
    answer = client.post("/station/reading", **multipart(data, model=CHILDREN)).json
    text = answer["words"]["text"]
    assert text.startswith(answer["words"]["decision"])
    assert "(no sign below 30%, signs from 70%)" in text
    assert f"Most probable: {answer['reading']['finding']}." in text
    assert DECISION_ADVICE[answer["reading"]["decision"]] in text
    assert "made for: Children, 1 to 5 years." in text
    assert "71 years" in text
    assert f"{CHILDREN} 0.0.1" in text
    assert text.endswith("Not a medical device.")
    everything = json.dumps(answer)
    assert PATIENT_NAME not in everything
    assert PATIENT_ID not in everything


def test_the_layer_and_the_thumbnail_are_small_pictures(client: FlaskClient, jpeg: bytes) -> None:
    answer = client.post("/station/reading", **multipart(jpeg, model=ADULTS)).json
    layer, small = picture(answer["layer"]), picture(answer["thumbnail"])
    assert (layer.mode, max(layer.size)) == ("RGBA", 256)
    assert (small.mode, max(small.size)) == ("L", 112)
    ids = [each["id"] for each in answer["maps"]]
    assert ids == ["infection", "normal", "bacterial_pneumonia", "viral_pneumonia"]
    layers = {
        client.post("/station/reading", **multipart(jpeg, model=ADULTS, heatmap_class=each)).json[
            "layer"
        ]
        for each in ids
    }
    assert len(layers) > 1


@pytest.mark.parametrize(("age", "model"), [("004Y", CHILDREN), ("071Y", ADULTS)])
def test_the_age_in_the_file_chooses(client: FlaskClient, age: str, model: str) -> None:
    data = encode_dicom(DEEP, fields={"PatientAge": age})
    answer = client.post("/station/reading", **multipart(data, model=BY_AGE)).json
    assert answer["reading"]["model"]["name"] == model


@pytest.mark.parametrize("address", ["/", "/station/reading"])
def test_without_an_age_the_page_asks(client: FlaskClient, jpeg: bytes, address: str) -> None:
    response = client.post(address, headers=SCRIPT, **multipart(jpeg, model=BY_AGE))
    assert response.status_code == 400
    page = response.get_data(as_text=True)
    assert 'data-code="patient_unknown"' in page
    assert "Child or adult?" in page


def test_a_refusal_is_the_error_page(client: FlaskClient) -> None:
    response = client.post("/station/reading", headers=SCRIPT, **multipart(b"%PDF-1.7\n"))
    assert response.status_code == 415
    page = response.get_data(as_text=True)
    assert 'class="refusal" data-code="unsupported_format"' in page
    assert "PDF document" in page


def film(client: FlaskClient, data: bytes) -> tuple[dict, np.ndarray]:
    response = client.post("/station/film", headers=SCRIPT, **multipart(data))
    assert response.status_code == 200
    assert response.headers["Cache-Control"] == "no-store"
    described = json.loads(response.headers["X-Film"])
    pixels = np.frombuffer(response.get_data(), "<u2" if described["bits"] == 16 else "u1")
    return described, pixels.reshape(described["height"], described["width"])


def test_a_dicom_film_keeps_its_depth_window_and_spacing(client: FlaskClient) -> None:
    fields = {"WindowCenter": 300, "WindowWidth": 101, "PixelSpacing": [0.2, 0.1]}
    data = encode_dicom(DEEP, bits_stored=12, photometric="MONOCHROME1", fields=fields)
    described, pixels = film(client, data)
    assert np.array_equal(4095 - pixels, DEEP)
    assert described["inverted"] is True
    assert described["windows"] == [[249.5, 349.5]]
    assert described["spacing"] == {"row": 0.2, "column": 0.1, "plane": "patient"}
    assert (described["slope"], described["intercept"]) == (1, 0)


def test_a_deep_png_keeps_its_depth(client: FlaskClient) -> None:
    described, pixels = film(client, encode_png(DEEP))
    assert described["bits"] == 16
    assert described["spacing"] is None
    # 12 bits in 16: every level is kept, and white is at the top of the scale.
    assert np.array_equal(pixels, DEEP << 4)


def test_a_film_waits_its_turn_as_a_reading_does(
    client: FlaskClient, app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full() -> None:
        raise OverloadedError("Too many wait.")

    monkeypatch.setattr(app.extensions["registry"].predictor, "turn", full)
    response = client.post("/station/film", **multipart(encode_png(DEEP)))
    assert response.status_code == 503
    assert "Retry-After" in response.headers


def test_a_film_is_copied_within_its_turn(
    client: FlaskClient, app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    within = False

    @contextmanager
    def turn() -> Iterator[None]:
        nonlocal within
        within = True
        yield
        within = False

    class Watched(np.ndarray):
        def tobytes(self, *_: Any) -> bytes:
            assert within
            return super().tobytes()

    found = Film(DEEP.view(Watched), (Window(0, 65535),))
    monkeypatch.setattr("cxr.film.film", lambda *_: found)
    monkeypatch.setattr(app.extensions["registry"].predictor, "turn", turn)
    assert np.array_equal(film(client, encode_png(DEEP))[1], DEEP)


def test_a_file_without_a_film_is_refused(client: FlaskClient) -> None:
    response = client.post("/station/film", headers=SCRIPT, **multipart(b"%PDF-1.7\n"))
    assert response.status_code == 415
    assert "X-Film" not in response.headers


def test_the_sample_is_a_file_like_any_other(
    client: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    response = client.get("/station/sample")
    assert response.mimetype == "application/dicom"
    answer = client.post(
        "/station/reading", **multipart(response.get_data(), model=ADULTS, sample="1")
    ).json
    assert "<strong>Sample.</strong>" in answer["html"]
    monkeypatch.setattr(station, "sample_path", lambda: None)
    assert client.get("/station/sample").status_code == 404


def test_every_module_is_named_in_the_page(client: FlaskClient, app: Flask) -> None:
    page = client.get("/").get_data(as_text=True)
    modules = {path.name for path in Path(app.static_folder or "", "js").glob("*.js")}
    assert {"station.js", "viewer.js", "theme.js"} <= modules
    assert all(f"/static/js/{name}" in page for name in modules)


def test_the_first_load_is_light(client: FlaskClient) -> None:
    page = client.get("/").get_data()
    parts = set(re.findall(r'(?:src|href)="(/static/[^"]+)"', page.decode()))
    assert len(parts) > 15
    total = len(gzip.compress(page))
    for part in parts:
        with client.get(part) as response:
            assert response.status_code == 200
            total += len(gzip.compress(response.get_data()))
    assert total < 150 * 1024
