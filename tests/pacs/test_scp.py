"""The provider over real sockets: who may call, what is answered, what becomes of a film."""

from __future__ import annotations

import socket
import ssl
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from pathlib import Path

import pytest
from pydicom.dataset import Dataset
from pydicom.pixels.decoders.base import get_decoder
from pydicom.uid import ComputedRadiographyImageStorage, CTImageStorage, ExplicitVRLittleEndian
from pynetdicom import AE
from pynetdicom.association import Association
from pynetdicom.sop_class import Verification
from pynetdicom.transport import ThreadedAssociationServer

from app.pacs.node import Node
from app.pacs.peers import read_callers
from app.pacs.scp import TRANSFER_SYNTAXES
from app.pacs.settings import PacsSettings
from app.pacs.statuses import StoreStatus
from tests.pacs.conftest import running_node, works
from tests.pacs.fakes import ReaderHere
from tests.pacs.films import encode, film
from tests.pacs.orthanc import storescu
from tests.waiting import wait_until


@contextmanager
def association(
    port: int,
    *classes: str,
    calling: str = "CR1",
    called: str = "XRAY",
    tls: tuple[ssl.SSLContext, str] | None = None,
) -> Iterator[Association]:
    entity = AE(calling)
    entity.acse_timeout = entity.dimse_timeout = entity.network_timeout = 20
    for sop_class in classes or (Verification, ComputedRadiographyImageStorage):
        entity.add_requested_context(sop_class, ExplicitVRLittleEndian)
    opened = entity.associate("127.0.0.1", port, ae_title=called, tls_args=tls)
    try:
        yield opened
    finally:
        if opened.is_established:
            opened.release()


def store(port: int, dataset: Dataset) -> int:
    with association(port) as opened:
        assert opened.is_established
        return int(opened.send_c_store(dataset).Status)


@pytest.fixture
def node(pacs_settings: PacsSettings, models: Path) -> Iterator[Node]:
    with running_node(pacs_settings, models) as running:
        yield running


def metric(node: Node, name: str, **labels: str) -> float:
    return node.metrics.registry.get_sample_value(name, labels) or 0.0


def test_every_transfer_syntax_that_is_accepted_can_be_read() -> None:
    for syntax in TRANSFER_SYNTAXES:
        assert syntax.is_transfer_syntax
        if syntax.is_encapsulated:
            assert get_decoder(syntax).is_available, syntax.name


def test_echo_is_answered(node: Node, pacs_settings: PacsSettings) -> None:
    with association(pacs_settings.port) as opened:
        assert opened.send_c_echo().Status == StoreStatus.SUCCESS


@pytest.mark.parametrize(
    ("calling", "called", "result", "reason"),
    [
        ("STRANGER", "XRAY", "unknown_caller", "unknown caller"),
        ("CR1", "OTHER", "called_title", "called AE title is not ours"),
    ],
)
def test_unknown_titles_are_rejected(
    node: Node,
    pacs_settings: PacsSettings,
    said: list,
    calling: str,
    called: str,
    result: str,
    reason: str,
) -> None:
    with association(pacs_settings.port, calling=calling, called=called) as opened:
        assert opened.is_rejected
        assert not opened.is_established
    assert works(node) == 0
    wait_until(lambda: metric(node, "xray_pacs_associations_total", result=result) == 1)
    assert metric(node, "xray_pacs_associations_total", result="too_many") == 0
    reasons = [line["reason"] for line in said if line["event"] == "association rejected"]
    assert reasons == [reason]


