"""One system's answers to the test films, however it came to them."""

from __future__ import annotations

import pickle
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from cxr.bundle import Bundle
from cxr.engines import MODEL_FILE
from training.classical import make_baseline, scores
from training.data import Prepared
from training.errors import TrainingError
from training.evaluate import answer, reads_masked
from training.files import read_arrays, write_arrays
from training.members import Rows, run_trial
from training.prepared import INFECTED, prepare_for
from training.recipe import Recipe


@dataclass(frozen=True)
class Entry:
    """What one system answered to the test films.

    Attributes:
        infection: float64, shape (n,), range [0, 1]: higher = more likely infected; the
            system's own cut lies at 0.5. A probability for networks, a squashed score for
            classical baselines.
        fit_seconds: NaN where the system was trained elsewhere.
        predict_seconds: for all test films.
        bytes: of the model.
    """

    name: str
    infection: NDArray[np.float64]
    fit_seconds: float
    predict_seconds: float
    bytes: int

    def save(self, folder: Path) -> None:
        facts = np.array([self.fit_seconds, self.predict_seconds, self.bytes], np.float64)
        write_arrays(folder / f"{self.name}.npz", infection=self.infection, facts=facts)

    @classmethod
    def load(cls, folder: Path, name: str) -> Entry | None:
        """The saved answers, or None where there are none yet."""
        path = folder / f"{name}.npz"
        if not path.exists():
            return None
        found = read_arrays(path)
        fit_seconds, predict_seconds, size = found["facts"].tolist()
        return cls(name, found["infection"], fit_seconds, predict_seconds, int(size))


def once(folder: Path, name: str, make: Callable[[], Entry]) -> Entry:
    """The answers kept in ``folder``, or made now and kept."""
    known = Entry.load(folder, name)
    if known is not None:
        return known
    print(f"{name} …", flush=True)
    entry = replace(make(), name=name)
    entry.save(folder)
    return entry


def infected_of(prepared: Prepared, rows: Rows) -> NDArray[np.bool_]:
    """The truth: bool, shape (n,)."""
    return np.asarray(prepared.infected[prepared.labels[rows]])


def baseline_entry(name: str, prepared: Prepared, train: Rows, test: Rows, seed: int) -> Entry:
    """Fit a classical pipeline on the training films and ask it."""
    pipeline = make_baseline(name, seed, len(train))
    began = time.perf_counter()
    pipeline.fit(prepared.images[train], infected_of(prepared, train))
    fitted = time.perf_counter()
    found = scores(pipeline, prepared.images[test])
    asked = time.perf_counter()
    size = len(pickle.dumps(pipeline))
    return Entry(name, expit(found), fitted - began, asked - fitted, size)


def recipe_entry(
    name: str,
    recipe: Recipe,
    prepared: Prepared,
    rows: tuple[Rows, Rows, Rows],
    seed: int,
    folder: Path,
) -> Entry:
    """Train a recipe on the same films and ask it."""
    trial = run_trial(prepared, recipe, rows, seed, folder)
    return Entry(
        name,
        trial.test[:, prepared.infected].sum(axis=1),
        trial.fit_seconds,
        trial.predict_seconds,
        4 * trial.parameters,
    )


def bundle_entry(name: str, bundle: Bundle, data: Path, cache: Path, seed: int) -> Entry:
    """Ask a bundle that was trained on just these films, as it reads them (size, masks, classes).

    Raises:
        TrainingError: it was trained on other films, or another split of these.
    """
    trained_on = bundle.document["training"]
    reads = Recipe(
        preprocess=bundle.spec,
        masks=reads_masked(bundle),
        merge_infected=INFECTED in bundle.classes,
    )
    prepared = prepare_for(reads, data, cache, seed)
    if trained_on["data"].get("sha256") != prepared.dataset.sha256 or trained_on["seed"] != seed:
        raise TrainingError(
            f"{bundle.path} was not trained on just this data and split, so its answers cannot be "
            "compared here. Train its recipe instead (--recipes), or give its --data and --seed."
        )
    began = time.perf_counter()
    found = answer(bundle, prepared, prepared.indices("test"))
    seconds = time.perf_counter() - began
    fit_seconds = sum(float(network["seconds"]) for network in trained_on["networks"])
    size = (bundle.path / MODEL_FILE).stat().st_size
    return Entry(name, found.infection, fit_seconds, seconds, size)
