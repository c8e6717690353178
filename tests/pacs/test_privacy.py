"""No name, id or date leaves the objects: not in logs, metrics, the queue or on the page."""

from __future__ import annotations

import urllib.request
from dataclasses import replace
from pathlib import Path

import pytest
from flask import Flask

from app import create_app, logs
from app.pacs.peers import read_peers
from app.pacs.processes import ReaderProcess, Source
from app.pacs.settings import PacsSettings
from app.settings import Settings
from tests.pacs.conftest import running_node
from tests.pacs.fakes import fake_source, load_fake
from tests.pacs.films import SECRETS, film
from tests.pacs.test_delivery import Archive
from tests.pacs.test_scp import store
from tests.server import free_port
from tests.waiting import wait_until


def talkative_source() -> Source:
    """In a process of its own, which logs all that there is to log."""
    logs.configure("DEBUG")
    return fake_source()


@pytest.mark.filterwarnings("error")
def test_films_full_of_names_leave_none_behind(
    pacs_settings: PacsSettings,
    models: Path,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    logs.configure("DEBUG")
    port = free_port()
    settings = replace(
        pacs_settings,
        metrics_port=free_port(),
        destinations=read_peers(f"archive=dicom://ARCHIVE@127.0.0.1:{port}"),
        max_attempts=1,
    )
    films = [
        film(),
        film(PatientName="Zwölfender", ReferringPhysicianName="Wintersmith"),  # unlikely names
        film(PatientAge="", PatientBirthDate=""),
        film(BodyPartExamined="FOOT"),
        film(StudyDate="2026-01-02"),
    ]
    cut = film()
    cut.PixelData = cut.PixelData[:100]
    archive = Archive(status=0xC000)
    readers = [ReaderProcess(talkative_source)]
    with running_node(settings, models, readers) as node, archive.running(port):
        statuses = [
            store(settings.port, dataset) for dataset in [*films, cut, film(StudyInstanceUID="")]
        ]
        assert statuses[:-1] == [0] * 6
        db = node.queue.reading()
        wait_until(
            lambda: (
                db.execute("SELECT COUNT(*) FROM delivery WHERE state='dead'").fetchone()[0] == 5
            )
        )
        address = f"http://127.0.0.1:{settings.metrics_port}/metrics"
        with urllib.request.urlopen(address, timeout=20) as answer:
            metrics = answer.read().decode()
        rows = "\n".join(db.iterdump())
        app: Flask = create_app(Settings(models=models), load=load_fake)
        app.extensions["pacs_settings"] = settings
        names = [path.name for path in node.spool.root.rglob("*")]
    out, err = capfd.readouterr()
    assert '"film read"' in err
    assert "xray_pacs_readings_total" in metrics
    uids = {
        str(dataset[tag].value)
        for dataset in films
        for tag in ("SOPInstanceUID", "StudyInstanceUID")
    }
    for secret in (*SECRETS, *uids):
        for text in (out, err, metrics, rows, *names):
            assert secret not in text
