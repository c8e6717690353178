"""Asking ``/predict`` for readings, and what they warn of."""

from __future__ import annotations

from typing import Any

import numpy as np
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from tests.app.multipart import multipart
from tests.phantoms import chest_phantom, encode_dicom


def post_file(client: FlaskClient, data: bytes, query: str = "") -> TestResponse:
    return client.post(f"/predict{query}", **multipart(data))


def dicom(**fields: Any) -> bytes:
    return encode_dicom(chest_phantom(300).astype(np.uint16) * 257, fields=fields)


def codes(reading: dict) -> list[str]:
    return [warning["code"] for warning in reading["warnings"]]
