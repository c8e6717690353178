"""The description of the API against the API itself."""

from __future__ import annotations

import html
import re
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from flask import Flask
from flask.testing import FlaskClient
from schemathesis.checks import FailureGroup

from app import create_app
from app.access.keys import KeyFile
from app.errors import PROBLEMS
from app.openapi import document
from app.predictor import HEATMAPS, NO_HEATMAP
from app.presentation import WARNING_TITLES
from app.refusals import BEFORE_FLASK
from app.settings import PROJECT_ROOT, Settings
from tests.app.conftest import CHILDREN, no_bundle
from tests.app.problems import assert_problem

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
    "/docs/swagger/{filename}",
}


@pytest.fixture(scope="session")
def api(app: Flask) -> dict[str, Any]:
    return dict(document(app))


@pytest.fixture(scope="session")
def operations(api: dict[str, Any]) -> Any:
    """The operations of the document; each can check an answer against itself."""
    return schemathesis.openapi.from_dict(api)


def test_it_is_served(client: FlaskClient, api: dict[str, Any]) -> None:
    assert client.get("/openapi.json").get_json() == api
    assert api["openapi"].startswith("3.1")


def test_exactly_the_routes_are_described(app: Flask, api: dict[str, Any]) -> None:
    real = {
        (re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", rule.rule), method.lower())
        for rule in app.url_map.iter_rules()
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
    }
    real = {(path, method) for path, method in real if path not in NOT_DESCRIBED}
    described = {(path, method) for path, ops in api["paths"].items() for method in ops}
    assert described == real


def test_every_reference_leads_somewhere(api: dict[str, Any]) -> None:
    names = set(re.findall(r"#/components/schemas/(\w+)", str(api)))
    assert names == set(api["components"]["schemas"])


def test_no_default_breaks_its_own_schema(api: dict[str, Any]) -> None:
    """Validators refuse the whole document for one; null stands for absent members nowhere."""
    schemas = [*api["components"]["schemas"].values()]
    members = [member for one in schemas for member in one.get("properties", {}).values()]
    assert members
    assert not [member for member in members if member.get("default", ...) is None]


@pytest.mark.parametrize(
    ("path", "address"),
    [
        ("/models", "/models"),
        ("/models/{name}", f"/models/{CHILDREN}"),
        ("/healthz", "/healthz"),
        ("/readyz", "/readyz"),
    ],
)
def test_answers_have_the_described_shape(
    client: FlaskClient, operations: Any, path: str, address: str
) -> None:
    operations[path]["GET"].validate_response(client.get(address))


@pytest.mark.parametrize("heatmap", ["none", "map"])
def test_readings_have_the_described_shape(
    client: FlaskClient, api: dict[str, Any], operations: Any, jpeg: bytes, heatmap: str
) -> None:
    response = client.post(f"/predict?heatmap={heatmap}", data=jpeg, content_type="image/jpeg")
    operations["/predict"]["POST"].validate_response(response)
    described = api["components"]["schemas"]["Reading"]["properties"]
    assert set(response.get_json()) == set(described)


def test_errors_have_the_described_shape(client: FlaskClient, operations: Any) -> None:
    response = client.post("/predict", data=b"x", content_type="image/png")
    operations["/predict"]["POST"].validate_response(response)


def test_an_answer_of_another_shape_is_found(client: FlaskClient, operations: Any) -> None:
    with pytest.raises(FailureGroup):
        operations["/readyz"]["GET"].validate_response(client.get("/healthz"))


def test_predict_names_every_code_that_it_can_answer(api: dict[str, Any]) -> None:
    text = str(api["paths"]["/predict"]["post"]["responses"])
    # Routing answers the first two, before there is an operation; only the page asks for the
    # patient's group; only files have ranges.
    others = {"not_found", "method_not_allowed", "patient_unknown", "unsatisfiable_range"}
    assert set(re.findall(r"`(\w+)`", text)) == set(PROBLEMS) - others


def test_what_is_not_understood_is_described_with_its_status(api: dict[str, Any]) -> None:
    """app/worker.py answers so before there is a route."""
    statuses = {
        refusal.status[:3] for refusal in BEFORE_FLASK if refusal.code == "invalid_parameter"
    }
    assert {"400", "414", "417", "431", "501"} == statuses
    for path, operations in api["paths"].items():
        for operation in operations.values():
            described = operation["responses"]
            for status in statuses:
                assert "invalid_parameter" in described[status]["description"], (path, status)


def test_routes_that_ask_nobody_who_they_are_describe_no_refusal_for_it(
    api: dict[str, Any],
) -> None:
    for path, operations in api["paths"].items():
        for operation in operations.values():
            asked = operation.get("security") != []
            assert ("401" in operation["responses"]) is asked, path
            assert ("429" in operation["responses"]) is asked, path


def test_each_way_to_draw_a_map_is_described(api: dict[str, Any]) -> None:
    (heatmap,) = (
        one for one in api["paths"]["/predict"]["post"]["parameters"] if one["name"] == "heatmap"
    )
    readme = (PROJECT_ROOT / "README.md").read_text()
    for way in HEATMAPS[1:]:
        assert f"`{way}`" in heatmap["description"]
        assert f"`{way}`" in readme or f"heatmap={way}" in readme
    assert "heatmap=" + "\\|".join(HEATMAPS) in readme


def test_every_warning_is_documented() -> None:
    codes = {*WARNING_TITLES, NO_HEATMAP.code}
    for page in ("configuration.md", "gate.md"):
        text = (PROJECT_ROOT / "docs" / page).read_text()
        assert {code for code in codes if f"`{code}`" not in text} == set(), page


@pytest.mark.parametrize("asked", [True, False])
def test_the_docs_page_sends_a_key_where_one_is_asked_for(tmp_path: Path, asked: bool) -> None:
    keys = KeyFile(tmp_path / "keys")
    key = {"X-API-Key": keys.create("ward")}
    settings = Settings(api_keys_file=keys.path if asked else None)
    page = create_app(settings, load=no_bundle).test_client().get("/docs", headers=key)
    assert page.status_code == 200
    said = html.unescape(page.get_data(as_text=True)).count(
        '-H "Authorization: Bearer $XRAY_API_KEY"'
    )
    assert said == (2 if asked else 0)


def test_a_parameter_that_does_not_fit_is_named(client: FlaskClient) -> None:
    response = client.post("/predict?heatmap=Doe")
    body = assert_problem(response, "invalid_parameter")
    assert "heatmap" in body["detail"]
    assert "'overlay'" in body["detail"]
    assert "Doe" not in body["detail"]


@pytest.mark.parametrize("asked", [True, False])
def test_keys_are_described_where_they_are_asked_for(tmp_path: Path, asked: bool) -> None:
    keys = KeyFile(tmp_path / "keys")
    keys.create("ward")
    settings = Settings(api_keys_file=keys.path if asked else None)
    described = document(create_app(settings, load=no_bundle))
    assert ("security" in described) is asked
    assert bool(described["components"]["securitySchemes"]) is asked
    assert described["paths"]["/healthz"]["get"]["security"] == []


def test_the_docs_page_shows_routes_and_errors_offline(
    client: FlaskClient, api: dict[str, Any]
) -> None:
    page = client.get("/docs").get_data(as_text=True)
    for path in api["paths"]:
        assert path in page
    for code in PROBLEMS:
        assert f'id="{code}"' in page
    addresses = re.findall(r'(?:src|href)="([^"]+)"', page)
    assert "/docs/swagger/js/swagger-ui-bundle.js" in addresses
    for address in addresses:
        assert address.startswith(("/", "#")), address
        if "swagger" in address:
            with client.get(address) as asset:
                assert asset.status_code == 200
