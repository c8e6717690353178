"""A worker alone: why it does not read is in the log, once."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from app.errors import NotReadyError
from app.pacs.metrics import NodeMetrics
from app.pacs.queue import Queue
from app.pacs.reader import Results, Task
from app.pacs.spool import Spool
from app.pacs.worker import Worker


@dataclass
class Unready:
    """A reader that is not ready for the reasons it is given; "": it is. Then it stops."""

    reasons: list[str]
    stop: threading.Event = field(default_factory=threading.Event)

    def prepare(self) -> None:
        if not self.reasons:
            self.stop.set()
        elif reason := self.reasons.pop(0):
            raise NotReadyError(reason)

    def read(self, task: Task) -> Results:
        raise AssertionError("there is no film")

    def close(self) -> None: ...


def test_why_no_film_is_read_is_said_once_for_each_reason(
    tmp_path: Path, said: list, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.pacs.worker._IDLE_SECONDS", 0.0)
    spool = Spool(tmp_path / "spool", 0)
    queue = Queue(spool.root / "queue.sqlite")
    reader = Unready(["loading", "loading", "none", "none", "loading", "", "loading"])
    worker = Worker(
        queue,
        spool,
        NodeMetrics(queue, spool),
        reader,
        destinations=[],
        kinds=(),
        arrived=threading.Event(),
        finished=lambda: None,
    )
    worker.run(reader.stop)
    reasons = [line["reason"] for line in said if line["event"] == "reader not ready"]
    assert reasons == ["loading", "none", "loading", "loading"]
