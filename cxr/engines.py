"""What executes a network: Keras, or a lean engine that needs neither Keras nor TensorFlow.

Both are given one folder and answer alike; only the file that they read differs. The lean
file is exported from the Keras file (``python -m training export-lean``), and the document
beside both says the hash of each.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, Protocol, get_args

import numpy as np
from numpy.typing import NDArray

from cxr.errors import BundleError

EngineName = Literal["keras", "lean"]
ENGINES: tuple[EngineName, ...] = get_args(EngineName)

MODEL_FILE = "model.keras"
LEAN_FILE = "model.onnx"

#: Layers by which an exported graph lets a class activation map be read (Zhou 2016,
#: arXiv 1512.04150): feature map → global average → dense.
FEATURES_LAYER = "features"
LOGITS_LAYER = "logits"


class Network(Protocol):
    """A network that is loaded and compiled for one image; may be called from any thread.

    Attributes:
        input_shape: (size, size, 1).
        classes: how many probabilities come out.
        maps: whether activation maps come out beside them.
    """

    input_shape: tuple[int, ...]
    classes: int
    maps: bool

    def __call__(self, image: NDArray[np.float32]) -> tuple[NDArray[np.float32], ...]:
        """Answer one image.

        Args:
            image: float32, shape (1, size, size, 1), range [0, 1].

        Returns:
            float32 probabilities, shape (1, classes), and, where there are ``maps``, what
            each place of the feature grid adds to each class's logit, float32, shape
            (1, h, w, classes).
        """
        ...


def open_network(folder: Path, document: Mapping[str, Any], engine: EngineName) -> Network:
    """Verify and load the file that ``engine`` executes.

    Args:
        folder: holds ``model.keras`` and, for the lean engine, ``model.onnx``.
        document: holds their hashes: ``sha256``, and ``lean.sha256``.

    Raises:
        BundleError: the file is missing, damaged, or not the one that the document
            describes; or the engine is not installed.
    """
    verified = folder / (MODEL_FILE if engine == "keras" else LEAN_FILE)
    lean = document.get("lean")
    if engine == "lean" and not isinstance(lean, dict):
        raise BundleError(
            f"{folder} holds no {LEAN_FILE} for the lean engine. Make it with: "
            f"python -m training export-lean {folder}"
        )
    _verify(verified, (document if engine == "keras" else lean or {}).get("sha256"))
    try:
        if engine == "keras":
            from cxr.engine_keras import KerasNetwork

            return KerasNetwork(verified)
        from cxr.engine_lean import LeanNetwork

        return LeanNetwork(verified)
    except ModuleNotFoundError as error:
        other = "lean" if engine == "keras" else "keras"
        raise BundleError(
            f"The engine '{engine}' needs the package {error.name}, which is not installed "
            f"here. Install it, or set XRAY_ENGINE={other}."
        ) from error


def _verify(path: Path, expected: object) -> None:
    try:
        digest = file_sha256(path)
    except OSError as error:
        raise BundleError(f"{path} cannot be read: {error}") from error
    if digest != expected:
        raise BundleError(
            f"{path} is not the file that the document beside it describes: its sha256 is "
            f"{digest[:12]}…, expected {str(expected)[:12]}…. Copy the whole folder again."
        )


def file_sha256(path: Path) -> str:
    """Of a file's content, hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
