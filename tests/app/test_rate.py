"""How often one client may ask, counted in memory and in a real Redis."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient
from limits.storage import storage_from_string

from app import create_app
from app.access import counting
from app.access.keys import KeyFile
from app.settings import Settings
from tests.app.conftest import no_bundle
from tests.app.problems import assert_problem
from tests.server import free_port


def limited(limit: str = "3 per minute", **settings: object) -> Flask:
    return create_app(Settings(rate_limit=limit, **settings), load=no_bundle)  # type: ignore[arg-type]


def statuses(client: FlaskClient, count: int, **arguments: object) -> list[int]:
    return [client.get("/openapi.json", **arguments).status_code for _ in range(count)]


def test_without_a_limit_nobody_counts(client: FlaskClient) -> None:
    assert set(statuses(client, 50)) == {200}


def test_past_the_limit_it_says_how_long_to_wait() -> None:
    client = limited().test_client()
    assert statuses(client, 3) == [200] * 3
    response = client.get("/openapi.json")
    body = assert_problem(response, "rate_limited")
    wait = int(response.headers["Retry-After"])
    assert 1 <= wait <= 60
    assert f"{wait} second" in body["detail"]
    assert "3 per 1 minute" in body["detail"]


def test_who_waits_is_served_again() -> None:
    client = limited("2 per second").test_client()
    assert 429 in statuses(client, 5)
    response = client.get("/openapi.json")
    time.sleep(int(response.headers.get("Retry-After", "1")) + 1)
    assert client.get("/openapi.json").status_code == 200


def test_people_get_the_refusal_as_a_page() -> None:
    client = limited("1 per minute").test_client()
    client.get("/")
    response = client.get("/")
    assert response.status_code == 429
    assert response.mimetype == "text/html"
    assert "Retry-After" in response.headers


def test_routes_share_one_count() -> None:
    client = limited().test_client()
    for address in ("/openapi.json", "/docs", "/"):
        assert client.get(address).status_code != 429
    assert client.get("/docs").status_code == 429


def test_probes_and_scrapes_are_not_counted() -> None:
    client = limited("1 per minute").test_client()
    statuses(client, 3)
    for address in ("/healthz", "/metrics"):
        assert {client.get(address).status_code for _ in range(5)} == {200}


def test_each_key_has_its_own_count(tmp_path: Path) -> None:
    keys = KeyFile(tmp_path / "keys")
    first, second = (keys.create(name) for name in ("first", "second"))
    app = limited(api_keys_file=keys.path)
    one = statuses(app.test_client(), 4, headers={"X-API-Key": first})
    # From the same address.
    two = statuses(app.test_client(), 4, headers={"X-API-Key": second})
    assert one == two == [200, 200, 200, 429]


@pytest.mark.parametrize(
    "address", ["/models", "/metrics", "/docs/swagger/js/swagger-ui-bundle.js", "/nothing"]
)
def test_keys_are_not_guessed_without_end(tmp_path: Path, address: str) -> None:
    keys = KeyFile(tmp_path / "keys")
    secret = keys.create("ward")
    client = limited(api_keys_file=keys.path).test_client()
    wrong = [
        client.get(address, headers={"X-API-Key": f"xray_{number}"}).status_code
        for number in range(4)
    ]
    assert wrong == [401, 401, 401, 429]
    right = client.get("/openapi.json", headers={"X-API-Key": secret})
    assert right.status_code == 200  # its own count


def test_people_who_are_sent_to_sign_in_are_counted(tmp_path: Path) -> None:
    keys = KeyFile(tmp_path / "keys")
    keys.create("ward")
    client = limited(api_keys_file=keys.path).test_client()
    assert [client.get("/").status_code for _ in range(4)] == [303, 303, 303, 429]


def test_what_is_not_there_is_counted() -> None:
    client = limited().test_client()
    assert [client.get("/nothing").status_code for _ in range(4)] == [404, 404, 404, 429]


@pytest.mark.parametrize(
    ("first", "second", "shared"),
    [
        ("192.0.2.7", "192.0.2.8", False),
        ("2001:db8::1", "2001:db8::2", True),
        ("2001:db8::1", "2001:db8:0:1::1", False),
        ("::ffff:192.0.2.7", "::ffff:192.0.2.8", False),
    ],
)
def test_each_address_has_its_own_count(first: str, second: str, shared: bool) -> None:
    app = limited(allow_anonymous=True)
    clients = []
    for address in (first, second):
        client = app.test_client()
        client.environ_base["REMOTE_ADDR"] = address
        clients.append(client)
    assert statuses(clients[0], 4)[-1] == 429
    assert statuses(clients[1], 1) == [429 if shared else 200]


def at_once(app: Flask, count: int, address: str = "/openapi.json") -> list[tuple[int, float]]:
    """The status and the seconds of as many requests, each in a thread of its own."""

    def ask(_: int) -> tuple[int, float]:
        begun = time.monotonic()
        response = app.test_client().get(address)
        return response.status_code, time.monotonic() - begun

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(ask, range(count)))


def test_threads_that_ask_at_once_are_all_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    failed: list[object] = []
    monkeypatch.setattr(threading, "excepthook", failed.append)
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        storage = storage_from_string("memory://")
        rounds = []
        for number in range(30):
            with ThreadPoolExecutor(40) as pool:
                hits = [
                    pool.submit(storage.acquire_sliding_window_entry, f"{number}/{key}", 25, 3600)
                    for key in range(4)
                    for _ in range(40)
                ]
            rounds.append(sum(hit.result() for hit in hits))
    finally:
        sys.setswitchinterval(interval)
    assert failed == []
    assert set(rounds) == {100}


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """The address of a Redis that keeps nothing, and its process."""
    program = shutil.which("redis-server")
    if program is None:
        pytest.skip("needs the program redis-server")
    port = free_port()
    process = subprocess.Popen(
        [program, "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"],
        cwd=tmp_path,
        stdout=subprocess.DEVNULL,
    )
    from redis import Redis
    from redis.exceptions import ConnectionError as NotYet

    address = f"redis://127.0.0.1:{port}/0"
    with Redis.from_url(address) as client:
        end = time.monotonic() + 30
        while True:
            try:
                client.ping()
                break
            except NotYet:
                assert time.monotonic() < end
                time.sleep(0.05)
    yield address, process
    process.send_signal(signal.SIGCONT)
    process.terminate()
    process.wait(timeout=10)


def test_redis_counts_for_all_replicas_and_may_fail(
    redis: tuple[str, subprocess.Popen[bytes]],
) -> None:
    address, process = redis
    replicas = [limited(rate_limit_store=address).test_client() for _ in range(2)]
    assert statuses(replicas[0], 2) == [200, 200]
    assert statuses(replicas[1], 2) == [200, 429]
    assert statuses(replicas[0], 1) == [429]
    process.terminate()
    process.wait(timeout=10)
    assert statuses(replicas[0], 4) == [200, 200, 200, 429]
    for replica in replicas:
        replica.application.extensions["limiter"].clear()


def test_a_redis_that_hangs_holds_up_few_requests_once(
    redis: tuple[str, subprocess.Popen[bytes]],
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(counting, "PAUSE_SECONDS", 1.0)
    address, process = redis
    app = limited("20 per minute", rate_limit_store=address)
    assert statuses(app.test_client(), 1) == [200]
    process.send_signal(signal.SIGSTOP)
    first = at_once(app, 30)
    assert Counter(status for status, _ in first) == {200: 20, 429: 10}
    assert max(seconds for _, seconds in first) < 2
    assert statuses(app.test_client(), 1) == [429]  # within the pause nobody waits
    assert max(seconds for _, seconds in at_once(app, 10)) < 0.4
    time.sleep(1.2)
    waited = [seconds for _, seconds in at_once(app, 10) if seconds > 0.4]
    assert len(waited) <= 1
    assert at_once(app, 1, "/healthz")[0][1] < 0.4
    process.send_signal(signal.SIGCONT)
    time.sleep(1.2)
    assert statuses(app.test_client(), 1) == [200]  # Redis has counted one so far
    lines = [json.loads(line) for line in capfd.readouterr().err.splitlines()]
    said = [line for line in lines if "Redis" in line["event"]]
    assert [line["event"] for line in said] == ["Redis does not answer", "Redis answers again"]
    assert said[0]["reason"] == "TimeoutError"
    assert address.split("/")[2] not in json.dumps(lines)
    app.extensions["limiter"].clear()


def test_a_redis_that_dies_under_load_costs_no_answer(
    redis: tuple[str, subprocess.Popen[bytes]],
) -> None:
    address, process = redis
    app = limited("20 per minute", rate_limit_store=address)
    statuses(app.test_client(), 1)
    process.send_signal(signal.SIGSTOP)  # so that many ask, and all find it gone together
    threading.Timer(0.3, process.kill).start()
    assert Counter(status for status, _ in at_once(app, 40)) == {200: 20, 429: 20}
    app.extensions["limiter"].clear()
