"""Settings of the service: read once from the environment, documented one by one.

There is no setting for the input size or the labels: they belong to the bundle.
``docs/configuration.md`` shows the same table; a test compares the two.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from cxr.engines import EngineName

PROJECT_ROOT = Path(__file__).resolve().parent.parent

# As cxr.engines has them; importing that would bring the decoders into gunicorn's master.
ENGINES = ("keras", "lean")
METRICS_ACCESS = ("key", "open", "off")
#: What a switch may be set to.
ON, OFF = ("on", "1", "true", "yes"), ("off", "0", "false", "no")
LOG_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR")


class SettingsError(ValueError):
    """An environment variable holds a value that cannot be used; the message names it."""


def _at_least(least: int) -> Callable[[str], int]:
    def read(text: str) -> int:
        number = int(text)
        if number < least:
            raise ValueError(f"must be {least} or more")
        return number

    return read


_positive, _not_negative = _at_least(1), _at_least(0)


def _port(text: str) -> int:
    if not (text.isdecimal() and int(text) < 2**16):
        raise ValueError("must be a number from 0 to 65535")
    return int(text)


def _one_of(words: tuple[str, ...], fold: Callable[[str], str] = str) -> Callable[[str], str]:
    """Reads one of ``words``, which are as ``fold`` leaves a text."""

    def read(text: str) -> str:
        if fold(text) not in words:
            raise ValueError(f"must be one of {', '.join(words)}")
        return fold(text)

    return read


def _switch(text: str) -> bool:
    for value, words in ((True, ON), (False, OFF)):
        if text.lower() in words:
            return value
    raise ValueError("must be on or off")


def _parts(text: str) -> tuple[str, ...]:
    """What stands between commas."""
    return tuple(part.strip() for part in text.split(",") if part.strip())


def _rate_limit(text: str) -> str:
    from limits import parse_many

    if any(limit.amount < 1 for limit in parse_many(text)):  # it says itself what it cannot read
        raise ValueError("must allow 1 request or more")
    return text


def _store(text: str) -> str:
    if not text.startswith(("memory://", "redis://", "rediss://", "redis+unix://")):
        raise ValueError("must begin with memory://, redis://, rediss:// or redis+unix://")
    try:
        urlsplit(text).port  # noqa: B018  # raises
    except ValueError:  # its words may hold a part of the password
        raise ValueError("must name a host and a port that is a number up to 65535") from None
    return text


def _setting(
    variable: str,
    default: Any,
    description: str,
    read: Callable[[str], Any] = str,
    *,
    shown: str | None = None,
    secret: bool = False,
) -> Any:
    """One field.

    Args:
        shown: the default as docs/configuration.md writes it, where it cannot be told from it.
        secret: the value may hold a password and is never quoted.
    """
    return field(
        default=default,
        repr=not secret,
        metadata={
            "variable": variable,
            "description": description,
            "read": read,
            "shown": shown or _in_words(default),
            "secret": secret,
        },
    )


def _in_words(default: Any) -> str:
    if default in (None, "", ()):
        return "unset"
    return ",".join(default) if isinstance(default, tuple) else str(default)


class EnvironmentSettings:
    """A frozen dataclass of ``_setting`` fields that is read from the environment."""

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> Self:
        """Read every setting; an unset or empty variable leaves the default.

        Raises:
            SettingsError: a variable's value cannot be used.
        """
        chosen: dict[str, Any] = {}
        for setting in fields(cls):  # type: ignore[arg-type]  # its subclasses are dataclasses
            variable = setting.metadata["variable"]
            text = environment.get(variable, "").strip()
            if not text:
                continue
            try:
                chosen[setting.name] = setting.metadata["read"](text)
            except ValueError as error:
                quoted = "" if setting.metadata["secret"] else f"={text!r}"
                raise SettingsError(f"{variable}{quoted} cannot be used: {error}.") from error
        return cls(**chosen)


@dataclass(frozen=True)
class Settings(EnvironmentSettings):
    """What an administrator may choose; every field has a variable and a default."""

    models: Path = _setting(
        "XRAY_MODELS",
        PROJECT_ROOT / "models",
        "Folder that holds one sub-folder for each model bundle.",
        Path,
    )
    default_model: str = _setting(
        "XRAY_DEFAULT_MODEL",
        "pediatric-pneumonia",
        "Bundle that reads a radiograph when the request names none and no DICOM age chooses.",
    )
    max_upload_bytes: int = _setting(
        "XRAY_MAX_UPLOAD_BYTES",
        32 * 1024 * 1024,
        "Largest file accepted, in bytes; a larger one is refused with 413 `too_large`.",
        _positive,
    )
    max_pixels: int = _setting(
        "XRAY_MAX_PIXELS",
        100_000_000,
        "Most pixels a file may announce; more is refused before decoding with 413 "
        "`too_many_pixels`.",
        _positive,
    )
    read_at_once: int = _setting(
        "XRAY_READ_AT_ONCE",
        0,
        "Radiographs that one worker reads at the same time; 0: its share of the cores and one "
        "more.",
        _not_negative,
    )
    max_waiting: int = _setting(
        "XRAY_MAX_WAITING",
        32,
        "Radiographs that may wait for that in one worker; more are refused at once with 503 "
        "`overloaded`.",
        _not_negative,
    )
    request_seconds: int = _setting(
        "XRAY_REQUEST_SECONDS",
        30,
        "Longest time in which a request must arrive whole (else 408), and for which it may "
        "wait (else 503).",
        _positive,
    )
    engine: EngineName = _setting(
        "XRAY_ENGINE",
        "keras",
        "What executes the networks: `keras` (TensorFlow), or `lean` (ONNX Runtime; starts "
        "sooner in less memory, answers alike within 0.0001).",
        _one_of(ENGINES, str.lower),
    )
    log_level: str = _setting(
        "XRAY_LOG_LEVEL",
        "INFO",
        "`DEBUG`, `INFO`, `WARNING` or `ERROR`. One JSON line is written per request at `INFO`, "
        "for stylesheets and for probes that find all well at `DEBUG`.",
        _one_of(LOG_LEVELS, str.upper),
    )
    api_keys_file: Path | None = _setting(
        "XRAY_API_KEYS_FILE",
        None,
        "File of API keys (`flask api-key create NAME` makes it). Where it is set, every request "
        "needs one of its keys, and the page a sign-in.",
        Path,
    )
    allow_anonymous: bool = _setting(
        "XRAY_ALLOW_ANONYMOUS",
        False,
        "`1` serves everybody who can reach the address. Without it and without keys the service "
        "starts on the loopback only.",
        _switch,
    )
    published_on: str = _setting(
        "XRAY_PUBLISHED_ON",
        "",
        "Address on which a proxy in front publishes the service. Where it is the loopback, it "
        "counts instead of the service's own: neither keys nor `XRAY_ALLOW_ANONYMOUS` are needed.",
    )
    secret_key: str = _setting(
        "XRAY_SECRET_KEY",
        "",
        "Signs the session cookie of the page. Unset, each start makes its own and signs people "
        "out; several replicas need the same one.",
        secret=True,
    )
    metrics: str = _setting(
        "XRAY_METRICS",
        "key",
        "Who may read `/metrics`: `key` (as every other route), `open` (everybody) or `off`.",
        _one_of(METRICS_ACCESS),
    )
    trusted_hosts: tuple[str, ...] = _setting(
        "XRAY_TRUSTED_HOSTS",
        (),
        "Host names that requests may be addressed to, separated by commas; `.example.org` means "
        "all below it, and those of the loopback are always served. Unset, any name is; where only "
        "this machine may ask, the loopback's alone.",
        _parts,
    )
    proxy_hops: int = _setting(
        "XRAY_PROXY_HOPS",
        0,
        "How many reverse proxies in front may tell the client's address, scheme and host "
        "(`X-Forwarded-For`, `-Proto`, `-Host`). `0` believes nobody.",
        _not_negative,
    )
    rate_limit: str = _setting(
        "XRAY_RATE_LIMIT",
        "",
        "Requests that one key, or one address without a key, may make: `600 per minute`, or "
        "several as in `20/second; 600/minute`. More get 429 `rate_limited`. Unset, any number.",
        _rate_limit,
    )
    rate_limit_store: str = _setting(
        "XRAY_RATE_LIMIT_STORE",
        "memory://",
        "Where they are counted. `memory://` counts in each worker for itself; "
        "`redis://host:6379/0` counts for all workers and replicas together.",
        _store,
        secret=True,
    )
    gate: bool = _setting(
        "XRAY_GATE",
        True,
        "`on` or `off`. On, a picture that is not a whole, upright frontal chest radiograph is "
        "refused before any model reads it, and without a usable gate nothing is read. Off, "
        "every picture gets a reading: for tests with drawn pictures only.",
        _switch,
    )
