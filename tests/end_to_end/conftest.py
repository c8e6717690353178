"""A small service, for the tests of what clients do to it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.server import Server, running_server


@pytest.fixture(scope="module")
def server(lean_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """With one reader, two places to wait and two seconds for everything."""
    log = tmp_path_factory.mktemp("log") / "gunicorn.log"
    with running_server(
        lean_bundle.parent,
        log,
        XRAY_ENGINE="lean",
        XRAY_READ_AT_ONCE="1",
        XRAY_MAX_WAITING="2",
        XRAY_REQUEST_SECONDS="2",
    ) as running:
        yield running
