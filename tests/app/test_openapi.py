"""The description of the API against the API itself."""

from __future__ import annotations

import re
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from app.errors import PROBLEMS
from app.openapi import document
from tests.app.conftest import CHILDREN

# Pages and the description itself are not part of what programs rely on.
NOT_DESCRIBED = {
    "/",
    "/sample",
    "/docs",
    "/openapi.json",
    "/sign-in",
    "/sign-out",
    "/station/reading",
    "/station/film",
    "/station/sample",
    "/static/{filename}",
}


def resolve(schema: dict[str, Any]) -> dict[str, Any]:
    if "$ref" in schema:
        return document()["components"]["schemas"][schema["$ref"].rsplit("/", 1)[-1]]
    return schema


def assert_matches(value: Any, schema: dict[str, Any], where: str = "body") -> None:
    """``value`` has the types, members and ranges that ``schema`` names."""
    schema = resolve(schema)
    for part in schema.get("allOf", []):
        assert_matches(value, part, where)
    if "enum" in schema:
        assert value in schema["enum"], where
    if "const" in schema:
        assert value == schema["const"], where
    if "type" in schema:
        types = {
            "object": dict,
            "array": list,
            "string": str,
            "integer": int,
            "number": (int, float),
            "boolean": bool,
            "null": type(None),
        }
        names = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
        assert any(isinstance(value, types[name]) for name in names), where
    if "pattern" in schema:
        assert re.search(schema["pattern"], value), where
    if "maximum" in schema:
        assert schema["minimum"] <= value <= schema["maximum"], where
    for name in schema.get("required", []):
        assert name in value, f"{where}.{name}"
    for name, member in schema.get("properties", {}).items():
        assert_matches(value[name], member, f"{where}.{name}")
    for item in value if "items" in schema else []:
        assert_matches(item, schema["items"], f"{where}[]")


def answer_schema(path: str, method: str, status: int) -> dict[str, Any]:
    content = document()["paths"][path][method]["responses"][str(status)]["content"]
    return next(iter(content.values()))["schema"]


def test_it_is_served(client: FlaskClient) -> None:
    assert client.get("/openapi.json").get_json() == document()


def test_exactly_the_routes_are_described(app: Flask) -> None:
    real = {
        (re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", rule.rule), method.lower())
        for rule in app.url_map.iter_rules()
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
    }
    real = {(path, method) for path, method in real if path not in NOT_DESCRIBED}
    described = {(path, method) for path, ops in document()["paths"].items() for method in ops}
    assert described == real


def test_every_reference_leads_somewhere() -> None:
    names = set(re.findall(r"#/components/schemas/(\w+)", str(document())))
    assert names == set(document()["components"]["schemas"])


@pytest.mark.parametrize(
    ("path", "address"),
    [
        ("/models", "/models"),
        ("/models/{name}", f"/models/{CHILDREN}"),
        ("/healthz", "/healthz"),
        ("/readyz", "/readyz"),
    ],
)
def test_answers_have_the_described_shape(client: FlaskClient, path: str, address: str) -> None:
    response = client.get(address)
    assert_matches(response.get_json(), answer_schema(path, "get", response.status_code))


@pytest.mark.parametrize("heatmap", ["none", "map"])
def test_readings_have_the_described_shape(client: FlaskClient, jpeg: bytes, heatmap: str) -> None:
    response = client.post(f"/predict?heatmap={heatmap}", data=jpeg, content_type="image/jpeg")
    reading = response.get_json()
    schema = answer_schema("/predict", "post", 200)
    assert_matches(reading, schema)
    assert set(reading) == set(resolve(schema)["properties"])


def test_errors_have_the_described_shape(client: FlaskClient) -> None:
    response = client.post("/predict", data=b"x", content_type="image/png")
    assert_matches(response.get_json(), answer_schema("/predict", "post", response.status_code))


def test_predict_names_every_code_that_it_can_answer() -> None:
    text = str(document()["paths"]["/predict"]["post"]["responses"])
    # One belongs to a limit that is not built in yet, these to routing and to the guard.
    later = {"rate_limited", "overloaded", "not_found", "method_not_allowed", "unauthorized"}
    later.add("patient_unknown")  # only the page asks for the patient's group
    assert set(re.findall(r"`(\w+)`", text)) == set(PROBLEMS) - later


def test_the_docs_page_shows_routes_and_errors_offline(client: FlaskClient) -> None:
    page = client.get("/docs").get_data(as_text=True)
    for path in document()["paths"]:
        assert path in page
    for code in PROBLEMS:
        assert f'id="{code}"' in page
