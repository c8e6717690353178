"""When real gunicorn refuses to start, and keys over a real socket."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from app.access.keys import KeyFile
from tests.server import ROOT, free_port, running_server

pytestmark = pytest.mark.slow


def start(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """A start that is expected to fail at once."""
    return subprocess.run(
        [sys.executable, "-m", "gunicorn", *arguments, "app:create_app()"],
        cwd=ROOT,
        env={**os.environ, "PORT": str(free_port()), **environment},
        capture_output=True,
        text=True,
        timeout=60,
    )


@pytest.mark.parametrize(
    ("arguments", "environment", "said"),
    [
        ((), {"HOST": "0.0.0.0"}, "Refusing to serve on 0.0.0.0"),
        ((), {"HOST": "[::]"}, "Refusing to serve on ::"),
        # The command line overrules gunicorn.conf.py, but not the check.
        (("--bind", "0.0.0.0:0"), {"HOST": "127.0.0.1"}, "Refusing to serve on 0.0.0.0"),
        ((), {"XRAY_API_KEYS_FILE": "/nonexistent/keys"}, "cannot be read"),
        ((), {"XRAY_MAX_PIXELS": "many"}, "XRAY_MAX_PIXELS"),
    ],
)
def test_it_refuses_to_start_in_one_sentence(
    arguments: tuple[str, ...], environment: dict[str, str], said: str
) -> None:
    ended = start(*arguments, **environment)
    assert ended.returncode == 1
    assert said in ended.stderr
    assert "Traceback" not in ended.stderr
    if "Refusing" in said:
        assert "flask api-key create" in ended.stderr
        assert "XRAY_ALLOW_ANONYMOUS=1" in ended.stderr


def test_anonymous_on_purpose_starts_anywhere(lean_bundle: Path, tmp_path: Path) -> None:
    environment = {"HOST": "0.0.0.0", "XRAY_ALLOW_ANONYMOUS": "1", "XRAY_ENGINE": "lean"}
    with (
        running_server(lean_bundle.parent, tmp_path / "log", **environment) as server,
        urllib.request.urlopen(f"{server.address}/openapi.json") as response,
    ):
        assert response.status == 200


def test_keys_hold_for_every_worker_and_end_without_a_restart(
    lean_bundle: Path, tmp_path: Path
) -> None:
    keys = KeyFile(tmp_path / "keys")
    secret = keys.create("ward")
    keys.create("other")
    environment = {
        "HOST": "0.0.0.0",
        "XRAY_API_KEYS_FILE": str(keys.path),
        "WEB_CONCURRENCY": "2",
        "XRAY_ENGINE": "lean",
    }
    with running_server(lean_bundle.parent, tmp_path / "log", **environment) as server:

        def ask(key: str) -> tuple[int, str | None]:
            request = urllib.request.Request(
                f"{server.address}/openapi.json", headers={"Authorization": f"Bearer {key}"}
            )
            try:
                with urllib.request.urlopen(request) as response:
                    return response.status, None
            except urllib.error.HTTPError as error:
                with error:
                    return error.code, json.load(error)["code"]

        assert {ask(secret) for _ in range(8)} == {(200, None)}
        assert {ask("xray_wrong") for _ in range(8)} == {(401, "unauthorized")}
        keys.revoke("ward")
        assert {ask(secret) for _ in range(8)} == {(401, "unauthorized")}
        assert secret not in server.log.read_text()
