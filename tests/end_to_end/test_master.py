"""The whole server's start, reload and end, as an administrator sees them."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from app.listening import ListenSettings
from app.settings import SettingsError
from tests.server import ROOT, fetch, free_port, running_server, status
from tests.waiting import wait_until

pytestmark = pytest.mark.slow


def test_an_ordinary_stop_leaves_nothing_behind(lean_bundle: Path, tmp_path: Path) -> None:
    before = set(Path("/dev/shm").glob("xray-metrics-*"))
    with running_server(
        lean_bundle.parent, tmp_path / "log", XRAY_ENGINE="lean", WEB_CONCURRENCY="2"
    ) as server:
        server.process.send_signal(signal.SIGHUP)  # the new workers count in the same files
        wait_until(lambda: len(server.workers()) == 2)
        wait_until(lambda: status(f"{server.address}/readyz") == 200, seconds=60)
        server.process.terminate()
        assert server.process.wait(40) == 0
    lines = [json.loads(line) for line in server.log.read_text().splitlines()]
    assert not [line for line in lines if line["level"] not in ("info", "debug")]
    assert set(Path("/dev/shm").glob("xray-metrics-*")) <= before


def test_after_a_reload_without_usable_models_the_service_says_why(
    lean_bundle: Path, tmp_path: Path
) -> None:
    models = tmp_path / "models"
    shutil.copytree(lean_bundle, models / "film")
    with running_server(
        models, tmp_path / "log", XRAY_ENGINE="lean", WEB_CONCURRENCY="2"
    ) as server:
        old = set(server.workers())
        (models / "film" / "model.onnx").write_bytes(b"x")
        server.process.send_signal(signal.SIGHUP)
        wait_until(lambda: len(server.workers()) == 2 and not old & set(server.workers()), 60)
        wait_until(lambda: status(f"{server.address}/readyz") == 503, 30)
        assert fetch(f"{server.address}/healthz")
        # And once there are usable ones again, it reads.
        shutil.copytree(lean_bundle, models / "film", dirs_exist_ok=True)
        server.process.send_signal(signal.SIGHUP)
        wait_until(lambda: status(f"{server.address}/readyz") == 200, 60)


@pytest.mark.parametrize(
    ("variable", "value"),
    [("XRAY_PACS_PORT", "abc"), ("PORT", "70000"), ("WEB_CONCURRENCY", "0")],
)
def test_a_setting_that_cannot_be_used_ends_the_start_at_once(
    lean_bundle: Path, variable: str, value: str
) -> None:
    started = subprocess.run(
        [sys.executable, "-m", "gunicorn", "app:create_app()"],
        cwd=ROOT,
        env={
            **os.environ,
            "PORT": str(free_port()),
            "XRAY_MODELS": str(lean_bundle.parent),
            "XRAY_ENGINE": "lean",
            variable: value,
        },
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert started.returncode == 1
    assert f"{variable}='{value}' cannot be used" in started.stderr
    assert "Traceback" not in started.stderr


def test_tls_is_left_to_the_proxy(lean_bundle: Path) -> None:
    started = subprocess.run(
        [sys.executable, "-m", "gunicorn", "--certfile", "x", "--keyfile", "y", "app:create_app()"],
        cwd=ROOT,
        env={**os.environ, "PORT": str(free_port()), "XRAY_ENGINE": "lean"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert started.returncode == 1
    assert "TLS belongs to the proxy" in started.stderr


@pytest.mark.parametrize(
    ("host", "address"),
    [
        ("127.0.0.1", "127.0.0.1:9000"),
        ("::1", "[::1]:9000"),
        ("[::1]", "[::1]:9000"),
        ("", "127.0.0.1:9000"),
    ],
)
def test_addresses_of_either_kind_are_understood(host: str, address: str) -> None:
    assert ListenSettings.from_environment({"HOST": host, "PORT": "9000"}).address == address


@pytest.mark.parametrize("port", ["-1", "65536", "http", "8 0"])
def test_a_port_that_is_none_is_refused(port: str) -> None:
    with pytest.raises(SettingsError, match="PORT"):
        ListenSettings.from_environment({"PORT": port})
