"""The page where keys are asked for: in, a film read, out, and a session that ends meanwhile."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from app.access.keys import KeyFile
from app.presentation import DECISION_WORDS
from tests.browser.conftest import choose, exported, forgive_refusals, jpeg, row_of
from tests.server import Server, running_server

pytestmark = [pytest.mark.browser, pytest.mark.slow]


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> KeyFile:
    return KeyFile(tmp_path_factory.mktemp("keys") / "keys")


@pytest.fixture(scope="module")
def locked(
    lean_bundle: Path, keys: KeyFile, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    keys.create("administrator")
    log = tmp_path_factory.mktemp("log") / "log"
    settings = {"XRAY_API_KEYS_FILE": str(keys.path), "XRAY_ENGINE": "lean"}
    with running_server(lean_bundle.parent, log, **settings) as server:
        yield server


def sign_in(page: Any, key: str) -> None:
    page.get_by_label("API key").fill(key)
    page.get_by_role("button", name="Sign in").click()


def test_a_person_signs_in_reads_a_film_and_signs_out(
    locked: Server, keys: KeyFile, open_page: Callable[..., Any], complaints: list[str]
) -> None:
    page = open_page(locked)
    assert page.url.startswith(f"{locked.address}/sign-in")
    sign_in(page, "xray_wrong")
    page.get_by_role("alert").get_by_text("not known here").wait_for()
    forgive_refusals(complaints)

    sign_in(page, keys.create("reader"))
    choose(page, jpeg(), patient=None)
    page.wait_for_selector("#decision")
    assert page.locator("#decision").inner_text() in DECISION_WORDS.values()
    page.goto(f"{locked.address}/models")
    assert page.get_by_role("heading", level=1).inner_text() == "Models"

    page.get_by_role("button", name="Sign out").click()
    page.get_by_label("API key").wait_for()
    page.goto(locked.address)
    assert page.url.startswith(f"{locked.address}/sign-in")


def test_the_plain_form_reads_a_film_for_whoever_signed_in(
    locked: Server, keys: KeyFile, open_page: Callable[..., Any]
) -> None:
    page = open_page(locked, java_script_enabled=False)
    sign_in(page, keys.create("plain"))
    choose(page, jpeg())
    page.get_by_role("button", name="Read the radiograph").click()
    page.locator("#decision").wait_for()


def test_a_revoked_key_ends_the_session_and_the_page_says_so(
    locked: Server, keys: KeyFile, open_page: Callable[..., Any]
) -> None:
    page = open_page(locked)
    sign_in(page, keys.create("leaver"))
    choose(page, jpeg("first.jpg"), patient=None)
    page.wait_for_selector("#decision")

    keys.revoke("leaver")
    choose(page, jpeg("second.jpg", seed=1), patient=None)
    row = row_of(page, "Signed out")
    row.click()
    page.get_by_role("heading", name="You are no longer signed in").wait_for()
    row_of(page, "first.jpg").click()
    page.wait_for_selector("#decision")  # what was read before is still there
    assert {line["file"]: line["words"] for line in exported(page)}["second.jpg"] == "Signed out"

    row.click()
    page.locator("[data-result]").get_by_role("link", name="Sign in").click()
    page.get_by_label("API key").wait_for()
