"""Which worker takes a new connection: one that has the fewest.

All workers listen on one socket, and the kernel wakes them all; whoever is first takes what
came. So one worker can hold every connection of a client that keeps them, and the cores of the
others idle. Here each says how many it has, and leaves what came to a worker that has fewer, for
some milliseconds at most: what nobody else takes, it takes after all.
"""

from __future__ import annotations

import mmap
import os
import time

from app.settings import Settings

#: More workers than this are not balanced.
_PLACES = 256
#: Says of a place that nobody there accepts anything.
_NOBODY = 2**62
#: Counts as that many connections, so that others go first while models load.
_NOT_READY = 2**32
#: A worker that has fewest connections takes what came within a fraction of this.
LONGEST_WAIT = 0.02
#: How soon to look again whether somebody took it.
_PAUSE = 0.0005
#: So long nobody is waited for after somebody was in vain.
DISTRUST = 0.25


def usual_workers(settings: Settings) -> int:
    """How many worker processes serve where nobody says: two, if there are two cores.

    Threads that share one interpreter wait for each other for a tenth to a third of the time, and
    while a worker that was killed starts anew the other one reads. But each counts requests for
    itself: a rate limit that is counted in memory holds with one worker only.
    """
    if settings.rate_limit and settings.rate_limit_store.startswith("memory://"):
        return 1
    return min(os.cpu_count() or 1, 2)


class Balance:
    """The connections of every worker, in memory that they share.

    Made in the master before it forks; only the master calls ``join`` and ``leave``.
    """

    def __init__(self) -> None:
        self._counts = memoryview(mmap.mmap(-1, 8 * _PLACES)).cast("q")
        self._counts[:] = memoryview(_NOBODY.to_bytes(8, "little") * _PLACES).cast("q")
        self._free = list(range(_PLACES))

    def join(self) -> Share:
        """The place of a worker that is about to be forked."""
        place = self._free.pop(0) if self._free else None
        return Share(self._counts, place)

    def leave(self, share: Share) -> None:
        """A worker has ended, however it did."""
        if share.place is not None:
            self._counts[share.place] = _NOBODY
            self._free.append(share.place)


class Share:
    """What one worker says of itself, and knows of the others. For one thread, but ``ready``.

    Attributes:
        place: which of all it is; None where there are more workers than places.
        ready: whether it can read films.
    """

    def __init__(self, counts: memoryview, place: int | None) -> None:
        self._counts = counts
        self.place = place
        self._connections = 0
        self._accepting = True
        self._ready = False
        self._waits_since: float | None = None
        self._looked = 0.0
        self._distrusts_until = 0.0
        self._say()

    @property
    def ready(self) -> bool:
        return self._ready

    @ready.setter
    def ready(self, ready: bool) -> None:
        self._ready = ready
        self._say()

    def has(self, connections: int) -> None:
        """So many are open."""
        self._connections = connections
        self._say()

    def accepts(self, accepting: bool) -> None:
        """Whether it takes connections at all; a worker that ends does not."""
        self._accepting = accepting
        self._say()

    def leaves_it(self) -> bool:
        """Whether to leave a connection that came to others; call again while it is there.

        Returns after half a millisecond if so, because the poller would ask again at once.
        """
        if self.place is None or min(self._counts) >= self._counts[self.place]:
            self._waits_since = None
            return False
        now = time.monotonic()
        if now < self._distrusts_until:
            return False
        if self._waits_since is None or now - self._looked > 10 * _PAUSE:
            self._waits_since = now  # another connection than the last
        if now - self._waits_since > LONGEST_WAIT:
            self._waits_since = None
            self._distrusts_until = now + DISTRUST
            return False
        time.sleep(_PAUSE)
        self._looked = time.monotonic()
        return True

    def _say(self) -> None:
        if self.place is None:
            return
        if self._accepting:
            self._counts[self.place] = self._connections + (0 if self._ready else _NOT_READY)
        else:
            self._counts[self.place] = _NOBODY
