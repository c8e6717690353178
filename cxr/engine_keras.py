"""The engine that training uses too: Keras, on whichever backend it runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from cxr.engines import FEATURES_LAYER, LOGITS_LAYER
from cxr.errors import BundleError


class KerasNetwork:
    """``model.keras``, traced once; see ``Network``.

    Attributes:
        run: the backend's own function behind it.

    Raises:
        BundleError: the file cannot be loaded.
    """

    def __init__(self, path: Path) -> None:
        try:
            model = keras.saving.load_model(path, compile=False, safe_mode=True)
            self.maps = {FEATURES_LAYER, LOGITS_LAYER} <= {layer.name for layer in model.layers}
            self.run = traced(model, self.maps)
        except Exception as error:  # whatever a damaged archive provokes in Keras or h5py
            raise BundleError(f"{path} cannot be loaded: {error}") from error
        self.input_shape: tuple[int, ...] = tuple(model.input_shape[1:])
        self.classes: int = model.output_shape[-1]

    def __call__(self, image: NDArray[np.float32]) -> tuple[NDArray[np.float32], ...]:
        return tuple(np.asarray(part) for part in self.run(image))


def traced(model: keras.Model, maps: bool) -> Any:
    """A function: image → (probabilities[, activation maps]), for one image.

    On TensorFlow a ``tf.function`` of one signature: ``model.predict`` costs several times as
    much per call. It is not compiled with XLA, which takes seconds more to start and, for
    these convolutions on a CPU, more time per call than the oneDNN kernels of the plain graph
    (``python benchmarks/engines.py``).
    """
    if maps:
        features = model.get_layer(FEATURES_LAYER).output
        kernel = model.get_layer(LOGITS_LAYER).kernel
        both = keras.Model(model.input, [model.output, features])

    def run(image: Any) -> tuple[Any, ...]:
        if not maps:  # Keras would unpack a list of one output
            return (model(image, training=False),)
        probabilities, found = both(image, training=False)
        return probabilities, keras.ops.matmul(found, kernel)

    if keras.backend.backend() != "tensorflow":
        return run
    import tensorflow

    # TensorFlow's fusing pass fails on residual blocks, writes an error line for each, and
    # saves no time here.
    tensorflow.config.optimizer.set_experimental_options({"remapping": False})
    shape = (1, *model.input_shape[1:])
    signature = [tensorflow.TensorSpec(shape, tensorflow.float32, name="image")]
    return tensorflow.function(run, input_signature=signature, autograph=False)
