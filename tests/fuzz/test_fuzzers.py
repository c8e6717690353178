"""Both fuzzers start, and find nothing in their first inputs."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

from tests.server import ROOT


@pytest.mark.slow
@pytest.mark.parametrize("fuzzer", ["decode", "http"])
def test_a_fuzzer_runs_and_finds_nothing(fuzzer: str, tmp_path: Path) -> None:
    if importlib.util.find_spec("atheris") is None:
        pytest.skip("atheris is not installed: it has no build for this system")
    seeded = subprocess.run([sys.executable, "-m", "fuzz.seeds", str(tmp_path)], cwd=ROOT)
    assert seeded.returncode == 0
    done = subprocess.run(
        [sys.executable, "-m", f"fuzz.{fuzzer}", str(tmp_path / fuzzer), "-runs=300", "-seed=1"]
        + [f"-artifact_prefix={tmp_path}/"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        errors="replace",
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert "Done 300 runs" in done.stderr
