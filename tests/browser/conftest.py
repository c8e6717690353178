"""A real server over two small bundles, a real Chromium, and pages that must not complain."""

from __future__ import annotations

import csv
import io
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.conftest import write_tiny_bundle
from tests.phantoms import chest_phantom, encode_dicom, encode_jpeg
from tests.server import Server, running_server

CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium") or "/usr/bin/chromium"
CHILDREN = "pediatric-pneumonia"
ADULTS = "covid19-radiography"


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("browser-models")
    write_tiny_bundle(
        folder / CHILDREN, population={"label": "Children", "min_age_years": 1, "max_age_years": 5}
    )
    write_tiny_bundle(folder / ADULTS, population={"label": "Adults", "min_age_years": 18})
    log = tmp_path_factory.mktemp("log") / "log"
    # The films here are drawn: a gate would rightly refuse them.
    with running_server(folder, log, XRAY_GATE="off") as running:
        yield running


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    api = pytest.importorskip("playwright.sync_api", reason="needs the package playwright")
    if not Path(CHROMIUM).exists():
        pytest.skip("needs Chromium (set CHROMIUM)")
    with api.sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield chromium
        chromium.close()


@pytest.fixture
def complaints() -> list[str]:
    """What the browser reported; a test that ends with any has failed."""
    return []


@pytest.fixture
def open_page(
    browser: Any, request: pytest.FixtureRequest, complaints: list[str]
) -> Iterator[Callable[..., Any]]:
    """Open the first page, of this server or else the common one, in a new context."""
    contexts = []

    def open_with(at: Server | None = None, **options: Any) -> Any:
        options = {"viewport": {"width": 1280, "height": 900}, **options}
        context = browser.new_context(**options)
        contexts.append(context)
        page = context.new_page()
        page.on(
            "console",
            lambda message: complaints.append(message.text) if message.type == "error" else None,
        )
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.goto((at or request.getfixturevalue("server")).address)
        return page

    yield open_with
    for context in contexts:
        context.close()
    assert complaints == []


@pytest.fixture
def page(open_page: Callable[..., Any]) -> Any:
    """The first page, on a desktop, with JavaScript."""
    return open_page()


def jpeg(name: str = "film.jpg", size: int = 400, seed: int = 0) -> dict[str, Any]:
    """A drawn film as the browser's file chooser gives it."""
    film = encode_jpeg(chest_phantom(size, seed))
    return {"name": name, "mimeType": "image/jpeg", "buffer": film}


def dicom(name: str = "film.dcm", **fields: Any) -> dict[str, Any]:
    """A drawn film of 12 bits with these fields in its header."""
    pixels = chest_phantom(300).astype(np.uint16) * 16
    data = encode_dicom(pixels, bits_stored=12, fields=fields)
    return {"name": name, "mimeType": "application/dicom", "buffer": data}


LETTER = {"name": "letter.pdf", "mimeType": "application/pdf", "buffer": b"%PDF-1.7\n"}


def choose(page: Any, *files: dict[str, Any], patient: str | None = "Child") -> None:
    """Choose files as a person does, after the patient's group."""
    if patient:
        page.get_by_label(patient).check()
    page.locator("#file").set_input_files(list(files))


def rows(page: Any) -> Any:
    return page.locator("[role=option]")


def row_of(page: Any, words: str) -> Any:
    """The row of the list that holds these words, such as a film's name."""
    return page.locator("[role=option]", has_text=words)


def until_read(page: Any, count: int) -> None:
    """Wait until so many films of the list have a reading."""
    page.locator("[role=option][class*=decision]").nth(count - 1).wait_for()


def shown(page: Any, size: str) -> None:
    """Wait until a film of this size is shown."""
    page.locator("[data-scale]", has_text=size).wait_for()


def exported(page: Any) -> list[dict[str, str]]:
    """The list as a spreadsheet gets it."""
    with page.expect_download() as download:
        page.get_by_role("button", name="CSV").click()
    return list(csv.DictReader(io.StringIO(download.value.path().read_text("utf-8-sig"))))


class Held:
    """Requests to one address of the page, which wait until they are let go."""

    def __init__(self, page: Any, address: str = "**/station/reading") -> None:
        self.page = page
        self.held = True
        self.waiting: list[Any] = []
        page.route(address, self._arrived)

    def _arrived(self, route: Any) -> None:
        if self.held:
            self.waiting.append(route)
        else:
            route.continue_()

    def until(self, count: int) -> None:
        """Return once so many requests wait."""
        for _ in range(200):
            if len(self.waiting) >= count:
                return
            self.page.wait_for_timeout(50)
        raise AssertionError(f"only {len(self.waiting)} of {count} requests came")

    def let_go(self) -> None:
        self.held = False
        for route in self.waiting:
            route.continue_()


def forgive_refusals(complaints: list[str]) -> None:
    """Chromium reports the status of a refusal; that is all it may report."""
    assert all("responded with a status of 4" in complaint for complaint in complaints)
    complaints.clear()
