"""Run folders: ``runs/<recipe>-<time>/``, found again when a run was cut off."""

from __future__ import annotations

import hashlib
import itertools
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from training.errors import TrainingError
from training.files import write_json
from training.versions import library_versions

if TYPE_CHECKING:
    from training.device import Device

#: In a run folder, locked by the process that works there. The system lets go of it when the
#: process ends, however it ends.
LOCK_FILE = "lock"
_locked: dict[Path, int] = {}


@dataclass
class Run:
    """One training's folder.

    Attributes:
        folder: holds ``run.json``, the manifest, a folder for each network with its
            weights, ``history.csv`` and TensorBoard logs, and at the end the bundle.
        document: what ``run.json`` says.
    """

    folder: Path
    document: dict[str, Any]

    def save(self) -> None:
        write_json(self.folder / "run.json", self.document)

    def finish(self, **facts: Any) -> None:
        """Record the outcome; a finished run is not resumed."""
        self.document.update(facts, finished=now())
        self.save()


def start_run(
    name: str,
    runs: Path,
    same: Mapping[str, Any],
    facts: Mapping[str, Any],
    *,
    fresh: bool = False,
    reopen: bool = False,
    device: Device | None = None,
) -> Run:
    """The unfinished run of that name in which the same was asked for, or a new one.

    Args:
        same: what must agree for work to be gone on with; part of ``run.json``.
        facts: more for ``run.json``.
        reopen: go on with a finished run too.
        device: what trains, where something does.

    Raises:
        TrainingError: the run was computed in another way, or another process is at work there.
    """
    computed = {} if device is None else {"precision": device.precision, "backend": device.backend}
    fingerprint = hashlib.sha256(json.dumps(same, sort_keys=True).encode()).hexdigest()
    if not fresh:
        for path in sorted(runs.glob(f"{name}-*/run.json"), reverse=True):
            document = json.loads(path.read_text())
            finished = "finished" in document
            if document.get("fingerprint") == fingerprint and (reopen or not finished):
                _demand_alike(document, computed, path.parent)
                _lock(path.parent)
                state = "finished" if finished else "cut off"
                print(f"Going on with {path.parent}, which was {state} (--fresh starts anew).")
                return Run(path.parent, document)
    folder = _new_folder(runs, f"{name}-{datetime.now().strftime('%Y%m%d-%H%M%S')}")
    _lock(folder)  # before run.json shows it to others
    run = Run(
        folder,
        {
            "fingerprint": fingerprint,
            "started": now(),
            "commit": git_commit(),
            "libraries": library_versions(),
            **computed,
            **facts,
            **same,
        },
    )
    run.save()
    print(f"Run folder: {folder}")
    return run


def _demand_alike(document: Mapping[str, Any], computed: Mapping[str, str], folder: Path) -> None:
    """Weights of one precision or backend are not gone on with in another.

    The optimizer's state need not fit, and figures would be of neither.
    """
    before = {name: document.get(name, now) for name, now in computed.items()}
    if before != computed:
        raise TrainingError(
            f"{folder} was begun in {before['precision']} on "
            f"{before['backend']}; this would go on in {computed['precision']} on "
            f"{computed['backend']}. Give --precision {before['precision']} and "
            f"KERAS_BACKEND={before['backend']}, or start anew (--fresh)."
        )


def _lock(folder: Path) -> None:
    """Until this process ends, no other one works in the folder, where the system has locks.

    Raises:
        TrainingError: another one does.
    """
    if sys.platform == "win32":  # has no such locks
        return
    import fcntl

    place = folder.resolve()
    if place in _locked:
        return
    file = os.open(place / LOCK_FILE, os.O_CREAT | os.O_RDWR, 0o644)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(file)
        raise TrainingError(
            f"Another process is at work in {folder}. Wait until it has ended; --fresh, where a "
            "command takes it, begins another run."
        ) from None
    except OSError:  # a network disk without locks
        os.close(file)
        return
    _locked[place] = file


def _new_folder(runs: Path, name: str) -> Path:
    for number in itertools.count(2):
        folder = runs / name
        try:
            folder.mkdir(parents=True)
            return folder
        except FileExistsError:  # two runs within one second
            name = f"{name.partition('+')[0]}+{number}"
        except OSError as error:
            raise TrainingError(f"The run folder {folder} cannot be made: {error}.") from error
    raise AssertionError("itertools.count ends nowhere")


def git_commit() -> str | None:
    """The commit that is checked out, with ``+`` where files differ from it."""
    here = Path(__file__).parent

    def ask(*words: str) -> str | None:
        try:
            done = subprocess.run(["git", *words], cwd=here, capture_output=True, text=True)
        except OSError:
            return None
        return done.stdout.strip() if done.returncode == 0 else None

    commit = ask("rev-parse", "--short=12", "HEAD")
    return commit and commit + ("+" if ask("status", "--porcelain", "-uno") else "")


def now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
