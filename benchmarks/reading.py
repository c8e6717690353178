"""Where the processor's time of a reading goes, step by step, and of a whole request.

    python benchmarks/reading.py [FILM] [--engines keras lean] [--rounds 100]

Prints milliseconds of processor time (the median of ten batches), which other work on the machine
disturbs less than it does a clock. ``request`` is one ``POST /predict`` through Flask without a
socket, ``around`` what it takes beyond the steps beside it: Flask, the hash, JSON, the log line,
counters, warnings. ``overlay`` and the last column are what a heatmap adds. The films are the
radiograph of pydicom-data, as it is and as clinicians would send it.
"""

from __future__ import annotations

import argparse
import io
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_NUM_INTRAOP_THREADS", "1")
ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

import cv2  # noqa: E402
import numpy as np  # noqa: E402
from _films import Film, encodings, films  # noqa: E402

BATCHES = 10
STEPS = ("decode", "prepare", "gate", "network", "around", "request", "overlay", "with heatmap")


def processor_ms(work: Callable[[], object], rounds: int) -> float:
    """Processor time of one call, of all threads, after a warm-up."""
    work()
    times = []
    each = max(rounds // BATCHES, 1)
    for _ in range(BATCHES):
        began = time.process_time()
        for _ in range(each):
            work()
        times.append(1000 * (time.process_time() - began) / each)
    return statistics.median(times)


def measure(engine: str, chosen: list[Film], rounds: int) -> None:
    """Print one table; meant for a process of its own."""
    from app import create_app
    from app.allocator import settle
    from app.settings import Settings
    from cxr.decode import decode
    from cxr.explain import infection_activation, overlay_png
    from cxr.preprocess import to_model_input

    # As in a worker of the service (gunicorn.conf.py).
    settle(2)
    cv2.setNumThreads(1)
    app = create_app(Settings(engine=engine))  # type: ignore[arg-type]
    app.extensions["registry"].wait()
    predictor = app.extensions["registry"].predictor
    bundle, gate = predictor.default, predictor.gate
    reduce_to = max(one.spec.reduce_to for one in predictor.bundles.values())

    def ask(film: Film, query: str = "") -> None:
        given = {
            "REQUEST_METHOD": "POST",
            "PATH_INFO": "/predict",
            "QUERY_STRING": f"model={bundle.name}{query}",
            "HTTP_HOST": "localhost",
            "SERVER_NAME": "localhost",
            "SERVER_PORT": "80",
            "SERVER_PROTOCOL": "HTTP/1.1",
            "REMOTE_ADDR": "127.0.0.1",
            "CONTENT_TYPE": film.content_type,
            "CONTENT_LENGTH": str(len(film.data)),
            "wsgi.url_scheme": "http",
            "wsgi.input": io.BytesIO(film.data),
        }
        statuses: list[str] = []
        answer = app(given, lambda status, headers, error=None: statuses.append(status))
        b"".join(answer)
        if not statuses[0].startswith("200"):
            raise SystemExit(f"{film.name}: {statuses[0]}")

    print(f"{engine}: {bundle.name}, ms of processor time")
    print(f"{'input':12s} {'KB':>6s} " + " ".join(f"{step:>8s}" for step in STEPS))
    for film in chosen:
        radiograph = decode(film.data, reduce_to=reduce_to)
        image = to_model_input(radiograph, bundle.spec)[np.newaxis]
        found = bundle.predict(image)
        heat = infection_activation(
            found.activation_maps[0], found.probabilities[0], bundle.classes
        )
        steps: list[Callable[[], object]] = [
            lambda film=film: decode(film.data, reduce_to=reduce_to),
            lambda radiograph=radiograph: to_model_input(radiograph, bundle.spec),
            lambda radiograph=radiograph: gate.judge(radiograph),
            lambda image=image: bundle.predict(image),
        ]
        parts = [processor_ms(step, rounds) for step in steps]
        request = processor_ms(lambda film=film: ask(film), rounds)
        overlay = processor_ms(
            lambda film=radiograph, heat=heat: overlay_png(film, heat, bundle.map_offset), rounds
        )
        heatmap = processor_ms(lambda film=film: ask(film, "&heatmap=overlay"), rounds)
        figures = [*parts, request - sum(parts), request, overlay]
        cells = " ".join(f"{figure:8.2f}" for figure in figures)
        print(f"{film.name:12s} {len(film.data) / 1024:6.0f} {cells} {heatmap / request:9.2f} x")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("film", nargs="?", type=Path)
    parser.add_argument("--engines", nargs="+", default=["keras", "lean"])
    parser.add_argument("--rounds", type=int, default=100)
    parser.add_argument("--here", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if not given.here:
        print(f"load average {os.getloadavg()[0]:.1f}", flush=True)
        for engine in given.engines:
            film = [str(given.film)] if given.film else []
            rest = ["--here", "--engines", engine, "--rounds", str(given.rounds)]
            subprocess.run(
                [sys.executable, __file__, *film, *rest], check=True, stderr=subprocess.DEVNULL
            )
        return
    chosen = encodings(given.film.read_bytes()) if given.film else films()
    measure(given.engines[0], chosen, given.rounds)


if __name__ == "__main__":
    main()
