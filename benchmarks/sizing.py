"""What one container needs: start, memory and readings a second by engine, workers and connections.

    python benchmarks/sizing.py [SECONDS] [--engines keras lean]

Serves the shipped models under real gunicorn, on the packages that it is deployed with, and loads
it with wrk from the same machine, so the figures hold for the cores that both share; run it on the
machine that you mean to use, with nothing beside it. The load average before each row is printed
with it. Memory is of all processes together, pages that they share counted once: before any
load, right after that of all kinds of film with heatmaps, and at rest after it.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from _films import films  # noqa: E402
from _servers import load, service  # noqa: E402

ROWS = ((1, 1), (1, 4), (2, 4))
#: Longer than it takes the service to notice that it rests.
QUIET_SECONDS = 5


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("seconds", nargs="?", type=int, default=20, help="of load for each row")
    parser.add_argument("--engines", nargs="+", default=["keras", "lean"])
    given = parser.parse_args()
    film, *others = films()
    print(f"{film.name} of {len(film.data) / 1024:.0f} KB; {os.cpu_count()} cores")
    print(
        "| engine | workers | connections | ready after | readings/s | p50 | p99 "
        "| memory before | after the load | at rest | load average |"
    )
    print("|---|---|---|---|---|---|---|---|---|---|---|")
    for engine in given.engines:
        for workers, connections in ROWS:
            busy = os.getloadavg()[0]
            with service(engine, ROOT / "models", WEB_CONCURRENCY=str(workers)) as server:
                before = server.proportional_mb()
                url = f"{server.address}/predict"
                load(film, url, connections=connections, seconds=min(3, given.seconds))  # warm
                measured = load(film, url, connections=connections, seconds=given.seconds)
                for one in (film, *others):
                    load(one, f"{url}?heatmap=overlay", connections=connections, seconds=2)
                after = server.proportional_mb()
                time.sleep(QUIET_SECONDS)
                rest = server.proportional_mb()
            print(
                f"| {engine} | {workers} | {connections} | {server.ready_seconds:.1f} s "
                f"| {measured.rate:.0f} | {measured.p50:.0f} ms | {measured.p99:.0f} ms "
                f"| {before:.0f} MiB | {after:.0f} MiB | {rest:.0f} MiB | {busy:.1f} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
