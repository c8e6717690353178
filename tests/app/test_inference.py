"""The Open Inference Protocol: bodies that fit, bodies that do not, and a real client."""

from __future__ import annotations

import base64
import json
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.serving import make_server

from app.errors import PROBLEMS, InvalidParameterError
from app.inference import tensors
from app.refusals import BEFORE_FLASK
from tests.app.conftest import CHILDREN
from tests.phantoms import chest_phantom, encode_jpeg, encode_png

INFER = f"/v2/models/{CHILDREN}/infer"


def image(*films: bytes) -> dict[str, Any]:
    data = [base64.b64encode(film).decode() for film in films]
    return {"name": "image", "shape": [len(films)], "datatype": "BYTES", "data": data}


def pixels(values: Any, shape: list[int]) -> dict[str, Any]:
    return {"name": "pixels", "shape": shape, "datatype": "FP32", "data": values}


def outputs(response: Any) -> dict[str, Any]:
    assert response.status_code == 200, response.get_data(as_text=True)[:300]
    return {one["name"]: one["data"] for one in response.get_json()["outputs"]}


def infer(client: FlaskClient, *inputs: dict[str, Any], **members: Any) -> Any:
    return client.post(INFER, json={"inputs": list(inputs), **members})


def test_the_metadata_say_what_goes_in_and_comes_out(client: FlaskClient) -> None:
    assert client.get("/v2").get_json()["extensions"] == ["binary_tensor_data"]
    assert client.get("/v2/health/live").get_json() == {"live": True}
    assert client.get("/v2/health/ready").get_json() == {"ready": True}
    assert client.get(f"/v2/models/{CHILDREN}/ready").get_json() == {"ready": True}
    model = client.get(f"/v2/models/{CHILDREN}").get_json()
    assert (model["name"], model["versions"]) == (CHILDREN, ["0.0.1"])
    assert [one["name"] for one in model["inputs"]] == ["image", "pixels"]


def test_the_version_that_is_announced_is_served(client: FlaskClient, jpeg: bytes) -> None:
    versions = f"/v2/models/{CHILDREN}/versions"
    assert client.get(f"{versions}/0.0.1/ready").get_json() == {"ready": True}
    assert client.get(f"{versions}/0.0.1").get_json()["versions"] == ["0.0.1"]
    body = {"inputs": [image(jpeg)]}
    response = client.post(f"{versions}/0.0.1/infer", json=body)
    assert outputs(response) == outputs(infer(client, image(jpeg)))
    for response in (
        client.get(f"{versions}/0.0.2"),
        client.get(f"{versions}/0.0.2/ready"),
        client.post(f"{versions}/0.0.2/infer", json=body),
        client.get("/v2/models/nobody/versions/0.0.1"),
    ):
        assert_refused(response, "unknown_model")


def test_it_reads_what_predict_reads(client: FlaskClient, jpeg: bytes) -> None:
    reading = client.post(
        f"/predict?model={CHILDREN}", data=jpeg, content_type="image/jpeg"
    ).get_json()
    response = infer(client, image(jpeg, jpeg), id="7")
    body = response.get_json()
    assert (body["id"], body["model_name"], body["model_version"]) == ("7", CHILDREN, "0.0.1")
    assert json.loads(body["parameters"]["classes"]) == list(reading["probabilities"])
    got = outputs(response)
    expected = [*reading["probabilities"].values()] * 2
    assert got["probabilities"] == pytest.approx(expected, abs=1e-5)
    assert got["infection_probability"] == pytest.approx(
        [reading["infection_probability"]] * 2, abs=1e-5
    )
    assert got["decision"] == [reading["decision"]] * 2
    assert got["finding"] == [reading["finding"]] * 2
    assert json.loads(got["warnings"][0]) == reading["warnings"]


@pytest.mark.parametrize(("scale", "offset"), [(1.0, 0.0), (1 / 255, 0.0), (3.0, -500.0)])
def test_grey_levels_give_the_reading_of_their_film(
    client: FlaskClient, scale: float, offset: float
) -> None:
    phantom = chest_phantom(200)
    film = outputs(infer(client, image(encode_png(phantom))))
    levels = (phantom * scale + offset).ravel().tolist()
    got = outputs(infer(client, pixels(levels, [*phantom.shape])))
    assert got["probabilities"] == pytest.approx(film["probabilities"], abs=1e-3)


