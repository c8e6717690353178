"""Which film is known already, and which is another piece of work."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

from app.pacs.intake import Intake, Taken, look_at_models
from app.pacs.queue import Queue
from app.pacs.settings import PacsSettings
from app.pacs.spool import Spool
from tests.pacs.fakes import write_models
from tests.pacs.films import encode, film


def retrain(models: Path, bundle: str) -> None:
    path = models / bundle / "bundle.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "sha256": "other"}))


def test_a_film_is_other_work_for_other_weights_and_only_for_those_that_read_it(
    pacs_settings: PacsSettings, tmp_path: Path
) -> None:
    models = write_models(tmp_path / "models")
    spool = Spool(tmp_path / "spool", 0)
    queue = Queue(spool.root / "queue.sqlite")
    adults, ageless = (encode(film(**age)) for age in ({}, {"PatientAge": None, "StudyDate": ""}))

    def take(data: bytes, settings: PacsSettings = pacs_settings) -> Taken:
        return Intake(spool, queue, settings, look_at_models(models, settings)).take(data).taken

    assert take(adults) == take(ageless) == Taken.QUEUED
    retrain(models, "for-children")
    assert take(adults) == take(ageless) == Taken.DUPLICATE
    retrain(models, "for-adults")
    assert take(adults) == Taken.QUEUED
    # Now there is one that reads it.
    assert take(ageless, replace(pacs_settings, ageless_bundle="for-adults")) == Taken.QUEUED
