"""The whole application over a stand-in network of a few lines: ready in a second.

``gunicorn "tests.light_app:create()"`` serves it; nothing of TensorFlow is imported, so tests
of what stands around the application (proxy, monitoring, fuzzing) need not wait for it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from flask import Flask
from numpy.typing import NDArray

from app import create_app
from app.settings import Settings
from cxr.bundle import Bundle
from cxr.calibrate import Calibration, Thresholds
from cxr.findings import BACTERIAL_PNEUMONIA, NORMAL, VIRAL_PNEUMONIA
from cxr.preprocess import PreprocessSpec

NAME = "pediatric-pneumonia"


class StandIn:
    """Answers with the mean grey level of three bands of the picture."""

    input_shape = (64, 64, 1)
    classes = 3
    maps = True

    def __call__(self, image: NDArray[np.float32]) -> tuple[NDArray[np.float32], ...]:
        bands = np.stack([band.mean() for band in np.array_split(image[0], 3)]) + 0.01
        probabilities = (bands / bands.sum()).astype(np.float32)[np.newaxis]
        return probabilities, np.repeat(image[:, ::8, ::8, :], 3, axis=3)


def load(path: Path) -> Bundle:
    """A bundle that no file stands behind."""
    return Bundle(
        path=path,
        name=path.name,
        title="Stand-in, for tests",
        version="0.0.1",
        sha256="0" * 64,
        spec=PreprocessSpec(size=64),
        classes=(NORMAL, BACTERIAL_PNEUMONIA, VIRAL_PNEUMONIA),
        calibration=Calibration(1.0, (0.0, 0.0, 0.0)),
        thresholds=Thresholds(0.3, 0.7),
        population={"label": "Children", "min_age_years": 0, "max_age_years": 17},
        metrics={},
        document={},
        card="# Stand-in\n",
        engine="lean",
        network=StandIn(),
    )


def create(settings: Settings | None = None, **chosen: Any) -> Flask:
    """The application with settings from the environment, or with those that are given."""
    if settings is None:
        settings = Settings(**chosen) if chosen else Settings.from_environment()
    return create_app(settings, load=load)
