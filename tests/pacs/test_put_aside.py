"""Dead letters and failed films: tried again where somebody delivers them, or let go."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import Result
from flask.testing import FlaskCliRunner

from app import create_app
from app.pacs.housekeeping import disposable
from app.pacs.node import Node, open_queue
from app.pacs.peers import read_peers
from app.pacs.put_aside import (
    NO_LONGER_CONFIGURED,
    bury_unknown,
    discard,
    retry,
    unknown_letters,
)
from app.pacs.queue import Queue
from app.pacs.settings import PacsSettings
from app.settings import Settings
from tests.pacs.conftest import running_node
from tests.pacs.fakes import load_fake
from tests.pacs.films import encode, film
from tests.pacs.test_delivery import Archive, archive_peers
from tests.pacs.test_queue import admit, finished
from tests.server import free_port
from tests.waiting import wait_until


@pytest.fixture
def queue(tmp_path: Path) -> Queue:
    return Queue(tmp_path / "queue.sqlite")


def dead(queue: Queue, key: str, *names: str) -> int:
    """The number of a film that every destination refused."""
    number = finished(queue, key, "normal", list(names))
    for name in names:
        for letter in queue.due_deliveries(name, 10):
            queue.not_delivered(letter, "refused", None)
    return number


def failed(queue: Queue, key: str) -> int:
    admit(queue, key)
    work = queue.claim()
    assert work is not None
    queue.fail(work, "internal_error")
    queue.release(work)
    return work.id


def letters(queue: Queue) -> list[tuple[str, str]]:
    return [
        tuple(row) for row in queue.reading().execute("SELECT destination, state FROM delivery")
    ]


def films(queue: Queue) -> dict[str, str]:
    return dict(queue.reading().execute("SELECT key, state FROM work").fetchall())


def test_dead_letters_can_be_tried_again(queue: Queue) -> None:
    number = dead(queue, "a", "one", "two")
    names = ["one", "two"]
    assert retry(queue, names, destination="one") == 1
    assert [letter.attempts for letter in queue.due_deliveries("one", 10)] == [0]
    assert retry(queue, names, film=number + 1) == 0
    assert retry(queue, names, film=number) == 1


def test_a_failed_film_is_read_at_once_as_if_for_the_first_time(queue: Queue) -> None:
    admit(queue, "a")
    work = queue.claim()
    assert work is not None
    queue.postpone(work, 3000, "internal_error")
    queue.fail(work, "internal_error")
    queue.release(work)
    assert retry(queue, ["one"], destination="one") == 0  # that is for letters alone
    assert retry(queue, ["one"]) == 1
    again = queue.claim()
    assert again is not None
    assert again.attempts == 1


def test_what_was_put_aside_for_one_reason_is_tried_again_alone(queue: Queue) -> None:
    dead(queue, "a", "one")
    failed(queue, "b")
    assert retry(queue, ["one"], reason="another") == 0
    assert retry(queue, ["one"], reason="refused") == 1
    assert films(queue)["b"] == "failed"
    assert retry(queue, ["one"], reason="internal_error") == 1
    assert films(queue)["b"] == "queued"


def test_what_waits_for_a_destination_that_is_gone_is_put_aside(queue: Queue) -> None:
    finished(queue, "a", "normal", ["old", "new"])
    for name in ("old", "new"):
        queue.note_health(name, "it does not answer")
    finished(queue, "b", "normal", ["old"])
    (_, arrived) = queue.due_deliveries("old", 10)
    queue.delivered(arrived)
    bury_unknown(queue, ["new"])
    assert sorted(letters(queue)) == [("new", "waiting"), ("old", "dead"), ("old", "delivered")]
    assert queue.due_deliveries("old", 10) == []
    assert len(queue.due_deliveries("new", 10)) == 1
    # Nobody would ever say that it is better: the alert would stay for ever.
    health = queue.reading().execute("SELECT destination FROM health").fetchall()
    assert [row["destination"] for row in health] == ["new"]


def test_nothing_waits_for_a_destination_that_nobody_delivers_to(queue: Queue) -> None:
    dead(queue, "a", "old", "new")
    failed(queue, "b")
    assert retry(queue, ["new"]) == 2
    assert letters(queue) == [("new", "waiting"), ("old", "dead")]
    assert retry(queue, ["new"], destination="old") == 0
    assert unknown_letters(queue, ["new"]) == 1
    assert unknown_letters(queue, ["new", "old"]) == 0


def test_what_is_let_go_is_done_and_its_files_may_go(queue: Queue) -> None:
    dead(queue, "a", "old", "new")
    finished(queue, "b", "normal", ["new"])
    failed(queue, "c")
    assert discard(queue, destination="old") == 1
    assert films(queue) == {"a": "delivering", "b": "delivering", "c": "failed"}
    assert discard(queue) == 2
    assert films(queue) == {"a": "done", "b": "delivering", "c": "done"}
    assert letters(queue) == [("new", "waiting")]
    assert disposable(queue, 0, {"a", "b", "c"}) == ["a", "c"]
    assert queue.knows("a")
    assert not queue.knows("c")  # read if it comes again


def test_one_film_is_let_go_and_no_other(queue: Queue) -> None:
    first, second = dead(queue, "a", "one"), failed(queue, "b")
    dead(queue, "c", "one")
    failed(queue, "d")
    assert discard(queue, film=first) == 1
    assert discard(queue, film=second) == 1
    assert films(queue) == {"a": "done", "b": "done", "c": "delivering", "d": "failed"}


@pytest.mark.parametrize("retention", [0, 3600])
def test_a_film_that_was_not_read_can_be_read_again(
    pacs_settings: PacsSettings, models: Path, retention: int
) -> None:
    port = free_port()
    settings = replace(pacs_settings, destinations=archive_peers(port), retention_seconds=retention)
    archive, unknown = Archive(), encode(film(PatientAge=None, StudyDate=""))

    def is_(node: Node, state: str) -> bool:
        return list(films(node.queue).values()) == [state]

    with archive.running(port), running_node(settings, models) as node:
        for data in (unknown, encode(film())):
            node.intake.take(data)
        wait_until(lambda: set(films(node.queue).values()) == {"done"})
        assert retry(node.queue, ["archive0"]) == 0  # unless it is named
        assert retry(node.queue, ["archive0"], film=2) == 0  # it was read
        with node.queue.writing() as db:
            db.execute("DELETE FROM work WHERE id = 2")
        assert retry(node.queue, ["archive0"], film=1) == 1
        if retention == 0:  # its file is gone
            wait_until(lambda: is_(node, "failed"))
            assert node.intake.take(unknown).taken == "queued"
        wait_until(lambda: is_(node, "done"))
        assert len(archive.stored) == 1 + 3 + 1


@pytest.fixture
def commands(
    pacs_settings: PacsSettings, models: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[FlaskCliRunner]:
    """flask's commands, of a node whose only destination is called ``new``."""
    settings = replace(pacs_settings, destinations=read_peers("new=dicom://A@127.0.0.1:1"))
    monkeypatch.setattr(PacsSettings, "from_environment", classmethod(lambda _: settings))
    app = create_app(Settings(models=models), load=load_fake)
    with app.app_context():
        yield app.test_cli_runner()


