"""The rules hold what they promise, and a real Prometheus finds what they ask for."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import time
import urllib.parse
import urllib.request
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.app.multipart import multipart
from tests.light_app import NAME, create
from tests.phantoms import chest_phantom, encode_jpeg
from tests.server import ROOT, fetch, free_port, running_server, status

FOLDER = ROOT / "deploy" / "prometheus"
DASHBOARD = ROOT / "deploy" / "grafana" / "dashboards" / "xray.json"


def program(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"needs {name} (Debian's package prometheus)")
    return found


@pytest.mark.parametrize(
    "arguments",
    [
        ("check", "rules", "rules.yml"),
        ("check", "config", "prometheus.yml"),
        ("test", "rules", "rules_test.yml", "rules_drift_test.yml"),
    ],
    ids=" ".join,
)
def test_promtool_agrees(arguments: tuple[str, ...]) -> None:
    done = subprocess.run(
        [program("promtool"), *arguments], cwd=FOLDER, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr


def rules(file: str = "rules.yml") -> list[dict[str, Any]]:
    groups = yaml.safe_load((FOLDER / file).read_text())["groups"]
    return [rule for group in groups for rule in group["rules"]]


def expressions() -> list[str]:
    panels = json.loads(DASHBOARD.read_text())["panels"]
    shown = [target["expr"] for panel in panels for target in panel.get("targets", ())]
    return [*shown, *(rule["expr"] for rule in rules())]


def test_every_metric_that_is_asked_for_exists() -> None:
    app = create()
    assert app.extensions["registry"].wait(60)
    client = app.test_client()
    client.post("/predict", **multipart(encode_jpeg(chest_phantom(128))))
    client.post("/predict", data=b"no", content_type="image/jpeg")
    text = client.get("/metrics").get_data(as_text=True)
    known = set(re.findall(r"^(xray_\w+)", text, re.MULTILINE))
    asked = set(re.findall(r"\bxray_\w+", " ".join(expressions())))
    assert len(asked) >= 10
    assert asked <= known


def test_every_recorded_series_that_is_asked_for_is_recorded() -> None:
    recorded = {rule["record"] for rule in rules() if "record" in rule}
    assert set(re.findall(r"\bxray:[\w:]+", " ".join(expressions()))) <= recorded


def test_every_alert_is_tried_and_explained() -> None:
    tried = (FOLDER / "rules_test.yml").read_text() + (FOLDER / "rules_drift_test.yml").read_text()
    guide = (ROOT / "docs" / "operations.md").read_text()
    for rule in rules():
        if "alert" in rule:
            assert f"alertname: {rule['alert']}" in tried
            assert f"### {rule['alert']}\n" in guide
            assert rule["annotations"]["runbook"] == f"docs/operations.md#{rule['alert'].lower()}"


@pytest.mark.slow
def test_a_real_prometheus_scrapes_two_workers(tmp_path: Path) -> None:
    prometheus, port = program("prometheus"), free_port()
    models = tmp_path / "models" / NAME
    models.mkdir(parents=True)
    (models / "bundle.json").write_text("{}")
    with running_server(
        models.parent, tmp_path / "log", application="tests.light_app:create()", WEB_CONCURRENCY="2"
    ) as server:
        config = yaml.safe_load((FOLDER / "prometheus.yml").read_text())
        config["global"] = {"scrape_interval": "1s", "evaluation_interval": "1s"}
        config["scrape_configs"][0]["static_configs"][0]["targets"] = [f"127.0.0.1:{server.port}"]
        del config["scrape_configs"][1:]  # there is no DICOM node here
        (tmp_path / "prometheus.yml").write_text(yaml.safe_dump(config))
        for file in config["rule_files"]:
            shutil.copy(FOLDER / file, tmp_path)
        for _ in range(5):
            answer = predict(server.address)
            assert answer["decision"] in ("normal", "infected", "uncertain")
        process = subprocess.Popen(
            [
                prometheus,
                f"--config.file={tmp_path / 'prometheus.yml'}",
                f"--storage.tsdb.path={tmp_path / 'series'}",
                f"--web.listen-address=127.0.0.1:{port}",
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            address = f"http://127.0.0.1:{port}"
            value = wait_for_value(address, "sum(xray_readings_total)", process)
            assert value == 5
            assert wait_for_value(address, 'up{job="xray"}', process) == 1
            assert wait_for_value(address, "xray_internal_errors_total", process) == 0
            assert wait_for_value(address, "xray_workers_ready", process) >= 1
            assert wait_for_value(address, "xray_infection_probability_count", process) == 5
            loaded = json.loads(fetch(f"{address}/api/v1/rules"))["data"]["groups"]
            found = [rule for group in loaded for rule in group["rules"]]
            assert len(found) == sum(len(rules(file)) for file in config["rule_files"])
            assert {rule["health"] for rule in found} <= {"ok", "unknown"}
        finally:
            process.terminate()
            process.wait(30)


def predict(address: str) -> dict[str, Any]:
    form = multipart(encode_jpeg(chest_phantom(128)))
    request = urllib.request.Request(
        f"{address}/predict", form["data"], {"Content-Type": form["content_type"]}
    )
    with urllib.request.urlopen(request, timeout=60) as response:
        return dict(json.load(response))


def wait_for_value(address: str, query: str, process: subprocess.Popen[bytes]) -> float:
    """The value of a query that has one sample, as soon as it has one."""
    end = time.monotonic() + 60
    while time.monotonic() < end:
        assert process.poll() is None, "Prometheus ended"
        if status(f"{address}/-/ready") == 200:
            text = fetch(f"{address}/api/v1/query?query={urllib.parse.quote(query)}")
            result = json.loads(text)["data"]["result"]
            if result:
                return float(result[0]["value"][1])
        time.sleep(0.2)
    raise AssertionError(f"{query} has no value")
