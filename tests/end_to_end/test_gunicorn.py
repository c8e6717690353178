"""Real gunicorn on a real socket, with real bytes."""

from __future__ import annotations

import http.client
import json
import signal
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from app.errors import PROBLEMS
from app.sample import sample_path
from tests.app.multipart import multipart
from tests.app.test_privacy import SECRETS, full_dicom
from tests.bad_inputs import BAD_INPUTS
from tests.phantoms import chest_phantom, encode_dicom, encode_jpeg, encode_png
from tests.real_data import data_folder, data_path
from tests.server import READY_SECONDS, Server, fetch, running_server
from tests.waiting import wait_until

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the server would leave files, if it left any."""
    return tmp_path_factory.mktemp("written")


@pytest.fixture(scope="module")
def server(
    tiny_bundle: Path, tmp_path_factory: pytest.TempPathFactory, written: Path
) -> Iterator[Server]:
    log = tmp_path_factory.mktemp("log") / "gunicorn.log"
    with running_server(tiny_bundle.parent, log, TMPDIR=str(written), HOME=str(written)) as running:
        yield running


def post(
    server: Server, data: bytes, content_type: str, path: str = "/predict"
) -> tuple[int, dict[str, str], bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
    try:
        connection.request("POST", path, data, {"Content-Type": content_type})
        response = connection.getresponse()
        return response.status, dict(response.getheaders()), response.read()
    finally:
        connection.close()


def reading(server: Server, data: bytes, content_type: str) -> dict[str, Any]:
    status, _, body = post(server, data, content_type)
    assert status == 200, body
    return dict(json.loads(body))


def test_raw_form_and_dicom_answer_over_the_socket(server: Server) -> None:
    film = encode_jpeg(chest_phantom(1200))
    raw = reading(server, film, "image/jpeg")
    form = multipart(film)
    assert (
        reading(server, form["data"], form["content_type"])["probabilities"]
        == (raw["probabilities"])
    )
    dicom = encode_dicom(chest_phantom(1200).astype(np.uint16) * 257)
    from_dicom = reading(server, dicom, "application/dicom")
    assert from_dicom["image"]["format"] == "DICOM"
    assert from_dicom["infection_probability"] == pytest.approx(
        raw["infection_probability"], abs=0.02
    )


def test_a_body_of_unknown_length_is_read(server: Server) -> None:
    film = encode_jpeg(chest_phantom(600))
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
    pieces = (film[i : i + 7000] for i in range(0, len(film), 7000))
    connection.request(
        "POST", "/predict", pieces, {"Content-Type": "image/jpeg"}, encode_chunked=True
    )
    response = connection.getresponse()
    assert response.status == 200
    assert json.loads(response.read())["image"]["width"] == 600
    connection.close()


@pytest.mark.parametrize("name", BAD_INPUTS)
def test_bad_inputs_get_their_code_and_never_a_500(server: Server, name: str) -> None:
    make, code = BAD_INPUTS[name]
    form = multipart(make(), "x.png")
    status, headers, body = post(server, form["data"], form["content_type"])
    problem = json.loads(body)
    assert (status, problem["code"]) == (PROBLEMS[code].status, code)
    assert headers["Content-Type"] == "application/problem+json"
    assert "Server" not in headers


def test_too_large_is_said_to_a_client_that_is_still_sending(server: Server) -> None:
    status, _, body = post(server, bytes(40 * 2**20), "image/jpeg")
    assert (status, json.loads(body)["code"]) == (413, "too_large")


def test_the_sample_of_pydicom_data_is_read(server: Server) -> None:
    path = sample_path()
    if path is None:
        pytest.skip("the package pydicom-data is not installed")
    got = reading(server, path.read_bytes(), "application/octet-stream")
    assert (got["image"]["width"], got["image"]["height"]) == (1841, 1955)


@pytest.mark.real_data
@pytest.mark.parametrize("name", ["chest_pa_monochrome2_jpeg", "chest_pa_tagged_monochrome1"])
def test_real_dicom(server: Server, name: str) -> None:
    data = data_path(f"dicom/{name}.dcm").read_bytes()
    assert reading(server, data, "application/dicom")["image"]["width"] == 1024


def test_behind_the_gate_films_are_read_and_everything_else_is_not(
    tiny_bundle: Path, tmp_path: Path
) -> None:
    """As it is shipped: the gate is on unless somebody switches it off."""
    path = sample_path()
    if path is None:
        pytest.skip("the package pydicom-data is not installed")
    with running_server(tiny_bundle.parent, tmp_path / "log", XRAY_GATE="on") as gated:
        found = reading(gated, path.read_bytes(), "application/dicom")
        # By its dates the patient is 64, and the one bundle here is for children.
        assert [one["code"] for one in found["warnings"]] == ["age_outside_population"]
        leg = path.with_name("RG3_J2KI.dcm").read_bytes()
        noise = encode_png(np.random.default_rng(0).integers(0, 256, (300, 300), np.uint8))
        for data in (leg, noise):
            status, _, body = post(gated, data, "application/octet-stream")
            assert (status, json.loads(body)["code"]) == (422, "not_a_chest_xray")
        for name, reason in (
            ("chest_pa_monochrome2_jpeg", None),
            ("chest_pa_tagged_monochrome1", "inverted"),
        ):
            file = data_folder() / "dicom" / f"{name}.dcm"
            if not file.exists():
                continue
            status, _, body = post(gated, file.read_bytes(), "application/dicom")
            assert json.loads(body).get("reason") == reason, body
            assert status == (200 if reason is None else 422)


def test_threads_do_not_mix_readings_up(server: Server) -> None:
    films = [encode_jpeg(chest_phantom(300, seed)) for seed in range(4)]
    alone = [reading(server, film, "image/jpeg") for film in films]
    wrong: list[int] = []

    def again(index: int) -> None:
        for _ in range(10):
            got = reading(server, films[index], "image/jpeg")
            if (got["probabilities"], got["image"]) != (
                alone[index]["probabilities"],
                alone[index]["image"],
            ):
                wrong.append(index)

    threads = [threading.Thread(target=again, args=(index,)) for index in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert len({json.dumps(one["probabilities"]) for one in alone}) == 4


def test_nothing_of_a_patient_reaches_the_log_or_the_disk(server: Server, written: Path) -> None:
    film, long = full_dicom(), full_dicom(ImageComments="Zebediah " * 300)
    before, files = server.log.stat().st_size, set(written.rglob("*"))
    for data in (film, long, film[:-5000]):
        form = multipart(data, "Zebediah.dcm")
        for path in ("/predict", "/predict?patient=Zebediah", "/"):
            post(server, form["data"], form["content_type"], path)
    with socket.create_connection(("127.0.0.1", server.port), timeout=60) as client:
        client.sendall(b"POST /Zebediah HTTP/1.1\r\nZebediah\r\n\r\n")  # no header
        assert client.recv(20).startswith(b"HTTP/1.1 400")
    text = server.log.read_text()
    log = [json.loads(line) for line in text[before:].splitlines() if line.startswith("{")]
    statuses = [line["status"] for line in log if "route" in line]
    assert statuses == [200, 400, 200, 200, 400, 200, 422, 400, 422]
    assert any(line.get("logger") == "gunicorn.error" for line in log)
    assert [secret for secret in SECRETS if secret in text] == []
    assert set(written.rglob("*")) == files  # what libraries cache when they are imported


def test_sigterm_lets_the_request_under_way_finish(tiny_bundle: Path, tmp_path: Path) -> None:
    film = encode_jpeg(chest_phantom(600))
    alone = {"WEB_CONCURRENCY": "1"}
    with running_server(tiny_bundle.parent, tmp_path / "log", **alone) as running:
        with socket.create_connection(("127.0.0.1", running.port), timeout=60) as client:
            head = (
                "POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/jpeg\r\n"
                f"Content-Length: {len(film)}\r\nConnection: close\r\n\r\n"
            )
            client.sendall(head.encode() + film[:-100])
            # A second request on another connection proves that the worker has the first.
            reading(running, film, "image/jpeg")
            running.process.send_signal(signal.SIGTERM)
            client.sendall(film[-100:])
            answer = b""
            while piece := client.recv(65536):
                answer += piece
        assert answer.startswith(b"HTTP/1.1 200")
        assert running.process.wait(timeout=40) == 0


def test_metrics_add_up_over_workers(tiny_bundle: Path, tmp_path: Path) -> None:
    written = tmp_path / "written"
    written.mkdir()
    with running_server(
        tiny_bundle.parent, tmp_path / "log", WEB_CONCURRENCY="2", TMPDIR=str(written)
    ) as running:
        # Until both are, every request may find the one that is still loading.
        metrics = f"{running.address}/metrics"
        wait_until(lambda: "xray_workers_ready 2.0" in fetch(metrics), READY_SECONDS)
        film = encode_jpeg(chest_phantom(300))
        answered = sum(post(running, film, "image/jpeg")[0] == 200 for _ in range(8))
        text = fetch(metrics)
    (line,) = [
        row
        for row in text.splitlines()
        if row.startswith("xray_requests_total{") and '"/predict"' in row and '"200"' in row
    ]
    assert float(line.split()[-1]) == answered == 8
    assert "xray_queue_depth 0.0" in text
    assert list(written.iterdir()) == []  # the numbers go with the server
