"""Readings a second without HTTP: ``python _ceiling.py ENGINE BUNDLE``, a process of its own.

Then a line ``FILM SECONDS`` to its standard input, for each rate that it prints.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_NUM_INTRAOP_THREADS", "1")
sys.path.insert(0, str(Path(__file__).parents[1]))

import numpy as np  # noqa: E402
from _films import Film, films  # noqa: E402

from cxr.bundle import Bundle, load_bundle  # noqa: E402
from cxr.decode import decode  # noqa: E402
from cxr.preprocess import to_model_input  # noqa: E402

CORES = os.cpu_count() or 1


def rate(bundle: Bundle, film: Film, seconds: float) -> float:
    """Decode, prepare, network, in a thread for each core."""
    counts = [0] * CORES
    end = time.perf_counter() + seconds

    def work(number: int) -> None:
        while time.perf_counter() < end:
            radiograph = decode(film.data, reduce_to=bundle.spec.reduce_to)
            bundle.predict(to_model_input(radiograph, bundle.spec)[np.newaxis])
            counts[number] += 1

    threads = [threading.Thread(target=work, args=(number,)) for number in range(CORES)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(counts) / seconds


class Ceiling:
    """That process, from the one that asks."""

    def __init__(self, engine: str, bundle: Path) -> None:
        self._process = subprocess.Popen(
            [sys.executable, __file__, engine, str(bundle)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def __enter__(self) -> Ceiling:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.wait()

    def rate(self, film: Film, seconds: float) -> float:
        """Of one film."""
        assert self._process.stdin
        assert self._process.stdout
        print(film.name, seconds, sep="\t", file=self._process.stdin, flush=True)
        return float(self._process.stdout.readline())


def main() -> None:
    engine, path = sys.argv[1:]
    bundle = load_bundle(Path(path), engine)  # type: ignore[arg-type]
    named = {film.name: film for film in films()}
    for line in sys.stdin:
        name, seconds = line.split("\t")
        print(rate(bundle, named[name], float(seconds)), flush=True)


if __name__ == "__main__":
    main()
