"""STOW-RS to servers that answer in every way: what is refused, and what blocks."""

from __future__ import annotations

import contextlib
import http.server
import re
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from pydicom.dataset import Dataset
from pydicom.uid import JPEGBaseline8Bit

from app.pacs.peers import Peer, read_peers
from app.pacs.sender import NoAnswerError, RefusedError, UnreachableError
from app.pacs.settings import PacsSettings
from app.pacs.stow import StowSender
from tests.pacs.conftest import running_node
from tests.pacs.films import encode, film
from tests.pacs.test_delivery import states
from tests.server import free_port
from tests.waiting import wait_until


class _Answers(http.server.BaseHTTPRequestHandler):
    status = 503
    answer = b""
    content_type = ""
    bodies: list[bytes]

    def do_POST(self) -> None:
        self.bodies.append(b"".join(self._parts()))
        self.reply()

    def reply(self) -> None:
        self.send_response(self.status)
        if self.content_type:
            self.send_header("Content-Type", self.content_type)
        self.end_headers()
        self.wfile.write(self.answer)

    def _parts(self) -> Iterator[bytes]:
        """The body: whole, or in chunks as the client sends a large one."""
        if length := self.headers["Content-Length"]:
            yield self.rfile.read(int(length))
            return
        while size := int(self.rfile.readline(), 16):
            yield self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def web_server(
    status: int, answer: bytes = b"", content_type: str = ""
) -> Iterator[tuple[tuple[Peer, ...], list[bytes]]]:
    """A DICOMweb server that always answers so: the destination, and what it is sent."""
    bodies: list[bytes] = []
    said = {"status": status, "answer": answer, "content_type": content_type}
    with serving(_Answers, bodies, said) as web:
        yield web, bodies


@contextmanager
def serving(
    answers: type[_Answers],
    bodies: list[bytes],
    said: dict[str, object],
    tls: ssl.SSLContext | None = None,
) -> Iterator[tuple[Peer, ...]]:
    handler = type("Handler", (answers,), {**said, "bodies": bodies})
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    if tls is not None:
        # The handshake is left to the request's own thread: one that fails must not end them all.
        server.socket = tls.wrap_socket(server.socket, True, do_handshake_on_connect=False)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    scheme = "http" if tls is None else "https"
    try:
        yield read_peers(f"web={scheme}://user:secret@127.0.0.1:{server.server_port}/dicom-web")
    finally:
        server.shutdown()
        server.server_close()


