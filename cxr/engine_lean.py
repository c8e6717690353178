"""The lean engine: ONNX Runtime executes ``model.onnx``, without Keras and TensorFlow.

It starts in a fraction of a second and takes a fraction of the memory. OpenVINO was measured
beside it and takes the same time per image in float32, but twice the memory and disk
(``docs/performance.md``).
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from cxr.errors import BundleError

INPUT = "image"
PROBABILITIES = "probabilities"
ACTIVATION_MAPS = "activation_maps"


class LeanNetwork:
    """``model.onnx``; see ``Network``.

    Raises:
        BundleError: the file cannot be loaded, or is not an export of this project.
    """

    def __init__(self, path: Path) -> None:
        options = onnxruntime.SessionOptions()
        # Requests already fill the cores; threads within one would only wait for each other.
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        # An arena keeps what the largest request took, for ever; these graphs are small.
        options.enable_cpu_mem_arena = False
        options.log_severity_level = 3
        try:
            self._session = onnxruntime.InferenceSession(
                path, options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # ONNX Runtime's exceptions share no base class
            raise BundleError(f"{path} cannot be loaded: {error}") from error
        inputs = {one.name: one.shape for one in self._session.get_inputs()}
        outputs = {one.name: one.shape for one in self._session.get_outputs()}
        if list(inputs) != [INPUT] or PROBABILITIES not in outputs:
            raise BundleError(
                f"{path} has the inputs {list(inputs)} and the outputs {list(outputs)}; expected "
                f"were '{INPUT}' and '{PROBABILITIES}'. Export it again."
            )
        self.maps = ACTIVATION_MAPS in outputs
        self._outputs = [PROBABILITIES, ACTIVATION_MAPS] if self.maps else [PROBABILITIES]
        self.input_shape: tuple[int, ...] = tuple(inputs[INPUT][1:])
        self.classes: int = outputs[PROBABILITIES][-1]

    def __call__(self, image: NDArray[np.float32]) -> tuple[NDArray[np.float32], ...]:
        return tuple(self._session.run(self._outputs, {INPUT: image}))
