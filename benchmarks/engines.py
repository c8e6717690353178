"""One reading's network: Keras, XLA, ONNX Runtime and OpenVINO on the same weights.

    python benchmarks/engines.py [models/NAME]       ROUNDS=20 in the environment: a short run

Prints processor time and wall time per image in one thread, the time to load, and how far
the answers lie from those of Keras. OpenVINO is measured where it is installed.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_NUM_INTRAOP_THREADS", "1")
ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

import numpy as np  # noqa: E402

from cxr.probes import load_probes  # noqa: E402

ROUNDS = int(os.environ.get("ROUNDS", "200"))


def keras_graph(folder: Path) -> Callable[[Any], Any]:
    from cxr.engine_keras import KerasNetwork

    return KerasNetwork(folder / "model.keras")


def keras_frozen(folder: Path) -> Callable[[Any], Any]:
    """The graph with its variables turned into constants."""
    from tensorflow.python.framework.convert_to_constants import (
        convert_variables_to_constants_v2,
    )

    graph = keras_graph(folder).run.get_concrete_function()  # type: ignore[attr-defined]
    frozen = convert_variables_to_constants_v2(graph)
    import tensorflow

    return lambda image: frozen(tensorflow.constant(image))


def keras_xla(folder: Path) -> Callable[[Any], Any]:
    import tensorflow

    network = keras_graph(folder)
    return tensorflow.function(network.run, jit_compile=True)  # type: ignore[attr-defined]


def keras_predict(folder: Path) -> Callable[[Any], Any]:
    import keras

    model = keras.saving.load_model(folder / "model.keras", compile=False)
    return lambda image: (model.predict(image, verbose=0),)


def onnx_runtime(folder: Path) -> Callable[[Any], Any]:
    from cxr.engine_lean import LeanNetwork

    return LeanNetwork(folder / "model.onnx")


def openvino(folder: Path, precision: str = "f32") -> Callable[[Any], Any]:
    import openvino

    settings = {
        "INFERENCE_NUM_THREADS": 1,
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_PRECISION_HINT": precision,
    }
    compiled = openvino.Core().compile_model(folder / "model.onnx", "CPU", settings)
    request = compiled.create_infer_request()
    return lambda image: tuple(request.infer([image]).values())


def openvino_bf16(folder: Path) -> Callable[[Any], Any]:
    return openvino(folder, "bf16")


WAYS = (keras_graph, keras_frozen, keras_xla, keras_predict, onnx_runtime, openvino, openvino_bf16)


def measure(way: Callable[[Path], Callable[[Any], Any]], folder: Path) -> None:
    """Print one line; meant for a process of its own."""
    began = time.perf_counter()
    network = way(folder)
    images, _ = load_probes(folder)
    network(images[:1])
    loaded = time.perf_counter() - began
    times = []
    processor = time.process_time()
    for number in range(ROUNDS):
        image = images[number % len(images)][np.newaxis]
        start = time.perf_counter()
        answer = network(image)
        np.asarray(answer[0])
        times.append(time.perf_counter() - start)
    processor = 1000 * (time.process_time() - processor) / ROUNDS
    times.sort()
    resident = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    answers = np.concatenate([np.asarray(network(image[np.newaxis])[0]) for image in images])
    print(
        f"{way.__name__:15s} load {loaded:5.1f} s  processor {processor:6.2f} ms  "
        f"median {1000 * times[ROUNDS // 2]:6.2f} ms  {resident:5.0f} MB",
        end="",
        flush=True,
    )
    reference = Path(os.environ.get("REFERENCE", os.devnull))
    if way is keras_graph:
        np.save(reference, answers)
        print()
    else:
        print(f"  off by {np.abs(answers - np.load(reference)).max():.1e}")


def main() -> None:
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else ROOT / "models" / "pediatric-pneumonia")
    if len(sys.argv) > 2:
        measure(globals()[sys.argv[2]], folder)
        return
    import importlib.util
    import tempfile

    with tempfile.TemporaryDirectory() as place:
        environment = {**os.environ, "REFERENCE": str(Path(place) / "reference.npy")}
        for way in WAYS:
            if way.__name__.startswith("openvino") and not importlib.util.find_spec("openvino"):
                print(f"{way.__name__:15s} not installed (pip install openvino)")
                continue
            subprocess.run(
                [sys.executable, __file__, str(folder), way.__name__],
                env=environment,
                stderr=subprocess.DEVNULL,
                check=True,
            )


if __name__ == "__main__":
    main()
