"""Nothing about a patient reaches a log, the disk or a cache."""

from __future__ import annotations

from io import BytesIO
from typing import Any

import numpy as np
import pytest
from flask import Flask, request
from flask.testing import FlaskClient
from pydicom.dataset import Dataset
from werkzeug import formparser

from tests.app.conftest import CHILDREN
from tests.app.multipart import multipart
from tests.phantoms import (
    PATIENT_ID,
    PATIENT_NAME,
    STUDY_DATE,
    chest_phantom,
    dicom_dataset,
    write_dicom,
)

#: One secret for every place in a file where a person can be named, dated or numbered.
IDENTIFYING = {
    "PatientName": PATIENT_NAME,
    "PatientID": PATIENT_ID,
    "StudyDate": STUDY_DATE,
    "PatientBirthDate": "19610713",
    "StudyTime": "174259.123",
    "AcquisitionDateTime": "20240229174301",
    "AccessionNumber": "ACC90210",
    "StudyID": "STUDY-5150",
    "OtherPatientIDs": "OTHER-8086",
    "PatientAddress": "12 Grimmauld Row",
    "PatientTelephoneNumbers": "555-0142",
    "PatientComments": "sister of Zebediah",
    "ReferringPhysicianName": "Wintersmith^Ada",
    "PerformingPhysicianName": "Quillfeather^Bo",
    "OperatorsName": "Umberfield^Cy",
    "InstitutionName": "Saint Nowhere",
    "InstitutionAddress": "Nowhere Lane",
    "StationName": "BUCKY-77",
    "DeviceSerialNumber": "SN-31337",
    "StudyDescription": "fell off a Hippogriff",
    "ProtocolName": "Thorax Hippogriff",
    "StudyInstanceUID": "1.2.826.0.1.3680043.8.498.4711",
    "SOPInstanceUID": "1.2.826.0.1.3680043.8.498.4712",
}
SECRETS = (
    *IDENTIFYING.values(),
    *(IDENTIFYING[name].split("^")[0] for name in IDENTIFYING if name.endswith("Name")),
    "Zebediah",
    "Hippogriff",
    "Elderflower",
)


def full_dicom(**changed: Any) -> bytes:
    """A film with every secret in it, in a private element and in a sequence too."""
    dataset = dicom_dataset(
        chest_phantom(300).astype(np.uint16) * 257, fields={**IDENTIFYING, **changed}
    )
    item = Dataset()
    item.PatientID = "Elderflower"
    dataset.OtherPatientIDsSequence = [item]
    dataset.private_block(0x0011, "Elderflower", create=True).add_new(1, "LO", "Elderflower")
    return write_dicom(dataset)


def test_a_dicom_full_of_names_leaves_none_behind(
    client: FlaskClient, capfd: pytest.CaptureFixture[str]
) -> None:
    data = full_dicom()
    assert [secret for secret in SECRETS if secret.encode() not in data] == []
    name = f"{PATIENT_NAME}_{PATIENT_ID}.dcm"
    answers = [
        client.post("/predict?heatmap=overlay", **multipart(data, name)),
        client.post(f"/predict?{PATIENT_NAME}={PATIENT_ID}", **multipart(data, name)),
        client.post("/", **multipart(data, name)),
        client.post("/predict", **multipart(data, name, patient="Zebediah")),
        client.post("/predict?model=Zebediah", **multipart(data, name)),
        # The age out of both dates, and a warning that names it.
        client.post(f"/predict?model={CHILDREN}", **multipart(full_dicom(PatientAge=None), name)),
        # Damaged or odd: what a library says about it must not quote it either.
        client.post("/predict", **multipart(data[:-5000], name)),
        client.post("/predict", **multipart(data.replace(b"CHEST", b"\xff\xfe\x00^\x01"), name)),
        client.post("/predict", **multipart(full_dicom(Modality="Hippogriff"[:16]), name)),
        client.post("/predict", **multipart(full_dicom(PatientAge="Zebediah"[:4]), name)),
        client.get(f"/{PATIENT_ID}/{PATIENT_NAME}"),
    ]
    codes = [answer.status_code for answer in answers]
    assert codes == [200, 400, 200, 200, 404, 200, 422, 200, 422, 200, 404]
    out, err = capfd.readouterr()
    assert err.count('"event": "request"') == len(answers)
    metrics = client.get("/metrics").get_data(as_text=True)
    texts = [answer.get_data(as_text=True) + str(answer.headers) for answer in answers]
    found = [secret for secret in SECRETS for text in (out, err, metrics, *texts) if secret in text]
    assert found == []


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
