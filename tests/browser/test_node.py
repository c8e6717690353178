"""The DICOM node's page on a phone and a desktop: nothing to press is out of sight."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from app.pacs.node import open_queue
from tests.browser.conftest import ADULTS
from tests.browser.test_accessibility import assert_accessible
from tests.conftest import write_tiny_bundle
from tests.server import Server, running_server

pytestmark = [pytest.mark.browser, pytest.mark.slow]


@pytest.fixture(scope="module")
def node_page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server whose node could deliver none of 60 films, and not read 3 more."""
    folder = tmp_path_factory.mktemp("node-page")
    write_tiny_bundle(folder / "models" / ADULTS)
    (folder / "spool").mkdir()
    queue, now = open_queue(folder / "spool"), time.time()
    with queue.writing() as db:
        for number in range(63):
            db.execute(
                "INSERT INTO work (key, state, due, received, finished, decision, probability, "
                "model) VALUES (?, ?, ?, ?, ?, 'normal', 0.05, ?)",
                (str(number), "delivering" if number < 60 else "failed", now, now, now, ADULTS),
            )
        db.execute("UPDATE work SET code = 'film_lost' WHERE state = 'failed'")
        db.execute(
            "INSERT INTO delivery (work, destination, state, due, reason) SELECT id, 'archive', "
            "'dead', due, 'presentation: not accepted' FROM work WHERE state = 'delivering'"
        )
    queue.close()
    with running_server(
        folder / "models",
        folder / "log",
        XRAY_PACS_SPOOL=str(folder / "spool"),
        XRAY_PACS_DESTINATIONS="archive=dicom://A@127.0.0.1:9",
    ) as running:
        yield running


@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize("scheme", ["dark", "light"])
def test_every_button_is_in_view(
    open_page: Callable[..., Any], node_page: Server, scheme: str, width: int
) -> None:
    page = open_page(node_page, color_scheme=scheme, viewport={"width": width, "height": 900})
    page.goto(f"{node_page.address}/pacs")
    for details in page.locator("details").all():
        details.locator("summary").click()
    assert_accessible(page, "node")
    buttons = page.locator("main form button")
    assert buttons.count() == 2 + 3 + 50 + 1
    for button in buttons.all():
        box = button.bounding_box()
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= width
    assert "50 of 60 shown" in page.locator("main").inner_text()
    assert "0 of 0 with signs of infection and 50 of 60 others" in page.locator("main").inner_text()
