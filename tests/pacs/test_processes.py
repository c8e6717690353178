"""Readers in processes of their own, for real: a second to start, a crash to survive."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from app.errors import NotReadyError, UnknownModelError
from app.pacs.processes import ReaderLostError, ReaderProcess, ReadingFailedError, Source
from app.pacs.reader import FilmLostError, Task
from app.pacs.results import Refusal
from app.pacs.settings import PacsSettings
from app.predictor import Predictor
from cxr.radiograph import Limits
from tests.pacs.conftest import running_node
from tests.pacs.fakes import ADULTS, FakeBundle, FakePrediction, ReaderHere, fake_source
from tests.pacs.films import film
from tests.pacs.test_scp import store
from tests.server import ROOT
from tests.waiting import wait_until

_RECEIVED = 1_750_000_000.0


class Deadly(FakeBundle):
    """A film takes the process down, as a decoder that runs wild or the system's killer does."""

    def predict(self, images: NDArray[np.float32]) -> FakePrediction:
        os.kill(os.getpid(), signal.SIGKILL)
        raise AssertionError("unreachable")


class Broken(FakeBundle):
    """It quotes the film in its error."""

    def predict(self, images: NDArray[np.float32]) -> FakePrediction:
        raise ValueError("Zwölfender")


class Endless(FakeBundle):
    """A film keeps the process busy for ever, as a decoder in a loop does."""

    def predict(self, images: NDArray[np.float32]) -> FakePrediction:
        time.sleep(3600)
        raise AssertionError("unreachable")


def endless_for_children() -> Source:
    bundles: Any = {
        "for-adults": FakeBundle("for-adults", ADULTS),
        "for-children": Endless("for-children", ADULTS),
    }
    predictor = Predictor(bundles, Limits())
    return lambda: predictor


def endless_load() -> Source:
    time.sleep(3600)
    raise AssertionError("unreachable")


def broken_source() -> Source:
    predictor = Predictor({"for-adults": Broken("for-adults", ADULTS)}, Limits())  # type: ignore[dict-item]
    return lambda: predictor


def deadly_for_children() -> Source:
    bundles: Any = {
        "for-adults": FakeBundle("for-adults", ADULTS),
        "for-children": Deadly("for-children", ADULTS),
    }
    predictor = Predictor(bundles, Limits())
    return lambda: predictor


def _raise_not_ready() -> Predictor:
    raise NotReadyError("No model could be loaded.")


def no_source() -> Source:
    return _raise_not_ready


@contextmanager
def reader(load: Callable[[], Source], **seconds: float) -> Iterator[ReaderProcess]:
    process = ReaderProcess(load, **seconds)
    try:
        yield process
    finally:
        process.close()


def task(folder: Path, dataset: Dataset | None = None, plan: str | Refusal = "for-adults") -> Task:
    buffer = BytesIO()
    (dataset or film()).save_as(buffer, enforce_file_format=True)
    path = folder / "film"
    path.write_bytes(buffer.getvalue())
    return Task(path, plan, _RECEIVED, ("report", "capture", "presentation"))


def test_it_reads_as_a_reader_in_this_process_does(tmp_path: Path) -> None:
    wanted = task(tmp_path)
    refused = replace(wanted, plan=Refusal("age_unknown", "The film says no age."))
    here = ReaderHere(fake_source()())
    with reader(fake_source) as process:
        process.prepare()
        assert process.read(wanted) == here.read(wanted)
        assert process.read(refused) == here.read(refused)
        assert list(process.read(refused).objects) == ["report"]
        with pytest.raises(UnknownModelError):
            process.read(replace(wanted, plan="no-such-model"))
        with pytest.raises(FilmLostError):
            process.read(replace(wanted, file=tmp_path / "gone"))


