"""``/v2/…``: the Open Inference Protocol, ending in ``Predictor.read`` like everything else."""

from __future__ import annotations

import json
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

import numpy as np
from flask import Response, jsonify, request
from flask_openapi3.blueprint import APIBlueprint
from flask_openapi3.models.tag import Tag
from flask_openapi3.utils import parse_body
from pydantic import Field

from app import current
from app.errors import InvalidParameterError, UnknownModelError
from app.inference import tensors
from app.inference.tensors import InferRequest, InferResponse
from app.openapi import API_VERSION, ASKS_A_MODEL, OPEN_TO_ALL, READS_FILMS, answers
from app.predictor import Predictor
from app.reading import NOTICE, Reading
from app.schemas import Answer, ModelPath, VersionPath
from app.uploads import refuse_encoding
from cxr.errors import RadiographError

if TYPE_CHECKING:
    from cxr.bundle import Bundle

V2 = Tag(
    name="Open Inference Protocol",
    description="KServe V2, with the binary tensor extension: what tritonclient speaks.",
)

blueprint = APIBlueprint("inference", __name__, url_prefix="/v2", abp_tags=[V2])
# Not as a view's ``body``: with the binary extension the body is not JSON to its end.
blueprint.components_schemas.update(parse_body(InferRequest)[1])


class TensorMetadata(Answer):
    name: str
    datatype: str
    shape: list[int]


class ModelMetadata(Answer):
    name: str
    versions: list[str]
    platform: str
    inputs: list[TensorMetadata] = Field(description="Send one of them.")
    outputs: list[TensorMetadata]


class ServerMetadata(Answer):
    name: str
    version: str
    extensions: list[str]


class Live(Answer):
    live: bool


class IsReady(Answer):
    ready: bool


@blueprint.get("", operation_id="v2_server", responses=answers(ServerMetadata))
def server() -> Response:
    """What this server is."""
    return jsonify(name="xray", version=API_VERSION, extensions=["binary_tensor_data"])


@blueprint.get(
    "/health/live",
    operation_id="v2_live",
    openapi_extensions=OPEN_TO_ALL,
    responses=answers(Live, open_to_all=True),
)
def live() -> Response:
    """Alive."""
    return jsonify(live=True)


@blueprint.get(
    "/health/ready",
    operation_id="v2_ready",
    openapi_extensions=OPEN_TO_ALL,
    responses=answers(IsReady, "not_ready", open_to_all=True),
)
def ready() -> Response:
    """Ready to predict."""
    current.predictor()
    return jsonify(ready=True)


@blueprint.get(
    "/models/<name>/ready",
    operation_id="v2_model_ready",
    responses=answers(IsReady, *ASKS_A_MODEL),
)
def model_ready(path: ModelPath) -> Response:
    """One model is ready to predict."""
    _bundle(path)
    return jsonify(ready=True)


@blueprint.get(
    "/models/<name>",
    operation_id="v2_model",
    responses=answers(ModelMetadata, *ASKS_A_MODEL),
)
def model(path: ModelPath) -> Response:
    """What a model takes and gives."""
    bundle = _bundle(path)
    return jsonify(
        name=bundle.name,
        versions=[bundle.version],
        platform="xray_bundle",
        inputs=[
            {"name": "image", "datatype": "BYTES", "shape": [-1]},
            {"name": "pixels", "datatype": "FP32", "shape": [-1, -1]},
        ],
        outputs=[
            {"name": "infection_probability", "datatype": "FP32", "shape": [-1]},
            {"name": "probabilities", "datatype": "FP32", "shape": [-1, len(bundle.classes)]},
            *(
                {"name": name, "datatype": "BYTES", "shape": [-1]}
                for name in ("decision", "finding", "warnings", "heatmap")
            ),
        ],
    )


# A body of so many bytes is parsed in milliseconds, whatever it holds.
_LARGE_BYTES = 256 * 1024
_ALWAYS = ("infection_probability", "probabilities", "decision", "finding", "warnings")
_BODY = {
    "required": True,
    "content": {
        "application/json": {"schema": {"$ref": "#/components/schemas/InferRequest"}},
        "application/octet-stream": {
            "schema": {"type": "string", "format": "binary"},
        },
    },
}


