"""Files that are there whole or not at all."""

from __future__ import annotations

import csv
import errno
import io
import json
import os
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from training.errors import TrainingError


def demand_place(folder: Path) -> None:
    """See at the start, not after hours of training, that a folder can be written there.

    Raises:
        TrainingError: it cannot, or a file of that name is there.
    """
    try:
        if folder.exists() and not folder.is_dir():
            raise NotADirectoryError(errno.ENOTDIR, "it is a file, not a folder")
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder.parent):
            pass
    except OSError as error:
        raise TrainingError(_explain(error, folder)) from error


def write_whole(path: Path, content: bytes) -> None:
    """Write beside the target, then rename over it.

    Raises:
        TrainingError: the disk is full or the place not writable; nothing is left behind.
    """
    partial = path.with_name(f".{path.name}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial.write_bytes(content)
        os.replace(partial, path)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise TrainingError(_explain(error, path)) from error


def write_json(path: Path, document: Any) -> None:
    write_whole(path, (json.dumps(document, indent=2) + "\n").encode())


def write_csv(path: Path, head: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    lines = io.StringIO(newline="")
    writer = csv.writer(lines)
    writer.writerow(head)
    writer.writerows(rows)
    write_whole(path, lines.getvalue().encode())


def write_arrays(path: Path, **arrays: np.ndarray[Any, Any]) -> None:
    """An ``.npz`` of plain arrays."""
    content = io.BytesIO()
    np.savez_compressed(content, allow_pickle=False, **arrays)
    write_whole(path, content.getvalue())


def read_arrays(path: Path) -> dict[str, np.ndarray[Any, Any]]:
    """What ``write_arrays`` wrote."""
    with np.load(path, allow_pickle=False) as arrays:
        return dict(arrays)


def _explain(error: OSError, path: Path) -> str:
    if error.errno in {errno.ENOSPC, errno.EDQUOT}:
        return f"The disk is full: {path} could not be written. Free some room and call again."
    return f"{path} cannot be written: {error.strerror or error}."
