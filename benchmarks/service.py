"""The service against an ordinary Flask application, LitServe, BentoML and its own ceiling.

    python benchmarks/service.py [--seconds 3] [--rounds 5] [--engines keras lean] [--films NAME …]
    python benchmarks/service.py --peers      # LitServe and BentoML too, in a venv of their own

All of them run at once and are loaded one after the other, in rounds, because a machine's speed
changes within minutes: a ratio is the median of those of each round, its range that of the
rounds. The load is wrk's, with four connections, on the same cores. The peers execute the same
network and, but for the ordinary application, decode in the same way.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from _ceiling import CORES, Ceiling  # noqa: E402
from _films import Film, films  # noqa: E402
from _peers import bentoml, litserve, ordinary  # noqa: E402
from _servers import Load, Running, ask, load, service  # noqa: E402

from app.balance import usual_workers  # noqa: E402
from app.settings import Settings  # noqa: E402

BUNDLE = "pediatric-pneumonia"
ORDINARY = "ordinary Flask"
#: Workers where nobody says how many.
USUAL = usual_workers(Settings())


@dataclass
class Loaded:
    """One server, or the service with heatmaps, and what each round of a film measured."""

    name: str
    server: Running
    query: str = ""
    rounds: list[Load] = field(default_factory=list)

    def begin(self, film: Film) -> None:
        """Forget the last film; be warm for this one, and know its reading."""
        self.rounds.clear()
        path = f"/predict{self.query}"
        answer = json.loads(ask(film, self.server.address, path))
        probability = answer.get("infection_probability")
        self._expected = f'"infection_probability":{probability}' if probability else ""
        load(film, self.server.address + path, seconds=1)

    def measure(self, film: Film, seconds: int) -> None:
        """One round."""
        url = f"{self.server.address}/predict{self.query}"
        got = load(film, url, seconds=seconds, expected=self._expected)
        if got.wrong or got.other or got.lost:
            print(f"  NOT RIGHT: {self.name}: {got}")
        self.rounds.append(got)

    def rates(self) -> list[float]:
        return [one.rate for one in self.rounds]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=int, default=3, help="of each load")
    parser.add_argument("--rounds", type=int, default=5, help="of each film")
    parser.add_argument("--models", type=Path, default=ROOT / "models")
    parser.add_argument("--engines", nargs="+", default=["keras", "lean"])
    parser.add_argument("--peers", action="store_true", help="LitServe and BentoML too")
    parser.add_argument("--films", nargs="+", help="names of some of the inputs")
    given = parser.parse_args()
    bundle = given.models.resolve() / BUNDLE
    inputs = [film for film in films() if not given.films or film.name in given.films]
    print(f"{CORES} cores, load average {os.getloadavg()[0]:.1f} before; {BUNDLE}, 4 connections")
    with ExitStack() as stack:
        ceilings = {one: stack.enter_context(Ceiling(one, bundle)) for one in given.engines}
        tested = [Loaded(ORDINARY, stack.enter_context(ordinary(bundle)))]
        for engine in given.engines:
            for workers in dict.fromkeys((1, USUAL)):
                server = stack.enter_context(
                    service(engine, bundle.parent, WEB_CONCURRENCY=str(workers))
                )
                name = f"service ({engine}, {workers})"
                print(f"{name}: ready after {server.ready_seconds:.1f} s")
                query = f"?model={BUNDLE}"
                tested.append(Loaded(name, server, query))
                if workers == USUAL:
                    heat = f"{query}&heatmap=overlay"
                    tested.append(Loaded(f"{name} with heatmap", server, heat))
                if given.peers:
                    for start in (litserve, bentoml):
                        server = stack.enter_context(start(bundle, engine, workers))
                        tested.append(Loaded(f"{server.name} ({engine}, {workers})", server))
        for film in inputs:
            _compare(film, tested, ceilings, given.seconds, given.rounds)
    print(f"load average {os.getloadavg()[0]:.1f} after")


def _compare(
    film: Film, tested: list[Loaded], ceilings: dict[str, Ceiling], seconds: int, rounds: int
) -> None:
    for one in tested:
        one.begin(film)
    tops: dict[str, list[float]] = {engine: [] for engine in ceilings}
    for ceiling in ceilings.values():
        ceiling.rate(film, 0.5)
    for _ in range(rounds):
        for one in tested:
            one.measure(film, seconds)
        for engine, ceiling in ceilings.items():
            tops[engine].append(ceiling.rate(film, seconds))
    print(f"\n{film.name}")
    for one in tested:
        p50 = median(got.p50 for got in one.rounds)
        p99 = median(got.p99 for got in one.rounds)
        spread = median(got.p99 / got.p50 for got in one.rounds)
        print(
            f"  {one.name:34s} {median(one.rates()):6.1f}/s  p50 {p50:5.1f} ms  "
            f"p99 {p99:5.1f} ms  p99/p50 {spread:.2f}"
        )
    named = {one.name: one.rates() for one in tested}
    for name, rates in named.items():
        if not name.startswith("service"):
            continue
        engine = name.removeprefix("service (").partition(",")[0]
        if name.endswith("heatmap"):
            without = named[name.removesuffix(" with heatmap")]
            print(f"  {name}: {_ratio(without, rates)} × the time without")
            continue
        print(f"  {name}: {_ratio(rates, named[ORDINARY])} × {ORDINARY}")
        print(f"    {_ratio(rates, tops[engine])} of the ceiling of {median(tops[engine]):.1f}/s")
        for peer, others in named.items():
            if f"({engine}, " in peer and not peer.startswith("service"):
                print(f"    {_ratio(rates, others)} × {peer}")


def _ratio(above: list[float], below: list[float]) -> str:
    each = [a / b for a, b in zip(above, below, strict=True)]
    return f"{median(each):.2f} [{min(each):.2f}, {max(each):.2f}]"


if __name__ == "__main__":
    main()
