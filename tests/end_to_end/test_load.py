"""Real gunicorn under load and faults: what a client sees while others misbehave."""

from __future__ import annotations

import http.client
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import psutil
import pytest

from app.balance import DISTRUST
from tests.end_to_end.wire import FILM, answer_of, head, post
from tests.phantoms import chest_phantom, encode_png
from tests.server import ROOT, Server, fetch, free_port, running_server, wait_for
from tests.waiting import wait_until

pytestmark = pytest.mark.slow


def test_past_the_queue_clients_are_refused_at_once_and_no_reading_is_wrong(
    server: Server,
) -> None:
    films = [encode_png(chest_phantom(1800, seed)) for seed in range(3)]
    alone = [post(server, film, "image/png")[1]["probabilities"] for film in films]
    seen: list[tuple[int, int, dict, float]] = []

    def ask(number: int) -> None:
        for _ in range(5):
            seen.append((number, *post(server, films[number % 3], "image/png")))

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    readings = [one for one in seen if one[1] == 200]
    refusals = [one for one in seen if one[1] == 503]
    assert len(readings) + len(refusals) == len(seen) == 50
    assert readings
    assert refusals
    for number, _, body, _ in readings:
        assert body["probabilities"] == alone[number % 3]
    for _, _, body, _ in refusals:
        assert body["code"] == "overloaded"
        assert int(body["Retry-After"]) >= 1
    waited = sorted(seconds for *_, seconds in refusals)
    assert waited[len(waited) // 2] < 1
    assert post(server, films[0], "image/png")[0] == 200


@pytest.mark.parametrize("pieces", [1, 7])
def test_a_request_in_pieces_is_put_together(server: Server, pieces: int) -> None:
    request = head(len(FILM), "Connection: close\r\n") + FILM
    size = -(-len(request) // pieces)
    with socket.create_connection(("127.0.0.1", server.port), timeout=30) as client:
        for start in range(0, len(request), size):
            client.sendall(request[start : start + size])
            time.sleep(0.01)
        assert answer_of(client).startswith(b"HTTP/1.1 200")


def test_two_requests_at_once_on_one_connection_get_two_answers(server: Server) -> None:
    request = head(len(FILM)) + FILM
    last = head(len(FILM), "Connection: close\r\n") + FILM
    with socket.create_connection(("127.0.0.1", server.port), timeout=30) as client:
        client.sendall(request + last)
        assert answer_of(client).count(b"HTTP/1.1 200") == 2


def test_a_kept_connection_is_used_again(server: Server) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
    for _ in range(3):
        connection.request("POST", "/predict", FILM, {"Content-Type": "image/jpeg"})
        answer = connection.getresponse()
        assert answer.status == 200
        answer.read()
    connection.close()


def test_a_client_that_asks_before_it_sends_is_told_to(server: Server) -> None:
    extra = "Expect: 100-continue\r\nConnection: close\r\n"
    with socket.create_connection(("127.0.0.1", server.port), timeout=30) as client:
        client.sendall(head(len(FILM), extra))
        assert client.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
        client.sendall(FILM)
        assert answer_of(client).startswith(b"HTTP/1.1 200")


def test_endless_headers_are_refused(server: Server) -> None:
    with socket.create_connection(("127.0.0.1", server.port), timeout=30) as client:
        client.sendall(b"GET / HTTP/1.1\r\n" + b"X-A: " + b"a" * 32_768)
        assert answer_of(client).startswith(b"HTTP/1.1 400")
    assert post(server, FILM)[0] == 200


@pytest.mark.parametrize("engine", ["keras", "lean"])
def test_a_killed_worker_comes_back_by_itself(
    lean_bundle: Path, tmp_path: Path, engine: str
) -> None:
    alone = {"XRAY_ENGINE": engine, "WEB_CONCURRENCY": "1"}
    with running_server(lean_bundle.parent, tmp_path / "log", **alone) as running:
        assert post(running, FILM)[0] == 200
        (worker,) = running.workers()
        os.kill(worker, signal.SIGKILL)
        # Some moments pass until the master sees it; nothing but connections may fail then.
        wait_until(lambda: running.workers() not in ([], [worker]), 20)
        code, answer, _ = post(running, FILM)
        # Whoever keeps a connection need not keep asking one that loads.
        assert (code, answer.get("Connection")) in [(503, "close"), (200, "keep-alive")]
        assert engine == "lean" or code == 503
        wait_for(f"{running.address}/readyz", 200, running.process)
        assert post(running, FILM)[0] == 200
        assert running.process.poll() is None


@pytest.fixture
def two(lean_bundle: Path, tmp_path: Path) -> Iterator[Server]:
    """Two workers that have both loaded."""
    settings = {"XRAY_ENGINE": "lean", "WEB_CONCURRENCY": "2"}
    with running_server(lean_bundle.parent, tmp_path / "log", **settings) as running:
        wait_until(lambda: "xray_workers_ready 2.0" in fetch(f"{running.address}/metrics"), 60)
        yield running


def sockets(worker: int) -> int:
    open_files = Path(f"/proc/{worker}/fd").iterdir()
    return sum(os.readlink(file).startswith("socket:") for file in open_files)


def each_takes(two: Server) -> list[int]:
    """Of eight connections that are kept, how many each worker has."""
    time.sleep(2 * DISTRUST)  # of a worker that was slow
    before = [sockets(worker) for worker in two.workers()]
    with ExitStack() as stack:
        for _ in range(8):
            client = socket.create_connection(("127.0.0.1", two.port), timeout=30)
            stack.enter_context(client)
            client.sendall(head(len(FILM)) + FILM)
            assert client.recv(12) == b"HTTP/1.1 200"
        after = [sockets(worker) for worker in two.workers()]
    return [now - then for now, then in zip(after, before, strict=True)]


def test_connections_are_divided_among_workers(two: Server) -> None:
    # A worker that the machine lets wait for longer than 20 ms loses one to the other.
    assert any(each_takes(two) == [4, 4] for _ in range(5))


def test_while_a_killed_worker_starts_anew_the_other_reads(two: Server) -> None:
    for _ in range(2):  # the second time it is one that took a dead one's place
        killed = two.workers()[0]
        os.kill(killed, signal.SIGKILL)
        wait_until(lambda killed=killed: killed not in two.workers(), 20)
        for _ in range(20):
            assert post(two, FILM)[0] == 200
        wait_until(lambda: "xray_workers_ready 2.0" in fetch(f"{two.address}/metrics"), 60)


def test_a_worker_that_loads_leaves_films_to_one_that_is_only_slow(
    tiny_bundle: Path, tmp_path: Path
) -> None:
    with running_server(tiny_bundle.parent, tmp_path / "log", WEB_CONCURRENCY="2") as running:
        metrics = f"{running.address}/metrics"
        wait_until(lambda: "xray_workers_ready 2.0" in fetch(metrics), 60)
        killed, slow = running.workers()
        os.kill(slow, signal.SIGSTOP)
        try:
            os.kill(killed, signal.SIGKILL)
            assert post(running, FILM)[0] == 200  # by the new worker, once it has loaded
        finally:
            os.kill(slow, signal.SIGCONT)


def start_and_end(models: Path) -> tuple[int, str]:
    """Start where no model can be loaded: the exit status and what was written."""
    done = subprocess.run(
        [sys.executable, "-m", "gunicorn", "app:create_app()"],
        cwd=ROOT,
        env={
            **os.environ,
            "PORT": str(free_port()),
            "XRAY_MODELS": str(models),
            "XRAY_ENGINE": "lean",
        },
        capture_output=True,
        text=True,
        timeout=100,
    )
    return done.returncode, done.stdout + done.stderr


def test_a_start_without_a_usable_model_fails_and_names_the_file(
    lean_bundle: Path, tmp_path: Path
) -> None:
    models = tmp_path / "models"
    for name in ("first", "second"):
        shutil.copytree(lean_bundle, models / name)
        with (models / name / "model.onnx").open("ab") as file:
            file.write(b"x")
    code, text = start_and_end(models)
    assert code != 0
    assert "The service cannot start." in text
    assert str(models / "first" / "model.onnx") in text
    code, text = start_and_end(tmp_path / "nowhere")
    assert code != 0
    assert "nowhere does not exist" in text


def test_a_quiet_service_gives_back_what_films_took(server: Server) -> None:
    def resident() -> int:
        return sum(psutil.Process(worker).memory_info().rss for worker in server.workers())

    films = [encode_png(chest_phantom(side)) for side in (1200, 2400, 800)]
    for film in films * 3:
        assert post(server, film, "image/png")[0] == 200
    busy = resident()
    wait_until(lambda: resident() < busy - 2**23, 40)
    assert post(server, FILM)[0] == 200
