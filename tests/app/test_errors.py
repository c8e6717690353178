"""Every error of the contract's table, in one shape, for programs and for people."""

from __future__ import annotations

import gzip
import struct
import threading
import zlib
from io import BytesIO
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient

from app import create_app
from app.errors import PROBLEMS
from app.schemas import PredictQuery
from app.settings import Settings
from tests.app.conftest import CHILDREN
from tests.app.multipart import multipart
from tests.app.problems import assert_problem
from tests.bad_inputs import BAD_INPUTS

BROWSER = {"Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"}

STYLESHEET = "/static/css/base.css"


def png_header(width: int, height: int) -> bytes:
    """The beginning of a PNG that announces a size and holds no pixels."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        checksum = struct.pack(">I", zlib.crc32(kind + body))
        return struct.pack(">I", len(body)) + kind + body + checksum

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IEND", b"")


def test_the_table_is_the_contracts() -> None:
    expected = {
        400: {"missing_file", "empty_file", "invalid_parameter", "patient_unknown"},
        401: {"unauthorized"},
        404: {"not_found", "unknown_model"},
        405: {"method_not_allowed"},
        408: {"request_timeout"},
        413: {"too_large", "too_many_pixels"},
        415: {"unsupported_format"},
        416: {"unsatisfiable_range"},
        422: {"unreadable_image", "not_a_chest_xray", "unsuitable_image"},
        429: {"rate_limited"},
        500: {"internal_error"},
        503: {"overloaded", "not_ready"},
    }
    got: dict[int, set[str]] = {}
    for code, problem in PROBLEMS.items():
        got.setdefault(problem.status, set()).add(code)
    assert got == expected


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        ({}, "missing_file"),
        ({"data": {}}, "missing_file"),
        ({"data": {"image": (BytesIO(b"x"), "x.png")}}, "missing_file"),
        ({"data": {"file": (BytesIO(b""), "")}}, "missing_file"),
        ({"data": {"file": "text"}, "content_type": "multipart/form-data"}, "missing_file"),
        ({"data": b"junk", "content_type": "multipart/form-data"}, "missing_file"),
        ({"data": b"a=b", "content_type": "application/x-www-form-urlencoded"}, "missing_file"),
        ({"data": {"file": (BytesIO(b""), "empty.png")}}, "empty_file"),
        ({"data": b"", "content_type": "image/png"}, "empty_file"),
        ({"json": {"file": "…"}}, "unsupported_format"),
        ({"data": b"hello", "content_type": "text/plain"}, "unsupported_format"),
        ({"data": b"hello", "content_type": "image/png"}, "unsupported_format"),
        ({"data": png_header(30000, 30000), "content_type": "image/png"}, "too_many_pixels"),
        ({"data": png_header(20, 20), "content_type": "image/png"}, "unsuitable_image"),
        ({"data": bytes(4 * 2**20 + 1), "content_type": "image/png"}, "too_large"),
        ({"data": bytes(5 * 2**20), "content_type": "image/png"}, "too_large"),
        (multipart(bytes(5 * 2**20)), "too_large"),
    ],
)
def test_requests_that_predict_refuses(client: FlaskClient, arguments: dict, code: str) -> None:
    assert_problem(client.post("/predict", **arguments), code)


def test_two_files_are_one_too_many(client: FlaskClient, jpeg: bytes) -> None:
    files = [(BytesIO(jpeg), "a.jpg"), (BytesIO(jpeg), "b.jpg")]
    assert_problem(client.post("/predict", data={"file": files}), "invalid_parameter")


@pytest.mark.parametrize(
    "fields",
    [{f"field{n}": "x" for n in range(40)}, {"note": "x" * 600_000}],
    ids=["many", "long"],
)
def test_a_form_with_more_than_a_film_is_not_called_a_large_file(
    client: FlaskClient, jpeg: bytes, fields: dict[str, str]
) -> None:
    response = client.post("/predict", **multipart(jpeg, **fields))
    problem = assert_problem(response, "invalid_parameter")
    assert "16 parts" in problem["detail"]
    assert "MiB" not in problem["detail"]


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("heatmap=rainbow", "invalid_parameter"),
        ("heatmap=", "invalid_parameter"),
        ("heatmap=map&heatmap_class=tuberculosis", "invalid_parameter"),
        ("heatmap_class=", "invalid_parameter"),
        ("model=nobody", "unknown_model"),
        ("model=../models", "unknown_model"),
        ("model=", "invalid_parameter"),
        (f"model={CHILDREN}&model={CHILDREN}", "invalid_parameter"),
        ("heatmap=map&heatmap=none", "invalid_parameter"),
        ("modle=covid19-radiography", "invalid_parameter"),
        ("Model=covid19-radiography", "invalid_parameter"),
    ],
)
def test_parameters_that_predict_refuses(
    client: FlaskClient, jpeg: bytes, query: str, code: str
) -> None:
    response = client.post(f"/predict?{query}", data=jpeg, content_type="image/jpeg")
    assert_problem(response, code)


@pytest.mark.parametrize("address", ["/predict", "/", f"/v2/models/{CHILDREN}/infer"])
@pytest.mark.parametrize(("encoding", "named"), [("gzip", True), ("X-Doe", False)])
def test_a_compressed_body_is_refused_as_that(
    client: FlaskClient, jpeg: bytes, address: str, encoding: str, named: bool
) -> None:
    headers = {"Content-Encoding": encoding}
    sent = {"data": gzip.compress(jpeg), "content_type": "image/jpeg", "headers": headers}
    response = client.post(address, **sent)
    assert response.status_code == PROBLEMS["unsupported_format"].status
    assert response.headers["Accept-Encoding"] == "identity"
    assert (encoding in response.get_data(as_text=True)) is named


def test_a_body_that_is_not_compressed_may_say_so(client: FlaskClient, jpeg: bytes) -> None:
    sent = {"data": jpeg, "content_type": "image/jpeg"}
    response = client.post("/predict", **sent, headers={"Content-Encoding": "identity"})
    assert response.status_code == 200


def test_an_unknown_parameter_is_not_repeated(client: FlaskClient, jpeg: bytes) -> None:
    response = client.post("/predict?Zebediah=1", data=jpeg, content_type="image/jpeg")
    assert "Zebediah" not in response.get_data(as_text=True)
    assert "mistyped" in response.get_json()["detail"]


@pytest.mark.parametrize("name", list(PredictQuery.model_fields))
def test_parameters_in_the_form_are_not_passed_over(
    client: FlaskClient, jpeg: bytes, name: str
) -> None:
    response = client.post("/predict", **multipart(jpeg, **{name: "none"}))
    assert_problem(response, "invalid_parameter")
    assert f"/predict?{name}=" in response.get_json()["detail"]
    part = client.post("/predict", data={"file": (BytesIO(jpeg), "a"), name: (BytesIO(b"x"), "b")})
    assert_problem(part, "invalid_parameter")


def test_other_fields_of_the_form_are_let_be(client: FlaskClient, jpeg: bytes) -> None:
    assert client.post("/predict", **multipart(jpeg, ward="7")).status_code == 200


@pytest.mark.parametrize("name", BAD_INPUTS)
def test_every_bad_input_gets_its_code(client: FlaskClient, name: str) -> None:
    make, code = BAD_INPUTS[name]
    response = client.post("/predict", data=make(), content_type="application/octet-stream")
    assert_problem(response, code)


@pytest.mark.parametrize("address", ["/nothing", "/models/nobody/x", "/static/nothing.css"])
def test_unknown_addresses(client: FlaskClient, address: str) -> None:
    assert_problem(client.get(address), "not_found")


@pytest.mark.parametrize(
    ("asked", "status", "length"),
    [
        ("bytes=0-9", 206, 10),
        ("bytes=-5", 206, 5),
        ("lines=1-2", 200, None),
        ("bytes=0-1,4-5", 200, None),
        ("bytes=5-2", 200, None),
        ("bytes=a-b", 200, None),
        ("nonsense", 200, None),
    ],
)
def test_ranges_that_are_not_served_are_ignored(
    client: FlaskClient, asked: str, status: int, length: int | None
) -> None:
    with client.get(STYLESHEET) as whole:
        size = len(whole.get_data())
    with client.get(STYLESHEET, headers={"Range": asked}) as response:
        assert response.status_code == status
        assert len(response.get_data()) == (length or size)


def test_a_range_behind_the_end_is_refused_with_the_length(client: FlaskClient) -> None:
    with client.get(STYLESHEET) as whole:
        length = len(whole.get_data())
    with client.get(STYLESHEET, headers={"Range": f"bytes={length}-"}) as response:
        assert_problem(response, "unsatisfiable_range")
        assert response.headers["Content-Range"] == f"bytes */{length}"


def test_every_route_refuses_other_methods_alike(client: FlaskClient, app: Flask) -> None:
    for rule in app.url_map.iter_rules():
        address = rule.rule.replace("<name>", CHILDREN).replace("<path:filename>", "css/base.css")
        response = client.delete(address)
        assert_problem(response, "method_not_allowed")
        allowed = {method.strip() for method in response.headers["Allow"].split(",")}
        assert allowed >= (rule.methods or set())


def test_people_get_a_page_with_the_same_facts(client: FlaskClient) -> None:
    response = client.get("/nothing", headers=BROWSER)
    assert response.status_code == 404
    assert response.mimetype == "text/html"
    page = response.get_data(as_text=True)
    assert PROBLEMS["not_found"].title in page
    assert response.headers["X-Request-ID"] in page
    assert "Accept" in response.headers["Vary"]


def test_the_form_always_answers_with_a_page(client: FlaskClient) -> None:
    response = client.post("/", data={"file": (BytesIO(b"hello"), "x.png")})
    assert response.status_code == 415
    assert response.mimetype == "text/html"
    assert PROBLEMS["unsupported_format"].title in response.get_data(as_text=True)


@pytest.mark.parametrize(
    "accept",
    [
        "*/*",
        "application/json",
        "application/problem+json, text/html;q=0.1",
        "image/png",
        "",
    ],
)
def test_programs_get_json(client: FlaskClient, accept: str) -> None:
    assert_problem(client.get("/nothing", headers={"Accept": accept}), "not_found")


def test_an_unexpected_error_leaks_nothing(
    client: FlaskClient,
    app: Flask,
    jpeg: bytes,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("Doe^Jane 19700101 in /srv/secret")

    monkeypatch.setattr(app.extensions["registry"].predictor, "read", fail)
    response = client.post("/predict", data=jpeg, content_type="image/jpeg")
    body = assert_problem(response, "internal_error")
    written = capfd.readouterr().err
    for text in (str(body), written):
        assert "Doe" not in text
        assert "secret" not in text
    assert "RuntimeError" in written
    assert body["request_id"] in written


def test_while_loading_everything_that_needs_a_bundle_says_so(tmp_path: Path, jpeg: bytes) -> None:
    (tmp_path / "slow").mkdir()
    (tmp_path / "slow" / "bundle.json").write_text("{}")
    release = threading.Event()

    def slow(_: Path) -> None:
        release.wait(30)
        raise RuntimeError("never loads")

    client = create_app(Settings(models=tmp_path), load=slow).test_client()
    try:
        assert client.get("/healthz").status_code == 200
        for response in (
            client.get("/readyz"),
            client.get("/models"),
            client.get("/models/slow"),
            client.post("/predict", data=jpeg, content_type="image/jpeg"),
        ):
            assert_problem(response, "not_ready")
        page = client.get("/")
        assert page.status_code == 200
        assert 'http-equiv="refresh"' in page.get_data(as_text=True)
    finally:
        release.set()
