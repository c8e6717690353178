"""A model without a network: what the node does around it can be tested in milliseconds.

``FakeBundle`` answers from the mean brightness of the image, so that different films get
different readings; decoding, decisions and warnings are the real ones.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.pacs.reader import Results, Task, read_film
from app.predictor import Predictor
from cxr.calibrate import Thresholds
from cxr.findings import BACTERIAL_PNEUMONIA, NORMAL, VIRAL_PNEUMONIA, FindingClass
from cxr.preprocess import PreprocessSpec
from cxr.radiograph import Limits

CHILDREN = {"label": "Children", "min_age_years": 1, "max_age_years": 5}
ADULTS = {"label": "Adults", "min_age_years": 18, "max_age_years": 120}


@dataclass(frozen=True)
class FakePrediction:
    """As ``cxr.bundle.Prediction``."""

    probabilities: NDArray[np.float64]
    activation_maps: NDArray[np.float32]


@dataclass(frozen=True)
class FakeBundle:
    """As ``cxr.bundle.Bundle``, for one that needs no network."""

    name: str
    population: dict[str, Any]
    version: str = "1.2.3"
    spec: PreprocessSpec = field(default_factory=PreprocessSpec)
    classes: tuple[FindingClass, ...] = (NORMAL, BACTERIAL_PNEUMONIA, VIRAL_PNEUMONIA)
    thresholds: Thresholds = field(default_factory=lambda: Thresholds(0.2, 0.6))
    infection: float | None = None
    map_offset: tuple[float, float] = (0.0, 0.0)

    @property
    def sha256(self) -> str:
        return hashlib.sha256(f"{self.name} {self.version}".encode()).hexdigest()

    def predict(self, images: NDArray[np.float32]) -> FakePrediction:
        infection = float(images.mean()) if self.infection is None else self.infection
        row = [1 - infection, 0.75 * infection, 0.25 * infection]
        maps = np.zeros((len(images), 5, 5, 3), np.float32)
        maps[:, 1:3, 3, 1] = 6 * infection
        return FakePrediction(np.tile(np.array([row]), (len(images), 1)), maps)

    def infection_probability(self, probabilities: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray(probabilities[:, 1:].sum(axis=1))


def fake_bundles() -> dict[str, FakeBundle]:
    """One for children, one for adults."""
    bundles = (FakeBundle("for-children", CHILDREN), FakeBundle("for-adults", ADULTS))
    return {bundle.name: bundle for bundle in bundles}


def write_models(folder: Path) -> Path:
    """The ``bundle.json`` that the intake looks at; ``load_fake`` makes bundles of it."""
    import json

    for bundle in fake_bundles().values():
        path = folder / bundle.name
        path.mkdir(parents=True)
        document = {
            name: getattr(bundle, name) for name in ("name", "version", "population", "sha256")
        }
        (path / "bundle.json").write_text(json.dumps(document))
    return folder


def load_fake(path: Path) -> Any:
    """A loader for ``Registry``."""
    return fake_bundles()[path.name]


def fake_source() -> Callable[[], Predictor]:
    """What a ``ReaderProcess`` loads."""
    predictor = Predictor(fake_bundles(), Limits(max_bytes=2**28))  # type: ignore[arg-type]
    return lambda: predictor


@dataclass(frozen=True)
class ReaderHere:
    """A ``Reader`` in the process of the test: it needs no second to start."""

    predictor: Predictor

    def prepare(self) -> None: ...

    def read(self, task: Task) -> Results:
        return read_film(self.predictor, task)

    def close(self) -> None: ...
