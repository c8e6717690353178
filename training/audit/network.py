"""The bundle's Keras network from inside: pooled features, and maps of randomised weights."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from cxr.bundle import Bundle
from cxr.engines import FEATURES_LAYER, LOGITS_LAYER, MODEL_FILE
from cxr.preprocess import from_eight_bits

_BATCH = 64
#: Steps in which the weights are replaced, from the output towards the input.
STEPS = 5


class Network:
    """The graph of a bundle, for what serving does not need."""

    def __init__(self, bundle: Bundle) -> None:
        self._model = keras.saving.load_model(bundle.path / MODEL_FILE, compile=False)
        found = self._model.get_layer(FEATURES_LAYER).output
        pooled = keras.layers.GlobalAveragePooling2D()(found)
        self._inside = keras.Model(self._model.input, [found, pooled, self._model.output])

    def pooled(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Pooled features of model inputs: uint8 (n, size, size) → float32 (n, channels)."""
        return self._run(images)[1]

    def maps(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Class activation maps, float32, shape (n, h, w, classes)."""
        kernel = keras.ops.convert_to_numpy(self._model.get_layer(LOGITS_LAYER).kernel)
        return np.asarray(self._run(images)[0] @ kernel, np.float32)

    def randomised(self, seed: int) -> Iterator[tuple[str, int]]:
        """Replace the weights from the top down, cumulatively; put them back at the end.

        Each array is drawn from a normal distribution with its own mean and spread, so
        signals keep their size and only what was learned is lost.

        Yields:
            After each step the name of the lowest replaced layer, and how many are.
        """
        layers = [layer for layer in self._model.layers if layer.weights]
        top_down = layers[::-1]
        kept = [layer.get_weights() for layer in top_down]
        random = np.random.default_rng(seed)
        ends = np.unique(np.linspace(0, len(top_down), STEPS + 1).round().astype(int)[1:])
        ends = np.union1d([1], ends)  # the last layer alone comes first
        done = 0
        try:
            for end in ends.tolist():
                for number in range(done, end):
                    top_down[number].set_weights(
                        [random.normal(w.mean(), w.std(), w.shape) for w in kept[number]]
                    )
                done = end
                yield top_down[end - 1].name, end
        finally:
            for layer, weights in zip(top_down, kept, strict=True):
                layer.set_weights(weights)

    def _run(self, images: NDArray[np.uint8]) -> list[NDArray[Any]]:
        batches = []
        for start in range(0, len(images), _BATCH):
            batch = from_eight_bits(images[start : start + _BATCH][..., np.newaxis])
            answers = self._inside(batch, training=False)
            batches.append([keras.ops.convert_to_numpy(answer) for answer in answers])
        return [np.concatenate(parts) for parts in zip(*batches, strict=True)]
