"""The node's numbers for Prometheus: nothing in them is about a patient."""

from __future__ import annotations

import time
from collections.abc import Iterable
from functools import partial

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from app.pacs.queue import Queue
from app.pacs.spool import Spool, free_bytes
from app.pacs.statuses import StoreStatus

#: What becomes of a connection or a request for an association.
ASSOCIATION_RESULTS = (
    "accepted",
    "unknown_caller",
    "unknown_address",
    "called_title",
    "too_many",
    "no_handshake",
    "failed",
)
#: Of a film that never came whole; the others are those of ``StoreStatus``.
TOO_LARGE = "TOO_LARGE"
STORE_STATUSES = (*(status.name for status in StoreStatus), TOO_LARGE)

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)


class NodeMetrics:
    """Counters of one node process, and gauges that are read from its queue when asked.

    Args:
        bundles: name, version and hash of each that the node found when it started.
    """

    def __init__(
        self, queue: Queue, spool: Spool, bundles: Iterable[tuple[str, str, str]] = ()
    ) -> None:
        self.registry = CollectorRegistry()
        counter = partial(Counter, registry=self.registry)
        histogram = partial(Histogram, registry=self.registry)
        # As the service has it, so that one alert sees a node that was left behind.
        model_info = Gauge(
            "xray_model_info",
            "1 for each bundle that the node found when it started.",
            ("model", "version", "sha256"),
            registry=self.registry,
        )
        for bundle in bundles:
            model_info.labels(*bundle).set(1)
        self.associations = counter(
            "xray_pacs_associations",
            f"Connections and associations by result: {', '.join(ASSOCIATION_RESULTS)}.",
            ("result",),
        )
        self.stores = counter(
            "xray_pacs_stores",
            f"C-STORE requests by what they were answered with: {', '.join(STORE_STATUSES)} "
            "(no answer: the connection was ended).",
            ("status",),
        )
        self.store_seconds = histogram(
            "xray_pacs_store_seconds",
            "Time from a complete C-STORE request to its answer.",
            buckets=_SECONDS,
        )
        self.films = counter(
            "xray_pacs_films",
            "Films by what became of them: queued, duplicate, or dropped with the reason.",
            ("taken", "reason"),
        )
        self.readings = counter(
            "xray_pacs_readings",
            "Films read, by model and decision; refused ones by their code.",
            ("model", "decision", "code"),
        )
        self.reading_seconds = histogram(
            "xray_pacs_reading_seconds",
            "Time from taking a film off the queue to its results on disk.",
            buckets=_SECONDS,
        )
        self.turnaround_seconds = histogram(
            "xray_pacs_turnaround_seconds",
            "Time from receiving a film to its results on disk.",
            buckets=(0.1, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 1800.0, 7200.0),
        )
        self.deliveries = counter(
            "xray_pacs_deliveries",
            "Attempts of a delivery by destination and outcome: delivered, retried, dead, "
            "unreachable.",
            ("destination", "outcome"),
        )
        # From the start at 0: an alert on an increase does not see a series that begins with 1.
        for result in ASSOCIATION_RESULTS:
            self.associations.labels(result)
        for status in STORE_STATUSES:
            self.stores.labels(status)
        self.registry.register(_QueueCollector(queue, spool))


class _QueueCollector(Collector):
    """What the queue and the disk hold at the moment of asking."""

    def __init__(self, queue: Queue, spool: Spool) -> None:
        self._queue = queue
        self._spool = spool

    def collect(self) -> Iterable[Metric]:
        db = self._queue.reading()
        films = GaugeMetricFamily("xray_pacs_queue", "Films by state.", labels=("state",))
        counts = dict.fromkeys(("queued", "delivering", "failed"), 0)
        counts.update(
            db.execute("SELECT state, COUNT(*) FROM work WHERE state != 'done' GROUP BY state")
        )
        for state, number in counts.items():
            films.add_metric((state,), number)
        yield films

        oldest = db.execute("SELECT MIN(received) FROM work WHERE state = 'queued'").fetchone()[0]
        yield GaugeMetricFamily(
            "xray_pacs_oldest_unread_seconds",
            "How long the oldest unread film has waited.",
            value=max(time.time() - oldest, 0.0) if oldest else 0.0,
        )

        letters = GaugeMetricFamily(
            "xray_pacs_undelivered",
            "Results that have not arrived, by destination and state: waiting, dead.",
            labels=("destination", "state"),
        )
        for destination, state, number in db.execute(
            "SELECT destination, state, COUNT(*) FROM delivery WHERE state != 'delivered' "
            "GROUP BY destination, state"
        ):
            letters.add_metric((destination, state), number)
        yield letters

        health = GaugeMetricFamily(
            "xray_pacs_destination_up",
            "Whether a destination could be reached when it was last tried.",
            labels=("destination",),
        )
        for destination, reason in db.execute("SELECT destination, reason FROM health"):
            health.add_metric((destination,), float(reason is None))
        yield health

        yield GaugeMetricFamily(
            "xray_pacs_spool_free_bytes",
            "Room on the spool's disk.",
            value=free_bytes(self._spool.root),
        )
