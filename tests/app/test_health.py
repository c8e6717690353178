"""Alive, ready, and why not."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient

from app import create_app
from app.settings import Settings
from tests.app.conftest import ADULTS, CHILDREN
from tests.app.problems import assert_problem


def loaded(settings: Settings) -> FlaskClient:
    app = create_app(settings)
    assert app.extensions["registry"].wait(120)
    return app.test_client()


def test_alive(client: FlaskClient) -> None:
    assert client.get("/healthz").get_json() == {"status": "alive"}


def test_ready_names_the_bundles(client: FlaskClient, app: Flask) -> None:
    body = client.get("/readyz").get_json()
    assert body["status"] == "ready"
    assert [model["name"] for model in body["models"]] == [ADULTS, CHILDREN]
    assert body["failed"] == []
    assert app.extensions["registry"].seconds > 0


@pytest.mark.parametrize(
    ("damage", "named"),
    [
        (lambda folder: (folder / "model.keras").write_bytes(b"PK\x03\x04"), "model.keras"),
        (lambda folder: (folder / "model.keras").unlink(), "model.keras"),
        (lambda folder: (folder / "bundle.json").write_text("{"), "bundle.json"),
        (lambda folder: (folder / "bundle.json").unlink(), "bundle.json"),
        (lambda folder: (folder / "probes" / "probes.npz").unlink(), "probes.npz"),
    ],
)
def test_one_bad_bundle_leaves_the_good_one_serving(
    models_folder: Path, tmp_path: Path, damage, named: str
) -> None:
    models = tmp_path / "models"
    shutil.copytree(models_folder, models)
    damage(models / CHILDREN)
    client = loaded(Settings(models=models))
    body = client.get("/readyz").get_json()
    assert [model["name"] for model in body["models"]] == [ADULTS]
    (failed,) = body["failed"]
    assert failed["bundle"] == CHILDREN
    assert named in failed["reason"]
    assert client.get("/models").get_json()["default"] == ADULTS


def test_no_bundle_at_all_is_not_ready_and_says_why(tmp_path: Path) -> None:
    client = loaded(Settings(models=tmp_path / "nowhere"))
    body = assert_problem(client.get("/readyz"), "not_ready")
    assert "nowhere" in body["detail"]
    page = client.get("/").get_data(as_text=True)
    assert "No model is available" in page


def test_an_empty_folder_is_not_ready(tmp_path: Path) -> None:
    body = assert_problem(loaded(Settings(models=tmp_path)).get("/readyz"), "not_ready")
    assert "holds no bundle" in body["detail"]


def test_metrics_count_requests_and_readings(client: FlaskClient, jpeg: bytes) -> None:
    def value(line: str) -> float:
        text = client.get("/metrics").get_data(as_text=True)
        found = [row for row in text.splitlines() if row.startswith(line)]
        return float(found[0].split()[-1]) if found else 0.0

    good = 'xray_requests_total{code="",method="POST",route="/predict",status="200"}'
    bad = (
        'xray_requests_total{code="unsupported_format",method="POST",route="/predict",status="415"}'
    )
    before = value(good), value(bad), value('xray_reading_stage_seconds_count{stage="model"}')
    reading = client.post("/predict", data=jpeg, content_type="image/jpeg").get_json()
    client.post("/predict", data=b"no", content_type="image/jpeg")
    after = value(good), value(bad), value('xray_reading_stage_seconds_count{stage="model"}')
    assert [b - a for a, b in zip(before, after, strict=True)] == [1, 1, 1]
    line = f'xray_readings_total{{decision="{reading["decision"]}",model="{CHILDREN}"}}'
    assert value(line) >= 1


def test_addresses_that_do_not_exist_share_one_time_series(client: FlaskClient) -> None:
    client.get("/no-such-place-4711")
    assert "4711" not in client.get("/metrics").get_data(as_text=True)
