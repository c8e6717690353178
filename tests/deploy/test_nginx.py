"""Debian's nginx with deploy/nginx/nginx.conf in front of real gunicorn."""

from __future__ import annotations

import http.client
import json
import os
import re
import shutil
import socket
import ssl
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from app.errors import PROBLEMS
from app.http import MULTIPART_OVERHEAD_BYTES
from app.settings import Settings
from tests.app.multipart import multipart
from tests.light_app import NAME
from tests.phantoms import chest_phantom, encode_jpeg
from tests.server import ROOT, Server, free_port, running_server
from tests.waiting import wait_until

FOLDER = ROOT / "deploy" / "nginx"
CONFIGURATION = (FOLDER / "nginx.conf").read_text()
EACH = int(re.findall(r"limit_conn each (\d+);", CONFIGURATION)[0])
NGINX = shutil.which("nginx") or shutil.which("/usr/sbin/nginx")


@dataclass(frozen=True)
class Proxy:
    """nginx: its port, the certificate that it shows, what it logs, and whom it asks."""

    port: int
    certificate: Path
    log: Path
    server: Server

    def request(
        self, method: str, path: str, body: Any = None, **headers: str
    ) -> tuple[int, dict[str, str], bytes]:
        context = ssl.create_default_context(cafile=str(self.certificate))
        connection = http.client.HTTPSConnection(
            "localhost", self.port, timeout=60, context=context
        )
        try:
            connection.request(method, path, body, headers)
            response = connection.getresponse()
            return response.status, dict(response.getheaders()), response.read()
        finally:
            connection.close()


def bytes_of(size: str) -> int:
    return int(size[:-1]) * {"k": 2**10, "m": 2**20, "g": 2**30}[size[-1].lower()]


def test_upload_limits_agree_with_the_applications() -> None:
    (limit,) = re.findall(r"client_max_body_size (\w+);", CONFIGURATION)
    largest = Settings().max_upload_bytes + MULTIPART_OVERHEAD_BYTES
    assert largest < bytes_of(limit) <= largest + 2**20


def test_one_address_may_open_several_pages_at_once() -> None:
    """A browser asks for all files of a page together, and each counts."""
    (everybody,) = re.findall(r"limit_conn all (\d+);", CONFIGURATION)
    files = [path for path in (ROOT / "static").rglob("*") if path.is_file()]
    assert 3 * len(files) < EACH < int(everybody) / 2


@pytest.mark.parametrize("code", ["not_found", "too_large", "overloaded"])
def test_nginx_speaks_of_errors_as_the_application_does(code: str) -> None:
    (text,) = [
        row for row in re.findall(r"return \d+ '(\{.*\})';", CONFIGURATION) if f'"{code}"' in row
    ]
    body = json.loads(text)
    assert set(body) == {"type", "title", "status", "detail", "code", "request_id"}
    problem = PROBLEMS[code]
    assert (body["title"], body["status"]) == (problem.title, problem.status)
    assert body["type"] == f"/docs#{code}"


def test_a_certificate_that_nginx_could_not_read_is_refused_by_name(tmp_path: Path) -> None:
    def made() -> subprocess.CompletedProcess[str]:
        script = ["sh", str(FOLDER / "make-certificate.sh"), str(tmp_path)]
        return subprocess.run(script, capture_output=True, text=True)

    for name in ("fullchain.pem", "privkey.pem"):
        (tmp_path / name).write_text("of the hospital")
        (tmp_path / name).chmod(0o640)
    assert made().returncode == 0
    (tmp_path / "privkey.pem").chmod(0o600)
    refused = made()
    assert refused.returncode == 1
    assert (
        refused.stderr
        == f"nginx cannot read privkey.pem: chgrp {os.getegid()} it, and chmod g+r.\n"
    )
    assert (tmp_path / "privkey.pem").read_text() == "of the hospital"


def test_half_a_pair_and_links_that_lead_out_of_the_folder_are_left_alone(tmp_path: Path) -> None:
    archive, links, half = (tmp_path / name for name in ("archive", "links", "half"))
    for folder in (links, half):
        folder.mkdir()
    # As certbot's folder `live` looks in a container that has nothing of its archive.
    for name in ("fullchain.pem", "privkey.pem"):
        (links / name).symlink_to(archive / name)
    (half / "privkey.pem").write_text("of the hospital")
    for folder in (links, half):
        script = ["sh", str(FOLDER / "make-certificate.sh"), str(folder)]
        refused = subprocess.run(script, capture_output=True, text=True)
        assert refused.returncode == 1
        assert "copy both, not links" in refused.stderr
    assert all(path.is_symlink() for path in links.iterdir())
    assert [path.read_text() for path in half.iterdir()] == ["of the hospital"]


