"""What both fuzzers hold an input against: no hang, no memory without bound; and the report."""

from __future__ import annotations

import hashlib
import resource
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

#: Seconds of processor time, so that a busy machine does not look like a hang.
MOST_SECONDS = 2.0

REPORT_EVERY = 5000

outcomes: Counter[str] = Counter()
_slowest = [0.0]


@contextmanager
def watched(data: bytes) -> Iterator[None]:
    """Raise where the work on ``data`` takes longer than ``MOST_SECONDS`` of this thread."""
    began = time.thread_time()
    yield
    taken = time.thread_time() - began
    _slowest[0] = max(_slowest[0], taken)
    if taken > MOST_SECONDS:
        raise TimeoutError(f"{taken:.1f} s for {hashlib.sha256(data).hexdigest()[:16]}")


def count(outcome: str) -> None:
    """Count what became of one input; every thousandth prints the report.

    libFuzzer leaves without running exit handlers, so the report cannot wait for the end.
    """
    outcomes[outcome] += 1
    total = outcomes.total()
    if total % REPORT_EVERY:
        return
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    lines = [f"{number:9d}  {name}" for name, number in outcomes.most_common()]
    head = f"{total} inputs; slowest {_slowest[0]:.2f} s of processor time; peak {peak:.0f} MB"
    print("\n".join([head, *lines]), file=sys.stderr, flush=True)
