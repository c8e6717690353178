"""DICOM TLS: who is let in, and certificate files that cannot be used."""

from __future__ import annotations

import socket
import ssl
import subprocess
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from app.pacs.node import Node
from app.pacs.sender import NoAnswerError, UnreachableError
from app.pacs.settings import PacsSettings
from app.pacs.statuses import StoreStatus
from app.settings import SettingsError
from tests.pacs.conftest import running_node, works
from tests.pacs.films import film
from tests.pacs.test_scp import association, metric
from tests.pacs.test_stow import Accounts, send, serving


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An authority, a node's and a caller's certificate, and a stranger's."""
    folder = tmp_path_factory.mktemp("certificates")

    def openssl(*arguments: str) -> None:
        subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True)

    def key(name: str) -> list[str]:
        return ["-newkey", "rsa:2048", "-nodes", "-keyout", f"{name}.key", "-subj", f"/CN={name}"]

    for authority in ("authority", "stranger"):
        openssl("req", "-x509", *key(authority), "-out", f"{authority}.pem", "-days", "2")
    (folder / "names").write_text("subjectAltName=IP:127.0.0.1,DNS:localhost\n")
    for name in ("node", "caller"):
        openssl("req", *key(name), "-out", f"{name}.csr")
        openssl(
            *("x509", "-req", "-in", f"{name}.csr", "-out", f"{name}.pem", "-days", "2"),
            *("-CA", "authority.pem", "-CAkey", "authority.key", "-CAcreateserial"),
            *("-extfile", "names"),
        )
    return folder


def caller_tls(folder: Path, name: str | None) -> tuple[ssl.SSLContext, str]:
    context = ssl.create_default_context(cafile=str(folder / "authority.pem"))
    if name:
        context.load_cert_chain(folder / f"{name}.pem", folder / f"{name}.key")
    return context, "localhost"


def test_tls_takes_those_with_a_certificate_and_nobody_else(
    pacs_settings: PacsSettings, models: Path, certificates: Path
) -> None:
    safe = replace(
        pacs_settings,
        tls_certificate=certificates / "node.pem",
        tls_key=certificates / "node.key",
        tls_authorities=certificates / "authority.pem",
        acse_timeout=3.0,
    )
    with running_node(safe, models) as node:
        # A client that never begins the handshake holds up nobody.
        with socket.create_connection(("127.0.0.1", safe.port)):
            began = time.monotonic()
            with association(safe.port, tls=caller_tls(certificates, "caller")) as opened:
                assert opened.is_established
                assert opened.send_c_store(film()).Status == StoreStatus.SUCCESS
            assert time.monotonic() - began < 20
        for tls in (None, caller_tls(certificates, None), caller_tls(certificates, "stranger")):
            with association(safe.port, tls=tls) as opened:
                answered = opened.is_established and "Status" in opened.send_c_echo()
                assert not answered
        assert works(node) == 1
        assert metric(node, "xray_pacs_associations_total", result="no_handshake") >= 3


@pytest.mark.parametrize(
    ("files", "named"),
    [
        ({"tls_certificate": "gone"}, "XRAY_PACS_TLS_CERTIFICATE=.*gone cannot be read: No such"),
        ({"tls_key": "gone"}, "XRAY_PACS_TLS_KEY=.*gone cannot be read: No such"),
        ({"tls_authorities": "gone"}, "XRAY_PACS_TLS_AUTHORITIES=.*gone cannot be read: No such"),
        ({"tls_certificate": "names"}, "XRAY_PACS_TLS_CERTIFICATE=.*names with .* cannot be used"),
        ({"tls_key": "caller.key"}, "XRAY_PACS_TLS_KEY=.*caller.key cannot be used"),
        ({"tls_authorities": "names"}, "XRAY_PACS_TLS_AUTHORITIES=.*names cannot be used"),
    ],
)
def test_a_file_that_cannot_be_used_stops_the_start_by_its_name(
    pacs_settings: PacsSettings,
    models: Path,
    certificates: Path,
    files: dict[str, str],
    named: str,
) -> None:
    whole = {
        "tls_certificate": "node.pem",
        "tls_key": "node.key",
        "tls_authorities": "authority.pem",
    }
    chosen: Any = {name: certificates / file for name, file in {**whole, **files}.items()}
    with pytest.raises(SettingsError, match=named):
        Node(replace(pacs_settings, **chosen), models, [])


def test_authorities_alone_are_looked_at_too(
    pacs_settings: PacsSettings, models: Path, tmp_path: Path
) -> None:
    """Destinations are checked against them, whoever may call."""
    with pytest.raises(SettingsError, match="XRAY_PACS_TLS_AUTHORITIES=.*gone cannot be read"):
        Node(replace(pacs_settings, tls_authorities=tmp_path / "gone"), models, [])


def test_results_go_to_a_web_server_that_is_known_and_asks_who_sends_them(
    pacs_settings: PacsSettings, certificates: Path, result_paths: list[Path]
) -> None:
    context = ssl.create_default_context(
        ssl.Purpose.CLIENT_AUTH, cafile=str(certificates / "authority.pem")
    )
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_cert_chain(certificates / "node.pem", certificates / "node.key")
    safe = replace(
        pacs_settings,
        tls_certificate=certificates / "caller.pem",
        tls_key=certificates / "caller.key",
        tls_authorities=certificates / "authority.pem",
    )
    with serving(Accounts, [], {"accounts": [(200, [0] * 3)]}, context) as web:
        for unsafe in (
            replace(safe, tls_authorities=certificates / "stranger.pem"),
            replace(safe, tls_certificate=None, tls_key=None),
        ):
            with pytest.raises((UnreachableError, NoAnswerError)):
                send(web, unsafe, result_paths)
        send(web, safe, result_paths)