def test_a_film_that_kills_its_reader_is_the_only_one_lost(tmp_path: Path) -> None:
    with reader(deadly_for_children) as process:
        process.prepare()
        with pytest.raises(ReaderLostError):
            process.read(task(tmp_path, plan="for-children"))
        process.prepare()
        assert process.read(task(tmp_path)).outcome.decision is not None


def test_a_film_that_does_not_end_is_given_up_and_the_reader_goes_on(tmp_path: Path) -> None:
    with reader(endless_for_children, read_seconds=3.0) as process:
        process.prepare()
        (hung,) = process._pool._processes  # type: ignore[misc]
        with pytest.raises(ReaderLostError):
            process.read(task(tmp_path, plan="for-children"))
        wait_until(lambda: not _runs(hung), seconds=20)
        process.prepare()
        process._read_seconds = 120.0  # the first film waits for highdicom's import
        assert process.read(task(tmp_path)).outcome.decision is not None


def test_models_that_do_not_load_in_time_are_tried_again() -> None:
    with reader(endless_load, load_seconds=1.0) as process:
        for _ in range(2):
            with pytest.raises(NotReadyError, match="in time"):
                process.prepare()


def test_a_node_stops_in_time_whatever_hangs(
    pacs_settings: PacsSettings, models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.pacs.node._STOP_SECONDS", 3.0)
    readers = [ReaderProcess(endless_for_children) for _ in range(3)]
    with running_node(pacs_settings, models, readers) as node:
        for _ in readers:
            assert store(pacs_settings.port, film(PatientAge="003Y")) == 0
        attempts = "SELECT COUNT(*) FROM work WHERE attempts = 1"
        wait_until(lambda: node.queue.reading().execute(attempts).fetchone()[0] == 3)
        began = time.monotonic()
    assert 2.0 < time.monotonic() - began < 8.0


def test_an_error_comes_with_its_place_and_without_its_words(tmp_path: Path) -> None:
    with reader(broken_source) as process, pytest.raises(ReadingFailedError) as caught:
        process.read(task(tmp_path))
    name, frames = caught.value.args
    assert name == "ValueError"
    assert any("test_processes.py" in frame and "predict" in frame for frame in frames)
    assert "Zwölfender" not in "".join(traceback.format_exception(caught.value))


def test_without_a_model_it_is_not_ready() -> None:
    with reader(no_source) as process:
        for _ in range(2):
            with pytest.raises(NotReadyError, match="No model could be loaded"):
                process.prepare()


def test_the_node_outlives_a_film_that_kills_its_reader(
    pacs_settings: PacsSettings, models: Path
) -> None:
    with running_node(pacs_settings, models, [ReaderProcess(deadly_for_children)]) as node:
        assert store(pacs_settings.port, film(PatientAge="003Y")) == 0
        assert store(pacs_settings.port, film()) == 0
        db = node.queue.reading()
        wait_until(
            lambda: db.execute("SELECT COUNT(*) FROM work WHERE state != 'queued'").fetchone()[0]
        )
        rows = db.execute("SELECT bundle, state, code FROM work ORDER BY id").fetchall()
        assert [tuple(row) for row in rows] == [
            ("for-children", "queued", "internal_error"),
            ("for-adults", "delivering", None),
        ]


def test_a_reader_ends_with_its_node() -> None:
    program = (
        "import os, sys, time\n"
        "from app.pacs.processes import ReaderProcess\n"
        "from tests.pacs.fakes import fake_source\n"
        "if __name__ == '__main__':\n"
        "    reader = ReaderProcess(fake_source)\n"
        "    reader.prepare()\n"
        "    print(*reader._pool._processes, flush=True)\n"
        "    time.sleep(60)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program], cwd=ROOT, stdout=subprocess.PIPE, text=True
    ) as node:
        assert node.stdout is not None
        child = int(node.stdout.readline())
        assert _runs(child)
        node.kill()
        wait_until(lambda: not _runs(child), seconds=20)


def _runs(process: int) -> bool:
    try:
        return psutil.Process(process).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
