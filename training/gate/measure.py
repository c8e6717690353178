"""How often the gate refuses what it should, and what it should not, with 95 % intervals.

Films and pictures go the way they go in the product: bytes → ``decode`` → ``to_model_input`` →
network, with nothing augmented.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cxr.bundle import DOCUMENT_FILE, list_bundles
from cxr.bundle_fields import read_json
from cxr.decode import decode
from cxr.preprocess import PreprocessSpec, to_model_input
from cxr.verdict import CLASSES, CROPPED, INVERTED, TURNED_LEFT, TURNED_RIGHT, UPSIDE_DOWN, judge
from training.gate.films import Measured, lung_masked_films
from training.gate.negatives import FAMILIES, MAKERS, Collected, read_dicom_pictures, working
from training.gate.views import TURNS, input_of
from training.statistics import wilson

Inputs = NDArray[np.float32]
#: Model inputs (n, size, size, 1) → probabilities (n, len(CLASSES)).
Network = Callable[[Inputs], NDArray[Any]]

#: Fresh pictures of each made kind, and cuts from each photograph.
MADE, CUTS = 300, 9


def served_at(models: Path, spec: PreprocessSpec) -> int:
    """``reduce_to`` of the largest bundle: serving decodes once for the gate and all of them.

    Args:
        models: the folder that the gate is exported into, beside the bundles; it may have none.
        spec: the gate's input, for which is decoded where there are no bundles.

    Raises:
        BundleError: a bundle's document cannot be read.
    """
    documents = (read_json(path / DOCUMENT_FILE) for path in list_bundles(models))
    specs = (PreprocessSpec.from_json(document["input"]) for document in documents)
    return max((one.reduce_to for one in specs), default=spec.reduce_to)


def rate(hits: NDArray[np.bool_] | Sequence[bool]) -> dict[str, float | int]:
    """Share of hits with its Wilson interval (Wilson 1927)."""
    count, total = int(np.sum(hits)), len(hits)
    return {"refused": count, "pictures": total, **wilson(count, total)}


def film_inputs(files: Iterable[bytes], spec: PreprocessSpec, reduce_to: int) -> Inputs:
    """Model inputs of encoded films, decoded at ``reduce_to`` as ``served_at`` says."""
    return np.stack([to_model_input(decode(data, reduce_to=reduce_to), spec) for data in files])


def negative_inputs(
    collected: Collected, spec: PreprocessSpec, seed: int
) -> dict[str, dict[str, Inputs]]:
    """Family → kind → model inputs of every collected picture and of fresh made ones."""
    random = np.random.default_rng((seed, 1))
    inputs: dict[str, dict[str, Inputs]] = {}
    for family, kinds in FAMILIES.items():
        inputs[family] = {}
        for kind in kinds:
            made = kind in MAKERS
            pictures = [MAKERS[kind](random) for _ in range(MADE)] if made else collected[kind]
            inputs[family][kind] = np.stack([input_of(picture, spec) for picture in pictures])
        if "photograph" in kinds:
            cuts = [
                working(picture, random) for picture in collected["photograph"] for _ in range(CUTS)
            ]
            inputs[family]["cuts from the photographs"] = np.stack(
                [input_of(picture, spec) for picture in cuts]
            )
    return inputs


def dicom_inputs(spec: PreprocessSpec) -> Inputs:
    """The pictures of ``DICOM_FAMILY``."""
    return np.stack([input_of(picture, spec) for _, picture in read_dicom_pictures()])


def refused(network: Network, inputs: Inputs, threshold: float) -> NDArray[np.bool_]:
    """Which are refused, for whatever reason; shape (n,)."""
    return np.asarray(network(inputs)[:, 0] < threshold)


def measure_films(
    network: Network,
    measured: Sequence[Measured],
    spec: PreprocessSpec,
    threshold: float,
    reduce_to: int,
) -> dict[str, Any]:
    """Refusals of chest films, normal and diseased apart, of each collection and in all."""
    figures: dict[str, Any] = {}
    every: dict[str, list[NDArray[np.bool_]]] = {"normal": [], "diseased": []}
    for collection in measured:
        figures[collection.name] = {}
        for condition, files in (
            ("normal", collection.normal),
            ("diseased", collection.diseased),
        ):
            if files:
                hits = refused(network, film_inputs(files, spec, reduce_to), threshold)
                figures[collection.name][condition] = rate(hits)
                every[condition].append(hits)
    figures["all"] = {
        condition: rate(np.concatenate(hits)) for condition, hits in every.items() if hits
    }
    return figures


def measure_kinds(
    network: Network, kinds: Mapping[str, Inputs], threshold: float
) -> dict[str, dict[str, float | int]]:
    """Refusals of each kind of picture that is no chest film."""
    return {kind: rate(refused(network, inputs, threshold)) for kind, inputs in kinds.items()}


def total(kinds: Iterable[Mapping[str, Any]]) -> dict[str, float | int]:
    """All kinds as one."""
    hits: list[bool] = []
    for kind in kinds:
        hits += [True] * kind["refused"] + [False] * (kind["pictures"] - kind["refused"])
    return rate(hits)


def measure_turned(
    network: Network,
    files: Sequence[bytes],
    spec: PreprocessSpec,
    threshold: float,
    reduce_to: int,
) -> dict[str, Any]:
    """Films that somebody turned or inverted: refused, and refused with the right reason."""
    upright = [decode(data, reduce_to=reduce_to).pixels for data in files]
    figures = {}
    for name in (UPSIDE_DOWN, TURNED_LEFT, TURNED_RIGHT, INVERTED):
        changed = [
            np.iinfo(pixels.dtype).max - pixels
            if name == INVERTED
            else np.ascontiguousarray(np.rot90(pixels, TURNS[name]))
            for pixels in upright
        ]
        inputs = np.stack([input_of(np.asarray(pixels), spec) for pixels in changed])
        reasons = [judge(row, threshold).reason for row in network(inputs)]
        figures[name] = {
            "refused": rate([reason is not None for reason in reasons]),
            "named": rate([reason == name for reason in reasons]),
        }
    return figures


def measure_crops(
    network: Network, masks: Path, spec: PreprocessSpec, threshold: float, seed: int
) -> list[dict[str, Any]]:
    """Cuts out of films with lung masks: refusals by the share of the lungs that is left.

    Each film is cut ten times, at random places and sizes of 15 to 100 % of its area.
    """
    random = np.random.default_rng((seed, 2))
    shares, inputs = [], []
    for film, mask in lung_masked_films(masks):
        height, width = film.shape
        for _ in range(10):
            side = np.sqrt(random.uniform(0.15, 1.0))
            rows, columns = int(height * side), int(width * side)
            top, left = (
                int(random.integers(0, height - rows + 1)),
                int(random.integers(0, width - columns + 1)),
            )
            window = np.s_[top : top + rows, left : left + columns]
            shares.append(float(mask[window].sum() / mask.sum()))
            inputs.append(input_of(np.ascontiguousarray(film[window]), spec))
    answers = network(np.stack(inputs))
    reasons = np.array([judge(row, threshold).reason or "" for row in answers])
    left_over = np.array(shares)
    figures = []
    for low, high in ((0.0, 0.25), (0.25, 0.5), (0.5, 0.75), (0.75, 0.95), (0.95, 1.01)):
        inside = (left_over >= low) & (left_over < high)
        if not inside.any():
            continue
        figures.append(
            {
                "lungs_shown": [low, min(high, 1.0)],
                "refused": rate(reasons[inside] != ""),
                "named": rate(reasons[inside] == CROPPED),
            }
        )
    return figures


def choose_threshold(films: NDArray[Any], views: NDArray[Any], share: float) -> float:
    """The probability of ``frontal`` below which a picture is refused.

    The highest that refuses at most ``share`` of the validation films, and at most four times
    as much of one strongly augmented view of each; never above one half.

    Args:
        films, views: probabilities, shape (n, len(CLASSES)), of validation films.
    """
    frontal = CLASSES.index("frontal")
    plain = np.quantile(films[:, frontal], share)
    augmented = np.quantile(views[:, frontal], 4 * share)
    return float(min(plain, augmented, 0.5))
