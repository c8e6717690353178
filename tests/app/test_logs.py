"""One line of JSON for each event, with the request's id, and no value of a request in it."""

from __future__ import annotations

import errno
import io
import json
import logging
import re
import sys
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from app.logs import json_formatter
from app.settings import Settings
from tests.app.conftest import CHILDREN, loaded
from tests.app.multipart import multipart


def lines(capfd: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    return [json.loads(row) for row in capfd.readouterr().err.splitlines() if row[:1] == "{"]


def test_one_structured_line_per_request(
    client: FlaskClient, jpeg: bytes, capfd: pytest.CaptureFixture[str]
) -> None:
    client.post("/predict?model=nobody", data=jpeg, content_type="image/jpeg")
    (line,) = lines(capfd)
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
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT[0-9:.]+Z", line["time"])


@pytest.mark.parametrize("address", ["/predict", "/"])
def test_the_line_of_a_reading_says_what_was_decided_by_which_model_and_how_fast(
    client: FlaskClient, jpeg: bytes, capfd: pytest.CaptureFixture[str], address: str
) -> None:
    client.post(address, **multipart(jpeg))
    (line,) = lines(capfd)
    assert line["decision"] in ("normal", "infected", "uncertain")
    assert line["model"] == f"{CHILDREN} 0.0.1"
    assert 0 < line["decode_ms"] < line["total_ms"] <= line["ms"] + 0.1
    assert line["model_ms"] > 0
    assert "probability" not in str(line)


def test_an_error_is_logged_with_the_id_of_its_request(
    app: Flask,
    client: FlaskClient,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    jpeg: bytes,
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("Doe^Jane")

    monkeypatch.setattr(app.extensions["registry"].predictor, "read", fail)
    client.post(
        "/predict", data=jpeg, content_type="image/jpeg", headers={"X-Request-ID": "ward-7"}
    )
    error, request = lines(capfd)
    assert (error["level"], error["error"]) == ("error", "RuntimeError")
    assert error["request_id"] == request["request_id"] == "ward-7"
    assert any("test_logs.py" in frame for frame in error["frames"])
    assert "Doe" not in str(error)


def formatted(name: str, message: object, *values: object, **options: Any) -> dict[str, Any]:
    record = logging.LogRecord(name, logging.WARNING, "x.py", 1, message, values, None)
    for attribute, value in options.items():
        setattr(record, attribute, value)
    return dict(json.loads(json_formatter().format(record)))


@pytest.mark.parametrize(
    ("message", "values", "kept"),
    [
        ("Error handling request %s", ("/predict?patient=Doe",), "Error handling request"),
        ("Invalid request from ip=10.9.8.7: Invalid header 'Doe'", (), "Invalid request from ip"),
        ("{name} Doe", (), ""),
    ],
)
def test_what_libraries_log_keeps_no_value(message: str, values: tuple, kept: str) -> None:
    line = formatted("gunicorn.error", message, *values)
    assert line["event"] == kept
    assert line["logger"] == "gunicorn.error"
    assert "Doe" not in str(line)
    assert "10.9" not in str(line)


def test_the_arbiter_of_gunicorn_may_name_its_workers() -> None:
    line = formatted("gunicorn.error", "Worker %s was sent %s!", 7, "SIGKILL", module="arbiter")
    assert line["event"] == "Worker 7 was sent SIGKILL!"


def test_an_exception_keeps_its_type_and_places_and_loses_its_words() -> None:
    try:
        raise ValueError("Doe^Jane")
    except ValueError:
        line = formatted("library", "it failed", exc_info=sys.exc_info())
    assert line["error"] == "ValueError"
    assert line["frames"][0].endswith("loses_its_words")
    assert "Doe" not in str(line)


def test_a_method_that_a_client_invents_is_not_written_down(
    client: FlaskClient, capfd: pytest.CaptureFixture[str]
) -> None:
    client.open("/predict", method="DOE")
    (line,) = lines(capfd)
    assert line["method"] == "other"


def test_probes_that_find_all_well_do_not_drown_the_readings(
    client: FlaskClient, capfd: pytest.CaptureFixture[str]
) -> None:
    for address in ("/healthz", "/readyz", "/metrics"):
        assert client.get(address).status_code == 200
    assert client.get("/models").status_code == 200
    assert [line["route"] for line in lines(capfd)] == ["/models"]


def test_a_probe_that_finds_the_service_not_ready_is_logged(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    client = loaded(Settings(models=tmp_path)).test_client()
    capfd.readouterr()
    assert client.get("/readyz").status_code == 503
    (line,) = lines(capfd)
    assert (line["route"], line["status"], line["code"]) == ("/readyz", 503, "not_ready")


def test_a_good_request_id_is_kept(client: FlaskClient) -> None:
    response = client.get("/healthz", headers={"X-Request-ID": "ward-7.film_3"})
    assert response.headers["X-Request-ID"] == "ward-7.film_3"


@pytest.mark.parametrize("sent", ["", "a b", "x" * 65, '{"a":1}', "é"])
def test_any_other_request_id_is_replaced(client: FlaskClient, sent: str) -> None:
    response = client.get("/healthz", headers={"X-Request-ID": sent})
    assert re.fullmatch(r"[0-9a-f]{32}", response.headers["X-Request-ID"])


def test_a_full_disk_under_the_log_takes_no_answer_away(
    client: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Full(io.StringIO):
        def write(self, _: str) -> int:
            raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(sys, "stderr", Full())
    assert client.get("/healthz").status_code == 200
