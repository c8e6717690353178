"""``python -m training gate``: films and pictures of no chest → ``models/gate``."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np

from cxr.gate import load_gate, save_gate
from cxr.preprocess import PreprocessSpec, from_eight_bits
from cxr.verdict import CLASSES, FRONTAL
from training.device import use_device
from training.files import demand_place
from training.gate import measure
from training.gate.card import write_card
from training.gate.films import Collection, read_films
from training.gate.negatives import DICOM_FAMILY, FAMILIES, MAKERS, Collected, read_collected
from training.gate.network import fit
from training.gate.pool import Pool, make_pool
from training.gate.views import plain, view
from training.layout import MASKS_ZIP
from training.lean import export_lean
from training.probes import make_probes
from training.run import git_commit, now
from training.versions import library_versions

SPEC = PreprocessSpec(size=64)

#: Share of the validation films that the threshold may refuse.
REFUSED_SHARE = 0.005
#: Share of the training views that a network gets which is only there to be judged on the
#: family it was trained without.
_JUDGED_SHARE = 0.6


@dataclass(frozen=True)
class GateOptions:
    """Of one ``gate``; see ``python -m training gate --help``."""

    data: Path
    out: Path
    cache: Path
    seed: int = 0
    version: str = "1.0.0"
    upright: int = 9000
    views: int = 160_000


def gate(options: GateOptions) -> Path:
    """Train, choose the threshold, judge, export and verify the gate; its path.

    Raises:
        TrainingError: the data lacks something.
        BundleError: what was exported does not load.
    """
    started = time.time()
    demand_place(options.out)
    device = use_device("float32")
    films = read_films(options.data, options.cache, options.seed)
    collected = read_collected(options.data)
    print(f"Drawing views from {len(films.train)} films.", flush=True)
    pool = make_pool(films.train, collected, SPEC, options.upright, options.seed)
    validation = _validation_inputs(films, options.seed)

    left_out = _judge_left_out(options, pool, validation, collected)
    print(f"Training the gate itself on {len(pool.labels)} views.", flush=True)
    model = fit(pool, SPEC.size, options.views, options.seed)
    network = _network(model)
    threshold = _threshold(network, validation)
    served = SPEC, threshold, measure.served_at(options.out.parent, SPEC)
    metrics: dict[str, Any] = {
        "films": measure.measure_films(network, films.measured, *served),
        "left_out": left_out,
        "left_out_total": {
            origin: measure.total(
                figures
                for family in left_out.values()
                for kind, figures in family["kinds"].items()
                if kind in kinds
            )
            for origin, kinds in (("collected", collected), ("made", MAKERS))
        },
        DICOM_FAMILY: measure.rate(measure.refused(network, measure.dicom_inputs(SPEC), threshold)),
        "turned": {
            one.name: measure.measure_turned(network, [*one.normal, *one.diseased], *served)
            for one in films.measured
        },
        "validation": {
            name: measure.rate(measure.refused(network, inputs, threshold))
            for name, inputs in zip(("films", "augmented"), validation, strict=True)
        },
    }
    if (options.data / MASKS_ZIP).exists():
        metrics["crops"] = measure.measure_crops(
            network, options.data / MASKS_ZIP, SPEC, threshold, options.seed
        )
    document = {
        "version": options.version,
        "created": now(),
        "input": SPEC.to_json(),
        "threshold": {FRONTAL: threshold, "refused_share": REFUSED_SHARE},
        "metrics": metrics,
        "training": {
            "films": len(films.train),
            "films_left_out_as_copies": films.left_out,
            "validation_films": len(films.validation),
            "data_sha256": list(films.data_sha256),
            "families": {family: list(kinds) for family, kinds in FAMILIES.items()},
            "pictures": {kind: len(pictures) for kind, pictures in collected.items()},
            "pool": _counts(pool),
            "views_shown": options.views,
            "views_shown_judged": _judged_views(options),
            "seed": options.seed,
            "seconds": round(time.time() - started),
            "device": str(device),
            "commit": git_commit(),
        },
        "libraries": library_versions(),
    }
    thumbnails = np.stack([plain(film, SPEC) for film in films.train[:2000]])
    probes = make_probes(thumbnails, np.zeros(len(thumbnails), np.int64), options.seed)
    save_gate(options.out, model, document, probes, write_card(document))
    export_lean(options.out)
    load_gate(options.out)
    print(f"Exported and verified: {options.out}, after {time.time() - started:.0f} s")
    return options.out


def _judge_left_out(
    options: GateOptions,
    pool: Pool,
    validation: tuple[measure.Inputs, measure.Inputs],
    collected: Collected,
) -> dict[str, Any]:
    """For each family a network trained without it, with its own threshold, judged on it."""
    figures = {}
    pictures = measure.negative_inputs(collected, SPEC, options.seed)
    for family in FAMILIES:
        print(f"Training without {family}.", flush=True)
        model = fit(pool.without(family), SPEC.size, _judged_views(options), options.seed)
        network = _network(model)
        threshold = _threshold(network, validation)
        kinds = measure.measure_kinds(network, pictures[family], threshold)
        figures[family] = {
            "threshold": threshold,
            "kinds": kinds,
            "total": measure.total(kinds.values()),
            "validation": measure.rate(measure.refused(network, validation[0], threshold)),
        }
        for kind, one in kinds.items():
            print(f"  {kind}: {one['refused']} of {one['pictures']} refused", flush=True)
    return figures


def _judged_views(options: GateOptions) -> int:
    return round(options.views * _JUDGED_SHARE)


def _validation_inputs(films: Collection, seed: int) -> tuple[measure.Inputs, measure.Inputs]:
    random = np.random.default_rng((seed, 3))
    plainly = [plain(film, SPEC) for film in films.validation]
    augmented = [view(film, FRONTAL, SPEC, random) for film in films.validation]
    return (
        from_eight_bits(np.stack(plainly)[..., np.newaxis]),
        from_eight_bits(np.stack(augmented)[..., np.newaxis]),
    )


def _network(model: keras.Model) -> measure.Network:
    return lambda inputs: np.asarray(model.predict(inputs, batch_size=256, verbose=0))


def _threshold(
    network: measure.Network, validation: tuple[measure.Inputs, measure.Inputs]
) -> float:
    films, views = (network(inputs) for inputs in validation)
    # Six digits, rounded down: what is written is what was judged.
    return float(np.floor(measure.choose_threshold(films, views, REFUSED_SHARE) * 1e6) / 1e6)


def _counts(pool: Pool) -> dict[str, int]:
    classes = {name: int((pool.labels == index).sum()) for index, name in enumerate(CLASSES)}
    return classes | {family: int((pool.families == family).sum()) for family in FAMILIES}
