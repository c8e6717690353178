"""``audit``: look at a bundle from every side, write down what was seen, print the card."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cxr.bundle import AUDIT_FILE, CARD_FILE, DOCUMENT_FILE, Bundle, load_bundle
from cxr.bundle_fields import FIGURES_FOLDER
from cxr.preprocess import from_eight_bits
from training.audit.examine import examine
from training.audit.external import external, read_labels
from training.audit.figures import draw_figures
from training.audit.films import demand_places, sample_of_patients
from training.audit.leaks import can_be_told, questions, source_of
from training.audit.network import Network
from training.audit.normals import normals_elsewhere
from training.audit.register import map_offset
from training.audit.sections import (
    SANITY_FILMS,
    deletion,
    randomisation,
    robustness,
    shortcut_pictures,
)
from training.audit.seeds import disagreement
from training.audit.subgroups import subgroups
from training.card import card_of
from training.card_tables import plain
from training.data import Prepared
from training.errors import TrainingError
from training.evaluate import answer, prepare_as_trained
from training.files import write_json, write_whole
from training.lungs import segmenter
from training.metrics import Answers, measure
from training.progress import Steps
from training.run import now

FORMAT = "xray-audit/1"
#: Largest difference to a figure in ``bundle.json`` that is put down to another machine.
REPRODUCES = 0.01
_REGISTER_FILMS = 24


@dataclass(frozen=True)
class AuditOptions:
    """Of one ``audit``; see ``python -m training audit --help``."""

    bundle: Path
    data: Path
    cache: Path
    external: Path | None = None
    normals: Path | None = None
    lung_masks: Path | None = None
    also: tuple[Path, ...] = ()
    out: Path | None = None
    films: int = 2000
    seed: int = 0
    as_json: bool = False


def audit(options: AuditOptions) -> dict[str, Any]:
    """Audit a bundle; writes ``audit.json``, the figures and the card.

    Raises:
        TrainingError: the bundle has no maps, the data are not those that it was trained on, or
            figures in ``bundle.json`` do not come out again.
        DataError: what was named besides is not there.
        BundleError: a bundle does not verify.
    """
    started = time.time()
    bundle = load_bundle(options.bundle)
    if not bundle.explains:
        raise TrainingError(f"{bundle.name} has no activation maps: it cannot be audited.")
    demand_places(options.normals, options.lung_masks)
    if options.external:
        read_labels(options.external)
    others = [load_bundle(path) for path in options.also]
    prepared = prepare_as_trained(bundle, options.data, options.cache)
    say = Steps()
    say("Measuring the figures again")
    metrics, of_test = _metrics(bundle, prepared)

    every = prepared.indices("test")
    rows = sample_of_patients(prepared, every, options.films, options.seed)
    answers = of_test.part(np.searchsorted(every, rows))
    network = Network(bundle)
    images = np.asarray(prepared.images[rows])
    lungs, masks = None, None
    if options.lung_masks:
        say("Finding the lungs")
        model = segmenter(options.lung_masks, options.cache, options.seed)
        masks, plausible = model.masks(images)
        lungs = {**model.quality, "plausible_share": plausible}
    say("Reading every film changed, cut and deleted")
    seen = examine(bundle, prepared, rows, answers.infection, answers.infected, masks, options.seed)
    say("Measuring robustness and shortcuts")
    records = [prepared.dataset.records[row] for row in rows]
    name = prepared.dataset.name
    stands = robustness(seen.changed, answers, bundle.thresholds, options.seed)
    cut = shortcut_pictures(seen, answers, network, images, options.seed)
    statistics = can_be_told(seen.statistics, answers.infected, answers.groups, options.seed)
    elsewhere, strangers = None, None
    if options.external:
        say("Reading films of another hospital")
        elsewhere, pixels, patients = external(bundle, options.external)
        strangers = pixels, patients
    over_called = None
    if options.normals:
        say("Reading normal films of another source")
        over_called = normals_elsewhere(bundle, options.normals)
    say("Asking the features what they should not know")
    told = _told(network, prepared, strangers, options.seed)
    say("Testing the map")
    hit = np.flatnonzero(answers.infected & (answers.infection >= 0.5))[:SANITY_FILMS]
    labels = [finding.label for finding in prepared.dataset.classes]
    report: dict[str, Any] = {
        "format": FORMAT,
        "model": {"name": bundle.name, "version": bundle.version, "sha256": bundle.sha256},
        "created": now(),
        "data": {"name": name, "sha256": prepared.dataset.sha256, "split": "test"},
        "films": len(rows),
        "seed": options.seed,
        "attention": {
            "map_offset": _offset(bundle, images, options.seed),
            "deletion": deletion(seen, answers, options.seed),
            "randomisation": randomisation(
                bundle, network, images[hit], answers.groups[hit], options.seed
            ),
        },
        "shortcuts": {
            "lungs": lungs,
            "pictures": cut,
            "infection_from_file_statistics": statistics,
            "told_from_features": told,
        },
        "robustness": stands,
        "subgroups": subgroups(
            answers,
            bundle.thresholds,
            [labels[label] for label in prepared.labels[rows]],
            [source_of(record, name) for record in records],
            seen.qualities,
        ),
        "seeds": _seeds(bundle, answers, others, prepared, rows) or _known_seeds(bundle),
        "external": elsewhere,
        "normals": over_called,
        "seconds": round(time.time() - started),
    }
    out = options.out or options.bundle
    publish(options.bundle, out, metrics, report)
    say.done(out)
    print(json.dumps(report, indent=2) if options.as_json else "\n".join(summary(report)))
    return report


def publish(bundle: Path, out: Path, metrics: dict[str, Any], report: dict[str, Any]) -> None:
    """Write the audit, the refreshed ``bundle.json``, the figures and the card into ``out``."""
    document = json.loads((bundle / DOCUMENT_FILE).read_text())
    document["metrics"] = metrics
    document["map_offset"] = report["attention"]["map_offset"]
    out.mkdir(parents=True, exist_ok=True)
    figures = out / FIGURES_FOLDER
    shutil.rmtree(figures, ignore_errors=True)
    figures.mkdir()
    draw_figures(figures, metrics, report)
    write_json(out / AUDIT_FILE, report)
    write_json(out / DOCUMENT_FILE, document)
    write_whole(out / CARD_FILE, card_of(out, bundle.parent).encode())


def _metrics(bundle: Bundle, prepared: Prepared) -> tuple[dict[str, Any], Answers]:
    """The figures of every split, measured again, and the answers to the test films.

    Those of a bundle that was calibrated for another hospital are of that one's films: they stay.

    Raises:
        TrainingError: a figure in ``bundle.json`` does not come out again.
    """
    metrics, answers = {}, None
    elsewhere = "recalibrated" in bundle.document
    for split in ("validation", "test"):
        rows = prepared.indices(split)
        if not len(rows):
            raise TrainingError(
                f"There are no {split} films here: an audit needs the whole data set that "
                f"'{bundle.name}' was trained on."
            )
        answers = answer(bundle, prepared, rows)
        metrics[split] = measure(answers, bundle.thresholds)
        known = {} if elsewhere else bundle.metrics.get(split, {}).get("figures", {})
        for name, figure in known.items():
            again = metrics[split]["figures"].get(name)
            if again is None or abs(again["value"] - figure["value"]) > REPRODUCES:
                raise TrainingError(
                    f"bundle.json says that {name} on the {split} films is "
                    f"{figure['value']:.4f}; measured again it is "
                    f"{'undefined' if again is None else format(again['value'], '.4f')}. "
                    "Is this the data set that the bundle was trained on?"
                )
    assert answers is not None  # test comes last
    return dict(bundle.metrics) if elsewhere else metrics, answers


def _offset(bundle: Bundle, images: NDArray[np.uint8], seed: int) -> list[float]:
    films = images[:: max(len(images) // _REGISTER_FILMS, 1)][:_REGISTER_FILMS]
    inputs = from_eight_bits(films[..., np.newaxis])

    def maps(batch: NDArray[np.float32]) -> NDArray[np.float32]:
        found = bundle.predict(batch).activation_maps
        assert found is not None  # looked at before anything else
        return found

    found = map_offset(maps, inputs, seed)
    return [round(value, 4) for value in found]


def _told(
    network: Network,
    prepared: Prepared,
    strangers: tuple[NDArray[np.uint8], NDArray[Any]] | None,
    seed: int,
) -> list[dict[str, Any]]:
    """What a linear question to the features is answered with."""
    rows = np.concatenate([prepared.indices("validation"), prepared.indices("test")])
    features, groups = network.pooled(np.asarray(prepared.images[rows])), prepared.groups[rows]
    records = [prepared.dataset.records[row] for row in rows]
    lines = []
    for words, asked, truth in questions(records, prepared.dataset.name):
        auc = can_be_told(features[asked], truth[asked], groups[asked], seed)
        if auc is not None:
            lines.append({"question": words, "films": int(asked.sum()), "auc": auc})
    if strangers is not None:
        normal = np.array([record.class_id == "normal" for record in records])
        both = np.concatenate([features[normal], network.pooled(strangers[0])])
        people = np.concatenate([groups[normal], [f"external/{one}" for one in strangers[1]]])
        foreign = np.arange(len(both)) >= normal.sum()
        auc = can_be_told(both, foreign, people, seed)
        if auc is not None:
            question = "this data set or another hospital, among normal films"
            lines.append({"question": question, "films": len(both), "auc": auc})
    return lines


def _seeds(
    bundle: Bundle,
    answers: Answers,
    others: Sequence[Bundle],
    prepared: Prepared,
    rows: NDArray[Any],
) -> dict[str, Any] | None:
    if not others:
        return None
    every = {bundle.name: (answers, bundle.thresholds)}
    for other in others:
        if other.spec != bundle.spec:
            raise TrainingError(f"{other.path} reads films in another way than {bundle.path}.")
        if [one.id for one in other.classes] != [one.id for one in bundle.classes]:
            raise TrainingError(f"{other.path} knows other classes than {bundle.path}.")
        # Seeds of one recipe are often exported under one name.
        every[f"{other.name} ({len(every) + 1})"] = (
            answer(other, prepared, rows),
            other.thresholds,
        )
    return disagreement(every)


def _known_seeds(bundle: Bundle) -> dict[str, Any] | None:
    """What an earlier audit of these weights said: the other seeds may not be at hand any more."""
    place = bundle.path / AUDIT_FILE
    earlier = json.loads(place.read_text()) if place.exists() else {}
    seeds: dict[str, Any] | None = earlier.get("seeds")
    if seeds is None or earlier["model"]["sha256"] != bundle.sha256:
        return None
    return {"of_version": earlier["model"]["version"], **seeds}


def summary(report: dict[str, Any]) -> list[str]:
    """The few lines that a terminal shows at the end."""
    worst = min(report["robustness"], key=lambda line: line["stands"]["value"])
    lines = [
        f"Least robust: {worst['change']}: {100 * worst['stands']['value']:.1f} % of decisions "
        "stand."
    ]
    for picture in report["shortcuts"]["pictures"]:
        lines.append(f"AUC on {picture['words']}: {picture['auc']['value']:.3f}")
    if report["external"]:
        auc = report["external"]["figures"]["auc"]
        lines.append(f"Another hospital: AUC {plain(auc)}")
    return lines
