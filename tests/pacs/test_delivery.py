"""Results reach every destination; one that is down or refuses blocks nobody else."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRLittleEndian, JPEGBaseline8Bit
from pynetdicom import AE, evt
from pynetdicom.sop_class import (
    ComprehensiveSRStorage,
    GrayscaleSoftcopyPresentationStateStorage,
    SecondaryCaptureImageStorage,
)

from app.pacs.delivery import backoff
from app.pacs.destinations import associate
from app.pacs.peers import Peer, read_peers
from app.pacs.put_aside import NO_LONGER_CONFIGURED, retry
from app.pacs.settings import PacsSettings
from tests.pacs.conftest import running_node
from tests.pacs.films import encode, film
from tests.server import free_port
from tests.waiting import wait_until

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
        self.captures: list[Dataset] = []

    def store(self, event: evt.Event) -> int:
        if self.status == 0x0000:
            if event.request.AffectedSOPClassUID == SecondaryCaptureImageStorage:
                dataset = event.dataset
                dataset.file_meta = event.file_meta
                self.captures.append(dataset)
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


def test_an_answer_that_comes_quickly_is_not_lost(
    pacs_settings: PacsSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever waits for it is made slow, so that pynetdicom's own thread takes it first."""

    class Dawdling(threading.Event):
        def wait(self, timeout: float | None = None) -> bool:
            passed = super().wait(timeout)
            time.sleep(0.2)
            return passed

    port = free_port()
    (peer,) = read_peers(f"archive=dicom://ARCHIVE@127.0.0.1:{port}")
    settings = replace(pacs_settings, dimse_timeout=5)
    capture = film()
    capture.SOPClassUID = capture.file_meta.MediaStorageSOPClassUID = SecondaryCaptureImageStorage
    archive = Archive()
    with archive.running(port):
        association = associate(peer, settings, [SecondaryCaptureImageStorage])
        association._reactor_checkpoint = Dawdling()
        association._reactor_checkpoint.set()
        time.sleep(0.1)  # it is within its dawdling, and says that it pauses
        get = association.dimse.get_msg

        def get_late(block: bool = False) -> Any:
            time.sleep(0.5 if block else 0.0)
            return get(block)

        monkeypatch.setattr(association.dimse, "get_msg", get_late)
        for _ in range(3):
            assert association.send_c_store(capture).Status == 0x0000
        association.release()
    assert len(archive.stored) == 3


def test_a_destination_that_is_down_blocks_neither_the_intake_nor_the_others(
    pacs_settings: PacsSettings, models: Path
) -> None:
    up, down = free_port(), free_port()
    settings = replace(pacs_settings, destinations=archive_peers(up, down))
    first, second = Archive(), Archive()
    with running_node(settings, models) as node, first.running(up):
        for _ in range(2):
            node.intake.take(encode(film()))
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
        node.intake.take(encode(film()))
        wait_until(lambda: states(node) == {"archive0": "dead"})
        row = node.queue.reading().execute("SELECT attempts, reason FROM delivery").fetchone()
        kinds = ("report", "capture", "presentation")
        reason = "; ".join(f"{kind}: out of resources (0xA700)" for kind in kinds)
        assert tuple(row) == (2, reason)
        archive.status = 0x0000
        assert retry(node.queue, ["archive0"]) == 1
        wait_until(lambda: len(archive.stored) == 3)
        wait_until(lambda: node.spool.keys() == set())


def test_a_destination_of_implicit_syntax_alone_gets_its_results(
    pacs_settings: PacsSettings, models: Path
) -> None:
    port = free_port()
    archive = Archive(syntaxes=["1.2.840.10008.1.2"])
    settings = replace(pacs_settings, destinations=archive_peers(port))
    with running_node(settings, models) as node, archive.running(port):
        node.intake.take(encode(film()))
        wait_until(lambda: len(archive.stored) == 3)


@pytest.mark.parametrize("jpeg", [False, True])
def test_a_capture_goes_as_the_destination_takes_it(
    pacs_settings: PacsSettings, models: Path, jpeg: bool
) -> None:
    port = free_port()
    syntaxes = [ExplicitVRLittleEndian, *([JPEGBaseline8Bit] if jpeg else [])]
    archive = Archive(syntaxes=[str(syntax) for syntax in syntaxes])
    settings = replace(pacs_settings, destinations=archive_peers(port))
    with running_node(settings, models) as node, archive.running(port):
        node.intake.take(encode(film()))
        wait_until(lambda: len(archive.stored) == 3)
    (capture,) = archive.captures
    assert capture.file_meta.TransferSyntaxUID == syntaxes[-1]
    assert capture.LossyImageCompression == "01"  # and stays so
    pixels = capture.pixel_array
    assert pixels.shape[1:] == (1024, 3)
    assert 0.01 < (pixels[1024:] > 180).mean() < 0.3  # the words


def test_results_are_kept_as_long_as_is_asked_for(
    pacs_settings: PacsSettings, models: Path
) -> None:
    port = free_port()
    settings = replace(pacs_settings, destinations=archive_peers(port), retention_seconds=3600)
    archive = Archive()
    with running_node(settings, models) as node, archive.running(port):
        node.intake.take(encode(film()))
        wait_until(lambda: states(node) == {"archive0": "delivered"})
        node._tidy()
        assert len(node.spool.keys()) == 1
    with running_node(replace(settings, retention_seconds=0), models) as node:
        assert node.spool.keys() == set()


def test_letters_to_a_destination_that_is_no_longer_configured_are_put_aside(
    pacs_settings: PacsSettings, models: Path
) -> None:
    with running_node(pacs_settings, models) as node:
        node.intake.take(encode(film()))
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
        node.intake.take(encode(film()))
        wait_until(lambda: states(node) == {"archive0": "delivered"})
        assert len(archive.stored) == 1


def test_one_spool_has_one_node(pacs_settings: PacsSettings, models: Path) -> None:
    from app.settings import SettingsError

    with (
        running_node(pacs_settings, models),
        pytest.raises(SettingsError, match="Another node"),
        running_node(pacs_settings, models),
    ):
        pass