def test_a_connection_that_fails_here_is_told_from_a_failed_handshake(
    node: Node, pacs_settings: PacsSettings, said: list, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise MemoryError("Zwölfender")

    monkeypatch.setattr(ThreadedAssociationServer, "finish_request", fail)
    with socket.create_connection(("127.0.0.1", pacs_settings.port), timeout=20) as client:
        assert client.recv(1) == b""
    assert metric(node, "xray_pacs_associations_total", result="failed") == 1
    assert metric(node, "xray_pacs_associations_total", result="no_handshake") == 0
    errors = [line["error"] for line in said if line["event"] == "connection failed"]
    assert errors == ["MemoryError"]


def test_a_known_title_from_another_address_is_rejected(
    pacs_settings: PacsSettings, models: Path
) -> None:
    elsewhere = replace(pacs_settings, callers=read_callers("CR1=10.0.0.7,OTHER=127.0.0.1"))
    with running_node(elsewhere, models) as node:
        with association(elsewhere.port) as opened:
            assert opened.is_rejected
        assert metric(node, "xray_pacs_associations_total", result="unknown_caller") == 1


def test_an_unknown_address_is_not_even_heard(pacs_settings: PacsSettings, models: Path) -> None:
    elsewhere = replace(pacs_settings, callers=read_callers("CR1=10.0.0.7"))
    with running_node(elsewhere, models) as node:
        with socket.create_connection(("127.0.0.1", elsewhere.port), timeout=10) as client:
            assert client.recv(1) == b""
        assert metric(node, "xray_pacs_associations_total", result="unknown_address") == 1


def test_classes_that_are_not_ours_are_not_accepted(
    node: Node, pacs_settings: PacsSettings
) -> None:
    with association(pacs_settings.port, CTImageStorage) as opened:
        assert opened.accepted_contexts == []


def test_a_film_is_on_disk_and_queued_when_success_is_answered(
    pacs_settings: PacsSettings, models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset = film()
    monkeypatch.setattr(ReaderHere, "prepare", _not_ready)  # nothing is read meanwhile
    with running_node(pacs_settings, models) as node:
        assert store(pacs_settings.port, dataset) == StoreStatus.SUCCESS
        (row,) = node.queue.reading().execute("SELECT key, state, bundle FROM work").fetchall()
        assert (row["state"], row["bundle"]) == ("queued", "for-adults")
        assert str(dataset.SOPInstanceUID).encode() not in row["key"].encode()
        assert dataset.PixelData in node.spool.received(row["key"]).read_bytes()


def _not_ready(reader: ReaderHere) -> None:
    from app.errors import NotReadyError

    raise NotReadyError("The models are still loading.")


def test_the_same_film_twice_is_one_piece_of_work(node: Node, pacs_settings: PacsSettings) -> None:
    dataset = film()
    for _ in range(3):
        assert store(pacs_settings.port, dataset) == StoreStatus.SUCCESS
    assert works(node) == 1
    assert metric(node, "xray_pacs_films_total", taken="duplicate", reason="") == 2


def test_a_film_whose_file_was_lost_is_read_when_it_comes_again(
    pacs_settings: PacsSettings, models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset = film()
    with running_node(pacs_settings, models) as node:
        with monkeypatch.context() as busy:
            busy.setattr(ReaderHere, "prepare", _not_ready)
            time.sleep(0.1)  # whoever has just prepared reads on
            assert store(pacs_settings.port, dataset) == StoreStatus.SUCCESS
            db = node.queue.reading()
            node.spool.discard(db.execute("SELECT key FROM work").fetchone()[0])
        wait_until(lambda: db.execute("SELECT state FROM work").fetchone()[0] == "failed")
        assert store(pacs_settings.port, dataset) == StoreStatus.SUCCESS
        wait_until(lambda: db.execute("SELECT state FROM work").fetchone()[0] == "delivering")
        assert works(node) == 1


def test_what_is_not_for_us_is_no_error_to_the_sender(
    node: Node, pacs_settings: PacsSettings
) -> None:
    assert store(pacs_settings.port, film(BodyPartExamined="FOOT")) == StoreStatus.SUCCESS
    assert works(node) == 0
    assert node.spool.keys() == set()
    (row,) = node.queue.reading().execute("SELECT reason, films FROM dropped").fetchall()
    assert tuple(row) == ("body_part", 1)


def test_below_the_watermark_nothing_is_acknowledged(
    pacs_settings: PacsSettings, models: Path
) -> None:
    full = replace(pacs_settings, min_free_bytes=2**60)
    with running_node(full, models) as node:
        assert store(full.port, film()) == StoreStatus.OUT_OF_RESOURCES
        assert works(node) == 0
        assert metric(node, "xray_pacs_stores_total", status="OUT_OF_RESOURCES") == 1
        with association(full.port) as opened:
            assert opened.send_c_echo().Status == StoreStatus.SUCCESS


@pytest.mark.parametrize("keyword", ["StudyInstanceUID", "SeriesInstanceUID"])
def test_an_object_that_lacks_a_uid_is_refused(
    node: Node, pacs_settings: PacsSettings, keyword: str
) -> None:
    dataset = film(**{keyword: ""})
    assert store(pacs_settings.port, dataset) == StoreStatus.CANNOT_UNDERSTAND
    assert works(node) == 0


@pytest.mark.parametrize("kept", [200, 4000])
def test_a_film_cut_short_is_acknowledged_and_refused_in_a_report(
    node: Node, pacs_settings: PacsSettings, tmp_path: Path, kept: int
) -> None:
    dataset = film()
    dataset.PixelData = dataset.PixelData[:kept]
    assert store(pacs_settings.port, dataset) == StoreStatus.SUCCESS
    wait_until(lambda: node.queue.reading().execute("SELECT code FROM work").fetchone()[0])
    row = node.queue.reading().execute("SELECT key, code, decision FROM work").fetchone()
    assert (row["code"], row["decision"]) == ("unreadable_image", None)
    assert [path.stem for path in node.spool.results(row["key"])] == ["report"]


def test_garbage_and_half_a_request_do_not_stop_the_others(
    node: Node, pacs_settings: PacsSettings
) -> None:
    address = ("127.0.0.1", pacs_settings.port)
    clients = [socket.create_connection(address) for _ in range(6)]
    try:
        for number, client in enumerate(clients):
            client.sendall((b"GET / HTTP/1.1\r\n\r\n", b"\x01\x00\x00", b"")[number % 3])
        assert store(pacs_settings.port, film()) == StoreStatus.SUCCESS
    finally:
        for client in clients:
            client.close()
    assert works(node) == 1


def test_a_flood_of_associations_is_turned_away_and_passes(
    pacs_settings: PacsSettings, models: Path
) -> None:
    narrow = replace(pacs_settings, max_associations=3)
    with running_node(narrow, models) as node:
        entity = AE("CR1")
        entity.acse_timeout = 20
        entity.add_requested_context(Verification)
        opened = [entity.associate("127.0.0.1", narrow.port, ae_title="XRAY") for _ in range(20)]
        established = [found for found in opened if found.is_established]
        assert len(established) == 3
        assert metric(node, "xray_pacs_associations_total", result="too_many") > 0
        for found in established:
            found.release()
        wait_until(lambda: not node.provider._server.active_associations)  # type: ignore[union-attr]
        assert store(narrow.port, film()) == StoreStatus.SUCCESS


def test_a_silent_association_is_ended(pacs_settings: PacsSettings, models: Path) -> None:
    hasty = replace(pacs_settings, network_timeout=0.5, acse_timeout=0.5)
    with running_node(hasty, models):
        with association(hasty.port) as opened:
            assert opened.is_established
            wait_until(lambda: not opened.is_established, 20)
        with socket.create_connection(("127.0.0.1", hasty.port), timeout=20) as client:
            assert client.recv(1) == b""


def test_one_byte_now_and_then_keeps_no_connection(
    pacs_settings: PacsSettings, models: Path
) -> None:
    hasty = replace(pacs_settings, network_timeout=1, acse_timeout=1)
    with running_node(hasty, models):
        with socket.create_connection(("127.0.0.1", hasty.port), timeout=0.05) as client:
            client.sendall(b"\x01\x00\x00\x00\x10\x00")
            wait_until(lambda: _ended_by_a_byte(client), 20)
        with association(hasty.port) as opened:
            connection = opened.dul.socket.socket
            connection.sendall(b"\x04\x00\x00\x00\x10\x00")

            def ended() -> bool:
                with suppress(OSError):
                    connection.sendall(b"\0")
                return not opened.is_established

            wait_until(ended, 20)


def _ended_by_a_byte(client: socket.socket) -> bool:
    try:
        client.sendall(b"\0")
        return client.recv(1) == b""
    except TimeoutError:
        return False
    except OSError:
        return True


def test_who_has_not_said_who_he_is_takes_nobodys_place(
    pacs_settings: PacsSettings, models: Path
) -> None:
    narrow = replace(pacs_settings, max_associations=2)
    with running_node(narrow, models) as node, ExitStack() as clients:
        for number in range(6):
            client = socket.create_connection(("127.0.0.1", narrow.port), timeout=20)
            clients.enter_context(client).sendall(b"\x01"[: number % 2])
        wait_until(lambda: len(node.provider._server.active_associations) == 6)  # type: ignore[union-attr]
        assert store(narrow.port, film()) == StoreStatus.SUCCESS
        assert metric(node, "xray_pacs_associations_total", result="too_many") == 0


def test_an_object_beyond_the_limit_ends_the_connection(
    pacs_settings: PacsSettings, models: Path
) -> None:
    small = replace(pacs_settings, max_object_bytes=1000)
    with running_node(small, models) as node:
        big = film()
        big.PixelData = bytes(4 * 2**20)
        with association(small.port) as opened:
            assert "Status" not in opened.send_c_store(big)
        assert works(node) == 0
        wait_until(lambda: metric(node, "xray_pacs_stores_total", status="TOO_LARGE"))
        assert store(small.port, film()) == StoreStatus.SUCCESS


def test_the_limit_is_each_objects_and_not_the_associations(
    pacs_settings: PacsSettings, models: Path
) -> None:
    small = replace(pacs_settings, max_object_bytes=200_000)
    films = [film() for _ in range(12)]
    assert sum(len(encode(each)) for each in films) > small.max_object_bytes + 2**20
    with running_node(small, models) as node, association(small.port) as opened:
        assert [opened.send_c_store(each).Status for each in films] == [0] * len(films)
        assert works(node) == len(films)


def test_a_data_unit_beyond_what_was_negotiated_ends_the_connection(
    node: Node, pacs_settings: PacsSettings
) -> None:
    address = ("127.0.0.1", pacs_settings.port)
    with association(pacs_settings.port) as opened:
        connection = opened.dul.socket.socket
        connection.sendall(b"\x04\x00" + (2**31).to_bytes(4, "big") + bytes(4096))
        wait_until(lambda: not opened.is_established)
    # As the first unit of a connection too, before anybody said who it is.
    with socket.create_connection(address, timeout=20) as client:
        client.sendall(b"\x01\x00\xff\xff\xff\xff")
        assert client.recv(1) == b""
    assert store(pacs_settings.port, film()) == StoreStatus.SUCCESS


def test_dcmtk_sends_a_film(node: Node, pacs_settings: PacsSettings, tmp_path: Path) -> None:
    path = tmp_path / "film.dcm"
    path.write_bytes(encode(film()))
    assert storescu(pacs_settings.port, path).returncode == 0
    assert storescu(pacs_settings.port, path, calling="STRANGER").returncode != 0
    assert works(node) == 1