def test_a_certificates_folder_that_cannot_be_written_is_said_so(tmp_path: Path) -> None:
    # Root in the container has no capabilities: a folder of another's is closed to it.
    someone = 65534 if os.getuid() == 0 else None
    tmp_path.chmod(0o500)
    refused = subprocess.run(
        ["sh", "-s", "--", str(tmp_path)],
        input=(FOLDER / "make-certificate.sh").read_text(),
        user=someone,
        cwd="/",
        capture_output=True,
        text=True,
    )
    assert refused.returncode == 1
    assert "must belong to root" in refused.stderr


@pytest.mark.parametrize(
    ("organisation", "days", "replaced"),
    [
        ("X-Ray Result Interpreter self-signed", 29, True),
        ("X-Ray Result Interpreter self-signed", 31, False),
        ("Hospital", 29, False),
    ],
)
def test_only_a_certificate_of_its_own_that_is_about_to_end_is_made_anew(
    tmp_path: Path, organisation: str, days: int, replaced: bool
) -> None:
    if shutil.which("openssl") is None:
        pytest.skip("needs openssl")
    script = ["sh", str(FOLDER / "make-certificate.sh"), str(tmp_path), "xray.example"]
    subprocess.run(script, check=True, capture_output=True)
    chain, key = tmp_path / "fullchain.pem", tmp_path / "privkey.pem"
    made = chain.read_bytes()
    signed = f"openssl req -x509 -key {key} -days {days} -out {chain} -subj"
    subprocess.run([*signed.split(), f"/O={organisation}/CN=xray.example"], check=True)
    before = chain.read_bytes(), key.read_bytes()
    done = subprocess.run(script, check=True, capture_output=True, text=True)
    after = chain.read_bytes(), key.read_bytes()
    assert (before != after) is replaced
    assert ("ends within 30 days" in done.stderr) is (organisation == "Hospital")
    if replaced:
        assert made != after[0]
        assert key.stat().st_mode & 0o777 == 0o640
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(chain, key)  # they belong together
    assert sorted(path.name for path in tmp_path.iterdir()) == ["fullchain.pem", "privkey.pem"]


@pytest.fixture(scope="module")
def proxy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    if NGINX is None or shutil.which("openssl") is None:
        pytest.skip("needs nginx and openssl (Debian's packages nginx-light and openssl)")
    folder = tmp_path_factory.mktemp("nginx")
    (folder / "models" / NAME).mkdir(parents=True)
    (folder / "models" / NAME / "bundle.json").write_text("{}")
    for _ in range(2):  # the second time it leaves what is there
        made = subprocess.run(
            ["sh", str(FOLDER / "make-certificate.sh"), str(folder)], capture_output=True, text=True
        )
        assert made.returncode == 0, made.stderr
    assert "Using the certificate" in made.stdout
    assert (folder / "privkey.pem").stat().st_mode & 0o777 == 0o640
    with running_server(
        folder / "models",
        folder / "gunicorn.log",
        application="tests.light_app:create()",
        XRAY_PROXY_HOPS="1",
        XRAY_ALLOW_ANONYMOUS="1",
    ) as server:
        port = free_port()
        text = CONFIGURATION
        for old, new in (
            ("/tmp/", f"{folder}/"),  # first: the folder may lie below it
            ("xray:8000", f"127.0.0.1:{server.port}"),
            ("listen 8443", f"listen 127.0.0.1:{port}"),
            ("/etc/nginx/tls", str(folder)),
            ("/dev/stdout", str(folder / "access.log")),
            ("error_log stderr", f"error_log {folder / 'error.log'}"),
        ):
            assert old in text
            text = text.replace(old, new)
        if os.geteuid() == 0:  # its workers would become nobody, who cannot write here
            text = f"user root;\n{text}"
        (folder / "nginx.conf").write_text(text)
        with (folder / "start.log").open("wb") as sink:
            process = subprocess.Popen(
                [NGINX, "-c", str(folder / "nginx.conf"), "-p", str(folder), "-g", "daemon off;"],
                stderr=sink,
            )
        running = Proxy(port, folder / "fullchain.pem", folder / "access.log", server)
        try:
            wait_until_it_answers(running, process, folder)
            yield running
        finally:
            process.terminate()
            process.wait(30)


def wait_until_it_answers(proxy: Proxy, process: subprocess.Popen[bytes], folder: Path) -> None:
    end = time.monotonic() + 30
    while True:
        assert process.poll() is None, (folder / "start.log").read_text()
        try:
            assert proxy.request("GET", "/healthz")[0] == 200
        except OSError:
            assert time.monotonic() < end
            time.sleep(0.1)
        else:
            return


