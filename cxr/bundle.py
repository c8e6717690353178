"""A trained model with everything it needs to be used: save, load, verify.

``models/<name>/`` holds ``model.keras`` (weights and graph), ``bundle.json`` (what they
mean), ``CARD.md`` (for people), ``probes/probes.npz`` (inputs with the probabilities that
the exporting machine got for them, replayed at every load), ``model.onnx`` (the same
network for the lean engine, see ``cxr/engines.py``), and once it was audited ``audit.json``
with the ``figures/`` that the card shows.
"""

from __future__ import annotations

import json
import os
import zipfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from cxr.bundle_fields import (
    audit_of,
    calibration_of,
    card_of,
    classes_of,
    map_offset_of,
    name_of,
    population_of,
    read_json,
    thresholds_of,
    title_of,
)
from cxr.calibrate import Calibration, Thresholds
from cxr.engines import (
    LEAN_FILE,
    MODEL_FILE,
    EngineName,
    Network,
    file_sha256,
    open_network,
)
from cxr.errors import BundleError
from cxr.findings import FindingClass
from cxr.folders import whole_folder
from cxr.preprocess import PreprocessSpec, from_eight_bits
from cxr.probes import replay_probes, save_probes

if TYPE_CHECKING:
    import keras

FORMAT = "xray-bundle/1"
DOCUMENT_FILE = "bundle.json"
CARD_FILE = "CARD.md"
AUDIT_FILE = "audit.json"


@dataclass(frozen=True)
class Prediction:
    """What the model says of n images.

    Attributes:
        probabilities: float64, shape (n, classes), calibrated; rows sum to 1.
        activation_maps: float32, shape (n, h, w, classes): what each place of the coarse
            feature grid adds to each class's logit, on average over the grid; None where
            the network's architecture has no such map.
    """

    probabilities: NDArray[np.float64]
    activation_maps: NDArray[np.float32] | None


@dataclass(frozen=True)
class Bundle:
    """A loaded, verified and compiled bundle. ``predict`` may be called from any thread.

    Attributes:
        sha256: of ``model.keras``, whichever engine executes: it names the weights.
        engine: what executes the network.
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
    engine: EngineName
    network: Network
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
        answers = [self.network(images[i : i + 1]) for i in range(len(images))]
        probabilities = self.calibration.apply(np.concatenate([answer[0] for answer in answers]))
        maps = np.concatenate([answer[1] for answer in answers]) if self.explains else None
        return Prediction(probabilities, maps)

    @property
    def explains(self) -> bool:
        """Whether it has class activation maps: not every architecture has."""
        return self.network.maps

    def infection_probability(self, probabilities: NDArray[np.float64]) -> NDArray[np.float64]:
        """Sum over the infected classes: (n, classes) → (n,)."""
        infected = [finding.infected for finding in self.classes]
        return np.asarray(probabilities[:, infected].sum(axis=1))

    def replay_probes(self) -> float:
        """Largest deviation from the probabilities that the exporting machine got.

        Raises:
            BundleError: it is more than rounding, or the probes cannot be read.
        """
        return replay_probes(self.path, lambda images: self.predict(images).probabilities)


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
    images = from_eight_bits(probes)
    with whole_folder(path) as folder:
        model.save(folder / MODEL_FILE)
        compress(folder / MODEL_FILE)
        digest = file_sha256(folder / MODEL_FILE)
        whole = {"format": FORMAT, "name": path.name, "sha256": digest, **document}
        whole["thresholds"] = {**document["thresholds"], "model_sha256": digest}
        (folder / DOCUMENT_FILE).write_text(json.dumps(whole, indent=2) + "\n")
        (folder / CARD_FILE).write_text(card)
        calibration = calibration_of(whole["calibration"], len(whole["classes"]))
        answers = np.concatenate([np.asarray(model(image[None])) for image in images])
        save_probes(folder, probes, calibration.apply(answers))


def compress(path: Path) -> None:
    """Deflate the members of a ``.keras`` archive, which Keras stores as they are.

    A tenth less in every clone and image; what is loaded from it is the same.
    """
    packed = path.with_name(f".{path.name}.packed")
    with (
        zipfile.ZipFile(path) as archive,
        zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as out,
    ):
        for member in archive.infolist():
            out.writestr(member.filename, archive.read(member))
    os.replace(packed, path)


def list_bundles(models: Path) -> tuple[Path, ...]:
    """Folders below ``models`` that hold a ``bundle.json``, by name."""
    return tuple(sorted(found.parent for found in models.glob(f"*/{DOCUMENT_FILE}")))


def load_bundle(path: Path, engine: EngineName = "keras") -> Bundle:
    """Load, verify, compile, warm and probe a bundle.

    Raises:
        BundleError: a file is missing or damaged, the hash of the network's file is not the
            one in ``bundle.json``, the engine is not installed, the thresholds or the audit
            belong to other weights, or the probes do not come out as they did at export.
    """
    document_path = path / DOCUMENT_FILE
    document = read_json(document_path)
    if document.get("format") != FORMAT:
        raise BundleError(f"{document_path} is not a bundle of format '{FORMAT}'.")
    network = open_network(path, document, engine)
    try:
        bundle = Bundle(
            path=path,
            name=name_of(document["name"], "name"),
            title=title_of(document["title"]),
            version=name_of(document["version"], "version"),
            sha256=document["sha256"],
            spec=PreprocessSpec.from_json(document["input"]),
            classes=classes_of(document["classes"]),
            calibration=calibration_of(document["calibration"], len(document["classes"])),
            thresholds=thresholds_of(document["thresholds"], document["sha256"], document_path),
            population=population_of(document["population"]),
            metrics=document["metrics"],
            document=document,
            card=card_of(path / CARD_FILE),
            engine=engine,
            network=network,
            map_offset=map_offset_of(document),
            audit=audit_of(path / AUDIT_FILE, document["sha256"]),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise BundleError(f"{document_path} lacks a field or holds a wrong one: {error}") from error
    size, classes = bundle.spec.size, len(bundle.classes)
    if network.input_shape != (size, size, 1) or network.classes != classes:
        file = MODEL_FILE if engine == "keras" else LEAN_FILE
        raise BundleError(
            f"{path / file} maps {network.input_shape} to {network.classes} classes; "
            f"{DOCUMENT_FILE} speaks of {size} pixels and {classes} classes."
        )
    bundle.replay_probes()
    return bundle


def calibration_to_json(calibration: Calibration) -> dict[str, Any]:
    return {"method": "temperature and bias", **asdict(calibration)}
