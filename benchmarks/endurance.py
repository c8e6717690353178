"""Does memory stay flat? Resident memory over many readings.

    python benchmarks/endurance.py [--readings 50000] [--engine keras]

Prints resident memory along the way, and its growth after the first tenth.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from _films import films  # noqa: E402
from _servers import ROOT, load, service  # noqa: E402


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--readings", type=int, default=50_000)
    parser.add_argument("--engine", default="keras", choices=["keras", "lean"])
    parser.add_argument("--models", type=Path, default=ROOT / "models")
    parser.add_argument("--step", type=int, default=5, help="seconds between two looks")
    given = parser.parse_args()
    # The smallest and the largest in turn, with heatmaps: allocations of every size. Ten looks
    # go through them all, and must fit into the first tenth, after which nothing may grow.
    inputs = [film for film in films() if film.name in ("224² JPEG", "2048² JPEG")]
    sizes: list[tuple[int, float]] = []
    with service(given.engine, given.models.resolve()) as server:
        done, turn, began = 0, 0, time.perf_counter()
        while done < given.readings:
            film = inputs[1] if turn % 10 == 9 else inputs[0]
            heatmap = "overlay" if turn % 5 == 4 else "none"
            url = f"{server.address}/predict?heatmap={heatmap}"
            step = given.step if film is inputs[0] else max(given.step // 4, 1)
            got = load(film, url, seconds=step)
            if got.wrong or got.other or got.lost or got.busy:
                raise SystemExit(f"failures: {got}")
            done += round(got.rate * step)
            turn += 1
            sizes.append((done, server.resident_mb()))
            print(f"{done:6d} readings  {sizes[-1][1]:7.1f} MB resident", flush=True)
        seconds = time.perf_counter() - began
    if len(sizes) < 2:
        raise SystemExit(
            "too few readings to say how memory grows: more --readings, or less --step"
        )
    after_start = next(size for count, size in sizes if count >= given.readings / 10)
    growth = sizes[-1][1] / after_start - 1
    print(
        f"{given.engine}: {done} readings in {seconds:.0f} s; from {after_start:.1f} MB after the "
        f"first tenth to {sizes[-1][1]:.1f} MB: {growth:+.1%}"
    )


if __name__ == "__main__":
    main()
