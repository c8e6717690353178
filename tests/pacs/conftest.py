"""A node over fake models, in this process or in one of its own."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import psutil
import pytest

from app.pacs.node import Node
from app.pacs.peers import Callers, read_callers, read_peers
from app.pacs.reader import Reader, Task, read_film
from app.pacs.settings import RESULTS, PacsSettings
from app.pacs.spool import Spool
from tests.pacs.fakes import ReaderHere, fake_source, write_models
from tests.pacs.films import encode, film
from tests.pacs.orthanc import Orthanc, running_orthanc
from tests.server import ROOT, end_process, free_port

CALLERS: Callers = read_callers("CR1=127.0.0.1,ORTHANC=127.0.0.1")


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_models(tmp_path_factory.mktemp("fake-models"))


@pytest.fixture
def pacs_settings(tmp_path: Path) -> PacsSettings:
    """Settings of a node on a free port, whose one destination does not exist."""
    return PacsSettings(
        spool=tmp_path / "spool",
        port=free_port(),
        callers=CALLERS,
        min_free_bytes=0,
        metrics_port=0,
        retry_seconds=0.2,
        readers=1,
        destinations=read_peers(f"archive=dicom://ORTHANC@127.0.0.1:{free_port()}"),
    )


@pytest.fixture
def result_paths(tmp_path: Path) -> list[Path]:
    """The results of a film, in a spool."""
    spool = Spool(tmp_path / "results", 0)
    spool.accept(spool.stage(encode(film())), "film")
    task = Task(spool.received("film"), "for-adults", 1.0e9, RESULTS)
    spool.write_results("film", read_film(fake_source()(), task).objects)
    return spool.results("film")


@contextmanager
def running_node(
    settings: PacsSettings, models: Path, readers: Sequence[Reader] = ()
) -> Iterator[Node]:
    """A node in this process, and unless others are given its readers too."""
    predictor = fake_source()()
    here = [ReaderHere(predictor) for _ in range(settings.readers)]
    node = Node(settings, models, readers or here)
    node.start()
    try:
        yield node
    finally:
        node.stop()


def works(node: Node) -> int:
    """How many films the node's queue has ever taken."""
    return int(node.queue.reading().execute("SELECT COUNT(*) FROM work").fetchone()[0])


@pytest.fixture(scope="session")
def orthanc_node_port() -> int:
    """The port at which the shared Orthanc knows the node."""
    return free_port()


@pytest.fixture(scope="session")
def orthanc(tmp_path_factory: pytest.TempPathFactory, orthanc_node_port: int) -> Iterator[Orthanc]:
    """One Orthanc for all tests: each looks for its own studies."""
    folder = tmp_path_factory.mktemp("orthanc")
    with running_orthanc(folder, node_port=orthanc_node_port) as running:
        yield running


@pytest.fixture
def to_orthanc(pacs_settings: PacsSettings, orthanc: Orthanc) -> PacsSettings:
    """Settings of a node that delivers to the shared Orthanc both ways."""
    return replace(
        pacs_settings,
        destinations=read_peers(
            f"archive=dicom://ORTHANC@127.0.0.1:{orthanc.dicom},web={orthanc.web}"
        ),
    )


@dataclass
class NodeProcess:
    """A node in a process of its own, which may be killed and started again."""

    environment: dict[str, str]
    log: Path
    port: int
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with self.log.open("ab") as sink:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "tests.pacs.node_process"],
                cwd=ROOT,
                env={**os.environ, **self.environment},
                stdout=sink,
                stderr=subprocess.STDOUT,
            )

    def kill(self) -> None:
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def kill_readers(self) -> None:
        """Kill what reads for it, as a decoder that crashes or a lack of memory would."""
        assert self.process is not None
        for child in psutil.Process(self.process.pid).children():
            # A reader may end by itself meanwhile.
            with contextlib.suppress(psutil.NoSuchProcess):
                # The other child of a process that has any is multiprocessing's own tracker.
                if any("spawn_main" in word for word in child.cmdline()):
                    child.kill()

    def stop(self) -> None:
        if self.process is not None and self.process.poll() is None:
            end_process(self.process)