def run(commands: FlaskCliRunner, *arguments: str) -> Result:
    return commands.invoke(args=list(arguments))


def test_the_commands_say_what_they_leave_alone(
    commands: FlaskCliRunner, pacs_settings: PacsSettings
) -> None:
    assert pacs_settings.spool is not None
    assert "names no folder" in run(commands, "pacs-retry").output
    pacs_settings.spool.mkdir()
    dead(open_queue(pacs_settings.spool), "a", "old", "new")
    unknown = run(commands, "pacs-retry", "--destination", "old")
    assert unknown.exit_code == 1
    assert "old is not among XRAY_PACS_DESTINATIONS" in unknown.output
    assert run(commands, "pacs-retry").stdout == (
        "1 will be tried again.\n"
        "1 dead letters are for destinations that are configured no longer; "
        "pacs-discard lets them go.\n"
    )
    for which in ((), ("--all", "--film", "1")):
        assert run(commands, "pacs-discard", *which).exit_code == 2
    assert run(commands, "pacs-discard", "--destination", "old").stdout.startswith("1 let go")
    assert run(commands, "pacs-discard", "--all").stdout.startswith("0 let go")
    assert run(commands, "pacs-retry").stdout == "0 will be tried again.\n"


def test_of_a_destination_that_is_gone_nothing_stays_on_the_disk(
    pacs_settings: PacsSettings, models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.pacs.node._HOUSEKEEPING_SECONDS", 0.1)
    with running_node(pacs_settings, models) as node:
        node.intake.take(encode(film()))
        wait_until(lambda: node.queue.due_deliveries("archive", 1))
        wait_until(lambda: node.queue.reading().execute("SELECT 1 FROM health").fetchone())
    moved = replace(pacs_settings, destinations=read_peers("new=dicom://A@127.0.0.1:1"))
    with running_node(moved, models) as node:
        assert letters(node.queue) == [("archive", "dead")]
        sample = ("xray_pacs_destination_up", {"destination": "archive"})
        assert node.metrics.registry.get_sample_value(*sample) is None
        assert retry(node.queue, moved.destination_names) == 0
        reason = node.queue.reading().execute("SELECT reason FROM delivery").fetchone()[0]
        assert reason == NO_LONGER_CONFIGURED
        assert node.spool.keys()
        assert discard(node.queue, destination="archive") == 1
        wait_until(lambda: not node.spool.keys())
