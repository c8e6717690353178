"""Settings that cannot be used: the node does not start, and a sentence says which and why."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from app.pacs.intake import look_at_models
from app.pacs.node import Node
from app.pacs.settings import PacsSettings
from app.settings import SettingsError
from tests.pacs.fakes import write_models
from tests.server import ROOT


@pytest.mark.parametrize(
    ("variable", "value"), [("XRAY_PACS_PORT", "abc"), ("XRAY_MAX_PIXELS", "0")]
)
def test_a_command_of_flask_shows_a_sentence_and_no_traceback(variable: str, value: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "flask", "--app", "app", "pacs-node"],
        cwd=ROOT,
        env={**os.environ, variable: value},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 1
    assert done.stderr.startswith(f"Error: {variable}={value!r} cannot be used")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("inside", ["", "folder"])
def test_a_spool_that_is_no_folder(
    pacs_settings: PacsSettings, models: Path, tmp_path: Path, inside: str
) -> None:
    file = tmp_path / "file"
    file.write_text("no folder")
    with pytest.raises(SettingsError, match="^XRAY_PACS_SPOOL=.*file.* cannot be used: "):
        Node(replace(pacs_settings, spool=file / inside), models, [])


def test_a_spool_whose_queue_is_damaged(pacs_settings: PacsSettings, models: Path) -> None:
    assert pacs_settings.spool is not None
    pacs_settings.spool.mkdir()
    (pacs_settings.spool / "queue.sqlite").write_bytes(b"no database" * 100)
    with pytest.raises(SettingsError, match="XRAY_PACS_SPOOL=.*file is not a database"):
        Node(pacs_settings, models, [])


@pytest.mark.parametrize("which", ["port", "metrics_port"])
def test_a_port_that_is_taken(pacs_settings: PacsSettings, models: Path, which: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        node = Node(replace(pacs_settings, **{which: port}), models, [])  # type: ignore[arg-type]
        named = f"XRAY_PACS_{which.upper()}={port} cannot be used: Address already in use"
        try:
            with pytest.raises(SettingsError, match=named):
                node.start()
        finally:
            node.stop()


def test_bundles_that_are_not_there(
    pacs_settings: PacsSettings, models: Path, tmp_path: Path
) -> None:
    shelf = look_at_models(models, replace(pacs_settings, adult_bundle="for-children"))
    assert (shelf.child, shelf.adult) == ("for-children", "for-adults")
    for which in ("child_bundle", "adult_bundle", "ageless_bundle"):
        settings = replace(pacs_settings, **{which: "typo"})  # type: ignore[arg-type]
        named = f"XRAY_PACS_{which.upper()}='typo' is none of the bundles: for-adults, for-children"
        with pytest.raises(SettingsError, match=named):
            Node(settings, models, [])
    with pytest.raises(SettingsError, match="XRAY_MODELS=.*gone holds no bundle"):
        Node(pacs_settings, tmp_path / "gone", [])


def test_a_bundle_that_states_no_ages_reads_alone_or_where_it_is_named(
    pacs_settings: PacsSettings, tmp_path: Path
) -> None:
    """One trained on own folders stands before the adults' by name, and must not replace it."""
    document = {"name": "by-us", "population": {"label": "As in the training data"}, "sha256": "1"}
    models = write_models(tmp_path / "models")
    for place in (models, tmp_path / "alone"):
        (place / "by-us").mkdir(parents=True)
        (place / "by-us" / "bundle.json").write_text(json.dumps(document))
    shelf = look_at_models(models, replace(pacs_settings, ageless_bundle="by-us"))
    assert (shelf.child, shelf.adult) == ("for-children", "for-adults")
    shelf = look_at_models(tmp_path / "alone", pacs_settings)
    assert (shelf.child, shelf.adult) == ("by-us", "by-us")


def test_the_node_says_which_weights_it_reads_with(
    pacs_settings: PacsSettings, models: Path
) -> None:
    """As the service does, for the alert on instances that differ."""
    documents = [json.loads(path.read_text()) for path in models.glob("*/bundle.json")]
    node = Node(pacs_settings, models, [])
    try:
        for one in documents:
            labels = {"model": one["name"], "version": one["version"], "sha256": one["sha256"]}
            assert node.metrics.registry.get_sample_value("xray_model_info", labels) == 1.0
    finally:
        node.stop()
