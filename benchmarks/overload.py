"""Five times the load that can be read: are readings right, refusals quick, is work still done?

    python benchmarks/overload.py [--seconds 60] [--engine keras] [--workers 1]

First with how many connections most is read (as many as read, and as read and wait). Then that
load and, four times in turn with it, five times as many connections that together ask five times
as often as was just answered, so that a machine that slows down slows both. Beside the latter one
client measures how long a refusal takes to come, and at the end a worker is killed under load.
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
ROUNDS = 4


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
    parser.add_argument("--seconds", type=int, default=60, help="of overload, all rounds together")
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
        each = max(given.seconds // ROUNDS, 1)
        counts = (cores, 2 * cores, cores + WAITING)
        best = max(counts, key=lambda count: load(film, url, connections=count, seconds=each).rate)
        connections = 5 * len(server.workers()) * (cores + WAITING)
        times: list[float] = []
        peaks, overs = [], []
        for _ in range(ROUNDS):
            peaks.append(load(film, url, connections=best, seconds=each, expected=expected))
            probe = threading.Thread(target=lambda: times.extend(refusal_times(server, film, each)))
            probe.start()
            overs.append(
                load(
                    film,
                    url,
                    connections=connections,
                    seconds=each,
                    expected=expected,
                    pause_ms=1000 * connections / (5 * peaks[-1].rate),
                )
            )
            probe.join()
        times.sort()
        shares = sorted(over.rate / peak.rate for peak, over in zip(peaks, overs, strict=True))
        peak, read, refused = (
            statistics.median(rates)
            for rates in (
                [one.rate for one in peaks],
                [one.rate for one in overs],
                [one.busy / each for one in overs],
            )
        )
        print(
            f"{given.engine}, {len(server.workers())} workers: peak {peak:.1f}/s; asked five times "
            f"as often, {ROUNDS} times for {each} s, {read:.1f}/s "
            f"({statistics.median(shares):.0%} of the peak, {shares[0]:.0%} to {shares[-1]:.0%}), "
            f"{refused:.0f} refusals/s"
        )
        print(
            f"  wrong readings {sum(one.wrong for one in overs)}, other failures "
            f"{sum(one.other for one in overs)}, lost connections {sum(one.lost for one in overs)}"
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
