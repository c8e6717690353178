"""Tensors of the Open Inference Protocol (V2) ↔ what the predictor takes and gives.

A tensor's data stands in the JSON, or as raw bytes behind it (the protocol's binary extension,
which clients use by default). BYTES elements are length-prefixed there and base64 in JSON.
"""

from __future__ import annotations

import base64
import binascii
import struct
from collections.abc import Sequence
from typing import Any, Literal

import cv2
import numpy as np
import orjson
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from app.errors import InvalidParameterError
from app.schemas import without_null_defaults

#: Films in one request; more belong into several.
MAX_BATCH = 16
#: Values that the JSON may hold, in arrays and objects: 1024 × 1024 grey levels, row by row, and
#: what stands around them. No network here keeps more of a film (``PreprocessSpec.reduce_to``).
MAX_JSON_VALUES = 1_100_000
_MAX_DIMENSIONS = 3

JSON_LENGTH_HEADER = "Inference-Header-Content-Length"


class Member(BaseModel):
    """A part of a request or an answer of the protocol."""

    model_config = ConfigDict(json_schema_extra=without_null_defaults)


class InputTensor(Member):
    """One input: ``image`` (BYTES) or ``pixels`` (FP32)."""

    name: str
    shape: list[int] = Field(min_length=1, max_length=_MAX_DIMENSIONS)
    datatype: Literal["BYTES", "FP32"]
    parameters: dict[str, Any] = Field(default_factory=dict)
    data: list[Any] | None = Field(None, description="Flat or nested; BYTES as base64.")


class RequestedOutput(Member):
    name: str
    parameters: dict[str, Any] = Field(default_factory=dict)


class InferRequest(Member):
    """What ``/v2/models/{name}/infer`` takes."""

    id: str | None = None
    inputs: list[InputTensor] = Field(min_length=1, max_length=1)
    outputs: list[RequestedOutput] | None = Field(None, max_length=16)
    parameters: dict[str, Any] = Field(default_factory=dict)


class OutputTensor(Member):
    name: str
    shape: list[int]
    datatype: Literal["BYTES", "FP32"]
    parameters: dict[str, Any] | None = None
    data: list[Any] | None = None


class InferResponse(Member):
    """What it answers."""

    model_name: str
    model_version: str
    id: str | None = None
    parameters: dict[str, Any]
    outputs: list[OutputTensor]


def parse(body: bytes, json_length: str | None) -> tuple[InferRequest, memoryview]:
    """The request and the bytes behind its JSON.

    Raises:
        InvalidParameterError: the length or the JSON cannot be used; says where.
    """
    length = len(body)
    if json_length is not None:
        number = json_length if json_length.isascii() and json_length.isdigit() else "-1"
        if len(number) > len(str(length)) or not 0 <= int(number) <= length:
            raise InvalidParameterError(f"{JSON_LENGTH_HEADER} does not fit the body.")
        length = int(number)
    head = body[:length]
    # Counted before parsing, which holds the interpreter, and takes up to a kilobyte a value.
    if sum(map(head.count, _BEFORE_A_VALUE)) > MAX_JSON_VALUES:
        raise InvalidParameterError(
            f"The JSON holds more than {MAX_JSON_VALUES:,} values. Send them as bytes behind it "
            "(the binary tensor extension: binary_data_size), or fewer of them."
        )
    try:
        request = InferRequest.model_validate_json(head)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(str(part) for part in first["loc"]) or "The body"
        # pydantic's message says what was expected, never what was sent.
        message = first["msg"][0].lower() + first["msg"][1:]
        raise InvalidParameterError(f"{place} cannot be used: {message}.") from None
    return request, memoryview(body)[length:]


# Each element of an array and each member of an object but the first follows a comma. In strings
# they count too: none that is asked for here holds many.
_BEFORE_A_VALUE = (b",", b"[", b"{")


def films(tensor: InputTensor, binary: memoryview) -> list[bytes]:
    """The files to read: those that were sent, or a PNG of the pixels that were.

    Raises:
        InvalidParameterError: name, type, shape and data do not fit each other.
    """
    size = tensor.parameters.get("binary_data_size")
    if size is None:
        if tensor.data is None:
            raise InvalidParameterError(f"The input {_NAMES} has no data.")
    elif type(size) is not int or size != len(binary):
        raise InvalidParameterError("binary_data_size does not fit the body.")
    if (tensor.name, tensor.datatype) == ("image", "BYTES"):
        return _encoded(tensor, binary if size is not None else None)
    if (tensor.name, tensor.datatype) == ("pixels", "FP32"):
        return [_png(_pixels(tensor, binary if size is not None else None))]
    raise InvalidParameterError(f"The input must be {_NAMES}.")