@blueprint.post(
    "/models/<name>/infer",
    operation_id="v2_infer",
    summary="Read one film or several",
    description=(
        "Input `image`: up to 16 encoded films (base64 in JSON). Input `pixels`: the grey levels "
        "of one film, rows × columns, on any linear scale, bright where dense. Outputs: all but "
        "`heatmap` where none is named; `probabilities` in the order of the parameter `classes`."
    ),
    openapi_extensions={"requestBody": _BODY},
    responses=answers(InferResponse, *ASKS_A_MODEL, *READS_FILMS),
)
def infer(path: ModelPath) -> Response:
    """The readings of one or several films, as tensors."""
    predictor, bundle = current.predictor(), _bundle(path)
    body, films = _received(predictor)
    wanted = _wanted(body)
    heatmap = "overlay" if "heatmap" in wanted else "none"
    readings = []
    for number, film in enumerate(films, 1):
        try:
            reading = predictor.read(film, model=bundle.name, heatmap=heatmap)
        except RadiographError as error:
            # One that cannot be read refuses them all; whoever sent several must know which.
            if body.inputs[0].shape[0] > 1 and body.inputs[0].name == "image":
                error.detail = f"Film {number}: {error.detail}"
            raise
        current.metrics().count_reading(reading)
        readings.append(reading)
    values = _values(readings)
    described, raw = zip(
        *(tensors.output(name, values[name], binary=in_bytes) for name, in_bytes in wanted.items()),
        strict=True,
    )
    answer: dict[str, Any] = {
        "model_name": bundle.name,
        "model_version": bundle.version,
        **({"id": body.id} if body.id is not None else {}),
        "parameters": {
            "classes": json.dumps([finding.label for finding in bundle.classes]),
            "notice": NOTICE,
        },
        "outputs": described,
    }
    data, json_length = tensors.assemble(answer, raw)
    if json_length is None:
        return Response(data, content_type="application/json")
    response = Response(data, content_type="application/octet-stream")
    response.headers[tensors.JSON_LENGTH_HEADER] = str(json_length)
    return response


@blueprint.get(
    "/models/<name>/versions/<version>/ready",
    operation_id="v2_version_ready",
    responses=answers(IsReady, *ASKS_A_MODEL),
)
def version_ready(path: VersionPath) -> Response:
    """One version of a model is ready to predict."""
    answer: Response = model_ready(path)
    return answer


@blueprint.get(
    "/models/<name>/versions/<version>",
    operation_id="v2_version",
    responses=answers(ModelMetadata, *ASKS_A_MODEL),
)
def version(path: VersionPath) -> Response:
    """What a version of a model takes and gives."""
    answer: Response = model(path)
    return answer


@blueprint.post(
    "/models/<name>/versions/<version>/infer",
    operation_id="v2_version_infer",
    summary="Read one film or several with one version of a model",
    openapi_extensions={"requestBody": _BODY},
    responses=answers(InferResponse, *ASKS_A_MODEL, *READS_FILMS),
)
def version_infer(path: VersionPath) -> Response:
    """The readings of one or several films, as tensors."""
    answer: Response = infer(path)
    return answer


def _bundle(path: ModelPath) -> Bundle:
    """The bundle that the address names.

    Raises:
        UnknownModelError: there is none, or it is loaded in another version.
    """
    bundle = current.predictor().bundle(path.name)
    if isinstance(path, VersionPath) and path.version != bundle.version:
        raise UnknownModelError(f"{bundle.name} is loaded in version {bundle.version} alone.")
    return bundle


def _received(predictor: Predictor) -> tuple[InferRequest, list[bytes]]:
    """The request and the films in it.

    Raises:
        UnsupportedEncodingError: it is compressed.
        InvalidParameterError: it is not of the protocol.
        OverloadedError: it is large, and too many wait to be read.
    """
    refuse_encoding(request)
    sent = request.get_data(cache=False)
    # Parsing much takes memory and a core, as reading a film does: both wait in one queue.
    with predictor.turn() if len(sent) > _LARGE_BYTES else nullcontext():
        body, binary = tensors.parse(sent, request.headers.get(tensors.JSON_LENGTH_HEADER))
        return body, tensors.films(body.inputs[0], binary)


def _wanted(body: InferRequest) -> dict[str, bool]:
    """Output → whether as bytes behind the JSON."""
    default = _switch(body.parameters, "binary_data_output", False)
    if not body.outputs:
        return dict.fromkeys(_ALWAYS, default)
    unknown = [one.name for one in body.outputs if one.name not in (*_ALWAYS, "heatmap")]
    if unknown:
        raise InvalidParameterError(f"Outputs are {', '.join(_ALWAYS)} and heatmap.")
    return {one.name: _switch(one.parameters, "binary_data", default) for one in body.outputs}


def _switch(parameters: dict[str, Any], name: str, default: bool) -> bool:
    chosen = parameters.get(name, default)
    if not isinstance(chosen, bool):  # the text "false" would count as true
        raise InvalidParameterError(f"{name} must be true or false.")
    return chosen


def _values(readings: list[Reading]) -> dict[str, Any]:
    def texts(*values: str) -> list[bytes]:
        return [value.encode() for value in values]

    return {
        "infection_probability": np.array([r.infection_probability for r in readings], np.float32),
        "probabilities": np.array([list(r.probabilities.values()) for r in readings], np.float32),
        "decision": texts(*(r.decision for r in readings)),
        "finding": texts(*(r.finding for r in readings)),
        "warnings": texts(*(json.dumps([w.to_json() for w in r.warnings]) for r in readings)),
        "heatmap": [r.heatmap or b"" for r in readings],
    }
