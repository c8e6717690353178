"""A trained model with everything it needs to be used: save, load, verify.

``models/<name>/`` holds ``model.keras`` (weights and graph), ``bundle.json`` (what they
mean), ``CARD.md`` (for people), ``probes/probes.npz`` (inputs with the probabilities that
the exporting machine got for them, replayed at every load), and once it was audited
``audit.json`` with the ``figures/`` that the card shows.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from cxr.bundle_fields import (
    audit_of,
    calibration_of,
    map_offset_of,
    read_json,
    thresholds_of,
)
from cxr.calibrate import Calibration, Thresholds
from cxr.errors import BundleError
from cxr.findings import FindingClass
from cxr.preprocess import PreprocessSpec

FORMAT = "xray-bundle/1"
MODEL_FILE = "model.keras"
DOCUMENT_FILE = "bundle.json"
CARD_FILE = "CARD.md"
PROBES_FILE = "probes/probes.npz"
AUDIT_FILE = "audit.json"
FIGURES_FOLDER = "figures"

#: Largest difference of a probability between two machines that is put down to rounding.
PROBE_TOLERANCE = 1e-3

#: Layers by which every exported graph lets a class activation map be read (Zhou 2016,
#: arXiv 1512.04150): feature map → global average → dense.
FEATURES_LAYER = "features"
LOGITS_LAYER = "logits"

Forward = Callable[[NDArray[np.float32]], tuple[NDArray[np.float32], NDArray[np.float32]]]


@dataclass(frozen=True)
class Prediction:
    """What the model says of n images.

    Attributes:
        probabilities: float64, shape (n, classes), calibrated; rows sum to 1.
        activation_maps: float32, shape (n, h, w, classes): what each place of the coarse
            feature grid adds to each class's logit, on average over the grid.
    """

    probabilities: NDArray[np.float64]
    activation_maps: NDArray[np.float32]


@dataclass(frozen=True)
class Bundle:
    """A loaded, verified and compiled bundle. ``predict`` may be called from any thread.

    Attributes:
        sha256: of ``model.keras``.
        population: whom the model may read (see ``training/recipe.py``).
        metrics: measured figures with their intervals, by split.
        document: the whole of ``bundle.json``.
        card: ``CARD.md``, Markdown.
        map_offset: where an activation map really lies; see ``cxr.explain.upsample``.
        audit: ``audit.json``; None where the bundle was not audited.
    """

    path: Path
    name: str
    title: str
    version: str
    sha256: str
    spec: PreprocessSpec
    classes: tuple[FindingClass, ...]
    calibration: Calibration
    thresholds: Thresholds
    population: Mapping[str, Any]
    metrics: Mapping[str, Any]
    document: Mapping[str, Any]
    card: str
    forward: Forward
    map_offset: tuple[float, float] = (0.0, 0.0)
    audit: Mapping[str, Any] | None = None

    def predict(self, images: NDArray[np.float32]) -> Prediction:
        """Calibrated probabilities and class activation maps.

        Args:
            images: float32, shape (n, size, size, 1), range [0, 1], as ``to_model_input``
                makes them.

        Raises:
            ValueError: the shape is another one.
        """
        expected = (self.spec.size, self.spec.size, 1)
        if images.ndim != 4 or images.shape[1:] != expected:
            raise ValueError(f"images must have shape (n, {expected}), not {images.shape}")
        # The graph is compiled for one image: that is what a service gets.
        answers = [self.forward(images[i : i + 1]) for i in range(len(images))]
        probabilities = np.concatenate([probabilities for probabilities, _ in answers])
        maps = np.concatenate([maps for _, maps in answers])
        return Prediction(self.calibration.apply(probabilities), maps)

    def infection_probability(self, probabilities: NDArray[np.float64]) -> NDArray[np.float64]:
        """Sum over the infected classes: (n, classes) → (n,)."""
        infected = [finding.infected for finding in self.classes]
        return np.asarray(probabilities[:, infected].sum(axis=1))

    def replay_probes(self) -> float:
        """Largest deviation from the probabilities that the exporting machine got.

        Raises:
            BundleError: it is more than rounding, or the probes cannot be read.
        """
        path = self.path / PROBES_FILE
        try:
            with path.open("rb") as file, np.load(file, allow_pickle=False) as probes:
                images, expected = probes["images"], probes["probabilities"]
        except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
            raise BundleError(f"{path} cannot be read: {error}") from error
        got = self.predict(images.astype(np.float32) / 255).probabilities
        deviation = float(np.abs(got - expected).max())
        if not deviation <= PROBE_TOLERANCE:
            raise BundleError(
                f"{path}: the model answers its own probes with probabilities that are off by "
                f"{deviation:.4f}. The weights, the calibration or the libraries are not those "
                "it was exported with."
            )
        return deviation


def save_bundle(
    path: Path,
    model: keras.Model,
    document: Mapping[str, Any],
    probes: NDArray[np.uint8],
    card: str = "",
) -> None:
    """Write a bundle; ``path`` appears complete or not at all.

    Args:
        model: (n, size, size, 1) in [0, 1] → (n, classes) probabilities, with the layers
            ``features`` and ``logits``.
        document: title, version, created, input, classes, calibration, thresholds,
            population, metrics, training, libraries. ``format``, ``name`` and ``sha256``
            are added, and to the thresholds the weights that they were chosen for.
        probes: uint8, shape (n, size, size, 1): images without a patient (none may be a
            radiograph), replayed at every load.
    """
    partial = path.with_name(f".{path.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    (partial / PROBES_FILE).parent.mkdir(parents=True)
    model.save(partial / MODEL_FILE)
    digest = _sha256(partial / MODEL_FILE)
    whole = {"format": FORMAT, "name": path.name, "sha256": digest, **document}
    whole["thresholds"] = {**document["thresholds"], "model_sha256": digest}
    (partial / DOCUMENT_FILE).write_text(json.dumps(whole, indent=2) + "\n")
    (partial / CARD_FILE).write_text(card)
    calibration = calibration_of(whole["calibration"])
    images = probes.astype(np.float32) / 255
    answers = np.concatenate([np.asarray(model(image[None])) for image in images])
    np.savez_compressed(
        partial / PROBES_FILE, images=probes, probabilities=calibration.apply(answers)
    )
    shutil.rmtree(path, ignore_errors=True)
    os.replace(partial, path)


def list_bundles(models: Path) -> tuple[Path, ...]:
    """Folders below ``models`` that hold a ``bundle.json``, by name."""
    return tuple(sorted(found.parent for found in models.glob(f"*/{DOCUMENT_FILE}")))


def load_bundle(path: Path) -> Bundle:
    """Load, verify, compile, warm and probe a bundle.

    Raises:
        BundleError: a file is missing or damaged, the hash of ``model.keras`` is not the
            one in ``bundle.json``, the thresholds or the audit belong to other weights, or
            the probes do not come out as they did at export.
    """
    document_path, model_path = path / DOCUMENT_FILE, path / MODEL_FILE
    document = read_json(document_path)
    if document.get("format") != FORMAT:
        raise BundleError(f"{document_path} is not a bundle of format '{FORMAT}'.")
    try:
        digest = _sha256(model_path)
    except OSError as error:
        raise BundleError(f"{model_path} cannot be read: {error}") from error
    if digest != document.get("sha256"):
        raise BundleError(
            f"{model_path} is not the file that {document_path.name} describes: its sha256 is "
            f"{digest[:12]}…, expected {str(document.get('sha256'))[:12]}…. Copy the whole "
            "bundle again."
        )
    card_path = path / CARD_FILE
    try:
        spec = PreprocessSpec.from_json(document["input"])
        classes = tuple(FindingClass(**fields) for fields in document["classes"])
        bundle = Bundle(
            path=path,
            name=document["name"],
            title=document["title"],
            version=document["version"],
            sha256=digest,
            spec=spec,
            classes=classes,
            calibration=calibration_of(document["calibration"]),
            thresholds=thresholds_of(document["thresholds"], digest, document_path),
            population=document["population"],
            metrics=document["metrics"],
            document=document,
            card=card_path.read_text() if card_path.exists() else "",
            forward=_compile(model_path, spec.size, len(classes)),
            map_offset=map_offset_of(document),
            audit=audit_of(path / AUDIT_FILE, digest),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise BundleError(f"{document_path} lacks a field or holds a wrong one: {error}") from error
    bundle.replay_probes()
    return bundle


def _compile(model_path: Path, size: int, classes: int) -> Forward:
    try:
        model = keras.saving.load_model(model_path, compile=False, safe_mode=True)
        features = model.get_layer(FEATURES_LAYER).output
        kernel = model.get_layer(LOGITS_LAYER).kernel
        both = keras.Model(model.input, [model.output, features])
    except Exception as error:  # whatever a damaged archive provokes in Keras or h5py
        raise BundleError(f"{model_path} cannot be loaded: {error}") from error
    if model.input_shape[1:] != (size, size, 1) or model.output_shape[-1] != classes:
        raise BundleError(
            f"{model_path} maps {model.input_shape} to {model.output_shape}; bundle.json speaks "
            f"of {size} pixels and {classes} classes."
        )

    def run(image: Any) -> tuple[Any, Any]:
        probabilities, found = both(image, training=False)
        return probabilities, keras.ops.matmul(found, kernel)

    if keras.backend.backend() == "tensorflow":
        import tensorflow

        # One signature, compiled once: model.predict costs 20 times as much per call.
        run = tensorflow.function(
            run,
            input_signature=[tensorflow.TensorSpec((1, size, size, 1), tensorflow.float32)],
            jit_compile=True,
            autograph=False,
        )

    def forward(image: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        probabilities, maps = run(image)
        to_numpy = keras.ops.convert_to_numpy
        return np.asarray(to_numpy(probabilities)), np.asarray(to_numpy(maps))

    return forward


def calibration_to_json(calibration: Calibration) -> dict[str, Any]:
    return {"method": "temperature and bias", **asdict(calibration)}


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
