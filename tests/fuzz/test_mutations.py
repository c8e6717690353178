"""A few mutated files and requests in every test run; ``make fuzz`` tries them by the thousand."""

from __future__ import annotations

import pytest
from flask.testing import FlaskClient
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cxr.decode import decode
from cxr.errors import RadiographError
from cxr.radiograph import Limits
from fuzz import seeds
from tests.app.multipart import BOUNDARY
from tests.light_app import create

FILES = list(seeds.files())
REQUESTS = list(seeds.requests())
MEDIA_TYPES = (
    f"multipart/form-data; boundary={BOUNDARY}",
    "application/x-www-form-urlencoded",
    "image/jpeg",
    "application/dicom",
)
_SETTINGS = settings(
    max_examples=150, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck)
)


@st.composite
def mutated(draw: st.DrawFn, originals: list[bytes]) -> bytes:
    """A seed with bytes overwritten, inserted, repeated or cut off."""
    data = bytearray(draw(st.sampled_from(originals)))
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(data)))
        piece = draw(st.binary(min_size=0, max_size=8))
        match draw(st.sampled_from(("overwrite", "insert", "repeat", "cut"))):
            case "overwrite":
                data[at : at + len(piece)] = piece
            case "insert":
                data[at:at] = piece
            case "repeat":
                data[at:at] = data[at : at + 64] * draw(st.integers(1, 8))
            case _:
                del data[at:]
    return bytes(data)


@_SETTINGS
@given(mutated(FILES))
def test_a_mutated_file_is_read_or_refused(data: bytes) -> None:
    try:
        pixels = decode(data, Limits(max_pixels=4_000_000), reduce_to=32).pixels
    except RadiographError:
        return
    assert pixels.ndim == 2


@pytest.fixture(scope="module")
def client() -> FlaskClient:
    app = create(max_upload_bytes=1 << 20, max_pixels=4_000_000, log_level="ERROR")
    assert app.extensions["registry"].wait(60)
    return app.test_client()


@_SETTINGS
@given(body=mutated(REQUESTS), media_type=st.sampled_from(MEDIA_TYPES))
def test_a_mutated_request_never_gets_a_5xx(
    client: FlaskClient, body: bytes, media_type: str
) -> None:
    response = client.post("/predict", data=body, content_type=media_type)
    assert response.status_code < 500
    assert "code" in response.get_json() or response.status_code == 200
