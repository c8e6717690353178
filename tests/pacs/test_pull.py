"""Studies fetched from a real Orthanc: C-FIND and C-MOVE, QIDO-RS and WADO-RS."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from app.pacs.peers import Peer, read_peer
from app.pacs.pull import PullError, pull
from app.pacs.settings import PacsSettings
from tests.pacs.conftest import running_node
from tests.pacs.films import encode, film
from tests.pacs.orthanc import Orthanc
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
        wait_until(lambda: db.execute("SELECT COUNT(*) FROM work").fetchone()[0] == 1)
        dropped = db.execute("SELECT films FROM dropped WHERE reason = 'view'").fetchone()[0]
        assert dropped == 1
        again = pull(peer, settings, node.intake, accession=f"PULL-{kind}")
        assert sum(again.values()) == 2
        assert db.execute("SELECT COUNT(*) FROM work").fetchone()[0] == 1
        with pytest.raises(PullError, match="no such study"):
            pull(peer, settings, node.intake, accession="NOBODY")


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


@pytest.mark.parametrize("query", [{}, {"study": "1.2", "accession": "1"}, {"study": "x*"}])
def test_a_pull_needs_one_key(
    pacs_settings: PacsSettings, models: Path, query: dict[str, str]
) -> None:
    with running_node(pacs_settings, models) as node, pytest.raises(PullError):
        pull(read_peer("source", "http://h/x"), pacs_settings, node.intake, **query)