class Accounts(_Answers):
    """Answers each request with the next of a list of accounts: the status, and each object's
    failure reason, 0 where it is stored."""

    accounts: list[tuple[int, list[int]]]

    def reply(self) -> None:
        status, reasons = self.accounts.pop(0)
        uids = re.findall(rb"\x02\x00\x03\x00UI..([0-9.]+)", self.bodies[-1], re.DOTALL)
        stored, failed = [], []
        for uid, reason in zip(uids, reasons, strict=True):
            item = Dataset()
            item.ReferencedSOPInstanceUID = uid.decode()
            if reason:
                item.FailureReason = reason
            (failed if reason else stored).append(item)
        account = Dataset()
        account.ReferencedSOPSequence, account.FailedSOPSequence = stored, failed
        self._write(status, account.to_json().encode())

    def _write(self, status: int, answer: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/dicom+json")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)


class _Locked(Accounts):
    """Lets in whoever has the password."""

    def reply(self) -> None:
        if self.headers["Authorization"] == "Basic dXNlcjpzZWNyZXQ=":  # user:secret
            super().reply()
        else:
            self.send_error(401)


class _Drips(Accounts):
    """Answers, but never to the end."""

    def reply(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "application/dicom+json")
        self.send_header("Content-Length", "100000")
        self.end_headers()
        with contextlib.suppress(OSError):  # until the other gives up
            while True:
                self.wfile.write(b" ")
                time.sleep(0.2)


class _Silent(_Answers):
    """Takes a request and does not answer it."""

    def reply(self) -> None:
        time.sleep(8)  # longer than the test lets anybody wait


class _Drops(_Answers):
    """Takes a request and ends the connection."""

    def reply(self) -> None:
        self.connection.shutdown(socket.SHUT_RDWR)


def send(web: tuple[Peer, ...], settings: PacsSettings, paths: list[Path], times: int = 1) -> None:
    sender = StowSender(web[0], replace(settings, dimse_timeout=1))
    for left in reversed(range(times)):
        with contextlib.suppress(RefusedError) if left else contextlib.nullcontext():
            sender.send(paths)


def test_a_picture_that_is_refused_compressed_is_sent_uncompressed(
    pacs_settings: PacsSettings, result_paths: list[Path]
) -> None:
    bodies: list[bytes] = []
    accounts = [(409, [0xC122] * 3), (200, [0] * 3)]
    with serving(Accounts, bodies, {"accounts": accounts}) as web:
        send(web, pacs_settings, result_paths)
    assert [JPEGBaseline8Bit.encode() in body for body in bodies] == [True, False]


def test_a_server_with_a_password_is_given_it(
    pacs_settings: PacsSettings, result_paths: list[Path]
) -> None:
    with serving(_Locked, [], {"accounts": [(200, [0] * 3)]}) as web:
        send(web, pacs_settings, result_paths)


@pytest.mark.parametrize("reason", [0x0111, 0xB00E])
def test_a_server_that_has_the_objects_already_has_them(
    pacs_settings: PacsSettings, result_paths: list[Path], reason: int
) -> None:
    with serving(Accounts, [], {"accounts": [(409, [reason] * 3)]}) as web:
        send(web, pacs_settings, result_paths)


def test_only_what_is_not_stored_is_sent_again(
    pacs_settings: PacsSettings, result_paths: list[Path]
) -> None:
    accounts = [(202, [0, 0xA700, 0]), (202, [0xA700]), (200, [0]), (200, [0] * 3)]
    with serving(Accounts, [], {"accounts": accounts}) as web:
        send(web, pacs_settings, result_paths, times=3)
        send(web, pacs_settings, result_paths)
    assert accounts == []


@pytest.mark.parametrize("answers", [_Drips, _Silent, _Drops])
def test_a_server_that_falls_silent_is_waited_for_no_longer_than_is_set(
    pacs_settings: PacsSettings, result_paths: list[Path], answers: type[_Answers]
) -> None:
    began = time.monotonic()
    with serving(answers, [], {}) as web, pytest.raises(NoAnswerError, match="does not answer"):
        send(web, pacs_settings, result_paths)
    assert time.monotonic() - began < 4


def test_a_server_that_is_not_there_is_unreachable(
    pacs_settings: PacsSettings, result_paths: list[Path]
) -> None:
    web = read_peers(f"web=http://127.0.0.1:{free_port()}/dicom-web")
    with pytest.raises(UnreachableError, match="does not answer"):
        send(web, pacs_settings, result_paths)


@pytest.mark.parametrize(("status", "dead"), [(503, False), (409, True)])
def test_stow_tells_a_server_in_trouble_from_one_that_refuses(
    pacs_settings: PacsSettings, models: Path, status: int, dead: bool
) -> None:
    with web_server(status) as (web, _):
        settings = replace(pacs_settings, destinations=web, max_attempts=1)
        with running_node(settings, models) as node:
            node.intake.take(encode(film()))
            db = node.queue.reading()
            if dead:
                wait_until(lambda: states(node) == {"web": "dead"})
                reason = db.execute("SELECT reason FROM delivery").fetchone()[0]
            else:
                wait_until(lambda: db.execute("SELECT reason FROM health").fetchone())
                assert states(node) == {"web": "waiting"}
                reason = db.execute("SELECT reason FROM health").fetchone()[0]
            assert reason == f"it answers with status {status}"


def test_a_web_server_that_does_not_take_jpeg_is_offered_the_picture_uncompressed(
    pacs_settings: PacsSettings, models: Path
) -> None:
    with web_server(415) as (web, bodies):
        settings = replace(pacs_settings, destinations=web, max_attempts=1)
        with running_node(settings, models) as node:
            node.intake.take(encode(film()))
            wait_until(lambda: states(node) == {"web": "dead"})
    first, second = bodies
    assert JPEGBaseline8Bit.encode() in first
    assert JPEGBaseline8Bit.encode() not in second
    assert len(second) > 1024 * 1024 * 3 > len(first)


@pytest.mark.parametrize(
    ("answer", "content_type"),
    [
        (b"stored", ""),
        (b"{", "application/dicom+json"),
        (b"<", "application/dicom+xml"),
        (b"", ""),
    ],
    ids=["no type", "no json", "no xml", "nothing"],
)
def test_an_answer_that_cannot_be_understood_blocks_nothing(
    pacs_settings: PacsSettings, models: Path, answer: bytes, content_type: str
) -> None:
    with web_server(200, answer, content_type) as (web, bodies):
        settings = replace(pacs_settings, destinations=web, max_attempts=1)
        with running_node(settings, models) as node:
            for _ in range(2):
                node.intake.take(encode(film()))
            db = node.queue.reading()
            wait_until(
                lambda: (
                    [row["state"] for row in db.execute("SELECT state FROM delivery")]
                    == ["dead"] * 2
                )
            )
        assert len(bodies) == 2
