"""What was put aside, dead letters and failed films: tried again, or let go.

They stay, with the films and results in the spool, until a person decides.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

from app.pacs.queue import LET_GO, Queue

NO_LONGER_CONFIGURED = "this destination is configured no longer"
_CHOSEN_LETTERS = "(? IS NULL OR destination = ?) AND (? IS NULL OR work = ?)"
_CHOSEN_FILMS = "(? IS NULL OR id = ?)"
#: A film that was reported as not read, where it is named.
_NOT_READ = "state = 'done' AND decision IS NULL AND id = ?"


def bury_unknown(queue: Queue, configured: Sequence[str]) -> None:
    """Put aside what waits for destinations that are configured no longer, and forget their health.

    Nobody would ever deliver the one, nor say that the other is better.
    """
    others = f"destination NOT IN ({_marks(configured)})"
    with queue.writing() as db:
        db.execute(
            f"UPDATE delivery SET state = 'dead', reason = ? WHERE state = 'waiting' AND {others}",
            (NO_LONGER_CONFIGURED, *configured),
        )
        db.execute(f"DELETE FROM health WHERE {others}", tuple(configured))


def unknown_letters(queue: Queue, configured: Sequence[str]) -> int:
    """How many dead letters are for destinations that are configured no longer."""
    found = queue.reading().execute(
        "SELECT COUNT(*) FROM delivery WHERE state = 'dead' "
        f"AND destination NOT IN ({_marks(configured)})",
        tuple(configured),
    )
    return int(found.fetchone()[0])


def retry(
    queue: Queue,
    configured: Sequence[str],
    *,
    destination: str | None = None,
    reason: str | None = None,
    film: int | None = None,
) -> int:
    """Queue dead letters and failed films again; how many there were.

    Args:
        configured: names of the destinations; letters for others stay, as nobody delivers them.
        destination: only its dead letters; failed films then stay.
        reason: only those that were put aside for it, films by their code.
        film: only those of this number. It is read again too where it was reported as not read;
            if its file has left the spool, it becomes one that was lost, and is taken again.
    """
    with queue.writing() as db:
        letters = db.execute(
            "UPDATE delivery SET state = 'waiting', attempts = 0, due = 0 WHERE state = 'dead' "
            f"AND destination IN ({_marks(configured)}) AND {_CHOSEN_LETTERS} "
            "AND (? IS NULL OR reason = ?)",
            (*configured, destination, destination, film, film, reason, reason),
        ).rowcount
        if destination is not None:
            return letters
        # Its report was delivered; what comes now is to be delivered again.
        db.execute(
            f"DELETE FROM delivery WHERE work IN (SELECT id FROM work WHERE {_NOT_READ})", (film,)
        )
        films = db.execute(
            "UPDATE work SET state = 'queued', attempts = 0, due = 0, finished = NULL WHERE "
            f"(state = 'failed' AND {_CHOSEN_FILMS} AND (? IS NULL OR code = ?)) OR ({_NOT_READ})",
            (film, film, reason, reason, film),
        ).rowcount
        return letters + films


def discard(queue: Queue, *, destination: str | None = None, film: int | None = None) -> int:
    """Let dead letters and failed films go; how many there were.

    A film of which nothing waits any more is done, and housekeeping removes its files as if it
    were delivered; so is a failed one, which is read if it comes again.

    Args:
        destination: only its dead letters; failed films then stay.
        film: only those of this number.
    """
    with queue.writing() as db:
        letters = db.execute(
            f"DELETE FROM delivery WHERE state = 'dead' AND {_CHOSEN_LETTERS}",
            (destination, destination, film, film),
        ).rowcount
        db.execute(
            "UPDATE work SET state = 'done', finished = ? WHERE state = 'delivering' AND "
            "NOT EXISTS (SELECT 1 FROM delivery WHERE work = id AND state != 'delivered')",
            (time.time(),),
        )
        if destination is not None:
            return letters
        films = db.execute(
            "UPDATE work SET state = 'done', code = ?, finished = ? "
            f"WHERE state = 'failed' AND {_CHOSEN_FILMS}",
            (LET_GO, time.time(), film, film),
        ).rowcount
        return letters + films


def _marks(names: Sequence[str]) -> str:
    return ", ".join("?" * len(names))
