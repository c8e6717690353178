"""A progress bar for what takes longer than two seconds."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

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
