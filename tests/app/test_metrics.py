"""What Prometheus is told: counted once, labelled from fixed lists, the same by every road."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
import time
from contextlib import ExitStack
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient
from prometheus_client.parser import text_string_to_metric_families

from app.admission import usual_at_once
from tests.app.conftest import ADULTS, CHILDREN
from tests.server import ROOT


def samples(client: FlaskClient) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    text = client.get("/metrics").get_data(as_text=True)
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def change(before: dict, after: dict, name: str, **labels: str) -> float:
    key = (name, frozenset(labels.items()))
    return float(after.get(key, 0) - before.get(key, 0))


def test_requests_readings_and_refusals_are_counted(client: FlaskClient, jpeg: bytes) -> None:
    before = samples(client)
    reading = client.post("/predict", data=jpeg, content_type="image/jpeg").get_json()
    client.post("/predict", data=b"no", content_type="image/jpeg")
    after = samples(client)
    post = {"route": "/predict", "method": "POST"}
    assert change(before, after, "xray_requests_total", **post, status="200", code="") == 1
    refused = {"status": "415", "code": "unsupported_format"}
    assert change(before, after, "xray_requests_total", **post, **refused) == 1
    assert change(before, after, "xray_refusals_total", code="unsupported_format") == 1
    decision = {"decision": reading["decision"], "model": CHILDREN}
    assert change(before, after, "xray_readings_total", **decision) == 1
    for stage in ("decode", "model", "total"):
        assert change(before, after, "xray_reading_stage_seconds_count", stage=stage) == 1
    assert change(before, after, "xray_request_seconds_count", route="/predict") == 2


def test_a_request_that_fails_here_is_counted_from_zero_on(
    app: Flask, client: FlaskClient, jpeg: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = samples(client)
    assert ("xray_internal_errors_total", frozenset()) in before
    with monkeypatch.context() as broken:
        broken.setattr(type(app.extensions["registry"]), "predictor", None)
        answer = client.post("/predict", data=jpeg, content_type="image/jpeg")
    assert answer.status_code == 500
    client.post("/predict", data=b"no", content_type="image/jpeg")
    assert change(before, samples(client), "xray_internal_errors_total") == 1


def test_with_several_workers_too_no_error_is_a_series_at_zero(tmp_path: Path) -> None:
    """The alert on an increase does not see a series that begins with the first error."""
    program = (
        "from app.metrics import Metrics; print(Metrics().exposition().get_data(as_text=True))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=ROOT,
        env={**os.environ, "PROMETHEUS_MULTIPROC_DIR": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert "\nxray_internal_errors_total 0.0\n" in done.stdout


def test_the_distribution_of_scores_shows_drift(client: FlaskClient, jpeg: bytes) -> None:
    before = samples(client)
    reading = client.post("/predict", data=jpeg, content_type="image/jpeg").get_json()
    after = samples(client)
    probability = reading["infection_probability"]
    name = "xray_infection_probability"
    grown = change(before, after, f"{name}_sum", model=CHILDREN)
    assert grown == pytest.approx(probability, abs=1e-6)
    for step in range(1, 21):
        bound = round(step / 20, 2)
        grown = change(before, after, f"{name}_bucket", model=CHILDREN, le=str(bound))
        assert grown == (1 if probability <= bound else 0)


def test_models_and_workers_are_described(client: FlaskClient) -> None:
    found = samples(client)
    loaded = {
        dict(labels)["model"]: dict(labels) for name, labels in found if name == "xray_model_info"
    }
    assert set(loaded) == {CHILDREN, ADULTS}
    assert loaded[CHILDREN]["version"] == "0.0.1"
    assert len(loaded[CHILDREN]["sha256"]) == 64
    assert found["xray_workers_ready", frozenset()] == 1
    assert found["xray_bundles_refused", frozenset()] == 0
    assert found["xray_resident_bytes", frozenset()] > 50e6


def test_a_request_is_in_progress_until_it_ends(client: FlaskClient) -> None:
    # The scrape itself is the one that is counted, and every one before it has ended.
    for _ in range(2):
        assert samples(client)["xray_requests_in_progress", frozenset()] == 1


def test_who_waits_to_be_read_is_counted(app: Flask, client: FlaskClient, jpeg: bytes) -> None:
    turn = app.extensions["registry"].predictor.turn
    with ExitStack() as places:
        for _ in range(app.extensions["settings"].read_at_once or usual_at_once()):
            places.enter_context(turn())
        assert samples(client)["xray_queue_depth", frozenset()] == 0
        waiting = threading.Thread(
            target=app.test_client().post,
            args=("/predict",),
            kwargs={"data": jpeg, "content_type": "image/jpeg"},
        )
        waiting.start()
        end = time.monotonic() + 10
        while samples(client)["xray_queue_depth", frozenset()] != 1:
            assert time.monotonic() < end
    waiting.join()
    assert samples(client)["xray_queue_depth", frozenset()] == 0


def test_addresses_and_methods_that_do_not_exist_share_one_time_series(client: FlaskClient) -> None:
    client.get("/no-such-place")
    client.open("/predict", method="BREW")
    text = client.get("/metrics").get_data(as_text=True)
    assert "no-such-place" not in text
    assert "BREW" not in text


def test_promtool_finds_nothing_to_complain_about(client: FlaskClient, jpeg: bytes) -> None:
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("needs promtool (Debian's package prometheus)")
    client.post("/predict", data=jpeg, content_type="image/jpeg")
    text = client.get("/metrics").get_data()
    done = subprocess.run([promtool, "check", "metrics"], input=text, capture_output=True)
    assert (done.returncode, done.stdout + done.stderr) == (0, b"")
