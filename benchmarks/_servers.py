"""Servers under test, and the compiled client (wrk) that loads them."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import psutil

sys.path.insert(0, str(Path(__file__).parents[1]))

from _films import Film  # noqa: E402
from _packages import packages_of  # noqa: E402

from app.balance import usual_workers  # noqa: E402
from app.settings import Settings  # noqa: E402
from tests.server import free_port  # noqa: E402

ROOT = Path(__file__).parents[1]
HERE = Path(__file__).parent
READY_SECONDS = 180


@dataclass(frozen=True)
class Running:
    """A server that answers.

    Attributes:
        ready_seconds: from the start of its process.
    """

    name: str
    address: str
    process: subprocess.Popen[bytes]
    ready_seconds: float

    def resident_mb(self) -> float:
        """Of all its processes together; pages that they share count once for each."""
        return sum_of_family(self.process.pid, resident_mb_of)

    def proportional_mb(self) -> float:
        """The same, with shared pages divided among those that share them."""
        return sum_of_family(self.process.pid, proportional_mb_of)

    def workers(self) -> list[int]:
        """Process ids below the first."""
        return [child.pid for child in family(self.process.pid)[1:]]


@dataclass(frozen=True)
class Load:
    """What wrk saw.

    Attributes:
        rate: right answers a second.
        p50, p99: milliseconds, of all answers.
        wrong, busy, other, lost: answers with another reading, 503s with Retry-After, other
            failures, broken connections.
    """

    rate: float
    p50: float
    p99: float
    wrong: int
    busy: int
    other: int
    lost: int


def ask(film: Film, address: str, path: str = "/predict") -> bytes:
    """One answer."""
    request = urllib.request.Request(
        address + path, film.data, {"Content-Type": film.content_type}, method="POST"
    )
    with urllib.request.urlopen(request, timeout=60) as answer:
        return bytes(answer.read())


@contextlib.contextmanager
def running(
    name: str,
    command: Sequence[str],
    port: int,
    ready_path: str = "/readyz",
    said: tuple[str, int] = ("", 0),
    **environment: str,
) -> Iterator[Running]:
    """Start, wait until ``ready_path`` answers 200, stop.

    Args:
        said: a text and how often the log must hold it before any load: the first of several
            workers answers while the others still load, and would get every connection.
    """
    address = f"http://127.0.0.1:{port}"
    with tempfile.NamedTemporaryFile(prefix="bench-", suffix=".log") as log:
        began = time.perf_counter()
        process = subprocess.Popen(
            command,
            cwd=ROOT,
            env={**_inherited(), "XRAY_LOG_LEVEL": "INFO", "PORT": str(port), **environment},
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            while True:
                if process.poll() is not None or time.perf_counter() - began > READY_SECONDS:
                    text = Path(log.name).read_text(errors="replace")[-3000:]
                    raise SystemExit(f"{name} did not start:\n{text}")
                try:
                    with urllib.request.urlopen(address + ready_path, timeout=5) as answer:
                        if answer.status == 200:
                            break
                except (OSError, urllib.error.HTTPError):
                    time.sleep(0.02)
            ready_seconds = time.perf_counter() - began
            while Path(log.name).read_text(errors="replace").count(said[0]) < said[1]:
                if time.perf_counter() - began > READY_SECONDS:
                    raise SystemExit(f"{name} did not say {said[0]!r} {said[1]} times.")
                time.sleep(0.05)
            yield Running(name, address, process, ready_seconds)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGTERM)
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()


def _inherited() -> dict[str, str]:
    """The environment, but for what keeps Python from storing bytecode: images bring it along."""
    return {name: os.environ[name] for name in os.environ if name != "PYTHONDONTWRITEBYTECODE"}


_stored: set[str] = set()


@contextlib.contextmanager
def service(engine: str, models: Path, **environment: str) -> Iterator[Running]:
    """The product itself, as ``make run`` starts it, on the packages that it is deployed with.

    The first one of each engine is started twice: once to store the bytecode of what it imports.
    """
    port = free_port()
    command = [sys.executable, "-S", "-m", "gunicorn", "app:create_app()"]
    with packages_of(engine) as packages:
        settings = {"XRAY_ENGINE": engine, "XRAY_MODELS": str(models), **environment}
        settings["PYTHONPATH"] = str(packages)
        workers = int(settings.get("WEB_CONCURRENCY") or usual_workers(Settings()))
        said = ("bundles loaded", workers)
        start = partial(running, f"service ({engine})", command, port, said=said, **settings)
        if engine not in _stored:
            with start():
                _stored.add(engine)
        with start() as server:
            yield server


def load(
    film: Film,
    url: str,
    *,
    connections: int = 4,
    seconds: int = 8,
    expected: str = "",
    pause_ms: float = 0,
) -> Load:
    """Post ``film`` from that many connections for that long, each after a pause of about that."""
    if not shutil.which("wrk"):
        raise SystemExit("The load client is missing: apt-get install wrk")
    with tempfile.NamedTemporaryFile(prefix="bench-") as body:
        body.write(film.data)
        body.flush()
        done = subprocess.run(
            ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", "30s"]
            + ["-s", str(HERE / "_post.lua"), url, "--", body.name, film.content_type, expected],
            env={**os.environ, **({"WRK_PAUSE": str(pause_ms)} if pause_ms else {})},
            capture_output=True,
            text=True,
            check=True,
        )
    (line,) = [row for row in done.stdout.splitlines() if row.startswith("RESULT")]
    got = {key: float(value) for key, value in re.findall(r"(\w+)=([\d.]+)", line)}
    return Load(
        rate=got["good"] / got["seconds"],
        p50=got["p50"],
        p99=got["p99"],
        **{name: int(got[name]) for name in ("wrong", "busy", "other", "lost")},
    )


def sum_of_family(pid: int, figure: Callable[[psutil.Process], float]) -> float:
    """The sum over a process and all below it, less those that end meanwhile."""
    total = 0.0
    for member in family(pid):
        with contextlib.suppress(psutil.NoSuchProcess):
            total += figure(member)
    return total


def family(pid: int) -> list[psutil.Process]:
    """A process and all below it."""
    first = psutil.Process(pid)
    return [first, *first.children(recursive=True)]


def resident_mb_of(process: psutil.Process) -> float:
    """Resident memory of one process, in megabytes (of 2**20 bytes)."""
    return float(process.memory_info().rss) / 2**20


def proportional_mb_of(process: psutil.Process) -> float:
    """The same with shared pages divided among those that share them."""
    return float(process.memory_full_info().pss) / 2**20
