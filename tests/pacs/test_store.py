"""C-STORE to archives of every kind: that fall silent, take only a part, or have it already."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from pynetdicom import AE, evt

from app.pacs.destinations import StoreSender
from app.pacs.peers import read_peers
from app.pacs.sender import NoAnswerError
from app.pacs.settings import PacsSettings
from app.pacs.spool import Spool
from tests.pacs.test_delivery import CLASSES
from tests.pacs.test_results import results
from tests.pacs.films import encode, film
from tests.server import free_port

#: An archive's answer to an object of a class.
Answer = Callable[[evt.Event], int]


@pytest.fixture
def paths(tmp_path: Path) -> list[Path]:
    """The results of a film, in the spool."""
    spool = Spool(tmp_path / "results", 0)
    spool.write_results("film", {kind: encode(made) for kind, made in results(film()).items()})
    return spool.results("film")


@contextmanager
def archive(
    settings: PacsSettings, answer: Answer, classes: tuple[str, ...] = CLASSES
) -> Iterator[StoreSender]:
    """A storage provider that answers so, and the way to it."""
    port = free_port()
    entity = AE("ARCHIVE")
    for sop_class in classes:
        entity.add_supported_context(sop_class)
    server = entity.start_server(
        ("127.0.0.1", port), block=False, evt_handlers=[(evt.EVT_C_STORE, answer)]
    )
    (peer,) = read_peers(f"archive=dicom://ARCHIVE@127.0.0.1:{port}")
    sender = StoreSender(peer, replace(settings, dimse_timeout=1))
    try:
        yield sender
    finally:
        sender.close()
        server.shutdown()


def hang(_: evt.Event) -> int:
    time.sleep(2)
    return 0x0000


def abort(event: evt.Event) -> int:
    event.assoc.abort()
    return 0x0000


@pytest.mark.parametrize("silent", [hang, abort])
def test_an_archive_that_takes_the_association_and_falls_silent_refuses_nothing(
    pacs_settings: PacsSettings, paths: list[Path], silent: Answer
) -> None:
    with (
        archive(pacs_settings, silent) as sender,
        pytest.raises(NoAnswerError, match="no answer"),
    ):
        sender.send(paths)
