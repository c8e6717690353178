"""Studies fetched from a real Orthanc: C-FIND and C-MOVE, QIDO-RS and WADO-RS."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import copy
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from pydicom.dataset import Dataset
from pydicom.uid import ComputedRadiographyImageStorage, SecondaryCaptureImageStorage
from pynetdicom import AE, evt
from pynetdicom.sop_class import (  # type: ignore[attr-defined]
    StudyRootQueryRetrieveInformationModelFind,
    StudyRootQueryRetrieveInformationModelMove,
)

from app import create_app
from app.pacs.commands import pacs_pull
from app.pacs.peers import Peer, read_peer
from app.pacs.pull import PullError, is_film, pull
from app.pacs.results import objects_of
from app.pacs.settings import RESULTS, PacsSettings
from app.pacs.spool import SpoolFullError
from app.settings import Settings
from tests.pacs.conftest import running_node, works
from tests.pacs.fakes import load_fake
from tests.pacs.films import encode, film
from tests.pacs.orthanc import Orthanc
from tests.pacs.test_results import read
from tests.server import free_port
from tests.waiting import wait_until

pytestmark = pytest.mark.slow


def source(orthanc: Orthanc, kind: str) -> Peer:
    address = f"dicom://ORTHANC@127.0.0.1:{orthanc.dicom}" if kind == "dicom" else orthanc.web
    return read_peer("source", address)


@pytest.mark.parametrize("kind", ["dicom", "dicomweb"])
def test_a_study_is_found_and_its_films_are_queued(
    orthanc: Orthanc,
    orthanc_node_port: int,
    pacs_settings: PacsSettings,
    models: Path,
    kind: str,
) -> None:
    dataset = film(AccessionNumber=f"PULL-{kind}")
    second = film(StudyInstanceUID=dataset.StudyInstanceUID, ViewPosition="LL")
    for each in (dataset, second):
        orthanc.post("/instances", encode(each))
    settings = replace(pacs_settings, port=orthanc_node_port)
    moved = "moved" if kind == "dicom" else "queued"
    with running_node(settings, models) as node:
        peer = source(orthanc, kind)
        counts = pull(peer, settings, node.intake, study=str(dataset.StudyInstanceUID))
        assert counts[moved] == (2 if kind == "dicom" else 1)
        db = node.queue.reading()
        wait_until(lambda: works(node) == 1)
        dropped = db.execute("SELECT films FROM dropped WHERE reason = 'view'").fetchone()[0]
        assert dropped == 1
        again = pull(peer, settings, node.intake, accession=f"PULL-{kind}")
        assert sum(again.values()) == 2
        assert works(node) == 1
        with pytest.raises(PullError, match="no such study"):
            pull(peer, settings, node.intake, accession="NOBODY")


@pytest.mark.parametrize("kind", ["dicom", "dicomweb"])
def test_a_study_that_holds_our_own_results_can_be_fetched(
    orthanc: Orthanc,
    orthanc_node_port: int,
    pacs_settings: PacsSettings,
    models: Path,
    kind: str,
) -> None:
    first = film()
    same_series = {key: first[key].value for key in ("StudyInstanceUID", "SeriesInstanceUID")}
    second = film(**same_series, InstanceNumber=2)
    data = encode(first)
    results = objects_of(data, read(data), datetime(2026, 1, 2), RESULTS)
    # A picture that calls itself CR beside a film, as some devices leave them.
    sheet = film(**same_series)
    sheet.SOPClassUID = sheet.file_meta.MediaStorageSOPClassUID = SecondaryCaptureImageStorage
    for each in (data, encode(second), encode(sheet), *results.values()):
        orthanc.post("/instances", each)
    settings = replace(pacs_settings, port=orthanc_node_port)
    with running_node(settings, models) as node:
        counts = pull(
            source(orthanc, kind), settings, node.intake, study=str(first.StudyInstanceUID)
        )
        assert counts["moved" if kind == "dicom" else "queued"] == 2
        assert (counts["not accepted"], counts["failed"]) == (4, 0)
        wait_until(lambda: works(node) == 2)


class Archive:
    """A small archive of one film, which does not tell classes.

    Asked for it, it moves to the node this and what else it is told.
    """

    def __init__(self, dataset: Dataset, node_port: int, *others: Dataset) -> None:
        self.dataset = dataset
        self.node_port = node_port
        self.others = others
        self.moved: list[Dataset] = []

    def find(self, event: evt.Event) -> Iterator[tuple[int, Dataset | None]]:
        found = Dataset()
        for element in event.identifier:
            found.add(copy(self.dataset.get(element.tag, element)))
        found.SOPClassUID = ""
        yield 0xFF00, found

    def move(self, event: evt.Event) -> Iterator[Any]:
        self.moved.append(event.identifier)
        yield "127.0.0.1", self.node_port, {"ae_title": str(event.move_destination)}
        yield 1 + len(self.others)
        for dataset in (self.dataset, *self.others):
            yield 0xFF00, dataset

    @contextmanager
    def running(self) -> Iterator[Peer]:
        entity = AE("ORTHANC")  # as the node knows its caller
        entity.add_requested_context(ComputedRadiographyImageStorage)
        for sop_class in (
            StudyRootQueryRetrieveInformationModelFind,
            StudyRootQueryRetrieveInformationModelMove,
        ):
            entity.add_supported_context(sop_class)
        handlers: Any = [(evt.EVT_C_FIND, self.find), (evt.EVT_C_MOVE, self.move)]
        server: Any = entity.start_server(("127.0.0.1", 0), block=False, evt_handlers=handlers)
        try:
            yield read_peer("source", f"dicom://ORTHANC@127.0.0.1:{server.server_address[1]}")
        finally:
            server.shutdown()


@pytest.mark.parametrize(
    ("others", "status", "said"),
    [
        ([], 0, "moved: 1\n"),
        (
            [film(StudyInstanceUID="")],  # the node refuses it
            1,
            "failed: 1\nmoved: 1\nError: Not every film could be fetched.\n",
        ),
    ],
    ids=["all arrive", "one does not"],
)
def test_films_that_do_not_arrive_are_said_to_have_failed(
    pacs_settings: PacsSettings,
    models: Path,
    monkeypatch: pytest.MonkeyPatch,
    others: list[Dataset],
    status: int,
    said: str,
) -> None:
    archive = Archive(film(), pacs_settings.port, *others)
    with archive.running() as peer:
        settings = replace(pacs_settings, source=peer)
        monkeypatch.setattr(PacsSettings, "from_environment", classmethod(lambda _: settings))
        app = create_app(Settings(models=models, log_level="ERROR"), load=load_fake)
        study = str(archive.dataset.StudyInstanceUID)
        with running_node(settings, models), app.app_context():
            done = app.test_cli_runner().invoke(pacs_pull, ["--study", study])
    words = [line for line in done.output.splitlines(True) if not line.startswith("{")]
    assert ("".join(words), done.exit_code) == (said, status)
    (wanted,) = archive.moved
    assert wanted.QueryRetrieveLevel == "IMAGE"
    assert wanted.SOPInstanceUID == archive.dataset.SOPInstanceUID
    assert wanted.SeriesInstanceUID == archive.dataset.SeriesInstanceUID


def refuse(*_: object, **__: object) -> None:
    raise SpoolFullError


def quote(*_: object, **__: object) -> None:
    raise ValueError("Zwölfender^Ottilie")


@pytest.mark.parametrize(
    ("place", "failure", "outcome"),
    [
        ("app.pacs.spool.Spool.stage", refuse, "There is no room for the films"),
        ("app.pacs.queue.Queue.admit", quote, r"The pull failed \(ValueError\)\.$"),
        ("pydicom.dataset.Dataset.save_as", quote, {"malformed": 1}),
        ("dicomweb_client.DICOMwebClient.retrieve_instance", quote, {"malformed": 1}),
    ],
)
def test_a_pull_that_fails_says_so_without_a_value(
    orthanc: Orthanc,
    pacs_settings: PacsSettings,
    models: Path,
    monkeypatch: pytest.MonkeyPatch,
    place: str,
    failure: Callable[..., None],
    outcome: str | dict[str, int],
) -> None:
    dataset = film()
    orthanc.post("/instances", encode(dataset))
    study, peer = str(dataset.StudyInstanceUID), source(orthanc, "dicomweb")
    with running_node(pacs_settings, models) as node:
        monkeypatch.setattr(place, failure)
        if isinstance(outcome, dict):
            assert pull(peer, pacs_settings, node.intake, study=study) == outcome
        else:
            with pytest.raises(PullError, match=outcome):
                pull(peer, pacs_settings, node.intake, study=study)


@pytest.mark.parametrize(
    ("answer", "modality", "wanted"),
    [
        ({"SOPClassUID": ComputedRadiographyImageStorage}, "", True),
        ({"SOPClassUID": SecondaryCaptureImageStorage}, "CR", False),
        ({}, "DX", True),
        ({}, "SR", False),
    ],
)
def test_a_film_is_known_by_its_class_or_else_by_its_modality(
    pacs_settings: PacsSettings, answer: dict[str, str], modality: str, wanted: bool
) -> None:
    image = Dataset()
    for keyword, value in answer.items():
        setattr(image, keyword, value)
    assert is_film(image, modality, pacs_settings) is wanted


@pytest.mark.parametrize(
    ("address", "words"),
    [
        (f"dicom://ORTHANC@127.0.0.1:{free_port()}", "does not answer"),
        (f"http://127.0.0.1:{free_port()}/dicom-web", "does not answer"),
    ],
)
def test_an_archive_that_is_down_is_named_as_such(
    pacs_settings: PacsSettings, models: Path, address: str, words: str
) -> None:
    with (
        running_node(pacs_settings, models) as node,
        pytest.raises(PullError, match=words),
    ):
        pull(read_peer("source", address), pacs_settings, node.intake, study="1.2.3")


@pytest.mark.parametrize(
    "query",
    [
        {},
        {"study": "1.2", "accession": "1"},
        {"study": "x*"},
        {"study": ""},
        # Each of these would fetch a whole archive, or a part of it.
        {"accession": ""},
        {"accession": " "},
        {"accession": "*"},
        {"accession": "47?1"},
        {"accession": "4711\\4712"},
    ],
)
def test_a_pull_needs_one_key(
    pacs_settings: PacsSettings, models: Path, query: dict[str, str]
) -> None:
    with (
        running_node(pacs_settings, models) as node,
        pytest.raises(PullError, match="either the study|valid UID|given whole"),
    ):
        pull(read_peer("source", "http://h/x"), pacs_settings, node.intake, **query)
