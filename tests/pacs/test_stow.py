"""STOW-RS to servers that answer in every way: what is refused, and what blocks."""

from __future__ import annotations

import http.server
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from pydicom.uid import JPEGBaseline8Bit

from app.pacs.peers import Peer, read_peers
from app.pacs.settings import PacsSettings
from tests.pacs.conftest import running_node
from tests.pacs.films import encode, film
from tests.pacs.test_delivery import states
from tests.waiting import wait_until


class _Answers(http.server.BaseHTTPRequestHandler):
    status = 503
    answer = b""
    content_type = ""
    bodies: list[bytes]

    def do_POST(self) -> None:
        self.bodies.append(b"".join(self._parts()))
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
    said = {"status": status, "answer": answer, "content_type": content_type, "bodies": bodies}
    handler = type("Handler", (_Answers,), said)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield (
            read_peers(f"web=http://user:secret@127.0.0.1:{server.server_port}/dicom-web"),
            bodies,
        )
    finally:
        server.shutdown()
        server.server_close()


@pytest.mark.parametrize(("status", "dead"), [(503, False), (409, True)])
def test_stow_tells_a_server_in_trouble_from_one_that_refuses(
    pacs_settings: PacsSettings, models: Path, status: int, dead: bool
) -> None:
    with web_server(status) as (web, _):
        settings = replace(pacs_settings, destinations=web, max_attempts=1)
        with running_node(settings, models) as node:
            node.intake.take([encode(film())])
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
            node.intake.take([encode(film())])
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
                node.intake.take([encode(film())])
            db = node.queue.reading()
            wait_until(
                lambda: (
                    [row["state"] for row in db.execute("SELECT state FROM delivery")]
                    == ["dead"] * 2
                )
            )
        assert len(bodies) == 2
