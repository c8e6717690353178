"""The alert rules hold together, and speak of metrics and advice that exist."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from prometheus_client import generate_latest

from app.pacs.metrics import NodeMetrics
from app.pacs.queue import Outcome, Queue
from app.pacs.spool import Spool
from tests.server import ROOT

RULES = ROOT / "deploy" / "prometheus" / "pacs-rules.yml"


def test_every_metric_of_the_rules_is_exposed(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool", 0)
    queue = Queue(spool.root / "queue.sqlite")
    metrics = NodeMetrics(queue, spool)
    queue.admit("a", None, lambda: None)
    work = queue.claim()
    assert work is not None
    queue.finish(work, Outcome(code="unreadable_image"), ["archive"])
    queue.note_health("archive", None)
    exposed = set(re.findall(r"^(\w+)", generate_latest(metrics.registry).decode(), re.MULTILINE))
    used = set(re.findall(r"xray_pacs_\w+", RULES.read_text())) - {"xray_pacs_alerts"}
    assert used
    assert used <= exposed


def test_what_an_alert_sees_growing_is_there_before_it_grows(tmp_path: Path) -> None:
    """``increase`` does not see a series whose first sample is a 1."""
    spool = Spool(tmp_path / "spool", 0)
    registry = NodeMetrics(Queue(spool.root / "queue.sqlite"), spool).registry
    growing = re.findall(r'increase\((\w+)\{(\w+)=~?"([^"]+)"', RULES.read_text())
    assert len(growing) == RULES.read_text().count("increase(") == 3
    for name, label, values in growing:
        for value in values.split("|"):
            assert registry.get_sample_value(name, {label: value}) == 0.0, value


def test_every_metric_is_documented_with_its_labels(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool", 0)
    queue = Queue(spool.root / "queue.sqlite")
    metrics = NodeMetrics(queue, spool)
    text = (
        (ROOT / "docs" / "configuration.md").read_text().partition("DICOM node answers its own")[2]
    )
    documented = {
        name: set(re.findall(r"`(\w+)`", labels))
        for name, labels in re.findall(r"^\| `(xray_\w+)` \| ([^|]*)\|", text, re.MULTILINE)
    }
    exposed = {
        family.name + ("_total" if family.type == "counter" else "")
        for family in metrics.registry.collect()
    }
    assert set(documented) == exposed
    for counter in (metrics.associations, metrics.stores, metrics.films, metrics.readings):
        (family,) = counter.describe()
        assert documented[f"{family.name}_total"] == set(counter._labelnames)


def test_every_alert_says_what_to_do() -> None:
    text = RULES.read_text()
    advice = (ROOT / "docs" / "pacs-node.md").read_text().lower()
    alerts = re.findall(r"alert: (\w+)", text)
    assert len(alerts) == 8
    for alert in alerts:
        assert f"runbook: docs/pacs-node.md#{alert.lower()}" in text
        assert f"#### {alert.lower()}" in advice


def test_promtool_plays_the_rules() -> None:
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("needs promtool (Debian's package prometheus)")
    done = subprocess.run(
        [promtool, "test", "rules", "pacs-rules_test.yml"],
        cwd=RULES.parent,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
