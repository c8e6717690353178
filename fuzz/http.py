"""Coverage-guided fuzzing of the HTTP body of ``POST /predict``: never a 5xx, always a problem.

    python -m fuzz.http CORPUS [-runs=100000] [-max_total_time=600] [other options of libFuzzer]

The first byte of an input chooses the media type, the rest is the body. The application is
the real one over a stand-in network, called through WSGI.
"""

from __future__ import annotations

import sys

import atheris

with atheris.instrument_imports(include=["app", "cxr", "werkzeug.formparser", "werkzeug.sansio"]):
    from tests.light_app import create

from fuzz.watch import count, watched
from tests.app.multipart import BOUNDARY

MEDIA_TYPES = (
    f"multipart/form-data; boundary={BOUNDARY}",
    "application/x-www-form-urlencoded",
    "image/jpeg",
    "application/dicom",
    "application/octet-stream",
    "application/json",
    "",
)
MEMBERS = {"type", "title", "status", "detail", "code", "request_id"}

app = create(max_upload_bytes=1 << 20, max_pixels=4_000_000, log_level="ERROR")
assert app.extensions["registry"].wait(60), "the stand-in did not load"
client = app.test_client()


def one_input(data: bytes) -> None:
    """Post once; a program's answer is a reading or a problem with its code."""
    media_type = MEDIA_TYPES[data[0] % len(MEDIA_TYPES)] if data else ""
    with watched(data):
        response = client.post("/predict", data=data[1:], content_type=media_type or None)
        body = response.get_json()
    assert response.status_code < 500, (response.status_code, body)
    if response.status_code != 200:
        # Some unsuitable films say why in a word that programs know.
        assert MEMBERS <= set(body) <= MEMBERS | {"reason"}, body
    count(f"{response.status_code} {body.get('code', '')}")


def main() -> None:
    atheris.Setup([*sys.argv, "-rss_limit_mb=3000", "-timeout=120"], one_input)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
