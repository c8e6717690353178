"""What one container needs: start, memory and readings a second by workers and connections.

    python benchmarks/sizing.py [SECONDS]      20 seconds of load for each row by default

Serves the shipped models under real gunicorn on this machine's loopback and loads it from this
process, so the figures hold for the cores that both share; run it on the machine that you mean
to use, with nothing beside it. The load average before each row is printed with it. Memory is of
all processes together, pages that they share counted once.
"""

from __future__ import annotations

import http.client
import os
import statistics
import sys
import tempfile
import threading
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from _films import films  # noqa: E402
from _servers import proportional_mb_of  # noqa: E402

from tests.server import Server, running_server  # noqa: E402

ROWS = ((1, 1), (1, 4), (2, 4))


def load(server: Server, data: bytes, connections: int, seconds: float) -> list[float]:
    """Seconds of each answered reading, over kept connections."""
    times: list[float] = []
    end = time.perf_counter() + seconds

    def client() -> None:
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
        while time.perf_counter() < end:
            began = time.perf_counter()
            connection.request("POST", "/predict", data, {"Content-Type": "image/jpeg"})
            response = connection.getresponse()
            response.read()
            if response.status == 200:
                times.append(time.perf_counter() - began)
        connection.close()

    threads = [threading.Thread(target=client) for _ in range(connections)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return times


def main() -> None:
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 20.0
    (data,) = (film.data for film in films() if film.name == "2048² JPEG")
    print(f"2048² JPEG of {len(data) / 1024:.0f} KB; {os.cpu_count()} cores")
    print("| workers | connections | ready after | readings/s | p50 | p99 | memory | load before |")
    print("|---|---|---|---|---|---|---|---|")
    for workers, connections in ROWS:
        busy = os.getloadavg()[0]
        with tempfile.TemporaryDirectory() as folder:
            began = time.perf_counter()
            with running_server(
                ROOT / "models", Path(folder) / "log", WEB_CONCURRENCY=str(workers)
            ) as server:
                ready = time.perf_counter() - began
                load(server, data, connections, min(3.0, seconds))  # warm
                times = sorted(load(server, data, connections, seconds))
                memory = proportional_mb_of(server.process.pid)
        middle = statistics.median(times) * 1000
        worst = times[int(0.99 * (len(times) - 1))] * 1000
        print(
            f"| {workers} | {connections} | {ready:.1f} s | {len(times) / seconds:.0f} "
            f"| {middle:.0f} ms | {worst:.0f} ms | {memory:.0f} MiB | {busy:.1f} |"
        )


if __name__ == "__main__":
    main()
