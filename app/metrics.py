"""Prometheus metrics, right across workers.

With several workers gunicorn.conf.py sets ``PROMETHEUS_MULTIPROC_DIR``: every worker then
writes its numbers into files there and whichever worker is scraped adds them up. Labels come
from fixed lists only: no address, name or id can become one.
"""

from __future__ import annotations

import os
import time
from functools import partial
from pathlib import Path

from flask import Flask, Response, g
from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    generate_latest,
)
from prometheus_client.multiprocess import MultiProcessCollector

from app.logs import method_name, note_reading, route_rule
from app.reading import Reading
from app.registry import Registry

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_TWENTIETHS = tuple(round(step / 20, 2) for step in range(1, 21))
_RESIDENT = Path("/proc/self/statm")
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


class Metrics:
    """The counters of one application; a registry of its own, so tests do not share."""

    def __init__(self) -> None:
        self._registry = registry = CollectorRegistry()
        counter = partial(Counter, registry=registry)
        histogram = partial(Histogram, registry=registry)
        summed = partial(Gauge, multiprocess_mode="livesum", registry=registry)
        largest = partial(Gauge, multiprocess_mode="livemax", registry=registry)
        self._requests = counter(
            "xray_requests",
            "Answers by route, method, status and problem code (empty when none).",
            ("route", "method", "status", "code"),
        )
        # Without labels, so that it is there at 0 before the first: an alert on an increase does
        # not see a series that begins with 1.
        self._internal_errors = counter(
            "xray_internal_errors", "Requests that the service itself failed to answer (500)."
        )
        self._request_seconds = histogram(
            "xray_request_seconds",
            "Time from the request's headers to its answer, by route.",
            ("route",),
            buckets=_SECONDS,
        )
        self._in_progress = summed(
            "xray_requests_in_progress",
            "Requests that a thread is answering, waiting for the network included.",
        )
        self._queue_depth = summed(
            "xray_queue_depth", "Radiographs that wait for their turn to be read."
        )
        self._readings = counter(
            "xray_readings", "Readings by model and decision.", ("model", "decision")
        )
        self._refusals = counter(
            "xray_refusals",
            "Requests and radiographs that were refused, by problem code.",
            ("code",),
        )
        self._stage_seconds = histogram(
            "xray_reading_stage_seconds",
            "Time of a reading by stage.",
            ("stage",),
            buckets=_SECONDS,
        )
        self._probability = histogram(
            "xray_infection_probability",
            "Calibrated probability of infection by model: its distribution drifts with the films.",
            ("model",),
            buckets=_TWENTIETHS,
        )
        self._model_info = largest(
            "xray_model_info", "1 for each loaded bundle.", ("model", "version", "sha256")
        )
        self._workers_ready = summed(
            "xray_workers_ready", "Workers that have loaded and probed at least one bundle."
        )
        self._bundles_refused = largest(
            "xray_bundles_refused", "Bundles that could not be loaded or failed their probes."
        )
        self._resident_bytes = summed(
            "xray_resident_bytes", "Resident memory of all workers at their latest answers."
        )

        self._measure_next = 0.0  # of the monotonic clock

    def count_reading(self, reading: Reading) -> None:
        """Count one reading and the time of its stages, and note it for the log line."""
        model = reading.bundle.name
        self._readings.labels(model, reading.decision).inc()
        self._probability.labels(model).observe(reading.infection_probability)
        for stage, milliseconds in reading.timing_ms.items():
            self._stage_seconds.labels(stage).observe(milliseconds / 1000)
        note_reading(reading)

    def count_refusal(self, code: str) -> None:
        """Count one refusal, whichever way the radiograph came."""
        self._refusals.labels(code).inc()

    def note_queue(self, waiting: int) -> None:
        """Say how many radiographs of this worker wait to be read."""
        self._queue_depth.set(waiting)

    def describe_bundles(self, registry: Registry) -> None:
        """Say which bundles this worker has; called when loading has ended."""
        self._bundles_refused.set(len(registry.failures))
        bundles = registry.bundles
        self._workers_ready.set(1 if bundles else 0)
        for bundle in bundles:
            self._model_info.labels(bundle.name, bundle.version, bundle.sha256).set(1)

    def begin_request(self) -> None:
        """A ``before_request`` function."""
        self._in_progress.inc()
        g.in_progress = True

    def end_request(self, _: BaseException | None) -> None:
        """A ``teardown_request`` function; Flask calls it however the request ended."""
        if g.pop("in_progress", False):
            self._in_progress.dec()

    def count_request(self, response: Response) -> Response:
        """Count one answer; an ``after_request`` function."""
        route = route_rule()
        self._requests.labels(route, method_name(), str(response.status_code), g.code or "").inc()
        self._request_seconds.labels(route).observe(time.perf_counter() - g.started)
        if g.code == "internal_error":
            self._internal_errors.inc()
        elif g.code:
            self.count_refusal(g.code)
        self._measure_memory()
        return response

    def _measure_memory(self) -> None:
        """Once a second: to open the file takes a fiftieth of a small film's reading."""
        now = time.monotonic()
        if now < self._measure_next:
            return
        self._measure_next = now + 1
        try:
            pages = int(_RESIDENT.read_text().split()[1])
        except OSError:  # no Linux
            return
        self._resident_bytes.set(pages * _PAGE_BYTES)

    def exposition(self) -> Response:
        """All numbers in Prometheus's text format, of all workers."""
        registry = self._registry
        if os.environ.get("PROMETHEUS_MULTIPROC_DIR"):
            registry = CollectorRegistry()
            MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
        return Response(generate_latest(registry), content_type=CONTENT_TYPE_LATEST)


def init_app(app: Flask) -> Metrics:
    """Count every answer of ``app``."""
    metrics = Metrics()
    app.before_request(metrics.begin_request)
    app.after_request(metrics.count_request)
    app.teardown_request(metrics.end_request)
    app.extensions["metrics"] = metrics
    return metrics
