"""The node's process: provider, workers, couriers and housekeeping around one queue."""

from __future__ import annotations

import fcntl
import os
import signal
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import structlog
from prometheus_client import start_http_server
from structlog.stdlib import BoundLogger

from app.pacs.database import trouble
from app.pacs.delivery import Courier
from app.pacs.destinations import sender
from app.pacs.housekeeping import tidy
from app.pacs.intake import Intake, look_at_models
from app.pacs.metrics import NodeMetrics
from app.pacs.put_aside import bury_unknown
from app.pacs.queue import Queue
from app.pacs.reader import Reader
from app.pacs.scp import StorageProvider
from app.pacs.settings import PacsSettings
from app.pacs.spool import Spool
from app.pacs.tls import client_tls, server_tls
from app.pacs.worker import Worker
from app.settings import SettingsError

log: BoundLogger = structlog.get_logger("app.pacs.node")

_HOUSEKEEPING_SECONDS = 30.0
#: For all that is in hand together, within compose's stop_grace_period of 40 s.
_STOP_SECONDS = 30.0


def open_queue(spool: Path) -> Queue:
    """The queue of a spool, whose folder exists."""
    return Queue(spool / "queue.sqlite")


@contextmanager
def spool_errors(root: Path) -> Iterator[None]:
    """Say of what goes wrong in opening the spool that it is the spool's folder.

    Raises:
        SettingsError: it cannot be used.
    """
    try:
        yield
    except (OSError, sqlite3.Error) as error:
        why = getattr(error, "strerror", None) or str(error)
        raise SettingsError(f"XRAY_PACS_SPOOL={root} cannot be used: {why}.") from None


@contextmanager
def _listening(variables: str, host: str, port: int) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        why = error.strerror or str(error)
        raise SettingsError(
            f"{variables}HOST={host} with {variables}PORT={port} cannot be used: {why}."
        ) from None


@dataclass
class Node:
    """A running node; ``start`` and ``stop`` it.

    Args:
        models: folder of the bundles, for the routing.
        readers: what reads, as many films at once as there are.

    Raises:
        SettingsError: a setting is missing or cannot be used, or another node uses the spool.
    """

    settings: PacsSettings
    models: Path
    readers: Sequence[Reader]
    _stop: threading.Event = field(default_factory=threading.Event)
    _threads: list[threading.Thread] = field(default_factory=list)

    def __post_init__(self) -> None:
        settings = self.settings
        root = settings.check_node()
        os.umask(0o077)
        for check in (server_tls, client_tls):  # now, not with the first association
            check(settings)
        shelf = look_at_models(self.models, settings)
        with spool_errors(root):
            self.spool = Spool(root, settings.min_free_bytes, in_node=True)
            self._lock = _lock(root / "node.lock")
            self.queue = open_queue(root)
        self.metrics = NodeMetrics(self.queue, self.spool, shelf.bundles)
        self._arrived = threading.Event()
        self.intake = Intake(self.spool, self.queue, settings, shelf, self._arrived)
        self.provider = StorageProvider(settings, self.intake, self.metrics)
        self._couriers = [
            Courier(
                peer.name,
                sender(peer, settings),
                self.queue,
                self.spool,
                self.metrics,
                retry_seconds=settings.retry_seconds,
                max_attempts=settings.max_attempts,
                retain=settings.retention_seconds > 0,
            )
            for peer in settings.destinations
        ]
        self._workers = [
            Worker(
                self.queue,
                self.spool,
                self.metrics,
                reader,
                destinations=settings.destination_names,
                kinds=settings.results,
                arrived=self._arrived,
                finished=self._wake_couriers,
            )
            for reader in self.readers
        ]
        self._exposition: Any = None

    def _wake_couriers(self) -> None:
        for courier in self._couriers:
            courier.wake.set()

    def start(self) -> None:
        """Clear what a crash left, then listen, read and deliver, each in its threads.

        Raises:
            SettingsError: an address cannot be listened on, a TLS file or the spool cannot be
                used.
        """
        names = self.settings.destination_names
        with spool_errors(self.spool.root):
            bury_unknown(self.queue, names)
            self.spool.clear_unfinished()
            self.intake.take_back()
            self._tidy()
        if self.settings.metrics_port:
            host, port = self.settings.metrics_host, self.settings.metrics_port
            with _listening("XRAY_PACS_METRICS_", host, port):
                self._exposition, _ = start_http_server(
                    port, addr=host, registry=self.metrics.registry
                )
        with _listening("XRAY_PACS_", self.settings.host, self.settings.port):
            self.provider.start()
        for number, worker in enumerate(self._workers):
            self._run(worker.run, f"reader-{number}")
        for courier, name in zip(self._couriers, names, strict=True):
            self._run(courier.run, f"courier-{name}")
        self._run(self._keep_house, "housekeeping")
        log.info("node listens", port=self.provider.port)

    def _run(self, body: Callable[[threading.Event], None], name: str) -> None:
        thread = threading.Thread(target=body, args=(self._stop,), name=name, daemon=True)
        self._threads.append(thread)
        thread.start()

    def stop(self) -> None:
        """Accept nothing more, finish what is in hand and can be finished soon, and return."""
        end = time.monotonic() + _STOP_SECONDS
        self.provider.stop()
        self._stop.set()
        self._arrived.set()
        self._wake_couriers()
        for thread in self._threads:
            thread.join(max(end - time.monotonic(), 0.0))
        for reader in self.readers:
            reader.close()
        if self._exposition is not None:
            self._exposition.shutdown()
            self._exposition.server_close()
        self.queue.close()
        os.close(self._lock)

    def _keep_house(self, stop: threading.Event) -> None:
        while not stop.wait(_HOUSEKEEPING_SECONDS):
            try:
                self._tidy()
            except Exception as error:  # the disk or the database, for a while
                log.error("tidying failed", error=trouble(error))
        self.queue.close()

    def _tidy(self) -> None:
        tidy(
            self.queue,
            self.spool,
            retention_seconds=self.settings.retention_seconds,
            history_days=self.settings.history_days,
        )


def run(node: Node) -> None:
    """Run until SIGTERM or SIGINT, then stop in order."""
    ended = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ended.set())
    node.start()
    ended.wait()
    node.stop()
    log.info("node stopped")


def _lock(path: Path) -> int:
    """Hold the spool for this process alone, until it ends in whatever way."""
    descriptor = os.open(path, os.O_CREAT | os.O_RDWR, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        raise SettingsError("Another node uses the spool in XRAY_PACS_SPOOL.") from None
    return descriptor
