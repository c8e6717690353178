"""Results reach every destination; one that is down or refuses blocks nobody else."""

from __future__ import annotations

import http.server
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from pynetdicom import AE, evt
from pynetdicom.sop_class import (
    ComprehensiveSRStorage,
    GrayscaleSoftcopyPresentationStateStorage,
    SecondaryCaptureImageStorage,
)

from app.pacs.delivery import backoff
from app.pacs.node import NO_LONGER_CONFIGURED
from app.pacs.peers import Peer, read_peers
from app.pacs.settings import PacsSettings
from tests.pacs.conftest import running_node, wait_until
from tests.pacs.films import encode, film
from tests.server import free_port

CLASSES = (
    ComprehensiveSRStorage,
    SecondaryCaptureImageStorage,
    GrayscaleSoftcopyPresentationStateStorage,
)


class Archive:
    """A small storage provider that can refuse; remembers what it stored."""

    def __init__(self, status: int = 0x0000, syntaxes: list[str] | None = None) -> None:
        self.status = status
        self.syntaxes = syntaxes
        self.stored: list[str] = []

    def store(self, event: evt.Event) -> int:
        if self.status == 0x0000:
            self.stored.append(str(event.request.AffectedSOPInstanceUID))
        return self.status

    @contextmanager
    def running(self, port: int) -> Iterator[None]:
        entity = AE("ARCHIVE")
        for sop_class in CLASSES:
            entity.add_supported_context(sop_class, self.syntaxes)
        server = entity.start_server(
            ("127.0.0.1", port), block=False, evt_handlers=[(evt.EVT_C_STORE, self.store)]
        )
        try:
            yield
        finally:
            server.shutdown()


def archive_peers(*ports: int) -> tuple[Peer, ...]:
    return read_peers(
        ",".join(f"archive{n}=dicom://ARCHIVE@127.0.0.1:{port}" for n, port in enumerate(ports))
    )


def states(node: object) -> dict[str, str]:
    rows = node.queue.reading().execute("SELECT destination, state FROM delivery")  # type: ignore[attr-defined]
    return {row["destination"]: row["state"] for row in rows}


def test_backoff_doubles_up_to_its_bound() -> None:
    assert [backoff(5.0, attempts) for attempts in (1, 2, 3)] == [5.0, 10.0, 20.0]
    assert backoff(5.0, 1000) == 3600.0


def test_a_destination_that_is_down_blocks_neither_the_intake_nor_the_others(
    pacs_settings: PacsSettings, models: Path
) -> None:
    up, down = free_port(), free_port()
    settings = replace(pacs_settings, destinations=archive_peers(up, down))
    first, second = Archive(), Archive()
    with running_node(settings, models) as node, first.running(up):
        for _ in range(2):
            node.intake.take([encode(film())])
        wait_until(lambda: len(first.stored) == 6)
        assert second.stored == []
        reason = node.queue.reading().execute(
            "SELECT reason FROM health WHERE destination = 'archive1'"
        )
        assert reason.fetchone()[0] == "it does not answer"
        assert len(node.spool.keys()) == 2
        with second.running(down):
            wait_until(lambda: len(second.stored) == 6)
            wait_until(lambda: node.spool.keys() == set())
        assert sorted(first.stored) == sorted(second.stored)
        attempts = node.queue.reading().execute("SELECT MAX(attempts) FROM delivery")
        assert attempts.fetchone()[0] == 0  # nothing was wrong with the letters


def test_what_is_refused_becomes_a_dead_letter_with_its_reason_and_can_be_retried(
    pacs_settings: PacsSettings, models: Path
) -> None:
    port = free_port()
    settings = replace(
        pacs_settings, destinations=archive_peers(port), max_attempts=2, retry_seconds=0.1
    )
    archive = Archive(status=0xA700)
    with running_node(settings, models) as node, archive.running(port):
        node.intake.take([encode(film())])
        wait_until(lambda: states(node) == {"archive0": "dead"})
        row = node.queue.reading().execute("SELECT attempts, reason FROM delivery").fetchone()
        assert tuple(row) == (2, "capture: out of resources (0xA700)")
        archive.status = 0x0000
        assert node.queue.retry() == 1
        wait_until(lambda: len(archive.stored) == 3)
        wait_until(lambda: node.spool.keys() == set())


def test_a_destination_of_implicit_syntax_alone_gets_its_results(
    pacs_settings: PacsSettings, models: Path
) -> None:
    port = free_port()
    archive = Archive(syntaxes=["1.2.840.10008.1.2"])
    settings = replace(pacs_settings, destinations=archive_peers(port))
    with running_node(settings, models) as node, archive.running(port):
        node.intake.take([encode(film())])
        wait_until(lambda: len(archive.stored) == 3)


def test_results_are_kept_as_long_as_is_asked_for(
    pacs_settings: PacsSettings, models: Path
) -> None:
    port = free_port()
    settings = replace(pacs_settings, destinations=archive_peers(port), retention_seconds=3600)
    archive = Archive()
    with running_node(settings, models) as node, archive.running(port):
        node.intake.take([encode(film())])
        wait_until(lambda: states(node) == {"archive0": "delivered"})
        node._tidy()
        assert len(node.spool.keys()) == 1
    with running_node(replace(settings, retention_seconds=0), models) as node:
        assert node.spool.keys() == set()


def test_letters_to_a_destination_that_is_no_longer_configured_are_put_aside(
    pacs_settings: PacsSettings, models: Path
) -> None:
    with running_node(pacs_settings, models) as node:
        node.intake.take([encode(film())])
        wait_until(lambda: states(node) == {"archive": "waiting"})
    moved = replace(pacs_settings, destinations=archive_peers(free_port()))
    with running_node(moved, models) as node:
        row = node.queue.reading().execute("SELECT state, reason FROM delivery").fetchone()
        assert tuple(row) == ("dead", NO_LONGER_CONFIGURED)


def test_results_can_be_chosen(pacs_settings: PacsSettings, models: Path) -> None:
    port = free_port()
    settings = replace(pacs_settings, destinations=archive_peers(port), results=("report",))
    archive = Archive()
    with running_node(settings, models) as node, archive.running(port):
        node.intake.take([encode(film())])
        wait_until(lambda: states(node) == {"archive0": "delivered"})
        assert len(archive.stored) == 1


class _Answers(http.server.BaseHTTPRequestHandler):
    status = 503

    def do_POST(self) -> None:
        while size := int(self.rfile.readline(), 16):  # the client sends in chunks
            self.rfile.read(size + 2)
        self.rfile.readline()
        self.send_response(self.status)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.mark.parametrize(("status", "dead"), [(503, False), (409, True)])
def test_stow_tells_a_server_in_trouble_from_one_that_refuses(
    pacs_settings: PacsSettings, models: Path, status: int, dead: bool
) -> None:
    handler = type("Handler", (_Answers,), {"status": status})
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        address = f"http://user:secret@127.0.0.1:{server.server_port}/dicom-web"
        settings = replace(pacs_settings, destinations=read_peers(f"web={address}"), max_attempts=1)
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
    finally:
        server.shutdown()
        server.server_close()


def test_one_spool_has_one_node(pacs_settings: PacsSettings, models: Path) -> None:
    from app.settings import SettingsError

    with (
        running_node(pacs_settings, models),
        pytest.raises(SettingsError, match="Another node"),
        running_node(pacs_settings, models),
    ):
        pass
