"""Films off the queue, through ``Predictor.read``, into result objects on the disk."""

from __future__ import annotations

import logging
import threading
import time
import traceback
from collections.abc import Callable, Sequence

from app.errors import NotReadyError, UnknownModelError
from app.pacs.metrics import NodeMetrics
from app.pacs.queue import Outcome, Queue, Work
from app.pacs.results import Refusal, objects_of
from app.pacs.results.identity import moment
from app.pacs.spool import Spool, SpoolFullError
from app.predictor import Predictor, Reading
from cxr.errors import RadiographError

log = logging.getLogger("app.pacs.worker")

#: Attempts of one film, each of which ended in an unexpected error or with the process.
MAX_ATTEMPTS = 5
_IDLE_SECONDS = 1.0
_FULL_SECONDS = 20.0
_NO_MODEL_SECONDS = 60.0

NO_BUNDLE = Refusal(
    "age_unknown",
    "The film says neither age nor date of birth, so no model could be chosen for it.",
)
BROKEN = Refusal("internal_error", "Reading this film failed again and again. It was put aside.")


class Worker:
    """Reads films until it is stopped; several threads may run one.

    Args:
        predictor: gives the predictor, or raises ``NotReadyError`` while there is none.
        destinations: names of those that get the results.
        kinds: the result objects that are made of a reading.
        arrived: set when a film has come.
        finished: called when results wait to be delivered.
    """

    def __init__(
        self,
        queue: Queue,
        spool: Spool,
        metrics: NodeMetrics,
        predictor: Callable[[], Predictor],
        *,
        destinations: Sequence[str],
        kinds: Sequence[str],
        arrived: threading.Event,
        finished: Callable[[], None],
    ) -> None:
        self._queue = queue
        self._spool = spool
        self._metrics = metrics
        self._predictor = predictor
        self._destinations = list(destinations)
        self._kinds = tuple(kinds)
        self._arrived = arrived
        self._finished = finished

    def run(self, stop: threading.Event) -> None:
        """Read film after film; the body of a thread."""
        while not stop.is_set():
            try:
                busy = self.read_one()
            except NotReadyError:
                busy = False
            except Exception as error:  # the disk or the database, for a while
                _log_unexpected("queue failed", error)
                busy = False
            if not busy:
                self._arrived.wait(_IDLE_SECONDS)
                self._arrived.clear()
        self._queue.close()

    def read_one(self) -> bool:
        """Read the next film, if one is due.

        Raises:
            NotReadyError: the models are not loaded.
        """
        predictor = self._predictor()
        work = self._queue.claim()
        if work is None:
            return False
        try:
            self._read(work, predictor)
        finally:
            self._queue.release(work)
        return True

    def _read(self, work: Work, predictor: Predictor) -> None:
        began = time.perf_counter()
        try:
            data = self._spool.received(work.key).read_bytes()
        except FileNotFoundError:
            self._queue.fail(work, "film_lost")
            log.error("film lost", extra={"fields": {"film": work.id}})
            return
        try:
            outcome = _outcome(data, work, predictor)
            objects = objects_of(data, outcome, moment(work.received), self._kinds)
            self._spool.write_results(work.key, objects)
        except SpoolFullError:
            self._queue.postpone(work, _FULL_SECONDS, "spool_full", count=False)
            log.error("results not written", extra={"fields": {"reason": "spool full"}})
            return
        except UnknownModelError:
            self._queue.postpone(work, _NO_MODEL_SECONDS, "unknown_model", count=False)
            log.error("film waits", extra={"fields": {"film": work.id, "reason": "unknown_model"}})
            return
        except Exception as error:
            _log_unexpected("reading failed", error)
            if work.attempts > MAX_ATTEMPTS:  # not even the refusal could be written
                self._queue.fail(work, "internal_error")
            else:
                self._queue.postpone(work, 2.0**work.attempts, "internal_error")
            return
        summary = _summary(outcome)
        self._queue.finish(work, summary, self._destinations)
        self._finished()
        self._count(work, summary, time.perf_counter() - began)

    def _count(self, work: Work, summary: Outcome, seconds: float) -> None:
        labels = (summary.model or "", summary.decision or "", summary.code or "")
        self._metrics.readings.labels(*labels).inc()
        self._metrics.reading_seconds.observe(seconds)
        self._metrics.turnaround_seconds.observe(max(time.time() - work.received, 0.0))
        log.info(
            "film read",
            extra={
                "fields": {
                    "film": work.id,
                    "model": summary.model,
                    "decision": summary.decision,
                    "code": summary.code,
                    "ms": round(seconds * 1000, 1),
                }
            },
        )


def _outcome(data: bytes, work: Work, predictor: Predictor) -> Reading | Refusal:
    if work.attempts > MAX_ATTEMPTS:
        return BROKEN
    if work.bundle is None:
        return NO_BUNDLE
    try:
        return predictor.read(data, work.bundle, with_evidence=True)
    except RadiographError as error:
        return Refusal(error.code, error.detail)


def _summary(outcome: Reading | Refusal) -> Outcome:
    if isinstance(outcome, Refusal):
        return Outcome(code=outcome.code)
    return Outcome(outcome.decision, outcome.infection_probability, outcome.bundle.name)


def _log_unexpected(event: str, error: Exception) -> None:
    # Types and places only: a library's message may quote the file, and so the patient.
    frames = [
        f"{frame.filename}:{frame.lineno} {frame.name}"
        for frame in traceback.extract_tb(error.__traceback__)
    ]
    log.error(event, extra={"fields": {"error": type(error).__name__, "frames": frames[-6:]}})
