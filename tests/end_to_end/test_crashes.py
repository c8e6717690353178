"""What a crash would leave on the disk."""

from __future__ import annotations

import resource
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.light_app import NAME
from tests.server import running_server

pytestmark = pytest.mark.slow


@pytest.fixture
def cores_allowed() -> Iterator[None]:
    """As after ``ulimit -c unlimited``."""
    before = resource.getrlimit(resource.RLIMIT_CORE)
    if before[1] == 0:
        pytest.skip("nothing may leave a core here")
    resource.setrlimit(resource.RLIMIT_CORE, (before[1], before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_CORE, before)


def test_no_worker_leaves_a_core(cores_allowed: None, tmp_path: Path) -> None:
    (tmp_path / "models" / NAME).mkdir(parents=True)
    (tmp_path / "models" / NAME / "bundle.json").write_text("{}")
    application = "tests.light_app:create()"
    with running_server(
        tmp_path / "models", tmp_path / "log", application=application, XRAY_ENGINE="lean"
    ) as server:
        for worker in server.workers():
            assert psutil.Process(worker).rlimit(psutil.RLIMIT_CORE)[0] == 0


def test_nor_does_the_node(monkeypatch: pytest.MonkeyPatch) -> None:
    from app.pacs.commands import pacs_node

    def called() -> None:
        raise InterruptedError

    monkeypatch.setattr("app.crashes.leave_no_core", called)
    assert pacs_node.callback is not None
    with pytest.raises(InterruptedError):
        pacs_node.callback()
