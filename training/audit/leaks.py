"""What can be read off the network's features that is not the disease.

A logistic regression on the pooled features, in five folds that keep a patient together,
is asked questions that a reader of lungs should not be able to answer. An area under the
ROC curve of 0.5 says that it cannot; 1.0 that the features tell it without fail.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedGroupKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from training.bootstrap import Figure, with_intervals
from training.data import Record
from training.layout import COVID, KERMANY
from training.metrics import Ranking

FOLDS = 5
#: Fewer films than this on one side answer nothing.
FEWEST = 20

#: Numbers of the normals of the COVID-19 Radiography Database that are Kermany's children; the
#: others are adults of the RSNA challenge. Found by perceptual hash: within these numbers every
#: film is one of Kermany's 1,341 training normals (at most 6 of 256 bits apart), beyond them
#: none is (at least 66 apart).
CHILDREN_S_NORMALS = range(63, 1404)
CHILD, ADULT = "child", "adult"


def can_be_told(
    features: NDArray[Any], truth: NDArray[np.bool_], groups: NDArray[Any], seed: int = 0
) -> Figure | None:
    """Area under the ROC curve of a linear answer to a yes-or-no question, cross-validated.

    Args:
        features: shape (n, k).
        truth: shape (n,).
        groups: shape (n,): patients, never on both sides of a fold.

    Returns:
        None where there are too few films or patients on a side.
    """
    for side in (truth, ~truth):
        if side.sum() < FEWEST or len(np.unique(groups[side])) < FOLDS:
            return None
    model = make_pipeline(StandardScaler(), LogisticRegression(C=0.1, max_iter=2000))
    folds = StratifiedGroupKFold(FOLDS, shuffle=True, random_state=seed)
    score = cross_val_predict(
        model, features, truth, groups=groups, cv=folds, method="decision_function"
    )
    ranking = Ranking(truth, score)
    return with_intervals(lambda weights: {"auc": ranking.area(weights)}, groups, seed=seed)["auc"]


def source_of(record: Record, dataset: str) -> str | None:
    """The collection or batch that a film came from, where its name or the data set says so."""
    name = PurePosixPath(record.path).stem
    if record.origin:
        return record.origin
    if dataset == COVID:
        return age_group(record, dataset)
    if dataset == KERMANY and record.class_id == "normal":
        return "NORMAL2 batch" if name.upper().startswith("NORMAL2") else "first batch"
    return None


def age_group(record: Record, dataset: str) -> str | None:
    """Child or adult, where the data set is known to tell."""
    if dataset != COVID:
        return None
    if record.class_id == "viral_pneumonia":
        return CHILD
    if record.class_id != "normal":
        return ADULT
    number = re.search(r"(\d+)\)?$", PurePosixPath(record.path).stem)
    return CHILD if number and int(number[1]) in CHILDREN_S_NORMALS else ADULT


def questions(
    records: Sequence[Record], dataset: str
) -> list[tuple[str, NDArray[np.bool_], NDArray[np.bool_]]]:
    """What is asked of the features: words, the films asked about, and the true answers.

    Asked of normal films only, so that no disease helps to answer.
    """
    normal = np.array([record.class_id == "normal" for record in records])
    asked: list[tuple[str, NDArray[np.bool_], NDArray[np.bool_]]] = []
    child = np.array([age_group(record, dataset) == CHILD for record in records])
    asked.append(("child or adult, among normal films", normal, child))
    if dataset != COVID:
        sources = np.array([source_of(record, dataset) or "" for record in records])
        names = np.unique(sources[normal])
        if len(names) == 2:
            words = f"{names[0]} or {names[1]}, by file name, among normal films"
            asked.append((words, normal, sources == names[1]))
    test = np.array([record.split == "test" for record in records])
    asked.append(("validation film or test film, among normal films", normal, test))
    return asked
