"""A short version of the kill test; ``make kill-test`` runs the whole one."""

from __future__ import annotations

import random
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from app.pacs.settings import PacsSettings
from app.pacs.statuses import StoreStatus
from tests.pacs.conftest import running_node
from tests.pacs.films import film
from tests.pacs.kills import play
from tests.pacs.test_scp import store
from tests.waiting import wait_until

pytestmark = pytest.mark.slow


def test_no_film_is_lost_or_doubled_when_the_node_is_killed(tmp_path: Path) -> None:
    assert play(tmp_path, films=10, kills=2, chance=random.Random(7)) == []


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of two megabytes."""
    folder = tmp_path / "disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(folder)]
    if shutil.which("mount") is None or subprocess.run(command, capture_output=True).returncode:
        pytest.skip("needs the right to mount a small tmpfs")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def test_a_disk_that_is_full_loses_nothing(
    small_disk: Path, pacs_settings: PacsSettings, models: Path
) -> None:
    settings = replace(pacs_settings, spool=small_disk / "spool")
    with running_node(settings, models) as node:
        answers = [store(settings.port, film()) for _ in range(24)]
        acknowledged = answers.count(StoreStatus.SUCCESS)
        assert answers.count(StoreStatus.OUT_OF_RESOURCES) == 24 - acknowledged > 0
        db = node.queue.reading()
        assert db.execute("SELECT COUNT(*) FROM work").fetchone()[0] == acknowledged
        kept = {row["key"] for row in db.execute("SELECT key FROM work")}
        assert {path.name for path in (node.spool.root / "received").iterdir()} == kept
        # Room again: what was acknowledged is still there and can be read.
        subprocess.run(["mount", "-o", "remount,size=200m", str(small_disk)], check=True)
        db.execute("UPDATE work SET due = 0 WHERE state = 'queued'")
        wait_until(
            lambda: (
                db.execute("SELECT COUNT(*) FROM work WHERE state = 'delivering'").fetchone()[0]
                == acknowledged
            )
        )
