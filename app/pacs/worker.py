"""Films off the queue, through a reader, into result objects on the disk."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import KW_ONLY, dataclass, field

import structlog
from structlog.stdlib import BoundLogger

from app.errors import NotReadyError, UnknownModelError
from app.pacs.metrics import NodeMetrics
from app.pacs.processes import what_failed
from app.pacs.queue import LOST, Outcome, Queue, Work
from app.pacs.reader import FilmLostError, Reader, Task
from app.pacs.results import Refusal
from app.pacs.spool import Spool, SpoolFullError

log: BoundLogger = structlog.get_logger("app.pacs.worker")

#: Attempts of one film, each of which ended in an unexpected error or with the process.
MAX_ATTEMPTS = 5
_IDLE_SECONDS = 1.0
_FULL_SECONDS = 20.0
_NO_MODEL_SECONDS = 60.0

NO_BUNDLE = Refusal(
    "age_unknown",
    "The film says neither age nor date of birth, or no model is for patients of that age, so none "
    "could be chosen for it.",
)
BROKEN = Refusal("internal_error", "Reading this film failed again and again. It was put aside.")


@dataclass(eq=False)
class Worker:
    """Reads films until it is stopped; each thread runs one of its own.

    Args:
        reader: does the reading; this worker's alone.
        destinations: names of those that get the results.
        kinds: the result objects that are made of a reading.
        arrived: set when a film has come.
        finished: called when results wait to be delivered.
    """

    queue: Queue
    spool: Spool
    metrics: NodeMetrics
    reader: Reader
    _: KW_ONLY
    destinations: list[str]
    kinds: tuple[str, ...]
    arrived: threading.Event
    finished: Callable[[], None]
    _not_ready: str = field(default="", init=False)

    def run(self, stop: threading.Event) -> None:
        """Read film after film; the body of a thread."""
        while not stop.is_set():
            try:
                busy = self.read_one()
            except NotReadyError as error:
                self._log_not_ready(error.detail)
                busy = False
            except Exception as error:  # the disk or the database, for a while
                log.error("queue failed", **what_failed(error))
                busy = False
            if not busy:
                self.arrived.wait(_IDLE_SECONDS)
                self.arrived.clear()
        self.queue.close()

    def _log_not_ready(self, detail: str) -> None:
        """Once for each reason, not once a second."""
        if detail != self._not_ready:
            log.error("reader not ready", reason=detail)
        self._not_ready = detail

    def read_one(self) -> bool:
        """Read the next film, if one is due.

        Raises:
            NotReadyError: the models are not loaded.
        """
        # Before a film is claimed: its attempt counts from then on.
        self.reader.prepare()
        self._not_ready = ""
        work = self.queue.claim()
        if work is None:
            return False
        try:
            self._read(work)
        finally:
            self.queue.release(work)
        return True

    def _read(self, work: Work) -> None:
        began = time.perf_counter()
        task = Task(self.spool.received(work.key), _plan(work), work.received, self.kinds)
        try:
            results = self.reader.read(task)
            self.spool.write_results(work.key, results.objects)
        except FilmLostError:
            self.queue.fail(work, LOST)
            log.error("film lost", film=work.id)
            return
        except SpoolFullError:
            self.queue.postpone(work, _FULL_SECONDS, "spool_full", count=False)
            log.error("results not written", reason="spool full")
            return
        except (UnknownModelError, NotReadyError) as error:
            self.queue.postpone(work, _NO_MODEL_SECONDS, error.code, count=False)
            log.error("film waits", film=work.id, reason=error.code)
            return
        except Exception as error:
            log.error("reading failed", **what_failed(error))
            if work.attempts > MAX_ATTEMPTS:  # not even the refusal could be written
                self.queue.fail(work, "internal_error")
            else:
                self.queue.postpone(work, 2.0**work.attempts, "internal_error")
            return
        self.queue.finish(work, results.outcome, self.destinations)
        self.finished()
        self._count(work, results.outcome, time.perf_counter() - began)

    def _count(self, work: Work, summary: Outcome, seconds: float) -> None:
        labels = (summary.model or "", summary.decision or "", summary.code or "")
        self.metrics.readings.labels(*labels).inc()
        self.metrics.reading_seconds.observe(seconds)
        self.metrics.turnaround_seconds.observe(max(time.time() - work.received, 0.0))
        log.info(
            "film read",
            film=work.id,
            model=summary.model,
            decision=summary.decision,
            code=summary.code,
            ms=round(seconds * 1000, 1),
        )


def _plan(work: Work) -> str | Refusal:
    if work.attempts > MAX_ATTEMPTS:
        return BROKEN
    return NO_BUNDLE if work.bundle is None else work.bundle
