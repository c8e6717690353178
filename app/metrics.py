"""Prometheus metrics, right across workers.

With several workers gunicorn.conf.py sets ``PROMETHEUS_MULTIPROC_DIR``: every worker then
writes its numbers into files there and whichever worker is scraped adds them up.
"""

from __future__ import annotations

import os
import time

from flask import Flask, Response, g, request
from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Histogram,
    generate_latest,
)
from prometheus_client.multiprocess import MultiProcessCollector

from app.logs import route_rule
from app.predictor import Reading

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
# Methods a client invents must not each become a time series.
_METHODS = {"GET", "HEAD", "POST", "OPTIONS", "PUT", "PATCH", "DELETE"}


class Metrics:
    """The counters of one application; a registry of its own, so tests do not share."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._requests = Counter(
            "xray_requests",
            "Answers by route, method, status and problem code (empty when none).",
            ("route", "method", "status", "code"),
            registry=self._registry,
        )
        self._request_seconds = Histogram(
            "xray_request_seconds",
            "Time from the request's headers to its answer, by route.",
            ("route",),
            buckets=_SECONDS,
            registry=self._registry,
        )
        self._readings = Counter(
            "xray_readings",
            "Readings by model and decision.",
            ("model", "decision"),
            registry=self._registry,
        )
        self._stage_seconds = Histogram(
            "xray_reading_stage_seconds",
            "Time of a reading by stage.",
            ("stage",),
            buckets=_SECONDS,
            registry=self._registry,
        )

    def count_reading(self, reading: Reading) -> None:
        """Count one reading and the time of its stages."""
        self._readings.labels(reading.bundle.name, reading.decision).inc()
        for stage, milliseconds in reading.timing_ms.items():
            self._stage_seconds.labels(stage).observe(milliseconds / 1000)

    def count_request(self, response: Response) -> Response:
        """Count one answer; an ``after_request`` function."""
        route = route_rule()
        method = request.method if request.method in _METHODS else "other"
        self._requests.labels(route, method, str(response.status_code), g.code or "").inc()
        self._request_seconds.labels(route).observe(time.perf_counter() - g.started)
        return response

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
    app.after_request(metrics.count_request)
    app.extensions["metrics"] = metrics
    return metrics
