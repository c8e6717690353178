"""Alive, ready, and why not."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient

from app.registry import make_registry
from app.settings import Settings
from tests.app.conftest import ADULTS, CHILDREN, loaded
from tests.app.problems import assert_problem


def test_alive(client: FlaskClient) -> None:
    assert client.get("/healthz").get_json() == {"status": "alive"}


def test_ready_names_the_bundles(client: FlaskClient, app: Flask) -> None:
    body = client.get("/readyz").get_json()
    assert body["status"] == "ready"
    assert [model["name"] for model in body["models"]] == [ADULTS, CHILDREN]
    assert body["failed"] == []
    assert app.extensions["registry"].seconds > 0


def test_who_asked_for_it_knows_before_anybody_is_told_ready(models_folder: Path) -> None:
    registry = make_registry(Settings(models=models_folder))
    told: list[tuple[str, int]] = []
    registry.before_ready(lambda: told.append(("before", len(registry.bundles))))
    registry.start()
    assert registry.wait(120)
    assert told == [("before", 0)]
    registry.before_ready(lambda: told.append(("after", len(registry.bundles))))
    assert told[1:] == [("after", 2)]


def test_where_nothing_can_be_read_nobody_is_told_so(tmp_path: Path) -> None:
    registry = make_registry(Settings(models=tmp_path))
    registry.before_ready(lambda: pytest.fail("there is no model"))
    registry.start()
    assert registry.wait(120)
    assert registry.failures


@pytest.mark.parametrize(
    ("damage", "named"),
    [
        (lambda folder: (folder / "model.keras").write_bytes(b"PK\x03\x04"), "model.keras"),
        (lambda folder: (folder / "model.keras").unlink(), "model.keras"),
        (lambda folder: (folder / "bundle.json").write_text("{"), "bundle.json"),
        (lambda folder: (folder / "bundle.json").unlink(), "bundle.json"),
        (lambda folder: (folder / "probes" / "probes.npz").unlink(), "probes.npz"),
    ],
)
def test_one_bad_bundle_leaves_the_good_one_serving(
    models_folder: Path, tmp_path: Path, damage, named: str
) -> None:
    models = tmp_path / "models"
    shutil.copytree(models_folder, models)
    damage(models / CHILDREN)
    client = loaded(Settings(models=models)).test_client()
    body = client.get("/readyz").get_json()
    assert [model["name"] for model in body["models"]] == [ADULTS]
    (failed,) = body["failed"]
    assert failed["bundle"] == CHILDREN
    assert named in failed["reason"]
    assert client.get("/models").get_json()["default"] == ADULTS


def test_no_bundle_at_all_is_not_ready_and_says_why(tmp_path: Path) -> None:
    client = loaded(Settings(models=tmp_path / "nowhere")).test_client()
    body = assert_problem(client.get("/readyz"), "not_ready")
    assert "nowhere" in body["detail"]
    page = client.get("/").get_data(as_text=True)
    assert "No model is available" in page


def test_an_empty_folder_is_not_ready(tmp_path: Path) -> None:
    client = loaded(Settings(models=tmp_path)).test_client()
    body = assert_problem(client.get("/readyz"), "not_ready")
    assert "holds no bundle" in body["detail"]


@pytest.mark.parametrize("closed", [".", CHILDREN])
def test_a_folder_that_is_closed_to_this_user_is_named(
    models_folder: Path, tmp_path: Path, closed: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    models = tmp_path / "models"
    shutil.copytree(models_folder, models)
    (models / "lost+found").mkdir()
    shutil.rmtree(models / CHILDREN)  # nobody sees what is in a closed folder; root sees all
    (models / CHILDREN).mkdir()
    shut = {(models / closed).resolve(), models / "lost+found"}
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path).resolve() not in shut)
    registry = make_registry(Settings(models=models))
    registry.start()
    assert registry.wait(120)
    (reason,) = registry.failures.values()
    assert "cannot be read" in reason
    assert [bundle.name for bundle in registry.bundles] == ([ADULTS] if closed == CHILDREN else [])


def test_a_bundle_behind_a_link_to_nowhere_is_named(models_folder: Path, tmp_path: Path) -> None:
    models = tmp_path / "models"
    shutil.copytree(models_folder, models)
    shutil.rmtree(models / CHILDREN)
    (models / CHILDREN).symlink_to(tmp_path / "not-mounted")
    (tmp_path / "notes.md").write_text("whose models these are")
    (models / "notes.md").symlink_to(tmp_path / "notes.md")  # no bundle, and no failed one
    body = loaded(Settings(models=models)).test_client().get("/readyz").get_json()
    assert [model["name"] for model in body["models"]] == [ADULTS]
    assert [one["bundle"] for one in body["failed"]] == [CHILDREN]


def test_a_folder_that_is_still_being_written_is_no_bundle(
    models_folder: Path, tmp_path: Path
) -> None:
    """It comes first by name: left behind by a killed export, it took the whole one's place."""
    models = tmp_path / "models"
    shutil.copytree(models_folder, models)
    shutil.copytree(models / CHILDREN, models / f".{CHILDREN}.partial")
    body = loaded(Settings(models=models)).test_client().get("/readyz").get_json()
    assert sorted(model["name"] for model in body["models"]) == sorted([ADULTS, CHILDREN])
    assert body["failed"] == []
