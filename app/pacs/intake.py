"""A film comes in: routed, on the disk and in the queue, and only then acknowledged."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import structlog
from structlog.stdlib import BoundLogger

from app.pacs.housekeeping import unknown
from app.pacs.queue import Queue
from app.pacs.routing import Header, MalformedObjectError, Route, Router, read_header
from app.pacs.settings import PacsSettings
from app.pacs.spool import Spool
from app.population import group_of
from app.settings import SettingsError

log: BoundLogger = structlog.get_logger("app.pacs.intake")


class Taken(StrEnum):
    """What became of a film that was offered."""

    QUEUED = "queued"
    DUPLICATE = "duplicate"
    DROPPED = "dropped"


@dataclass(frozen=True)
class Receipt:
    """The answer to a film: what became of it, and why where it was dropped."""

    taken: Taken
    reason: str = ""


@dataclass(frozen=True)
class ModelShelf:
    """What the bundles on disk say of themselves, read without loading a network.

    Attributes:
        child, adult: names of the bundles for children and adults, "" where there is none. One
            that states no ages stands for both where it is the only one.
        bundles: name, version and sha256 of the weights of each.
    """

    child: str
    adult: str
    bundles: tuple[tuple[str, str, str], ...]

    @property
    def weights(self) -> Mapping[str, str]:
        """Their sha256, by the bundle's name."""
        return {name: sha256 for name, _, sha256 in self.bundles}


def look_at_models(models: Path, settings: PacsSettings) -> ModelShelf:
    """Read the ``bundle.json`` of every bundle; a damaged one is left to the registry.

    Raises:
        SettingsError: there is none, or a setting chooses one that is not there.
    """
    bundles: list[tuple[str, str, str]] = []
    by_group: dict[str | None, str] = {}
    for path in sorted(models.glob("*/bundle.json")):
        try:
            document = json.loads(path.read_text())
            name, population = str(document["name"]), dict(document["population"])
            bundle = name, str(document.get("version", "")), str(document["sha256"])
        except (OSError, ValueError, KeyError, TypeError):
            continue
        bundles.append(bundle)
        by_group.setdefault(group_of(population), name)
    names = [name for name, _, _ in bundles]
    if not names:
        raise SettingsError(f"XRAY_MODELS={models} holds no bundle that can be read.")
    for variable, chosen in (
        ("XRAY_PACS_CHILD_BUNDLE", settings.child_bundle),
        ("XRAY_PACS_ADULT_BUNDLE", settings.adult_bundle),
        ("XRAY_PACS_AGELESS_BUNDLE", settings.ageless_bundle),
    ):
        if chosen and chosen not in names:
            raise SettingsError(
                f"{variable}={chosen!r} is none of the bundles: {', '.join(names)}."
            )
    alone = by_group.get(None, "") if len(names) == 1 else ""
    child, adult = by_group.get("child", alone), by_group.get("adult", alone)
    return ModelShelf(child, adult, tuple(bundles))


class Intake:
    """Takes films, from an association or from a pull."""

    def __init__(
        self,
        spool: Spool,
        queue: Queue,
        settings: PacsSettings,
        shelf: ModelShelf,
        arrived: threading.Event | None = None,
    ) -> None:
        self._spool = spool
        self._queue = queue
        self._settings = settings
        self._router = Router(settings, shelf.child, shelf.adult)
        self._weights = shelf.weights
        self._arrived = arrived

    def take(self, data: bytes, *, expected_instance: str | None = None) -> Receipt:
        """Take one PS3.10 file. When this returns, the film survives a crash.

        Args:
            expected_instance: the SOP Instance UID that the sender announced.

        Raises:
            MalformedObjectError: no DICOM object, or not the one announced.
            SpoolFullError: there is no room for it.
        """
        header = read_header(data)
        if expected_instance is not None and header.sop_instance != expected_instance:
            raise MalformedObjectError
        route = self._router.route(header)
        if route.dropped:
            self._queue.count_dropped(route.dropped)
            return Receipt(Taken.DROPPED, route.dropped)
        key = self._key(header, route)
        if self._queue.knows(key):
            return self._duplicate()
        staged = self._spool.stage(data)
        try:
            new = self._queue.admit(
                key,
                route.bundle,
                lambda: self._spool.accept(staged, key),
                # The file keeps it, even where the queue is lost.
                staged.stat().st_mtime,
            )
        finally:
            staged.unlink(missing_ok=True)
        if not new:
            return self._duplicate()
        if self._arrived is not None:
            self._arrived.set()
        return Receipt(Taken.QUEUED)

    def take_back(self) -> None:
        """Queue the films of the spool that the queue does not know, as when it was lost.

        One that cannot be queued stays where it is: it was acknowledged, and nobody else may
        have it.
        """
        names = unknown(self._queue, self._spool.films())
        taken = sum(map(self._take_back, names))
        if names:
            left = len(names) - taken
            log.error("films that the queue did not know", films=taken, left=left)

    def _take_back(self, name: str) -> bool:
        path = self._spool.received(name)
        try:
            header = read_header(path.read_bytes())
        except (OSError, MalformedObjectError):
            return False
        route = self._router.route(header)
        if route.dropped:
            return False
        key = self._key(header, route)  # not the name, where the models are others now
        taken = self._queue.admit(
            key, route.bundle, lambda: self._spool.accept(path, key), path.stat().st_mtime
        )
        if not taken and name != key:
            self._spool.discard(name)  # a copy of a film that the queue knows
        return True

    def _key(self, header: Header, route: Route) -> str:
        # For other weights the same film is another piece of work; bundles that do not read it
        # make no difference.
        weights = self._weights.get(route.bundle or "", "")
        return hashlib.sha256(f"{header.sop_instance}\n{weights}".encode()).hexdigest()

    def _duplicate(self) -> Receipt:
        self._queue.count_dropped("duplicate")
        return Receipt(Taken.DUPLICATE)
