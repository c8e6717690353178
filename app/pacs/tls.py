"""DICOM TLS towards callers and destinations (PS3.15 §B.12, BCP 195)."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from app.pacs.settings import PacsSettings
from app.settings import SettingsError


def server_tls(settings: PacsSettings) -> ssl.SSLContext | None:
    """TLS for callers: None where no certificate is configured.

    Raises:
        SettingsError: a file cannot be used; names its variable.
    """
    if settings.tls_certificate is None:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    _prepare(context, settings)
    authorities = _file("XRAY_PACS_TLS_AUTHORITIES", settings.tls_authorities)
    if authorities is not None:
        with _usable(f"XRAY_PACS_TLS_AUTHORITIES={authorities}"):
            context.load_verify_locations(authorities)
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def client_tls(settings: PacsSettings) -> ssl.SSLContext:
    """TLS towards destinations: their certificate and name are checked, ours is shown.

    Raises:
        SettingsError: a file cannot be used; names its variable.
    """
    authorities = _file("XRAY_PACS_TLS_AUTHORITIES", settings.tls_authorities)
    with _usable(f"XRAY_PACS_TLS_AUTHORITIES={authorities}"):
        context = ssl.create_default_context(cafile=authorities)
    _prepare(context, settings)
    return context


def _prepare(context: ssl.SSLContext, settings: PacsSettings) -> None:
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    certificate = _file("XRAY_PACS_TLS_CERTIFICATE", settings.tls_certificate)
    key = _file("XRAY_PACS_TLS_KEY", settings.tls_key)
    if certificate is not None and key is not None:
        with _usable(f"XRAY_PACS_TLS_CERTIFICATE={certificate} with XRAY_PACS_TLS_KEY={key}"):
            context.load_cert_chain(certificate, key)


@contextmanager
def _usable(what: str) -> Iterator[None]:
    try:
        yield
    except OSError:  # an SSLError is one too
        raise SettingsError(f"{what} cannot be used: no certificate in PEM that fits.") from None


def _file(variable: str, path: Path | None) -> Path | None:
    """The file, which can be read: OpenSSL's own words do not say which one cannot."""
    try:
        if path is not None:
            path.open("rb").close()
    except OSError as error:
        raise SettingsError(f"{variable}={path} cannot be read: {error.strerror}.") from None
    return path
