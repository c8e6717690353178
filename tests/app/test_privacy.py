"""Nothing about a patient reaches a log, the disk or a cache."""

from __future__ import annotations

import json
import re
from io import BytesIO

import numpy as np
import pytest
from flask import Flask, request
from flask.testing import FlaskClient
from werkzeug import formparser

from tests.app.multipart import multipart
from tests.phantoms import (
    PATIENT_ID,
    PATIENT_NAME,
    STUDY_DATE,
    chest_phantom,
    encode_dicom,
)

SECRETS = (PATIENT_NAME, PATIENT_NAME.split("^")[0], PATIENT_ID, STUDY_DATE, "Wintersmith")


def full_dicom() -> bytes:
    return encode_dicom(
        chest_phantom(300).astype(np.uint16) * 257,
        fields={
            "PatientName": PATIENT_NAME,
            "PatientID": PATIENT_ID,
            "StudyDate": STUDY_DATE,
            "ReferringPhysicianName": "Wintersmith^Ada",
        },
    )


def test_a_dicom_full_of_names_leaves_none_behind(
    client: FlaskClient, capfd: pytest.CaptureFixture[str]
) -> None:
    data = full_dicom()
    assert PATIENT_NAME.encode() in data
    name = f"{PATIENT_NAME}_{PATIENT_ID}.dcm"
    answers = [
        client.post(f"/predict?x={PATIENT_ID}", **multipart(data, name)),
        client.post("/", **multipart(data, name)),
        # Damaged: what a library says about it must not quote it either.
        client.post("/predict", **multipart(data[:-5000], name)),
    ]
    assert [answer.status_code for answer in answers] == [200, 200, 422]
    out, err = capfd.readouterr()
    metrics = client.get("/metrics").get_data(as_text=True)
    pages = [answer.get_data(as_text=True) for answer in answers]
    for secret in SECRETS:
        for text in (out, err, metrics, *pages):
            assert secret not in text


def test_one_structured_line_per_request(
    client: FlaskClient, jpeg: bytes, capfd: pytest.CaptureFixture[str]
) -> None:
    client.post("/predict?model=nobody", data=jpeg, content_type="image/jpeg")
    (line,) = [json.loads(row) for row in capfd.readouterr().err.splitlines() if row[:1] == "{"]
    assert set(line) == {
        "time",
        "level",
        "event",
        "request_id",
        "method",
        "route",
        "status",
        "code",
        "ms",
    }
    assert (line["method"], line["route"], line["status"]) == ("POST", "/predict", 404)
    assert line["code"] == "unknown_model"


def test_large_uploads_are_never_spooled_to_disk(
    app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a temporary file was opened")

    monkeypatch.setattr(formparser, "SpooledTemporaryFile", refuse)
    data = bytes(2_000_000)
    with app.test_request_context("/predict", method="POST", **multipart(data)):
        assert isinstance(request.files["file"].stream, BytesIO)
        assert request.files["file"].read() == data


@pytest.mark.parametrize("address", ["/", "/models", "/readyz", "/docs", "/openapi.json", "/no"])
def test_security_headers_are_on_every_answer(client: FlaskClient, address: str) -> None:
    headers = client.get(address).headers
    policy = headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "no-referrer"
    assert "camera=()" in headers["Permissions-Policy"]
    assert headers["Cache-Control"] == "no-store"


def test_a_good_request_id_is_kept(client: FlaskClient) -> None:
    response = client.get("/healthz", headers={"X-Request-ID": "ward-7.film_3"})
    assert response.headers["X-Request-ID"] == "ward-7.film_3"


@pytest.mark.parametrize("sent", ["", "a b", "x" * 65, '{"a":1}', "é"])
def test_any_other_request_id_is_replaced(client: FlaskClient, sent: str) -> None:
    response = client.get("/healthz", headers={"X-Request-ID": sent})
    assert re.fullmatch(r"[0-9a-f]{32}", response.headers["X-Request-ID"])
