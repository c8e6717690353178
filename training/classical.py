"""Classical baselines: each a scikit-learn Pipeline on HOG or on principal components.

Everything that is learned, scaling and components included, is inside the pipeline, so
``fit`` sees training films only.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from skimage.feature import hog
from sklearn.decomposition import PCA
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from sklearn.svm import SVC, LinearSVC
from tqdm import tqdm

from cxr.preprocess import from_eight_bits

#: Side to which films are shrunk before their features are taken, in pixels.
HOG_SIDE = 96
PCA_SIDE = 64
_COMPONENTS = 100


def hog_features(images: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Histograms of oriented gradients (Dalal and Triggs 2005), 9 directions, 12-pixel cells.

    Args:
        images: uint8, shape (n, size, size).

    Returns:
        float32, shape (n, 7 · 7 · 2 · 2 · 9).
    """
    return np.stack(
        [
            hog(
                cv2.resize(image, (HOG_SIDE, HOG_SIDE), interpolation=cv2.INTER_AREA),
                orientations=9,
                pixels_per_cell=(12, 12),
                cells_per_block=(2, 2),
                block_norm="L2-Hys",
            ).astype(np.float32)
            for image in tqdm(images, "HOG", unit="film", delay=2.0, leave=False, disable=None)
        ]
    )


def pixel_features(images: NDArray[np.uint8]) -> NDArray[np.float32]:
    """The film itself, small: float32, shape (n, PCA_SIDE²), range [0, 1]."""
    side = (PCA_SIDE, PCA_SIDE)
    small = [cv2.resize(image, side, interpolation=cv2.INTER_AREA) for image in images]
    return from_eight_bits(np.stack(small).reshape(len(images), -1))


FEATURES: dict[str, Callable[[NDArray[np.uint8]], NDArray[np.float32]]] = {
    "hog": hog_features,
    "pca": pixel_features,
}

_CLASSIFIERS: dict[str, Callable[[int], Any]] = {
    "logistic": lambda seed: LogisticRegression(
        C=0.01, class_weight="balanced", max_iter=2000, random_state=seed
    ),
    "linear_svm": lambda seed: LinearSVC(
        C=1e-3, class_weight="balanced", max_iter=20_000, random_state=seed
    ),
    "rbf_svm": lambda seed: SVC(C=3.0, class_weight="balanced", cache_size=500, random_state=seed),
    "knn": lambda seed: KNeighborsClassifier(15, weights="distance"),
    "random_forest": lambda seed: RandomForestClassifier(
        300, class_weight="balanced", n_jobs=-1, random_state=seed
    ),
    "boosting": lambda seed: HistGradientBoostingClassifier(
        class_weight="balanced", early_stopping=False, random_state=seed
    ),
}

#: ``logistic-hog``, ``rbf_svm-pca`` and so on.
BASELINES = tuple(f"{classifier}-{kind}" for classifier in _CLASSIFIERS for kind in FEATURES)


def make_baseline(name: str, seed: int, films: int) -> Pipeline:
    """The unfitted pipeline: uint8 films (n, size, size) → infected or not.

    Args:
        name: one of ``BASELINES``.
        films: how many it will be fitted on; bounds the principal components.
    """
    classifier, _, kind = name.partition("-")
    steps: list[Any] = [FunctionTransformer(FEATURES[kind]), StandardScaler()]
    if kind == "pca":
        components = min(_COMPONENTS, films - 1)
        steps = [
            FunctionTransformer(pixel_features),
            PCA(components, whiten=True, random_state=seed),
        ]
    return make_pipeline(*steps, _CLASSIFIERS[classifier](seed))


def scores(pipeline: Pipeline, images: NDArray[np.uint8]) -> NDArray[np.float64]:
    """How much speaks for infection, shape (n,); the cut that ``predict`` uses lies at 0."""
    if hasattr(pipeline, "decision_function"):
        return np.asarray(pipeline.decision_function(images), np.float64)
    return np.asarray(pipeline.predict_proba(images)[:, 1], np.float64) - 0.5
