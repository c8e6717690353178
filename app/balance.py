"""Which worker takes a new connection: of those that can read, one that has the fewest.

All workers listen on one socket, and the kernel wakes them all; whoever is first takes what
came. So one worker can hold every connection of a client that keeps them, and the cores of the
others idle. Here each says how many it has, and leaves what came to a worker that has fewer, for
some milliseconds at most: what nobody else takes, it takes after all. A worker that still loads
its models takes nothing while another one can read.
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
        self._connections = memoryview(mmap.mmap(-1, 8 * _PLACES)).cast("q")
        self._connections[:] = memoryview(_NOBODY.to_bytes(8, "little") * _PLACES).cast("q")
        self._ready = mmap.mmap(-1, _PLACES)
        self._free = list(range(_PLACES))

    def join(self) -> Share:
        """The place of a worker that is about to be forked."""
        place = self._free.pop(0) if self._free else None
        return Share(self._connections, self._ready, place)

    def leave(self, share: Share) -> None:
        """A worker has ended, however it did."""
        if share.place is not None:
            self._connections[share.place] = _NOBODY
            self._ready[share.place] = 0
            self._free.append(share.place)


class Share:
    """What one worker says of itself, and knows of the others. For one thread, but ``ready``.

    Attributes:
        place: which of all it is; None where there are more workers than places.
    """

    def __init__(self, connections: memoryview, ready: mmap.mmap, place: int | None) -> None:
        self._connections = connections
        self._ready = ready
        self.place = place
        self._own = 0
        self._accepting = True
        self._is_ready = False
        self._waits_since: float | None = None
        self._looked = 0.0
        self._distrusts_until = 0.0
        self._say()

    @property
    def ready(self) -> bool:
        """Whether it can read films; any thread may set it."""
        return self._is_ready

    @ready.setter
    def ready(self, ready: bool) -> None:
        # A byte of its own, which ``has`` does not write: that is another thread.
        self._is_ready = ready
        if self.place is not None:
            self._ready[self.place] = ready

    def has(self, connections: int) -> None:
        """So many are open."""
        self._own = connections
        self._say()

    def accepts(self, accepting: bool) -> None:
        """Whether it takes connections at all; a worker that ends does not."""
        self._accepting = accepting
        self._say()

    def leaves_it(self) -> bool:
        """Whether to leave a connection that came to others; call again while it is there.

        Returns after half a millisecond if so, because the poller would ask again at once.
        """
        if self.place is None:
            return False
        fewest = min(
            (
                number
                for number, ready in zip(self._connections, self._ready[:], strict=True)
                if ready
            ),
            default=_NOBODY,
        )
        if not self._is_ready:
            # However long that takes: here it would only be told that models are loading.
            if fewest == _NOBODY:
                return False
            time.sleep(_PAUSE)
            return True
        if fewest >= self._own:
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
        if self.place is not None:
            self._connections[self.place] = self._own if self._accepting else _NOBODY
