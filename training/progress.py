"""What a terminal shows of what takes longer than two seconds."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tqdm import tqdm


@contextmanager
def decoding_progress() -> Iterator[Callable[[int, int], None]]:
    """A callback (done, total) that draws a bar, at a terminal, once decoding takes a moment."""
    bar = tqdm(desc="Decoding", unit="film", delay=1.0, leave=False, disable=None)

    def advance(done: int, total: int) -> None:
        bar.total = total
        bar.update(done - bar.n)

    try:
        yield advance
    finally:
        bar.close()


class Steps:
    """Says what is being done, and how long each step took."""

    def __init__(self) -> None:
        self._began: float | None = None
        self._first = time.time()

    def __call__(self, words: str) -> None:
        self._end()
        print(f"{words} …", end=" ", file=sys.stderr, flush=True)
        self._began = time.time()

    def _end(self) -> None:
        if self._began is not None:
            print(f"{time.time() - self._began:.0f} s", file=sys.stderr, flush=True)

    def done(self, out: Path) -> None:
        self._end()
        print(f"Written to {out} after {time.time() - self._first:.0f} s.", file=sys.stderr)
