"""Is this a whole frontal chest radiograph, upright and not inverted?

A classifier of diseases answers on a photograph of a cat. The gate is a small network of its
own that looks at a thumbnail of the picture before any of them does. ``models/gate/`` holds
``model.keras`` (stock layers only), ``gate.json`` (what it means), ``CARD.md`` and
``probes/probes.npz``, verified at every load like those of a bundle.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from cxr.bundle import CARD_FILE
from cxr.bundle_fields import card_of, read_json
from cxr.engines import MODEL_FILE, EngineName, Network, file_sha256, open_network
from cxr.errors import BundleError
from cxr.folders import whole_folder
from cxr.preprocess import PreprocessSpec, from_eight_bits, to_model_input
from cxr.probes import replay_probes, save_probes
from cxr.radiograph import Radiograph
from cxr.verdict import CLASSES, FRONTAL, Verdict, judge

if TYPE_CHECKING:
    import keras

FORMAT = "xray-gate/1"
DOCUMENT_FILE = "gate.json"


@dataclass(frozen=True)
class Gate:
    """A loaded, verified and compiled gate; may be asked from any thread.

    Attributes:
        sha256: of ``model.keras``.
        threshold: least probability of ``frontal`` that passes.
        document: the whole of ``gate.json``.
        card: ``CARD.md``, Markdown.
    """

    path: Path
    version: str
    sha256: str
    spec: PreprocessSpec
    threshold: float
    document: Mapping[str, Any]
    card: str
    network: Network = field(repr=False)

    def judge(self, radiograph: Radiograph) -> Verdict:
        """May this picture be read, and if not, why?"""
        probabilities = self.predict(to_model_input(radiograph, self.spec)[np.newaxis])[0]
        return judge(probabilities, self.threshold)

    def check(self, radiograph: Radiograph) -> Verdict:
        """Let a frontal chest radiograph pass.

        Raises:
            NotAChestXrayError: it is none.
            UnsuitableImageError: it is one, but turned, inverted or cropped; ``reason`` is the
                id of the class.
        """
        verdict = self.judge(radiograph)
        error = verdict.error()
        if error is not None:
            raise error
        return verdict

    def predict(self, images: NDArray[np.float32]) -> NDArray[np.float32]:
        """Probabilities of the classes.

        Args:
            images: float32, shape (n, size, size, 1), as ``to_model_input`` makes them.

        Returns:
            float32, shape (n, len(CLASSES)).
        """
        return np.concatenate([self.network(image[np.newaxis])[0] for image in images])

    def replay_probes(self) -> float:
        """Largest deviation from the probabilities that the exporting machine got.

        Raises:
            BundleError: it is more than rounding, or the probes cannot be read.
        """
        return replay_probes(self.path, self.predict)


def save_gate(
    path: Path,
    model: keras.Model,
    document: Mapping[str, Any],
    probes: NDArray[np.uint8],
    card: str,
) -> None:
    """Write a gate; ``path`` appears complete or not at all.

    Args:
        model: (n, size, size, 1) in [0, 1] → (n, len(CLASSES)) probabilities.
        document: version, created, input, threshold, metrics, training, libraries.
            ``format``, ``classes`` and ``sha256`` are added, the last beside the threshold too.
        probes: uint8, shape (n, size, size, 1): pictures of no patient.
    """
    with whole_folder(path) as folder:
        model.save(folder / MODEL_FILE)
        digest = file_sha256(folder / MODEL_FILE)
        whole = {"format": FORMAT, "sha256": digest, "classes": list(CLASSES), **document}
        whole["threshold"] = {**document["threshold"], "model_sha256": digest}
        (folder / DOCUMENT_FILE).write_text(json.dumps(whole, indent=2) + "\n")
        (folder / CARD_FILE).write_text(card)
        save_probes(folder, probes, np.asarray(model(from_eight_bits(probes)), np.float32))


def load_gate(path: Path, engine: EngineName = "keras") -> Gate:
    """Load, verify, compile, warm and probe a gate.

    Raises:
        BundleError: a file is missing or damaged, the hash of ``model.keras`` is not the one
            in ``gate.json``, the threshold belongs to other weights, or the probes do not come
            out as they did at export. Its sentence names the file.
    """
    document_path = path / DOCUMENT_FILE
    document = read_json(document_path)
    if document.get("format") != FORMAT:
        raise BundleError(f"{document_path} is not a gate of format '{FORMAT}'.")
    network = open_network(path, document, engine)
    try:
        spec = PreprocessSpec.from_json(document["input"])
        threshold = _threshold(document["threshold"], document["sha256"], document_path)
        if tuple(document["classes"]) != CLASSES:
            raise ValueError("the classes are not those of this program")
        gate = Gate(
            path=path,
            version=str(document["version"]),
            sha256=document["sha256"],
            spec=spec,
            threshold=threshold,
            document=document,
            card=card_of(path / CARD_FILE),
            network=network,
        )
    except (KeyError, TypeError, ValueError) as error:
        raise BundleError(f"{document_path} lacks a field or holds a wrong one: {error}") from error
    if network.input_shape != (spec.size, spec.size, 1) or network.classes != len(CLASSES):
        raise BundleError(
            f"{path}: the network maps {network.input_shape} to {network.classes} classes; "
            f"{DOCUMENT_FILE} speaks of {spec.size} pixels and {len(CLASSES)} classes."
        )
    gate.replay_probes()
    return gate


def _threshold(fields: Mapping[str, Any], digest: str, path: Path) -> float:
    if fields["model_sha256"] != digest:
        raise BundleError(
            f"{path}: the threshold was chosen for other weights (sha256 "
            f"{str(fields['model_sha256'])[:12]}…, here {digest[:12]}…). Copy the whole folder "
            "again."
        )
    threshold = float(fields[FRONTAL])
    if not 0 < threshold < 1:
        raise ValueError(f"the threshold must lie between 0 and 1, not at {threshold}")
    return threshold
