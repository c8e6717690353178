"""The films that an audit looks at, decoded one after the other as serving does."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from cxr.bundle import Bundle, Prediction
from cxr.decode import decode
from cxr.errors import CxrError
from cxr.preprocess import PreprocessSpec, to_model_input
from cxr.radiograph import Radiograph, to_eight_bits
from training.data import Prepared, Record
from training.source import Source, UnreadableMemberError

Result = TypeVar("Result")

#: Grey levels of one film, uint8, shape (rows, columns), bright = dense.
Grey = NDArray[np.uint8]


def demand_places(*places: Path | None) -> None:
    """See at the start, not after an hour, that what is read last is there.

    Raises:
        DataError: it is not.
    """
    for place in filter(None, places):
        with Source(place):
            pass


def read_inputs(
    source: Source, paths: Sequence[str], spec: PreprocessSpec
) -> tuple[list[str], NDArray[np.float32]]:
    """The films that can be read, by path, and their model inputs, shape (n, size, size, 1).

    One damaged film is named and left out: what came before it took hours.
    """
    readable, inputs = [], [np.zeros((0, spec.size, spec.size, 1), np.float32)]
    for path in paths:
        try:
            film = decode(source.read(path), reduce_to=spec.reduce_to)
        except (CxrError, UnreadableMemberError) as error:
            print(f"\n{path} in {source.root} is left out: {error}", file=sys.stderr)
            continue
        readable.append(path)
        inputs.append(to_model_input(film, spec)[np.newaxis])
    return readable, np.concatenate(inputs)


def sample_of_patients(prepared: Prepared, rows: NDArray[Any], most: int, seed: int) -> NDArray:
    """At most ``most`` of the rows, by whole patients, in ascending order."""
    if len(rows) <= most:
        return rows
    groups = prepared.groups[rows]
    order = np.random.default_rng(seed).permutation(np.unique(groups))
    place = {group: number for number, group in enumerate(order)}
    ranked = np.argsort([place[group] for group in groups], kind="stable")
    return np.sort(rows[ranked[:most]])


def for_each_film(
    prepared: Prepared,
    rows: NDArray[Any],
    spec: PreprocessSpec,
    look: Callable[[int, Grey], Result],
    *,
    words: str,
) -> list[Result]:
    """``look(position, film)`` for each row, in order, on all cores.

    Args:
        rows: of ``prepared``; ``position`` counts them from 0.
        words: what the progress bar says.
    """
    records = prepared.dataset.records

    def one(position: int) -> Result:
        return look(position, read_grey(source, records[rows[position]], spec))

    # Threads are enough: decoding, resizing and the network release the GIL.
    with (
        Source(prepared.dataset.root) as source,
        ThreadPoolExecutor(os.cpu_count() or 1) as pool,
        tqdm(total=len(rows), desc=words, unit="film", delay=1.0, leave=False, disable=None) as bar,
    ):
        results = []
        for result in pool.map(one, range(len(rows))):
            results.append(result)
            bar.update()
    return results


def read_grey(source: Source, record: Record, spec: PreprocessSpec) -> Grey:
    """One film as it reaches the model's preprocessing, in 8 bits."""
    return to_eight_bits(decode(source.read(record.path), reduce_to=spec.reduce_to).pixels)


def prepare_picture(film: Grey, spec: PreprocessSpec) -> NDArray[np.float32]:
    """A changed film → the model's input, shape (size, size, 1)."""
    return to_model_input(Radiograph(film, "PNG", film.shape[1], film.shape[0]), spec)


def predict_pictures(bundle: Bundle, films: list[Grey]) -> Prediction:
    """The bundle's answers to changed versions of a film, as a server would give them."""
    return bundle.predict(np.stack([prepare_picture(film, bundle.spec) for film in films]))