def test_only_the_outputs_that_were_asked_for_come(client: FlaskClient, jpeg: bytes) -> None:
    wanted = [{"name": "decision"}, {"name": "heatmap"}]
    got = outputs(infer(client, image(jpeg), outputs=wanted))
    assert list(got) == ["decision", "heatmap"]
    assert base64.b64decode(got["heatmap"][0]).startswith(b"\x89PNG")


def assert_refused(response: Any, code: str) -> None:
    body = response.get_json()
    assert (response.status_code, body["code"]) == (PROBLEMS[code].status, code), body
    assert body["error"] == body["detail"]


@pytest.mark.parametrize(
    "body",
    [
        {},
        [],
        {"inputs": []},
        {"inputs": [pixels([0.0], [1]), pixels([0.0], [1])]},
        {"inputs": [{**image(b"x"), "name": "photo"}]},
        {"inputs": [{**image(b"x"), "datatype": "INT8"}]},
        {"inputs": [{**image(b"x"), "datatype": "FP32"}]},
        {"inputs": [{**image(b"x"), "shape": [2]}]},
        {"inputs": [{**image(b"x"), "shape": [-1]}]},
        {"inputs": [{**image(b"x"), "shape": [17]}]},
        {"inputs": [{**image(b"x"), "data": None}]},
        {"inputs": [{**image(b"x"), "data": ["%%%"]}]},
        {"inputs": [{**image(b"x"), "data": [7]}]},
        {"inputs": [{**image(b"x"), "data": [["x"], "x"]}]},
        {"inputs": [{**image(b"x"), "data": [[[["eA=="]]]]}]},
        {"inputs": [{**image(b"x"), "parameters": {"binary_data_size": 5}}]},
        {"inputs": [{**image(b"x"), "parameters": {"binary_data_size": "x"}}]},
        {"inputs": [pixels([0.0] * 4, [2, 3])]},
        {"inputs": [pixels([0.0] * 4, [4])]},
        {"inputs": [pixels([0.0] * 4, [-2, -2])]},
        {"inputs": [pixels(["a"] * 4, [2, 2])]},
        {"inputs": [pixels([1e39] * 4, [2, 2])]},
        {"inputs": [image(b"x")], "outputs": [{"name": "age"}]},
        {"inputs": [image(b"x")], "outputs": [{"name": "decision"}] * 17},
        {"inputs": [image(b"x")], "parameters": {"binary_data_output": "false"}},
        {
            "inputs": [image(b"x")],
            "outputs": [{"name": "decision", "parameters": {"binary_data": "false"}}],
        },
    ],
)
def test_bodies_that_do_not_fit_are_refused(client: FlaskClient, body: Any) -> None:
    assert_refused(client.post(INFER, json=body), "invalid_parameter")


@pytest.mark.parametrize(
    ("tensors_sent", "expected"),
    [
        ([{**pixels([0] * 4, [2, 2]), "datatype": "UINT8"}], "'BYTES' or 'FP32'"),
        ([pixels([0.0] * 4, [2, 2]), image(b"x")], "at most 1"),
        ([pixels([0.0] * 4, [1, 1, 2, 2])], "at most 3"),
    ],
)
def test_a_refusal_says_what_is_taken(
    client: FlaskClient, tensors_sent: list[dict[str, Any]], expected: str
) -> None:
    assert expected in infer(client, *tensors_sent).get_json()["error"]


def test_a_refusal_from_before_flask_has_the_protocols_member() -> None:
    """Where the worker refuses, no address is known; tritonclient reads nothing but ``error``."""
    for refusal in BEFORE_FLASK:
        body = json.loads(refusal.encode().partition(b"\r\n\r\n")[2])
        assert body["error"] == body["detail"]


def test_json_of_very_many_values_is_refused_before_it_is_parsed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(
        tensors.InferRequest, "model_validate_json", lambda _: pytest.fail("it was parsed")
    )
    for value in (b"0,", b"[],", b'{"a":0},'):
        data = b'{"inputs":[{"name":"pixels","data":[' + value * 1_100_000 + b"0]}]}"
        with pytest.raises(InvalidParameterError, match="binary tensor extension"):
            tensors.parse(data, None)


