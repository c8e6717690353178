"""Settings come from the environment, once, and every one of them is documented."""

from __future__ import annotations

import re
from dataclasses import FrozenInstanceError, fields
from pathlib import Path
from typing import Any

import pytest

from app import settings
from app.pacs.settings import PacsSettings
from app.settings import PROJECT_ROOT, Settings, SettingsError
from cxr import engines

DOCUMENT = (PROJECT_ROOT / "docs" / "configuration.md").read_text("utf-8")


def test_engines_are_those_that_there_are() -> None:
    assert settings.ENGINES == engines.ENGINES


def test_an_empty_environment_gives_the_defaults() -> None:
    assert Settings.from_environment({}) == Settings()
    assert Settings.from_environment({"XRAY_MODELS": " "}) == Settings()


def test_every_variable_is_read() -> None:
    got = Settings.from_environment(
        {
            "XRAY_MODELS": "/srv/models",
            "XRAY_DEFAULT_MODEL": "mine",
            "XRAY_MAX_UPLOAD_BYTES": "1000",
            "XRAY_MAX_PIXELS": "2000",
            "XRAY_READ_AT_ONCE": "3",
            "XRAY_MAX_WAITING": "0",
            "XRAY_REQUEST_SECONDS": "5",
            "XRAY_ENGINE": "Lean",
            "XRAY_LOG_LEVEL": "warning",
            "XRAY_API_KEYS_FILE": "/etc/xray/keys",
            "XRAY_ALLOW_ANONYMOUS": "1",
            "XRAY_PUBLISHED_ON": "10.0.0.7",
            "XRAY_SECRET_KEY": "secret",
            "XRAY_METRICS": "open",
            "XRAY_TRUSTED_HOSTS": "a.example, .b.example",
            "XRAY_PROXY_HOPS": "2",
            "XRAY_RATE_LIMIT": "5/second; 100/minute",
            "XRAY_RATE_LIMIT_STORE": "redis://:secret@redis:6379/0",
            "XRAY_GATE": "off",
        }
    )
    assert got == Settings(
        models=Path("/srv/models"),
        default_model="mine",
        max_upload_bytes=1000,
        max_pixels=2000,
        read_at_once=3,
        max_waiting=0,
        request_seconds=5,
        engine="lean",
        log_level="WARNING",
        api_keys_file=Path("/etc/xray/keys"),
        allow_anonymous=True,
        published_on="10.0.0.7",
        secret_key="secret",
        metrics="open",
        trusted_hosts=("a.example", ".b.example"),
        proxy_hops=2,
        rate_limit="5/second; 100/minute",
        rate_limit_store="redis://:secret@redis:6379/0",
        gate=False,
    )
    assert "secret" not in repr(got)


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("XRAY_MAX_UPLOAD_BYTES", "32 MB"),
        ("XRAY_MAX_UPLOAD_BYTES", "0"),
        ("XRAY_MAX_PIXELS", "-1"),
        ("XRAY_ENGINE", "torch"),
        ("XRAY_LOG_LEVEL", "LOUD"),
        ("XRAY_ALLOW_ANONYMOUS", "maybe"),
        ("XRAY_GATE", "2"),
        ("XRAY_METRICS", "closed"),
        ("XRAY_PROXY_HOPS", "-1"),
        ("XRAY_RATE_LIMIT", "often"),
        ("XRAY_RATE_LIMIT", "5/second; 0 per minute"),
        ("XRAY_RATE_LIMIT_STORE", "mysql://x"),
        ("XRAY_RATE_LIMIT_STORE", "redis://:pw@host:abc/0"),
        ("XRAY_RATE_LIMIT_STORE", "redis://:pw@host:65536/0"),
        ("XRAY_RATE_LIMIT_STORE", "redis://:p/w@host/0"),
        ("XRAY_RATE_LIMIT_STORE", "redis://[::1/0"),
    ],
)
def test_a_value_that_cannot_be_used_names_its_variable(variable: str, value: str) -> None:
    with pytest.raises(SettingsError, match=variable) as caught:
        Settings.from_environment({variable: value})
    assert "STORE=" not in str(caught.value)
    assert "'p'" not in str(caught.value)  # the password, up to its first slash


@pytest.mark.parametrize("word", ["1", "on", "ON", "true", "Yes", "0", "off", "False", "NO"])
def test_every_switch_takes_the_same_words(word: str) -> None:
    got = Settings.from_environment({"XRAY_ALLOW_ANONYMOUS": word, "XRAY_GATE": word})
    assert got.allow_anonymous is got.gate is (word.lower() in ("1", "on", "true", "yes"))


def test_settings_do_not_change() -> None:
    with pytest.raises(FrozenInstanceError):
        Settings().max_pixels = 1  # type: ignore[misc]


def test_the_document_has_exactly_the_settings_with_their_descriptions() -> None:
    rows = dict(re.findall(r"^\| `(XRAY_\w+)` \| (.*) \|$", DOCUMENT, re.MULTILINE))
    expected = {
        s.metadata["variable"]: s.metadata["description"]
        for s in (*fields(Settings), *fields(PacsSettings))
    }
    assert set(rows) == set(expected)
    for variable, description in expected.items():
        assert rows[variable].endswith(description)


@pytest.mark.parametrize("setting", fields(PacsSettings), ids=lambda setting: setting.name)
def test_the_document_has_the_nodes_defaults(setting: Any) -> None:
    shown = setting.metadata["shown"]
    cell = shown if shown == "unset" else f"`{shown}`"
    assert f"| `{setting.metadata['variable']}` | {cell} |" in DOCUMENT


@pytest.mark.parametrize("name", ["default_model", "max_upload_bytes", "max_pixels", "log_level"])
def test_the_document_has_the_defaults(name: str) -> None:
    setting = next(s for s in fields(Settings) if s.name == name)
    row = rf"\| `{setting.metadata['variable']}` \| `{setting.default}` \|"
    assert re.search(row, DOCUMENT)
