"""The queue: what was received, what became of it, what is still to be delivered.

It holds no identity: a film is known by the hash of its SOP Instance UID.

``queued`` → ``delivering`` (its results lie in the spool, a delivery waits for each
destination) → ``done``; a film that cannot even be refused properly becomes ``failed``.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from app.pacs.database import Database

#: Nothing waits longer. What is due later than that was dated by a clock that has gone back.
LONGEST_WAIT_SECONDS = 3600.0
#: What is due from the beginning, whatever the clock says.
_AT_ONCE = 0.0
_IS_DUE = "due NOT BETWEEN ? AND ?"
#: Codes of films that are taken again: the file is gone from the spool, or a person let it go.
LOST, LET_GO = "film_lost", "let_go"


@dataclass(frozen=True)
class Work:
    """One film to be read."""

    id: int
    key: str
    bundle: str | None
    attempts: int
    received: float


@dataclass(frozen=True)
class Delivery:
    """The results of one film on their way to one destination."""

    work: int
    key: str
    destination: str
    attempts: int


@dataclass(frozen=True)
class Outcome:
    """What came of reading a film.

    Attributes:
        decision: of the reading; None where the film was refused.
        code: why it was refused (a stable problem code); None where it was read.
    """

    decision: str | None = None
    probability: float | None = None
    model: str | None = None
    code: str | None = None

    @property
    def urgent(self) -> bool:
        """Infection moves a film up. Nothing ever moves one down."""
        return self.decision == "infected"


class Queue(Database):
    """The queue in its file."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self._claimed: set[int] = set()
        self._claiming = threading.Lock()

    # Intake

    def knows(self, key: str) -> bool:
        """Whether the film has been admitted before, and was neither lost nor let go since."""
        row = self.reading().execute(
            "SELECT 1 FROM work WHERE key = ? AND (state IN ('queued', 'delivering') "
            "OR code IS NULL OR code NOT IN (?, ?))",
            (key, LOST, LET_GO),
        )
        return row.fetchone() is not None

    def admit(
        self,
        key: str,
        bundle: str | None,
        accept: Callable[[], None],
        received: float | None = None,
    ) -> bool:
        """Queue a film once; one whose file was lost, or that was let go, again.

        Args:
            accept: gives the film its name in the spool; called only for a new film, before
                the queue knows it, so that the queue never names a film that is not there.
            received: when it came, in seconds since the epoch; None: now.

        Returns:
            False where the film is known already.
        """
        with self.writing() as db:
            if self.knows(key):
                return False
            accept()
            db.execute(
                "INSERT INTO work (key, state, bundle, due, received) "
                "VALUES (?, 'queued', ?, ?, ?) ON CONFLICT (key) DO UPDATE SET "
                "state = excluded.state, bundle = excluded.bundle, due = excluded.due, "
                "received = excluded.received, attempts = 0, finished = NULL, code = NULL",
                (key, bundle, _AT_ONCE, time.time() if received is None else received),
            )
        return True

    def count_dropped(self, reason: str) -> None:
        """Count a film that is not for us."""
        with self.writing(durable=False) as db:
            db.execute(
                "INSERT INTO dropped VALUES (?, 1, ?) ON CONFLICT (reason) "
                "DO UPDATE SET films = films + 1, last = excluded.last",
                (reason, time.time()),
            )

    # Reading

    def claim(self) -> Work | None:
        """The oldest film that is due and that nobody in this process reads.

        Its attempt is counted before it is read: a film that kills the process does not do
        so for ever.
        """
        with self._claiming, self.writing(durable=False) as db:
            rows = db.execute(
                "SELECT id, key, bundle, attempts, received FROM work "
                f"WHERE state = 'queued' AND {_IS_DUE} ORDER BY id LIMIT ?",
                (*_not_yet(), len(self._claimed) + 1),
            )
            for row in rows.fetchall():
                if row["id"] not in self._claimed:
                    db.execute("UPDATE work SET attempts = attempts + 1 WHERE id = ?", (row["id"],))
                    self._claimed.add(row["id"])
                    return Work(**{**dict(row), "attempts": row["attempts"] + 1})
        return None

    def release(self, work: Work) -> None:
        """Nobody reads the film any more, whatever came of it."""
        with self._claiming:
            self._claimed.discard(work.id)

    def finish(self, work: Work, outcome: Outcome, destinations: list[str]) -> None:
        """The film is read and its results lie in the spool: queue them for each destination."""
        with self.writing() as db:
            db.execute(
                "UPDATE work SET state = 'delivering', decision = ?, probability = ?, model = ?, "
                "code = ?, urgent = ?, finished = ? WHERE id = ?",
                (
                    outcome.decision,
                    outcome.probability,
                    outcome.model,
                    outcome.code,
                    outcome.urgent,
                    time.time(),
                    work.id,
                ),
            )
            db.executemany(
                "INSERT OR IGNORE INTO delivery (work, destination, state, urgent, due) "
                "VALUES (?, ?, 'waiting', ?, ?)",
                [(work.id, name, outcome.urgent, _AT_ONCE) for name in destinations],
            )

    def postpone(self, work: Work, seconds: float, code: str, *, count: bool = True) -> None:
        """Read the film again later.

        Args:
            count: whether the attempt counts; it does not where the film is not at fault.
        """
        with self.writing() as db:
            db.execute(
                "UPDATE work SET due = ?, code = ?, attempts = attempts - ? WHERE id = ?",
                (time.time() + seconds, code, 0 if count else 1, work.id),
            )

    def fail(self, work: Work, code: str) -> None:
        """Put a film aside for which not even a refusal could be written."""
        with self.writing() as db:
            db.execute(
                "UPDATE work SET state = 'failed', code = ?, finished = ? WHERE id = ?",
                (code, time.time(), work.id),
            )

    # Delivery

    def due_deliveries(self, destination: str, limit: int) -> list[Delivery]:
        """What is due for a destination: infections first, then by arrival.

        What was tried in vain stands behind all that was not, so that it cannot stop the rest.
        """
        rows = self.reading().execute(
            "SELECT work, key, destination, delivery.attempts FROM delivery "
            "JOIN work ON work.id = delivery.work WHERE destination = ? "
            f"AND delivery.state = 'waiting' AND delivery.{_IS_DUE} "
            "ORDER BY delivery.due > 0, (delivery.due = 0 AND delivery.urgent) DESC, "
            "delivery.due, work LIMIT ?",
            (destination, *_not_yet(), limit),
        )
        return [Delivery(**row) for row in rows.fetchall()]

    def waits_for(self, destination: str) -> bool:
        """Whether anything waits for a destination, due or not."""
        row = self.reading().execute(
            "SELECT 1 FROM delivery WHERE destination = ? AND state = 'waiting' LIMIT 1",
            (destination,),
        )
        return row.fetchone() is not None

    def delivered(self, delivery: Delivery) -> bool:
        """Mark a delivery; True where it was the film's last one."""
        with self.writing() as db:
            db.execute(
                "UPDATE delivery SET state = 'delivered', reason = NULL "
                "WHERE work = ? AND destination = ?",
                (delivery.work, delivery.destination),
            )
            changed = db.execute(
                "UPDATE work SET state = 'done', finished = ? WHERE id = ? AND NOT EXISTS "
                "(SELECT 1 FROM delivery WHERE work = ? AND state != 'delivered')",
                (time.time(), delivery.work, delivery.work),
            )
            return changed.rowcount > 0

    def not_delivered(
        self, delivery: Delivery, reason: str, wait: float | None, *, count: bool = True
    ) -> None:
        """Try again after ``wait`` seconds; None: a dead letter.

        Args:
            count: whether the attempt counts.
        """
        with self.writing() as db:
            db.execute(
                "UPDATE delivery SET state = ?, attempts = attempts + ?, reason = ?, due = ? "
                "WHERE work = ? AND destination = ?",
                (
                    "dead" if wait is None else "waiting",
                    int(count),
                    reason,
                    time.time() + (wait or 0.0),
                    delivery.work,
                    delivery.destination,
                ),
            )

    def note_health(self, destination: str, reason: str | None) -> None:
        """Remember whether a destination answers; None: it does."""
        now = time.time()
        with self.writing(durable=False) as db:
            db.execute(
                "INSERT INTO health VALUES (?, ?, ?, ?) ON CONFLICT (destination) DO UPDATE SET "
                "since = CASE WHEN (reason IS NULL) = (excluded.reason IS NULL) THEN since "
                "ELSE excluded.since END, reason = excluded.reason, checked = excluded.checked",
                (destination, reason, now, now),
            )

    def forget_trouble(self, destination: str) -> None:
        """No longer say that a destination does not answer: nobody tries it."""
        with self.writing(durable=False) as db:
            db.execute(
                "DELETE FROM health WHERE destination = ? AND reason IS NOT NULL", (destination,)
            )


def _not_yet() -> tuple[float, float]:
    """Between which times what is not due yet is due; for ``_IS_DUE``."""
    now = time.time()
    return math.nextafter(now, math.inf), now + LONGEST_WAIT_SECONDS
