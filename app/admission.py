"""Who is read now, who waits, and who is told at once to come back.

Work that is begun on many more films than there are cores makes every one of them slower, and a
queue without an end turns a busy minute into time-outs. So only some read at a time, some
more wait, and whoever comes past that is refused while the client still listens.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from app.errors import OverloadedError


def usual_at_once(workers: int = 1) -> int:
    """How many one of so many workers reads at once: its share of the cores, and one more.

    While one reading waits for the interpreter's lock, another takes its core, which idled up to a
    fifth of the time before; and of several workers one may hold most of the connections.
    """
    return -(-(os.cpu_count() or 1) // workers) + 1


class Admission:
    """A bounded queue before a bounded number of readings. Thread-safe.

    Args:
        at_once: readings that may be under way.
        waiting: requests that may wait for one of them to end.
        seconds: longest wait.
        tell: is told how many wait, whenever that has changed.
    """

    def __init__(
        self,
        at_once: int,
        waiting: int,
        seconds: float,
        tell: Callable[[int], None] = lambda _: None,
    ) -> None:
        self._tell = tell
        self._at_once = at_once
        self._places = threading.BoundedSemaphore(at_once)
        self._lock = threading.Lock()
        self._limit = at_once + waiting
        self._seconds = seconds
        self._inside = 0

    @property
    def inside(self) -> int:
        """Readings under way and requests that wait."""
        return self._inside

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Wait for a place, and hold it.

        Raises:
            OverloadedError: too many wait already, or no place came free in time.
        """
        with self._lock:
            if self._inside >= self._limit:
                raise OverloadedError(
                    "More radiographs are waiting than can be read soon. This one was not read: "
                    "send it again in a moment."
                )
            self._change(1)
        try:
            began = time.monotonic()
            if not self._places.acquire(timeout=self._seconds):
                raise OverloadedError(
                    f"No reading could begin within {time.monotonic() - began:.0f} seconds. "
                    "Send the radiograph again in a moment."
                )
            try:
                yield
            finally:
                self._places.release()
        finally:
            with self._lock:
                self._change(-1)

    def _change(self, by: int) -> None:
        """Under the lock, so that whoever is told hears the changes in their order."""
        before, self._inside = self._inside, self._inside + by
        if max(before, self._inside) > self._at_once:
            self._tell(max(self._inside - self._at_once, 0))