_NAMES = "'image' (BYTES, shape [n]) or 'pixels' (FP32, shape [rows, columns])"


def _encoded(tensor: InputTensor, binary: memoryview | None) -> list[bytes]:
    count = tensor.shape[0]
    if not 1 <= count <= MAX_BATCH or any(side != 1 for side in tensor.shape[1:]):
        raise InvalidParameterError(f"image must have the shape [n] with 1 to {MAX_BATCH} films.")
    found = _split(binary) if binary is not None else _flat(tensor)
    if len(found) != count:
        raise InvalidParameterError(f"image has {len(found)} elements, its shape says {count}.")
    return found if binary is not None else [_from_base64(one) for one in found]


def _split(binary: memoryview) -> list[bytes]:
    """Elements, each behind its length as four bytes, little-endian."""
    found = []
    while len(binary) >= 4:
        (length,) = struct.unpack_from("<I", binary)
        found.append(bytes(binary[4 : 4 + length]))
        if len(found[-1]) != length or len(found) > MAX_BATCH:
            break
        binary = binary[4 + length :]
    else:
        if not binary:
            return found
    raise InvalidParameterError("The elements of image do not fit their lengths.")


def _flat(tensor: InputTensor) -> list[Any]:
    elements: list[Any] = tensor.data or []
    for _ in range(_MAX_DIMENSIONS):
        if not (elements and isinstance(elements[0], list)):
            return elements
        if not all(isinstance(one, list) for one in elements):
            raise InvalidParameterError("data is nested unevenly.")
        elements = [inner for one in elements for inner in one]
    raise InvalidParameterError(f"data is nested deeper than {_MAX_DIMENSIONS} dimensions.")


def _from_base64(element: Any) -> bytes:
    try:
        return base64.b64decode(element, validate=True)
    except (TypeError, ValueError, binascii.Error):
        raise InvalidParameterError("An element of image is not base64.") from None


def _pixels(tensor: InputTensor, binary: memoryview | None) -> NDArray[np.float32]:
    shape = tuple(side for side in tensor.shape if side != 1) or (0,)
    if len(shape) != 2 or min(shape) < 1:
        raise InvalidParameterError("pixels must have the shape [rows, columns].")
    try:
        if binary is not None:
            values = np.frombuffer(binary, "<f4")
        else:
            with np.errstate(over="ignore"):  # infinity is refused below
                values = np.array(_flat(tensor), np.float64).astype(np.float32)
        pixels = values.reshape(shape)
    except (TypeError, ValueError, OverflowError):
        raise InvalidParameterError("The data of pixels do not fit its shape.") from None
    if not np.isfinite(pixels).all():
        raise InvalidParameterError("pixels holds a value that is no number.")
    return pixels


def _png(pixels: NDArray[np.float32]) -> bytes:
    """Grey levels of any linear scale as a 16-bit PNG, so that they go the way every file goes.

    Nothing is lost that counts: preprocessing stretches the grey levels by their percentiles,
    and 65,536 of them are more than the network can tell apart.
    """
    low, high = float(pixels.min()), float(pixels.max())
    span = high - low
    scaled = (pixels.astype(np.float64) - low) * (65535 / span if span > 0 else 0.0)
    _, png = cv2.imencode(
        ".png", scaled.round().astype(np.uint16), (cv2.IMWRITE_PNG_COMPRESSION, 1)
    )
    return png.tobytes()


def output(
    name: str, values: Sequence[bytes] | NDArray[np.float32], *, binary: bool
) -> tuple[dict[str, Any], bytes]:
    """One output tensor and its bytes (empty where the data stand in the JSON)."""
    if isinstance(values, np.ndarray):
        described = {"name": name, "datatype": "FP32", "shape": list(values.shape)}
        data: list[Any] = values.ravel().tolist()
        raw = values.astype("<f4").tobytes()
    else:
        described = {"name": name, "datatype": "BYTES", "shape": [len(values)]}
        # Text as it is, pictures as base64.
        data = [_as_text(value) for value in values]
        raw = b"".join(struct.pack("<I", len(value)) + value for value in values)
    if binary:
        return {**described, "parameters": {"binary_data_size": len(raw)}}, raw
    return {**described, "data": data}, b""


def _as_text(value: bytes) -> str:
    return base64.b64encode(value).decode() if value[:4] == b"\x89PNG" else value.decode()


def assemble(answer: dict[str, Any], raw: Sequence[bytes]) -> tuple[bytes, int | None]:
    """The body of the answer, and the length of its JSON where bytes follow it."""
    head = orjson.dumps(answer)
    return head + b"".join(raw), len(head) if any(raw) else None
