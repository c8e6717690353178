"""One retrying queue for each destination: one that is down blocks nobody else."""

from __future__ import annotations

import threading
import time
from collections import Counter
from dataclasses import KW_ONLY, dataclass

import structlog
from structlog.stdlib import BoundLogger

from app.pacs.database import trouble
from app.pacs.metrics import NodeMetrics
from app.pacs.queue import LONGEST_WAIT_SECONDS, Delivery, Queue
from app.pacs.sender import NoAnswerError, RefusedError, Sender, UnreachableError
from app.pacs.spool import Spool

log: BoundLogger = structlog.get_logger("app.pacs.delivery")

_BATCH = 16
_IDLE_SECONDS = 1.0
#: That a destination answers is remembered once in so many seconds.
_HEALTH_SECONDS = 5.0
#: A destination that cannot be reached is tried again at least this often: nothing is wrong
#: with the letters, so they neither count attempts nor become dead.
_MAX_UNREACHABLE_SECONDS = 60.0
#: The same for a letter in the middle of which it fell silent; others are tried meanwhile.
_MAX_SILENT_SECONDS = 600.0


def backoff(first_seconds: float, attempts: int, most: float = LONGEST_WAIT_SECONDS) -> float:
    """Seconds to wait after so many failed attempts: doubling, bounded."""
    return min(first_seconds * 2.0 ** min(attempts - 1, 30), most)


@dataclass(eq=False)
class Courier:
    """Delivers to one destination until it is stopped; the body of a thread.

    Args:
        retain: keep films and results after the last delivery; housekeeping removes them.
    """

    name: str
    sender: Sender
    queue: Queue
    spool: Spool
    metrics: NodeMetrics
    _: KW_ONLY
    retry_seconds: float
    max_attempts: int
    retain: bool

    def __post_init__(self) -> None:
        self.wake = threading.Event()
        self._unreachable = 0
        self._failures = 0  # of the queue, one after the other
        self._sent: Delivery | None = None  # and not yet recorded
        self._silences: Counter[int] = Counter()  # by film: how often it got no answer
        self._noted: tuple[str | None, float] = ("", 0.0)  # at the start nobody knows

    def run(self, stop: threading.Event) -> None:
        """Deliver what is due, again and again."""
        while not stop.is_set():
            try:
                wait = self.deliver_due(stop)
            except Exception as error:  # the disk or the database, for a while
                log.error("queue failed", error=trouble(error))
                self._failures += 1
                wait = backoff(_IDLE_SECONDS, self._failures, _MAX_UNREACHABLE_SECONDS)
            else:
                self._failures = 0
            if wait:
                self.sender.close()
                self._pause(stop, wait)
        self.sender.close()
        self.queue.close()

    def _pause(self, stop: threading.Event, seconds: float) -> None:
        if self._unreachable or self._failures:
            stop.wait(seconds)
        else:
            self.wake.wait(seconds)
            self.wake.clear()

    def deliver_due(self, stop: threading.Event) -> float:
        """Deliver a batch; seconds to wait before the next one."""
        self._record_sent()
        due = self.queue.due_deliveries(self.name, _BATCH)
        if not due and not self.queue.waits_for(self.name):
            self._forget_trouble()
        for delivery in due:
            if stop.is_set():
                return 0.0
            paths = self.spool.results(delivery.key)
            if not paths:
                self._refused(delivery, "the results are no longer in the spool")
                continue
            try:
                self.sender.send(paths)
            except UnreachableError as error:
                self._note(str(error))
                self._unreachable += 1
                return backoff(self.retry_seconds, self._unreachable, _MAX_UNREACHABLE_SECONDS)
            except NoAnswerError as error:
                self._note(str(error))
                self._fell_silent(delivery, str(error))
                return 0.0  # to what was never tried, before the next that was tried in vain
            except RefusedError as error:
                self._answered()
                self._refused(delivery, str(error), for_good=error.for_good)
            except Exception as error:
                # One letter that cannot be sent must not stop those behind it. Of the error only
                # its type: its words may quote the object, and so the patient.
                self._refused(delivery, type(error).__name__)
                self.sender.close()
            else:
                self._silences.pop(delivery.work, None)
                self.metrics.deliveries.labels(self.name, "delivered").inc()
                self._sent = delivery
                self._record_sent()
                self._answered()
        return 0.0 if len(due) == _BATCH else _IDLE_SECONDS

    def _record_sent(self) -> None:
        """What was sent is delivered; where the disk is full, before it would be sent again."""
        if self._sent is not None:
            last = self.queue.delivered(self._sent)
            if last and not self.retain:
                self.spool.discard(self._sent.key)
            self._sent = None

    def _answered(self) -> None:
        self._unreachable = 0
        self._note(None)

    def _forget_trouble(self) -> None:
        """Nothing waits, so nobody tries a destination that did not answer, or will know."""
        self._unreachable = 0
        self._silences.clear()
        if self._noted[0] is not None:
            self.queue.forget_trouble(self.name)
            self._noted = (None, 0.0)

    def _fell_silent(self, delivery: Delivery, reason: str) -> None:
        """The letter waits, and as nothing may be wrong with it, no attempt counts."""
        self._silences[delivery.work] += 1
        wait = backoff(self.retry_seconds, self._silences[delivery.work], _MAX_SILENT_SECONDS)
        self.queue.not_delivered(delivery, reason, wait, count=False)

    def _refused(self, delivery: Delivery, reason: str, *, for_good: bool = False) -> None:
        attempts = delivery.attempts + 1
        dead = for_good or attempts >= self.max_attempts
        wait = None if dead else backoff(self.retry_seconds, attempts)
        self.queue.not_delivered(delivery, reason, wait)
        self.metrics.deliveries.labels(self.name, "dead" if dead else "retried").inc()
        log.warning(
            "not delivered",
            film=delivery.work,
            destination=self.name,
            attempts=attempts,
            reason=reason,
            dead=dead,
        )

    def _note(self, reason: str | None) -> None:
        if reason is not None:
            self.metrics.deliveries.labels(self.name, "unreachable").inc()
            log.warning(
                "destination unreachable",
                destination=self.name,
                reason=reason,
            )
        before, when = self._noted
        now = time.monotonic()
        if reason != before or now - when > _HEALTH_SECONDS:
            self.queue.note_health(self.name, reason)
            self._noted = (reason, now)
