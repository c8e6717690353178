"""The queue is lost or damaged: no film that was acknowledged goes with it."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.pacs.node import Node, open_queue
from app.pacs.put_aside import discard
from app.pacs.settings import PacsSettings
from app.settings import SettingsError
from tests.pacs.conftest import running_node
from tests.pacs.films import encode, film
from tests.pacs.test_put_aside import failed
from tests.waiting import wait_until


def lose_queue(spool: Path | None) -> None:
    assert spool is not None
    for path in spool.glob("queue.sqlite*"):
        path.unlink()


def test_films_whose_queue_was_lost_are_queued_again(
    pacs_settings: PacsSettings, models: Path, said: list
) -> None:
    with running_node(pacs_settings, models) as node:
        for _ in range(2):
            node.intake.take(encode(film()))
        db = node.queue.reading()
        wait_until(lambda: len(node.queue.due_deliveries("archive", 3)) == 2)
        before = dict(db.execute("SELECT key, received FROM work").fetchall())
    lose_queue(pacs_settings.spool)
    node.spool.write_results("nobodys", {"report": b"of a film that is gone"})
    node.spool.accept(node.spool.stage(b"no film"), "unreadable")
    with running_node(pacs_settings, models) as node:
        rows = node.queue.reading().execute("SELECT key, received FROM work").fetchall()
        assert dict(rows) == before  # their results get the same dates
        assert node.spool.films() == {*before, "unreadable"}
        assert "nobodys" not in node.spool.keys_of_results()
        wait_until(lambda: len(node.queue.due_deliveries("archive", 3)) == 2)
    (line,) = (line for line in said if "did not know" in line["event"])
    assert (line["films"], line["left"]) == (2, 1)


def test_with_other_models_they_are_other_work(pacs_settings: PacsSettings, models: Path) -> None:
    node = Node(pacs_settings, models, [])
    node.intake.take(encode(film()))
    (key,) = node.spool.films()
    node.stop()
    lose_queue(pacs_settings.spool)
    for _ in range(2):  # the second time a copy lies there, of a film that is known
        node.spool.accept(node.spool.stage(node.spool.received(key).read_bytes()), "old")
        with running_node(pacs_settings, models) as node:
            assert node.spool.films() == {key}


def test_what_was_let_go_does_not_come_back(pacs_settings: PacsSettings, models: Path) -> None:
    node = Node(pacs_settings, models, [])
    node.spool.accept(node.spool.stage(encode(film())), "a")
    failed(node.queue, "a")
    assert discard(node.queue) == 1
    node.stop()
    with running_node(pacs_settings, models) as node:
        rows = node.queue.reading().execute("SELECT state, code FROM work").fetchall()
        assert [tuple(row) for row in rows] == [("done", "let_go")]
        assert node.spool.keys() == set()


def test_a_queue_whose_pages_are_damaged_ends_the_start_with_a_sentence(
    pacs_settings: PacsSettings, models: Path
) -> None:
    assert pacs_settings.spool is not None
    pacs_settings.spool.mkdir()
    queue = open_queue(pacs_settings.spool)
    for number in range(200):
        queue.admit(str(number), None, lambda: None)
    queue.reading().execute("PRAGMA wal_checkpoint(TRUNCATE)")
    queue.close()
    path = pacs_settings.spool / "queue.sqlite"
    data = path.read_bytes()
    path.write_bytes(data[:4096] + b"\xff" * (len(data) - 4096))
    with (
        pytest.raises(SettingsError, match="XRAY_PACS_SPOOL=.*malformed"),
        running_node(pacs_settings, models),
    ):
        pass
