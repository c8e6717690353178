"""The application under real gunicorn, for the tests that need sockets."""

from __future__ import annotations

import contextlib
import os
import random
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

ROOT = Path(__file__).resolve().parent.parent
READY_SECONDS = 240


@dataclass(frozen=True)
class Server:
    """A running server: its address, its process and where its standard error goes."""

    address: str
    port: int
    process: subprocess.Popen[bytes]
    log: Path

    def workers(self) -> list[int]:
        """Process ids of gunicorn's workers."""
        return [child.pid for child in psutil.Process(self.process.pid).children()]


def free_port() -> int:
    """A port of the loopback that nothing listens at.

    Below those that a system hands out to clients by itself (Linux from 32768, others from
    49152, RFC 6335): one of these may be taken by any connection before a server is up.
    """
    # The system's randomness: a test that sets a seed is not to be given the ports of another.
    for port in random.SystemRandom().sample(range(20_000, 32_000), 100):
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise AssertionError("no port of the loopback is free")


def status(address: str) -> int | None:
    """The status of a GET, or None while nothing listens."""
    try:
        with urllib.request.urlopen(address, timeout=5) as response:
            return int(response.status)
    except urllib.error.HTTPError as error:
        with error:
            return error.code
    except OSError:
        return None


def fetch(address: str) -> str:
    """The text that a GET is answered with."""
    with urllib.request.urlopen(address, timeout=30) as response:
        return str(response.read().decode())


def wait_for(address: str, expected: int, process: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + READY_SECONDS
    while status(address) != expected:
        assert process.poll() is None, f"the server ended with {process.returncode}"
        assert time.monotonic() < end, f"{address} did not answer {expected} in time"
        time.sleep(0.1)


def end_process(process: subprocess.Popen[bytes]) -> None:
    """Stop a process in order, or after a while in any way."""
    process.terminate()
    try:
        process.wait(timeout=40)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


@contextmanager
def running_server(
    models: Path,
    log: Path,
    *,
    application: str = "app:create_app()",
    **environment: str,
) -> Iterator[Server]:
    """Start gunicorn on a free port of the loopback, wait until it is ready, stop it at the end.

    The gate is off, because most tests send drawn films; ``XRAY_GATE="on"`` switches it on.
    """
    port = free_port()
    with log.open("wb") as sink:
        process = subprocess.Popen(
            [sys.executable, "-m", "gunicorn", application],
            cwd=ROOT,
            stdout=sink,
            stderr=subprocess.STDOUT,
            env={
                **os.environ,
                "HOST": "127.0.0.1",
                "PORT": str(port),
                "XRAY_MODELS": str(models),
                "XRAY_GATE": "off",
                **environment,
            },
        )
    server = Server(f"http://127.0.0.1:{port}", port, process, log)
    try:
        wait_for(f"{server.address}/readyz", 200, process)
        yield server
    finally:
        end_process(process)
