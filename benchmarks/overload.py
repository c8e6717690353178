"""Five times the load that can be read: are readings right, refusals quick, is work still done?

    python benchmarks/overload.py [--seconds 60] [--engine keras] [--workers 1]

First the peak (as many connections as read, and as read and wait), then five times as many
connections that together ask five times as often as can be answered. Beside them one client
measures how long a refusal takes to come, and at the end a worker is killed under load.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import signal
import statistics
import sys
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from _films import Film, films  # noqa: E402
from _servers import ROOT, Running, ask, load, service  # noqa: E402

WAITING = 32


def refusal_times(server: Running, film: Film, seconds: float) -> list[float]:
    """Milliseconds until each 503 that one more client got, a few a second."""
    times = []
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        connection = http.client.HTTPConnection(server.address.removeprefix("http://"), timeout=30)
        began = time.perf_counter()
        connection.request("POST", "/predict", film.data, {"Content-Type": film.content_type})
        answer = connection.getresponse()
        answer.read()
        if answer.status == 503:
            times.append(1000 * (time.perf_counter() - began))
        connection.close()
        time.sleep(0.1)
    return times


def recovery(server: Running, film: Film) -> tuple[float, int]:
    """Kill the worker under load: seconds until a reading comes again, and failed requests."""
    url = f"{server.address}/predict"
    lost: list[int] = []
    background = threading.Thread(
        target=lambda: lost.append(load(film, url, connections=4, seconds=10).lost)
    )
    background.start()
    time.sleep(1)
    os.kill(server.workers()[0], signal.SIGKILL)
    began = time.perf_counter()
    while True:
        try:
            ask(film, server.address)
            break
        except OSError:
            time.sleep(0.02)
    seconds = time.perf_counter() - began
    background.join()
    return seconds, lost[0]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--engine", default="keras", choices=["keras", "lean"])
    parser.add_argument("--models", type=Path, default=ROOT / "models")
    parser.add_argument("--workers", default="", help="processes; as many as usual if not given")
    given = parser.parse_args()
    (film,) = [film for film in films() if film.name == "224² JPEG"]
    cores = os.cpu_count() or 1
    settings = {"XRAY_MAX_WAITING": str(WAITING)}
    if given.workers:
        settings["WEB_CONCURRENCY"] = given.workers
    with service(given.engine, given.models.resolve(), **settings) as server:
        reading = json.loads(ask(film, server.address))
        expected = f'"infection_probability":{reading["infection_probability"]}'
        url = f"{server.address}/predict"
        load(film, url, seconds=min(3, given.seconds))
        peaks = [
            load(film, url, connections=count, seconds=min(10, given.seconds), expected=expected)
            for count in (cores, 2 * cores, cores + WAITING)
        ]
        peak = max(peaks, key=lambda one: one.rate)
        times: list[float] = []
        probe = threading.Thread(
            target=lambda: times.extend(refusal_times(server, film, given.seconds))
        )
        probe.start()
        connections = 5 * len(server.workers()) * (cores + WAITING)
        over = load(
            film,
            url,
            connections=connections,
            seconds=given.seconds,
            expected=expected,
            pause_ms=1000 * connections / (5 * peak.rate),
        )
        probe.join()
        times.sort()
        print(
            f"{given.engine}, {len(server.workers())} workers: peak {peak.rate:.1f}/s; asked five "
            f"times as often for {given.seconds} s {over.rate:.1f}/s "
            f"({over.rate / peak.rate:.0%} of the peak), "
            f"{over.busy / given.seconds:.0f} refusals/s"
        )
        print(
            f"  wrong readings {over.wrong}, other failures {over.other}, lost connections "
            f"{over.lost}"
        )
        if times:
            print(
                f"  a refusal came after {statistics.median(times):.1f} ms (median), "
                f"{times[int(0.99 * (len(times) - 1))]:.1f} ms (p99) of {len(times)}"
            )
        seconds, lost = recovery(server, film)
        print(
            f"  killed a worker under load: reading again after {seconds:.1f} s, "
            f"{lost} connections lost"
        )


if __name__ == "__main__":
    main()
