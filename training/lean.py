"""``export-lean`` and ``compare-engines``: ``model.onnx`` beside ``model.keras``, and its proof.

The file is for the lean engine (``cxr/engine_lean.py``), which serves without TensorFlow.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import keras
import numpy as np
from numpy.typing import NDArray

from cxr.decode import decode
from cxr.engine_keras import KerasNetwork
from cxr.engine_lean import ACTIVATION_MAPS, INPUT, PROBABILITIES, LeanNetwork
from cxr.engines import LEAN_FILE, MODEL_FILE, file_sha256, open_network
from cxr.errors import RadiographError
from cxr.preprocess import PreprocessSpec, to_model_input
from cxr.probes import load_probes
from training.errors import TrainingError
from training.files import write_json
from training.source import Source

if TYPE_CHECKING:
    import onnx

#: Of ONNX: the newest that tf2onnx writes.
OPSET = 18
#: Largest difference of a probability between the two engines.
TOLERANCE = 1e-4
# Numbers from which on storing them in half the space is worth a node.
_WORTHWHILE = 1024


@dataclass(frozen=True)
class Comparison:
    """How far the two engines lie apart, in the network's own probabilities.

    Attributes:
        images: how many were read.
        largest: of the differences of a probability.
        largest_map: of the differences of an activation map, in logits.
        findings: images on which the most probable class is another.
    """

    images: int
    largest: float
    largest_map: float
    findings: int

    def __str__(self) -> str:
        return (
            f"{self.images} images: probabilities differ by at most {self.largest:.1e}, activation "
            f"maps by at most {self.largest_map:.1e}; {self.findings} other findings"
        )


def export_lean(folder: Path) -> Comparison:
    """Write ``model.onnx`` and its hash; both engines must answer the probes alike.

    Works on any folder with ``model.keras``, a JSON document that holds its ``sha256``, and
    ``probes/probes.npz``: a bundle, or a network that is kept in the same way.

    Raises:
        TrainingError: the folder is not such a one, Keras does not run on TensorFlow, or the
            engines disagree; the folder is left as it was.
        BundleError: the network does not verify, or its probes cannot be read.
    """
    document_path, document = _document(folder)
    network = open_network(folder, document, "keras")
    assert isinstance(network, KerasNetwork)
    partial = folder / f".{LEAN_FILE}.partial"
    try:
        _write_onnx(network, partial)
        images, _ = load_probes(folder)
        comparison = compare(network, LeanNetwork(partial), (image[np.newaxis] for image in images))
        _demand_equal(comparison, folder)
        os.replace(partial, folder / LEAN_FILE)
    finally:
        partial.unlink(missing_ok=True)
    document["lean"] = {"file": LEAN_FILE, "sha256": file_sha256(folder / LEAN_FILE)}
    write_json(document_path, document)
    return comparison


def compare_engines(folder: Path, data: Path, count: int) -> Comparison:
    """Both engines on real films, evenly spread over ``data``.

    Raises:
        TrainingError: the engines disagree, or too few films can be read.
        BundleError: the network does not verify, with either engine.
    """
    _, document = _document(folder)
    networks = [open_network(folder, document, engine) for engine in ("keras", "lean")]
    spec = PreprocessSpec.from_json(document["input"])
    comparison = compare(networks[0], networks[1], _films(data, spec, count))
    if comparison.images < count:
        raise TrainingError(f"{data} holds only {comparison.images} readable films, not {count}.")
    _demand_equal(comparison, folder)
    return comparison


def compare(first: Any, second: Any, images: Iterable[NDArray[np.float32]]) -> Comparison:
    """Two ``Network``s on the same images, each of shape (1, size, size, 1)."""
    largest, largest_map, findings, number = 0.0, 0.0, 0, 0
    for image in images:
        one, other = first(image), second(image)
        largest = max(largest, float(np.abs(one[0] - other[0]).max()))
        if first.maps:
            largest_map = max(largest_map, float(np.abs(one[1] - other[1]).max()))
        findings += int(one[0].argmax() != other[0].argmax())
        number += 1
    return Comparison(number, largest, largest_map, findings)


def _demand_equal(comparison: Comparison, folder: Path) -> None:
    if not comparison.largest <= TOLERANCE:
        raise TrainingError(f"{folder}: the engines disagree on {comparison}.")


def _document(folder: Path) -> tuple[Path, dict[str, Any]]:
    found = []
    for path in sorted(folder.glob("*.json")):
        try:
            document = json.loads(path.read_text())
        except (OSError, ValueError):
            continue
        if isinstance(document, dict) and "sha256" in document and "input" in document:
            found.append((path, document))
    if len(found) != 1:
        raise TrainingError(
            f"{folder} is no bundle: beside {MODEL_FILE} there must be one JSON document with "
            "its sha256 and its input."
        )
    return found[0]


def _write_onnx(network: KerasNetwork, path: Path) -> None:
    """Through TensorFlow's graph, of which tf2onnx makes one of ONNX."""
    if keras.backend.backend() != "tensorflow":
        raise TrainingError("The export to ONNX needs KERAS_BACKEND=tensorflow.")
    import onnx
    import tensorflow
    import tf2onnx

    signature = [tensorflow.TensorSpec((1, *network.input_shape), tensorflow.float32, name=INPUT)]
    model, _ = tf2onnx.convert.from_function(network.run, input_signature=signature, opset=OPSET)
    given = [output.name for output in model.graph.output]
    names = dict(zip(given, (PROBABILITIES, ACTIVATION_MAPS), strict=False))
    for node in model.graph.node:
        node.output[:] = [names.get(name, name) for name in node.output]
        node.input[:] = [names.get(name, name) for name in node.input]
    for output in model.graph.output:
        output.name = names[output.name]
    _store_halves(model)
    onnx.checker.check_model(model, full_check=True)
    path.write_bytes(model.SerializeToString(deterministic=True))


def _store_halves(model: onnx.ModelProto) -> None:
    """Weights that are halves are stored so, and become float32 when the model is loaded."""
    from onnx import TensorProto, helper, numpy_helper

    casts = []
    for one in model.graph.initializer:
        values = numpy_helper.to_array(one)
        if values.dtype != np.float32 or values.size < _WORTHWHILE:
            continue
        with np.errstate(over="ignore"):
            halves = values.astype(np.float16)
        if np.array_equal(halves, values):
            name = one.name
            one.CopyFrom(numpy_helper.from_array(halves, f"{name}/half"))
            casts.append(helper.make_node("Cast", [one.name], [name], to=TensorProto.FLOAT))
    nodes = list(model.graph.node)
    del model.graph.node[:]
    model.graph.node.extend([*casts, *nodes])


def _films(data: Path, spec: PreprocessSpec, count: int) -> Iterator[NDArray[np.float32]]:
    with Source(data) as source:
        members = source.images
        step = max(len(members) // count, 1)
        given = 0
        for member in members[::step]:
            if given == count:
                return
            try:
                film = decode(source.read(member.path), reduce_to=spec.reduce_to)
            except RadiographError:
                continue
            given += 1
            yield to_model_input(film, spec)[np.newaxis]
