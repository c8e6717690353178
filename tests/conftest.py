"""Fixtures that several packages' tests share."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, MutableMapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from structlog.testing import capture_logs


@pytest.fixture
def said() -> Iterator[list[MutableMapping[str, Any]]]:
    """What the application writes to its log, line by line."""
    with capture_logs() as lines:
        yield lines


def write_tiny_bundle(path: Path, *, population: dict | None = None, mapped: bool = True) -> Path:
    """A whole, valid bundle with an untrained network, small enough to make in a second."""
    import keras

    from cxr.bundle import calibration_to_json, save_bundle
    from cxr.calibrate import Calibration
    from cxr.findings import BACTERIAL_PNEUMONIA, NORMAL, VIRAL_PNEUMONIA
    from cxr.preprocess import PreprocessSpec

    keras.utils.set_random_seed(0)
    size = 64
    image = keras.Input((size, size, 1))
    name = "features" if mapped else "unseen"  # by that name a map is made
    x = keras.layers.Conv2D(8, 3, strides=8, activation="relu", name=name)(image)
    x = keras.layers.GlobalAveragePooling2D()(x)
    x = keras.layers.Dense(3, name="logits")(x)
    model = keras.Model(image, keras.layers.Softmax()(x))
    random = np.random.default_rng(0)
    save_bundle(
        path,
        model,
        {
            "title": "Untrained, for tests",
            "version": "0.0.1",
            "created": "2026-01-01T00:00:00+00:00",
            "input": PreprocessSpec(size=size).to_json(),
            "classes": [
                {"id": f.id, "label": f.label, "infected": f.infected}
                for f in (NORMAL, BACTERIAL_PNEUMONIA, VIRAL_PNEUMONIA)
            ],
            "calibration": calibration_to_json(Calibration(1.0, (0.0, 0.0, 0.0))),
            "thresholds": {"rule_out": 0.3, "rule_in": 0.7},
            "population": population
            or {"label": "Children", "min_age_years": 0, "max_age_years": 17},
            "metrics": {},
            "training": {"data": "none"},
            "libraries": {},
        },
        random.integers(0, 256, (2, size, size, 1), np.uint8),
        card="# Untrained\n\nFor tests.\n",
    )
    return path


@pytest.fixture(scope="session")
def tiny_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Path of a bundle that loads; its parent is a models folder. Do not change it."""
    return write_tiny_bundle(tmp_path_factory.mktemp("models") / "pediatric-pneumonia")


@pytest.fixture(scope="session")
def lean_bundle(tiny_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same with a file for the lean engine; its parent is a models folder. Do not change it."""
    from training.lean import export_lean

    folder = tmp_path_factory.mktemp("lean-models") / tiny_bundle.name
    shutil.copytree(tiny_bundle, folder)
    export_lean(folder)
    return folder