def test_a_large_request_is_parsed_in_turn(
    app: Flask, client: FlaskClient, jpeg: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    turns = 0

    @contextmanager
    def counted() -> Iterator[None]:
        nonlocal turns
        turns += 1
        yield

    monkeypatch.setattr(app.extensions["registry"].predictor, "turn", counted)
    outputs(infer(client, image(jpeg)))
    assert turns == 1  # the film's own
    phantom = chest_phantom(400)
    outputs(infer(client, pixels(phantom.tolist(), [*phantom.shape])))
    assert turns == 3


@pytest.mark.parametrize("length", ["-1", "x", "99999999", "²", "9" * 5000])
def test_a_length_that_does_not_fit_is_refused(client: FlaskClient, length: str) -> None:
    headers = {"Inference-Header-Content-Length": length}
    assert_refused(client.post(INFER, data=b"{}", headers=headers), "invalid_parameter")


@pytest.mark.parametrize(
    "binary", [b"\x01", struct.pack("<I", 99) + b"x", struct.pack("<I", 0) * 40]
)
def test_binary_elements_that_do_not_fit_are_refused(client: FlaskClient, binary: bytes) -> None:
    tensor = {"name": "image", "shape": [1], "datatype": "BYTES"}
    tensor["parameters"] = {"binary_data_size": len(binary)}
    head = json.dumps({"inputs": [tensor]}).encode()
    headers = {"Inference-Header-Content-Length": str(len(head))}
    assert_refused(client.post(INFER, data=head + binary, headers=headers), "invalid_parameter")


def test_a_film_that_cannot_be_read_is_named(client: FlaskClient, jpeg: bytes) -> None:
    response = infer(client, image(jpeg, b"%PDF-1.7"))
    assert_refused(response, "unsupported_format")
    assert response.get_json()["detail"].startswith("Film 2:")
    assert_refused(client.get("/v2/models/nobody"), "unknown_model")
    assert_refused(infer(client, pixels([0.0] * 4, [2, 2])), "unsuitable_image")


@pytest.fixture(scope="module")
def address(app: Flask) -> Iterator[str]:
    server = make_server("127.0.0.1", 0, app, threaded=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_real_client(address: str, client: FlaskClient, jpeg: bytes) -> None:
    from tritonclient.http import InferenceServerClient, InferInput, InferRequestedOutput
    from tritonclient.utils import InferenceServerException

    expected = outputs(infer(client, image(jpeg)))
    phantom = encode_jpeg(chest_phantom(300, 3))
    with InferenceServerClient(address) as triton:
        assert triton.is_server_live()
        assert triton.is_server_ready()
        assert triton.is_model_ready(CHILDREN)
        assert triton.is_model_ready(CHILDREN, "0.0.1")
        assert not triton.is_model_ready(CHILDREN, "0.0.2")
        assert triton.get_model_metadata(CHILDREN, "0.0.1")["name"] == CHILDREN
        assert triton.get_server_metadata()["name"] == "xray"
        assert triton.get_model_metadata(CHILDREN)["versions"] == ["0.0.1"]

        films = InferInput("image", [2], "BYTES")
        films.set_data_from_numpy(np.array([jpeg, phantom], dtype=object))
        result = triton.infer(CHILDREN, [films], model_version="0.0.1")
        probabilities = result.as_numpy("probabilities")
        assert probabilities.shape == (2, 3)
        assert probabilities[0] == pytest.approx(expected["probabilities"], abs=1e-5)
        assert result.as_numpy("decision")[0].decode() == expected["decision"][0]

        for binary in (True, False):
            levels = InferInput("pixels", [400, 400], "FP32")
            levels.set_data_from_numpy(chest_phantom(400).astype(np.float32), binary_data=binary)
            wanted = [
                InferRequestedOutput("infection_probability", binary_data=binary),
                InferRequestedOutput("heatmap", binary_data=True),
            ]
            result = triton.infer(CHILDREN, [levels], outputs=wanted, request_id="film-7")
            assert result.get_response()["id"] == "film-7"
            assert result.as_numpy("infection_probability").shape == (1,)
            assert result.as_numpy("heatmap")[0].startswith(b"\x89PNG")

        nothing = InferInput("image", [1], "BYTES")
        nothing.set_data_from_numpy(np.array([b"no film"], dtype=object))
        with pytest.raises(InferenceServerException, match="not a radiograph"):
            triton.infer(CHILDREN, [nothing])
        with pytest.raises(InferenceServerException, match="No model has that name"):
            triton.get_model_metadata("nobody")
