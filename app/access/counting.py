"""Where requests are counted: in this process, or in a Redis that may fail or hang.

The library finds these two by the scheme of ``XRAY_RATE_LIMIT_STORE``, instead of its own.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

import structlog
from limits.storage import MemoryStorage, RedisStorage
from structlog.stdlib import BoundLogger

P = ParamSpec("P")
R = TypeVar("R")

log: BoundLogger = structlog.get_logger("app.rate")

#: Longest wait for one answer of Redis, in seconds.
ANSWER_SECONDS = 0.5
#: After one that did not come, how long nobody asks again.
PAUSE_SECONDS = 5.0


class InThisProcess(MemoryStorage):
    """The library's own storage for several threads: hitting at once they started its timer
    twice, which raises, and removed what it was about to remove."""

    STORAGE_SCHEME = ["memory"]

    def __init__(self, uri: str | None = None, **options: Any) -> None:
        self._lock = threading.Lock()
        super().__init__(uri, **options)

    def acquire_sliding_window_entry(
        self, key: str, limit: int, expiry: int, amount: int = 1
    ) -> bool:
        """Count one request, unless that is too many."""
        with self._lock:
            return super().acquire_sliding_window_entry(key, limit, expiry, amount)

    def get(self, key: str) -> int:
        """The count of one window; the timer alone removes those that are over."""
        over = self.expirations.get(key, 0) <= time.time()
        return 0 if over else self.storage.get(key, 0)


class InRedis(RedisStorage):
    """Redis, and for a while this process alone where Redis does not answer soon."""

    STORAGE_SCHEME = ["redis", "rediss", "redis+unix"]

    def __init__(self, uri: str, **options: Any) -> None:
        super().__init__(
            uri, socket_timeout=ANSWER_SECONDS, socket_connect_timeout=ANSWER_SECONDS, **options
        )
        self._own = InThisProcess()
        self._noting = threading.Lock()
        self._ask_from = 0.0  # 0 while Redis answers

    def _either(
        self, ask: Callable[P, R], own: Callable[P, R], *values: P.args, **named: P.kwargs
    ) -> R:
        """What Redis answers, or else what this process has counted."""
        pause, now = self._ask_from, time.monotonic()
        if now < pause:
            return own(*values, **named)
        if pause:  # one request finds out for all others
            self._ask_from = now + PAUSE_SECONDS
        try:
            answer = ask(*values, **named)
        except self.base_exceptions as error:
            with self._noting:
                first, self._ask_from = not self._ask_from, time.monotonic() + PAUSE_SECONDS
            if first:
                # Never its words: they may hold the address.
                log.error("Redis does not answer", reason=type(error).__name__)
            return own(*values, **named)
        if pause:
            self._ask_from = 0.0
            log.warning("Redis answers again")
        return answer

    def acquire_sliding_window_entry(
        self, key: str, limit: int, expiry: int, amount: int = 1
    ) -> bool:
        """Count one request, unless that is too many."""
        ask, own = super().acquire_sliding_window_entry, self._own.acquire_sliding_window_entry
        return self._either(ask, own, key, limit, expiry, amount)

    def get_sliding_window(self, key: str, expiry: int) -> tuple[int, float, int, float]:
        """What was counted in the window before and in this one, and when each is over."""
        ask, own = super().get_sliding_window, self._own.get_sliding_window
        return self._either(ask, own, key, expiry)
