"""Films and results on disk: complete or not there at all, and readable by their owner only.

``incoming/`` holds what is still being written, ``received/`` the films that the queue knows,
``results/<key>/`` the objects made of each. Every file is flushed to the disk before it gets
its name, and the folder after that, so that what the queue says is there survives a crash.
"""

from __future__ import annotations

import errno
import os
import shutil
import time
import uuid
from collections.abc import Mapping
from pathlib import Path

#: Unfinished files of a process that may still be writing are left alone for this long.
_STALE_SECONDS = 3600.0
_NODE, _OTHER = "node", "pull"


class SpoolFullError(Exception):
    """The disk has no room, or not as much as must stay free."""


def free_bytes(root: Path) -> int:
    """Room on the disk of a spool that is there; nothing is made or changed."""
    return shutil.disk_usage(root).free


class Spool:
    """The folder; created when it is missing.

    Args:
        min_free_bytes: what must stay free on the disk.
        in_node: whether this is the node itself; others name their unfinished files apart, so
            that the node can clear away its own when it starts.
    """

    def __init__(self, root: Path, min_free_bytes: int, *, in_node: bool = False) -> None:
        self.root = root
        self._min_free_bytes = min_free_bytes
        self._owner = _NODE if in_node else _OTHER
        self._incoming = root / "incoming"
        self._received = root / "received"
        self._results = root / "results"
        root.mkdir(mode=0o700, parents=True, exist_ok=True)
        for folder in (self._incoming, self._received, self._results):
            folder.mkdir(mode=0o700, exist_ok=True)
        if root.stat().st_uid == os.geteuid():
            root.chmod(0o700)

    def stage(self, data: bytes) -> Path:
        """Write a film under a passing name, down to the disk.

        Raises:
            SpoolFullError: there is no room, or less would stay free than must.
        """
        if free_bytes(self.root) - len(data) < self._min_free_bytes:
            raise SpoolFullError
        path = self._passing_name()
        try:
            _write(path, data)
        except OSError as error:
            path.unlink(missing_ok=True)
            raise _translated(error) from error
        return path

    def accept(self, film: Path, key: str) -> None:
        """Give a film its name, or another one; it survives a crash from here on."""
        os.replace(film, self._received / key)
        _flush_folder(self._received)

    def received(self, key: str) -> Path:
        """Where the film of a key lies."""
        return self._received / key

    def write_results(self, key: str, objects: Mapping[str, bytes]) -> None:
        """Write the objects of a film: all of them or none.

        Raises:
            SpoolFullError: there is no room.
        """
        partial = self._passing_name()
        final = self._results / key
        try:
            partial.mkdir(mode=0o700)
            for name, data in objects.items():
                _write(partial / f"{name}.dcm", data)
            _flush_folder(partial)
            # Left by a crash before the queue knew of them: nobody has seen those.
            shutil.rmtree(final, ignore_errors=True)
            os.replace(partial, final)
            _flush_folder(self._results)
        except OSError as error:
            shutil.rmtree(partial, ignore_errors=True)
            raise _translated(error) from error

    def results(self, key: str) -> list[Path]:
        """The objects of a film, in a fixed order: the report before what illustrates it."""
        found = (self._results / key).glob("*.dcm")
        return sorted(found, key=lambda path: (path.stem != "report", path.name))

    def discard(self, key: str) -> None:
        """Remove a film and its results; nothing happens where they are gone."""
        (self._received / key).unlink(missing_ok=True)
        self.discard_results(key)

    def discard_results(self, key: str) -> None:
        """Remove the results of a film; nothing happens where they are gone."""
        shutil.rmtree(self._results / key, ignore_errors=True)

    def films(self) -> set[str]:
        """The keys of the films that lie here."""
        return {path.name for path in self._received.iterdir()}

    def keys_of_results(self) -> set[str]:
        """The keys of the films whose results lie here."""
        return {path.name for path in self._results.iterdir()}

    def keys(self) -> set[str]:
        """The keys of everything that lies here."""
        return self.films() | self.keys_of_results()

    def clear_unfinished(self) -> None:
        """Remove what a crash left unfinished: the node's own, and what is old."""
        before = time.time() - _STALE_SECONDS
        for path in self._incoming.iterdir():
            try:
                if not path.name.startswith(self._owner) and path.stat().st_mtime > before:
                    continue
            except FileNotFoundError:
                continue
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)

    def _passing_name(self) -> Path:
        return self._incoming / f"{self._owner}-{uuid.uuid4().hex}"


def _write(path: Path, data: bytes) -> None:
    """Make a file, down to the disk."""
    descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(descriptor)


def _flush_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _translated(error: OSError) -> Exception:
    return SpoolFullError() if error.errno in (errno.ENOSPC, errno.EDQUOT) else error
