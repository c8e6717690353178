"""C-STORE to archives of every kind: that fall silent, take only a part, or have it already."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from pydicom.uid import (
    ComprehensiveSRStorage,
    GrayscaleSoftcopyPresentationStateStorage,
    SecondaryCaptureImageStorage,
)
from pynetdicom import AE, evt

from app.pacs.destinations import StoreSender
from app.pacs.peers import read_peers
from app.pacs.sender import NoAnswerError, RefusedError
from app.pacs.settings import PacsSettings
from tests.pacs.test_delivery import CLASSES
from tests.server import free_port

#: An archive's answer to an object of a class.
Answer = Callable[[evt.Event], int]


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
    pacs_settings: PacsSettings, result_paths: list[Path], silent: Answer
) -> None:
    with (
        archive(pacs_settings, silent) as sender,
        pytest.raises(NoAnswerError, match="report: no answer"),
    ):
        sender.send(result_paths)


def test_one_kind_that_is_not_accepted_keeps_no_other_away(
    pacs_settings: PacsSettings, result_paths: list[Path]
) -> None:
    taken: list[str] = []

    def store(event: evt.Event) -> int:
        taken.append(event.request.AffectedSOPClassUID)
        return 0x0000

    classes = (ComprehensiveSRStorage, SecondaryCaptureImageStorage)
    with archive(pacs_settings, store, classes) as sender:
        for _ in range(2):  # and the second time only the rest is sent
            with pytest.raises(RefusedError) as refused:
                sender.send(result_paths)
            assert taken == list(classes)
            assert refused.value.for_good
            assert "take `presentation` out of XRAY_PACS_RESULTS" in str(refused.value)


def test_what_may_yet_be_taken_is_tried_again_and_nothing_else(
    pacs_settings: PacsSettings, result_paths: list[Path]
) -> None:
    full, taken = [True], []

    def store(event: evt.Event) -> int:
        taken.append(event.request.AffectedSOPClassUID)
        return 0xA700 if full[0] and taken[-1] == SecondaryCaptureImageStorage else 0x0000

    with archive(pacs_settings, store) as sender:
        with pytest.raises(RefusedError) as refused:
            sender.send(result_paths)
        assert str(refused.value) == "capture: out of resources (0xA700)"
        assert not refused.value.for_good
        full[0] = False
        sender.send(result_paths)
        assert taken == [
            ComprehensiveSRStorage,
            SecondaryCaptureImageStorage,
            GrayscaleSoftcopyPresentationStateStorage,
            SecondaryCaptureImageStorage,
        ]
        sender.send(result_paths)  # as after a retry by a person: all of them
        assert len(taken) == 7


def test_an_archive_that_has_the_objects_already_has_them(
    pacs_settings: PacsSettings, result_paths: list[Path]
) -> None:
    with archive(pacs_settings, lambda _: 0x0111) as sender:
        sender.send(result_paths)
