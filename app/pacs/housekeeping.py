"""What leaves the spool and the queue, and when."""

from __future__ import annotations

import time

from app.pacs.queue import Queue
from app.pacs.spool import Spool

_DAY_SECONDS = 86_400.0


def tidy(queue: Queue, spool: Spool, *, retention_seconds: float, history_days: float) -> None:
    """Remove what is delivered and old enough, and results that no film of the queue names.

    Never a film that it does not name: the queue may be the one that was lost.
    """
    with queue.writing():
        for key in disposable(queue, retention_seconds, spool.keys()):
            spool.discard(key)
        for key in unknown(queue, spool.keys_of_results()):
            spool.discard_results(key)
    # After the files, and never before them: nobody would know any more that they may go.
    forget(queue, max(history_days * _DAY_SECONDS, retention_seconds))


def unknown(queue: Queue, keys: set[str]) -> list[str]:
    """Those of ``keys`` that no film has.

    Ask inside ``writing``: a film that is being admitted meanwhile would look unknown.
    """
    db = queue.reading()
    asked = "SELECT 1 FROM work WHERE key = ?"
    return [key for key in sorted(keys) if db.execute(asked, (key,)).fetchone() is None]


def disposable(queue: Queue, retention_seconds: float, keys: set[str]) -> list[str]:
    """Those of ``keys`` whose films are delivered and may go."""
    kept = {
        row["key"]
        for row in queue.reading().execute(
            "SELECT key FROM work WHERE state != 'done' OR finished > ?",
            (time.time() - retention_seconds,),
        )
    }
    return sorted(keys - kept - set(unknown(queue, keys - kept)))


def forget(queue: Queue, seconds: float) -> None:
    """Remove the lines of films that were done longer ago."""
    with queue.writing() as db:
        db.execute(
            "DELETE FROM work WHERE state = 'done' AND finished < ?", (time.time() - seconds,)
        )
