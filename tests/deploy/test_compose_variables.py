"""What docs/configuration.md offers reaches the containers, and docs/operations.md says how."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
import yaml

from app.listening import ListenSettings
from app.pacs.settings import PacsSettings
from app.settings import EnvironmentSettings, Settings
from tests.deploy.compose import Stack
from tests.deploy.test_manifests import compose_text
from tests.server import ROOT

FILES = {"xray": "compose.yaml", "node": "compose.pacs.yaml"}
#: What compose.yaml or the image decides, and why nobody is to set it there.
FIXED = {
    "XRAY_ENGINE": "the image's: it holds what one engine needs",
    "HOST": "the image's: all addresses of the container",
    "PORT": "nginx, Prometheus and the health checks ask 8000",
    "XRAY_PACS_PORT": "published as XRAY_PACS_PUBLISHED_PORT",
    "XRAY_PACS_METRICS_PORT": "Prometheus and the health check ask 9112",
}
#: What the page /pacs needs of the node's.
PAGE = {"XRAY_PACS_SPOOL", "XRAY_PACS_DESTINATIONS", "XRAY_PACS_HISTORY_DAYS"}
OPERATIONS = (ROOT / "docs" / "operations.md").read_text()


def variables(settings: type[EnvironmentSettings]) -> set[str]:
    return {field.metadata["variable"] for field in settings.__dataclass_fields__.values()}


def shared_with_the_node() -> set[str]:
    text = (ROOT / "docs" / "configuration.md").read_text()
    sentences = re.search(r"need the same ones\.(.*?)hold for it too", text, re.DOTALL)
    assert sentences
    return set(re.findall(r"`(XRAY_\w+)`", sentences[1]))


def environment(service: str) -> dict[str, str | None]:
    document = yaml.safe_load(compose_text(FILES[service]))
    return dict(document["services"][service]["environment"])


@pytest.mark.parametrize(
    ("service", "known"),
    [
        ("xray", variables(Settings) | variables(ListenSettings) | PAGE),
        ("node", variables(PacsSettings) | shared_with_the_node() | {"TZ"}),
    ],
)
def test_every_setting_reaches_its_container(service: str, known: set[str]) -> None:
    assert set(environment(service)) == known - set(FIXED)


def test_what_nobody_sets_changes_nothing() -> None:
    """Compose hands over an empty text for ``NAME=`` in .env, and for ``${NAME:+…}``."""
    for kind in (Settings, PacsSettings, ListenSettings):
        assert kind.from_environment(dict.fromkeys(variables(kind), "")) == kind()


@pytest.mark.parametrize("file", FILES.values())
def test_what_compose_asks_for_is_documented(file: str) -> None:
    text = (ROOT / file).read_text()
    asked = set(re.findall(r"\$\{(\w+):[-+]", text))
    asked |= set(re.findall(r"^      ([A-Z_]+):$", text, re.MULTILINE)) - variables(PacsSettings)
    assert asked
    undocumented = {name for name in asked if f"`{name}`" not in OPERATIONS}
    assert not undocumented


def test_an_archive_to_try_with_starts_only_where_it_is_asked_for() -> None:
    services = yaml.safe_load(compose_text("compose.pacs.yaml"))["services"]
    assert services["node"]["profiles"] == ["pacs"]
    assert services["orthanc"]["profiles"] == ["orthanc"]
    assert services["node"]["ports"] == ["127.0.0.1:11112:11112"]


@pytest.mark.parametrize("file", FILES.values())
def test_no_container_logs_until_the_disk_is_full(file: str) -> None:
    services = yaml.safe_load(compose_text(file))["services"]
    drivers = {service["logging"]["driver"] for service in services.values()}
    assert drivers == {"local"}


def test_trying_compose_out_takes_none_of_the_machines_settings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    docker = tmp_path / "docker"
    docker.write_text('#!/bin/sh\necho "$@"\nenv\n')
    docker.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setenv("XRAY_PACS_DESTINATIONS", "archive=dicom://HOSPITAL@10.0.0.9:104")
    asked = Stack("lean", []).compose("up")
    assert "compose --env-file /dev/null" in asked  # and so not .env
    assert "XRAY_ENGINE=lean" in asked
    assert "HOSPITAL" not in asked
