"""What gunicorn's master knows as long as it lives.

A reload (SIGHUP) executes ``gunicorn.conf.py`` anew, and the new workers share these with the
old ones; this module stays as it is.
"""

from __future__ import annotations

import mmap
import os
import shutil
import tempfile

from app.balance import Balance

#: Which worker takes a new connection.
balance = Balance()
#: One byte for all workers: whether any of them ever had a model to read with.
ever_ready = mmap.mmap(-1, 1)
_folders: list[str] = []


def settle_metrics(workers: int, parent: str | None) -> None:
    """Let several workers count together, in files; to be called before any of them counts.

    Args:
        workers: how many there will be.
        parent: the folder to make those files' folder in; None for the usual one.
    """
    if workers > 1 and not os.environ.get("PROMETHEUS_MULTIPROC_DIR"):
        # prometheus_client reads it when it is imported.
        _folders.append(tempfile.mkdtemp(prefix="xray-metrics-", dir=parent))
        os.environ["PROMETHEUS_MULTIPROC_DIR"] = _folders[0]


def forget_metrics() -> None:
    """Leave no numbers behind that the next start would add to its own."""
    while _folders:
        shutil.rmtree(_folders.pop(), ignore_errors=True)
