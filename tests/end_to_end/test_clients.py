"""The clients that the README offers to copy, run as they stand there."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.access.keys import KeyFile
from tests.phantoms import chest_phantom, encode_jpeg
from tests.server import ROOT, Server, running_server

pytestmark = pytest.mark.slow

README = (ROOT / "README.md").read_text("utf-8")
ADDRESS = "http://127.0.0.1:8000"


def snippet(language: str, name: str) -> str:
    """The code behind ``<summary>name …``."""
    (code,) = re.findall(
        rf"<summary>{re.escape(name)}[^\n]*</summary>\n\n```{language}\n(.*?)```", README, re.DOTALL
    )
    assert ADDRESS in code
    return str(code)


@pytest.fixture(scope="module")
def secret_and_server(
    tiny_bundle: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[str, Server]]:
    folder = tmp_path_factory.mktemp("clients")
    keys = KeyFile(folder / "keys")
    secret = keys.create("client")
    environment = {"XRAY_API_KEYS_FILE": str(keys.path)}
    with running_server(tiny_bundle.parent, folder / "log", **environment) as server:
        yield secret, server


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "radiograph.jpeg").write_bytes(encode_jpeg(chest_phantom(300)))
    return tmp_path


def run(
    code: str, file: Path, command: list[str], secret: str, server: Server, **options: int
) -> subprocess.CompletedProcess[str]:
    file.write_text(code.replace(ADDRESS, server.address), "utf-8")
    return subprocess.run(
        command,
        cwd=file.parent,
        env={**os.environ, "XRAY_API_KEY": secret},
        capture_output=True,
        text=True,
        timeout=options.get("timeout", 60),
    )


def needs(program: str) -> str:
    found = shutil.which(program)
    if found is None:
        pytest.skip(f"needs the program {program}")
    return found


def assert_reading(output: str) -> None:
    assert re.fullmatch(r"(normal|infected|uncertain) 0[.,]\d+", output.strip()), output


def test_curl(secret_and_server: tuple[str, Server], folder: Path) -> None:
    needs("curl")
    command = [needs("bash"), "client.sh"]
    code = snippet("sh", "curl")
    ended = run(code, folder / "client.sh", command, *secret_and_server)
    assert json.loads(ended.stdout)["image"]["width"] == 300
    refused = run(code, folder / "client.sh", command, "xray_wrong", secret_and_server[1])
    assert refused.returncode != 0
    assert json.loads(refused.stdout)["code"] == "unauthorized"


def test_python(secret_and_server: tuple[str, Server], folder: Path) -> None:
    command = [sys.executable, "client.py"]
    ended = run(snippet("python", "Python"), folder / "client.py", command, *secret_and_server)
    assert_reading(ended.stdout)


def test_javascript(secret_and_server: tuple[str, Server], folder: Path) -> None:
    command = [needs("node"), "client.cjs"]
    code = snippet("javascript", "JavaScript")
    ended = run(code, folder / "client.cjs", command, *secret_and_server)
    assert_reading(ended.stdout)
    refused = run(code, folder / "client.cjs", command, "xray_wrong", secret_and_server[1])
    assert refused.returncode != 0
    assert "unauthorized" in refused.stderr


def test_csharp(secret_and_server: tuple[str, Server], folder: Path) -> None:
    dotnet = needs("dotnet")
    project = folder / "client"
    subprocess.run([dotnet, "new", "console", "--output", str(project)], check=True, timeout=300)
    shutil.move(folder / "radiograph.jpeg", project / "radiograph.jpeg")
    code = snippet("csharp", "C#")
    command = [dotnet, "run"]
    ended = run(code, project / "Program.cs", command, *secret_and_server, timeout=300)
    assert_reading(ended.stdout)