@pytest.mark.slow
def test_a_film_is_read_through_tls_and_the_id_goes_through(proxy: Proxy) -> None:
    form = multipart(encode_jpeg(chest_phantom(400)))
    status, headers, body = proxy.request(
        "POST",
        "/predict?heatmap=overlay",
        form["data"],
        **{"Content-Type": form["content_type"], "X-Request-ID": "ward-7"},
    )
    assert status == 200, body
    assert json.loads(body)["image"]["width"] == 400
    assert headers["X-Request-ID"] == "ward-7"
    # nginx writes the line once the answer has gone out: the client may be here before it.
    wait_until(lambda: "ward-7" in proxy.log.read_text())
    (line,) = [
        row
        for row in map(json.loads, proxy.log.read_text().splitlines())
        if "ward-7" in row.values()
    ]
    assert (line["method"], line["status"]) == ("POST", 200)
    assert "overlay" not in proxy.log.read_text()
    assert "predict" not in proxy.log.read_text()


@pytest.mark.slow
def test_a_page_comes_with_the_headers_that_tls_asks_for(proxy: Proxy) -> None:
    status, headers, body = proxy.request("GET", "/", Accept="text/html")
    assert status == 200
    assert b"<form" in body
    assert headers["Server"] == "nginx"  # no version


@pytest.mark.slow
@pytest.mark.parametrize("mebibytes", [32.5, 40])
def test_too_large_is_said_by_the_application_or_in_its_words(
    proxy: Proxy, mebibytes: float
) -> None:
    status, headers, body = proxy.request(
        "POST", "/predict", bytes(int(mebibytes * 2**20)), **{"Content-Type": "image/jpeg"}
    )
    assert (status, headers["Content-Type"]) == (413, "application/problem+json")
    assert json.loads(body)["code"] == "too_large"


@pytest.mark.slow
def test_the_numbers_stay_inside(proxy: Proxy) -> None:
    status, headers, body = proxy.request("GET", "/metrics")
    assert (status, headers["Content-Type"]) == (404, "application/problem+json")
    assert json.loads(body)["code"] == "not_found"


@pytest.mark.slow
def test_plain_http_is_sent_to_tls(proxy: Proxy) -> None:
    connection = http.client.HTTPConnection("localhost", proxy.port, timeout=10)
    connection.request("GET", "/models")
    response = connection.getresponse()
    assert response.status == 308
    assert response.getheader("Location") == f"https://localhost:{proxy.port}/models"
    connection.close()


@pytest.mark.slow
def test_one_machine_does_not_close_nginx_for_all(proxy: Proxy) -> None:
    def begun(address: str) -> ssl.SSLSocket:
        context = ssl.create_default_context(cafile=str(proxy.certificate))
        plain = socket.create_connection(("127.0.0.1", proxy.port), 10, (address, 0))
        client = context.wrap_socket(plain, server_hostname="localhost")
        client.sendall(
            b"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/jpeg\r\n"
            b"Content-Length: 1000\r\n\r\n"
        )
        return client

    def answer(address: str) -> bytes:
        with begun(address) as client:
            client.sendall(bytes(1000))
            return client.recv(12)

    slow = [begun("127.0.0.1") for _ in range(EACH)]
    try:
        wait_until(lambda: answer("127.0.0.1") == b"HTTP/1.1 503", 30)
        assert answer("127.0.0.2") == b"HTTP/1.1 415"
    finally:
        for client in slow:
            client.close()
    wait_until(lambda: answer("127.0.0.1") == b"HTTP/1.1 415", 30)


@pytest.mark.slow
def test_what_fails_on_the_way_is_no_reason_to_log_a_client(proxy: Proxy) -> None:
    """As with a /tmp that is full: a body finds no place."""
    folder = proxy.log.parent
    shutil.rmtree(folder / "body")
    (folder / "body").write_text("in its place")
    try:
        status, _, body = proxy.request(
            "POST", "/predict?name=Doe", bytes(2**20), **{"Content-Type": "image/jpeg"}
        )
    finally:
        (folder / "body").unlink()
        (folder / "body").mkdir()
    assert (status, json.loads(body)["code"]) == (503, "overloaded")
    assert (folder / "error.log").read_text() == ""


@pytest.mark.slow
def test_what_keeps_nginx_from_starting_is_said(proxy: Proxy) -> None:
    folder = proxy.log.parent
    text = (folder / "nginx.conf").read_text()
    broken = folder / "broken.conf"
    broken.write_text(text.replace(f"{folder}/privkey.pem", f"{folder}/nothing.pem"))
    command = [NGINX or "", "-c", str(broken), "-p", str(folder), "-g", "daemon off;"]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=30)
    assert ended.returncode == 1
    assert "nothing.pem" in (folder / "error.log").read_text() + ended.stderr


@pytest.mark.slow
def test_without_the_application_nginx_asks_to_come_again(proxy: Proxy) -> None:
    """The last one: it stops the server."""
    proxy.server.process.terminate()
    proxy.server.process.wait(40)
    status, headers, body = proxy.request("GET", "/models")
    assert (status, headers["Retry-After"]) == (503, "2")
    problem = json.loads(body)
    assert problem["code"] == "overloaded"
    assert re.fullmatch(r"[0-9a-f]{32}", problem["request_id"])
