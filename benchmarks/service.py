"""The service against an ordinary Flask application, LitServe, BentoML and its own ceiling.

    python benchmarks/service.py [--seconds 8] [--models models] [--engines keras lean]
    python benchmarks/service.py --peers      # LitServe and BentoML too, in a venv of their own

Every figure and the ratios between them come from one run on one machine; the load is wrk's, with
four connections, on the same cores. The peers execute the same network and, but for the
ordinary application, decode in the same way.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import threading
import time
import venv
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_NUM_INTRAOP_THREADS", "1")
ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

import numpy as np  # noqa: E402
from _films import Film, films  # noqa: E402
from _servers import HERE, ask, free_port, load, running, service  # noqa: E402

from cxr.bundle import load_bundle  # noqa: E402
from cxr.decode import decode  # noqa: E402
from cxr.preprocess import to_model_input  # noqa: E402

BUNDLE = "pediatric-pneumonia"
CORES = os.cpu_count() or 1
#: Longer than it takes the service to notice that it rests.
QUIET_SECONDS = 13
PEERS = HERE / ".peers"


def ceiling(engine: str, bundle_path: Path, film: Film, seconds: float) -> float:
    """Readings a second without HTTP: decode, prepare, network, a thread for each core."""
    bundle = load_bundle(bundle_path, engine)  # type: ignore[arg-type]
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


def ceiling_in_a_process(engine: str, bundle_path: Path, film: Film, seconds: float) -> float:
    """The same alone in a process, as the service has one."""
    done = subprocess.run(
        [sys.executable, __file__, "--ceiling", engine, str(bundle_path), film.name, str(seconds)],
        capture_output=True,
        text=True,
        check=True,
    )
    return float(done.stdout.split()[-1])


def ordinary(models: Path):
    """The ordinary application under gunicorn with as many threads as connections."""
    port = free_port()
    command = [sys.executable, "-m", "gunicorn", "--config", os.devnull, "--chdir", str(HERE)]
    command += ["--bind", f"127.0.0.1:{port}", "--threads", "4", "_flask_peer:app"]
    return running("ordinary Flask", command, port, PEER_BUNDLE=str(models / BUNDLE))


def make_peers() -> Path:
    """Install LitServe and BentoML beside the packages of this environment; its Python."""
    python = PEERS / "bin" / "python"
    if not (PEERS / "complete").exists():
        shutil.rmtree(PEERS, ignore_errors=True)
        venv.create(PEERS, with_pip=True)
        (site,) = PEERS.glob("lib/python*/site-packages")
        ours = next(path for path in sys.path if path.endswith("site-packages"))
        (site / "ours.pth").write_text(ours + "\n")
        subprocess.run(
            [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
            + ["-r", str(HERE / "requirements-peers.txt")],
            check=True,
        )
        (PEERS / "complete").touch()
    return python


def litserve(models: Path, engine: str, workers: int):
    """LitServe with that many worker processes."""
    port = free_port()
    command = [str(make_peers()), str(HERE / "_litserve_peer.py")]
    return running("LitServe", command, port, "/health", **_peer(models, engine, workers))


def bentoml(models: Path, engine: str, workers: int):
    """BentoML with that many worker processes."""
    port = free_port()
    command = [str(make_peers()), "-m", "bentoml", "serve", "_bentoml_peer:Peer"]
    command += ["--port", str(port), "--working-dir", str(HERE)]
    settings = _peer(models, engine, workers)
    return running(
        "BentoML", command, port, BENTOML_DO_NOT_TRACK="true", BENTOML_HOME=str(PEERS), **settings
    )


def _peer(models: Path, engine: str, workers: int) -> dict[str, str]:
    return {
        "PEER_BUNDLE": str(models / BUNDLE),
        "PEER_ENGINE": engine,
        "PEER_WORKERS": str(workers),
        "TF_NUM_INTRAOP_THREADS": "1",
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=int, default=8, help="of each load")
    parser.add_argument("--models", type=Path, default=ROOT / "models")
    parser.add_argument("--engines", nargs="+", default=["keras", "lean"])
    parser.add_argument("--peers", action="store_true", help="LitServe and BentoML too")
    parser.add_argument("--films", nargs="+", help="names of some of the inputs")
    parser.add_argument("--ceiling", nargs=4, help=argparse.SUPPRESS)
    given = parser.parse_args()
    inputs = [film for film in films() if not given.films or film.name in given.films]
    if given.ceiling:
        engine, path, name, seconds = given.ceiling
        (film,) = [film for film in inputs if film.name == name]
        print(ceiling(engine, Path(path), film, float(seconds)))
        return
    models, seconds = given.models.resolve(), given.seconds
    print(f"{CORES} cores, load average {os.getloadavg()[0]:.1f} before; {BUNDLE}, 4 connections")

    rates: dict[tuple[str, str], float] = {}
    with ordinary(models) as server:
        for film in inputs:
            ask(film, server.address)
            measured = load(film, f"{server.address}/predict", seconds=seconds)
            rates["ordinary Flask", film.name] = measured.rate
            _say("ordinary Flask", film.name, measured.rate, measured.p50, measured.p99)
    for engine in given.engines:
        with service(engine, models) as server:
            print(
                f"service ({engine}): ready after {server.ready_seconds:.1f} s, "
                f"{server.resident_mb():.0f} MB resident in its "
                f"{1 + len(server.workers())} processes ({server.proportional_mb():.0f} MB with "
                "shared pages counted once)"
            )
            for film in inputs:
                url = f"{server.address}/predict?model={BUNDLE}"
                probability = json.loads(ask(film, server.address, f"/predict?model={BUNDLE}"))
                expected = f'"infection_probability":{probability["infection_probability"]}'
                load(film, url, seconds=2)
                plain = load(film, url, seconds=seconds, expected=expected)
                heat = load(film, f"{url}&heatmap=overlay", seconds=seconds)
                top = ceiling_in_a_process(engine, models / BUNDLE, film, seconds)
                if plain.wrong or plain.other or plain.lost:
                    print(f"  NOT RIGHT: {plain}")
                name = f"service ({engine})"
                rates[name, film.name] = plain.rate
                _say(name, film.name, plain.rate, plain.p50, plain.p99)
                print(
                    f"    p99/p50 {plain.p99 / plain.p50:.2f}; with heatmap "
                    f"{plain.rate / heat.rate:.2f} × the time; {plain.rate / top:.0%} of the "
                    f"ceiling of {top:.1f}/s; "
                    f"{plain.rate / rates['ordinary Flask', film.name]:.1f} × ordinary Flask"
                )
            busy, once = server.resident_mb(), server.proportional_mb()
            time.sleep(QUIET_SECONDS)
            print(
                f"  {busy:.0f} MB resident after that ({once:.0f} MB counted once), "
                f"{server.resident_mb():.0f} MB at rest ({server.proportional_mb():.0f} MB)"
            )
        if given.peers:
            _peers(models, engine, inputs, seconds)
    print(f"load average {os.getloadavg()[0]:.1f} after")


def _peers(models: Path, engine: str, inputs: list[Film], seconds: int) -> None:
    """Each with as many workers as the service then has."""
    for workers in dict.fromkeys((1, CORES)):
        ours: dict[str, float] = {}
        for start in (_ourselves, litserve, bentoml):
            with start(models, engine, workers) as server:
                for film in inputs:
                    url = f"{server.address}/predict?model={BUNDLE}"  # peers have but one
                    load(film, url, seconds=2)
                    got = load(film, url, seconds=seconds)
                    _say(f"{server.name}, {workers} workers", film.name, got.rate, got.p50, got.p99)
                    ratio = ours.setdefault(film.name, got.rate) / got.rate
                    if start is not _ourselves:
                        print(f"    the service is {ratio:.2f} × as fast")


def _ourselves(models: Path, engine: str, workers: int):
    return service(engine, models, WEB_CONCURRENCY=str(workers))


def _say(server: str, film: str, rate: float, p50: float, p99: float) -> None:
    print(
        f"{server:30s} {film:11s} {rate:7.1f}/s  p50 {p50:6.1f} ms  p99 {p99:6.1f} ms", flush=True
    )


if __name__ == "__main__":
    main()
