"""The servers that the service is compared with; each executes the same network."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import venv
from contextlib import AbstractContextManager
from pathlib import Path

from _servers import HERE, Running, running

from tests.server import free_port

FOLDER = HERE / ".peers"


def ordinary(bundle: Path) -> AbstractContextManager[Running]:
    """The ordinary application under gunicorn with as many threads as connections."""
    port = free_port()
    command = [sys.executable, "-m", "gunicorn", "--config", os.devnull, "--chdir", str(HERE)]
    command += ["--bind", f"127.0.0.1:{port}", "--threads", "4", "_flask_peer:app"]
    return running("ordinary Flask", command, port, PEER_BUNDLE=str(bundle))


def litserve(bundle: Path, engine: str, workers: int) -> AbstractContextManager[Running]:
    """LitServe with that many worker processes."""
    port = free_port()
    command = [str(_python()), str(HERE / "_litserve_peer.py")]
    return running("LitServe", command, port, "/health", **_settings(bundle, engine, workers))


def bentoml(bundle: Path, engine: str, workers: int) -> AbstractContextManager[Running]:
    """BentoML with that many worker processes."""
    port = free_port()
    command = [str(_python()), "-m", "bentoml", "serve", "_bentoml_peer:Peer"]
    command += ["--port", str(port), "--working-dir", str(HERE)]
    settings = _settings(bundle, engine, workers)
    return running(
        "BentoML", command, port, BENTOML_DO_NOT_TRACK="true", BENTOML_HOME=str(FOLDER), **settings
    )


def _settings(bundle: Path, engine: str, workers: int) -> dict[str, str]:
    return {
        "PEER_BUNDLE": str(bundle),
        "PEER_ENGINE": engine,
        "PEER_WORKERS": str(workers),
        "TF_NUM_INTRAOP_THREADS": "1",
    }


def _python() -> Path:
    """Python with LitServe and BentoML beside the packages of this environment."""
    python = FOLDER / "bin" / "python"
    if not (FOLDER / "complete").exists():
        shutil.rmtree(FOLDER, ignore_errors=True)
        venv.create(FOLDER, with_pip=True)
        (site,) = FOLDER.glob("lib/python*/site-packages")
        ours = next(path for path in sys.path if path.endswith("site-packages"))
        (site / "ours.pth").write_text(ours + "\n")
        subprocess.run(
            [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
            + ["-r", str(HERE / "requirements-peers.txt")],
            check=True,
        )
        (FOLDER / "complete").touch()
    return python
