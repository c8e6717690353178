"""``report``: everything about one training on one page, mistakes included."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas
from numpy.typing import NDArray

from cxr.bundle import DOCUMENT_FILE, Bundle, list_bundles, load_bundle
from cxr.decode import decode
from cxr.explain import infection_activation, on_whole_picture, overlay_png
from cxr.frame import film_in
from cxr.preprocess import to_model_input
from training import plots
from training.card_tables import CALIBRATION, DECISIONS, FIGURES, cell
from training.data import Prepared
from training.errors import TrainingError
from training.evaluate import answer, prepare_as_trained
from training.metrics import CUT, Answers, measure
from training.page import figure, gallery, section, setting, table, text, write_page

_MISTAKES = 10
_SUCCESSES = 10
_GALLERY_SIDE = 288
_CUTS = (0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95)


@dataclass(frozen=True)
class ReportOptions:
    """Of one ``report``; see ``python -m training report --help``."""

    run: Path
    data: Path
    cache: Path
    out: Path | None = None
    split: str = "test"


def report(options: ReportOptions) -> Path:
    """Ask the run's bundle again and write the page; its path.

    Raises:
        TrainingError: there is no finished run, or no film of that split.
        BundleError: the bundle does not verify.
    """
    bundle = _find(options.run)
    prepared = prepare_as_trained(bundle, options.data, options.cache)
    rows = prepared.indices(options.split)
    if not len(rows):
        raise TrainingError(f"There are no '{options.split}' films in {options.data}.")
    answers = answer(bundle, prepared, rows)
    measured = measure(answers, bundle.thresholds)
    page = options.out or options.run / "report.html"
    if options.out is None and bundle.path == options.run:
        # The page shows radiographs: it must not lie in a bundle, which is passed on.
        page = Path("runs") / f"report-{bundle.name}.html"
    training = bundle.document["training"]
    sections = [
        _figures(measured, bundle, options.split),
        _classes(measured, bundle),
        _curves(answers),
        _thresholds(answers, bundle),
        _films(bundle, prepared, rows, answers),
        *_training(options.run),
        _recipe(bundle),
        _data(bundle),
        _environment(options.run, bundle),
    ]
    write_page(
        page,
        f"{bundle.title}: {bundle.name} {bundle.version}",
        f"Recipe {training['recipe']}, seed {training['seed']}, commit {training['commit']}; "
        f"{measured['films']:,} {options.split} films of {options.data.name}, "
        f"{measured['patients']:,} patients or groups.",
        sections,
    )
    print(f"Open {page}; a browser prints it to PDF.")
    return page


def _find(run: Path) -> Bundle:
    """The bundle in a run folder, or the folder itself where it is a bundle."""
    folders = [run] if (run / DOCUMENT_FILE).exists() else list_bundles(run)
    if not folders:
        raise TrainingError(
            f"{run} holds no bundle: give the folder of a finished fit, or of a model."
        )
    return load_bundle(folders[0])


def _figures(measured: dict[str, Any], bundle: Bundle, split: str) -> tuple[str, str]:
    figures = measured["figures"]
    titles = {**FIGURES, **CALIBRATION, **DECISIONS}
    rows = [[title, cell(name, figures[name])] for name, title in titles.items() if name in figures]
    decisions = [[truth, *counts.values()] for truth, counts in measured["decisions"].items()]
    low, high = bundle.thresholds.rule_out, bundle.thresholds.rule_in
    return section(
        "Figures",
        text(
            f"On {split} films. A film counts as infected from a calibrated probability of "
            f"{measured['cut']} on; the intervals are a bootstrap by patient, of 0 and "
            "100 % Wilson's."
        ),
        table(["Figure", "Value [95 % interval]"], rows),
        text(f"Decisions: normal below {low:.3f}, infected from {high:.3f} on, else uncertain."),
        table(["Truth", "normal", "uncertain", "infected"], decisions),
    )


def _classes(measured: dict[str, Any], bundle: Bundle) -> tuple[str, str]:
    if "confusion_matrix" not in measured:
        return section("Confusion matrix", text("The films have classes the model does not know."))
    labels = [finding.label for finding in bundle.classes]
    matrix = np.array(measured["confusion_matrix"])
    drawn = plots.matrix(matrix, labels, labels, xlabel="most probable class", ylabel="truth")
    return section("Confusion matrix", figure(plots.png(drawn), "Films by truth and answer"))


def _curves(answers: Answers) -> tuple[str, str]:
    truth, probability = answers.infected, answers.infection
    if truth.all() or not truth.any():
        return section("Curves", text("All films are of one kind: there is no curve to draw."))
    curves = plots.roc_and_precision_recall({"this model": (truth, probability)})
    return section(
        "Curves and calibration",
        figure(plots.png(curves), "ROC and precision-recall curve, infected against normal"),
        figure(
            plots.png(plots.reliability(truth, probability)),
            "Calibration: share infected among films of each predicted probability, and how many "
            "films there are",
        ),
    )


def threshold_rows(answers: Answers, cuts: list[float]) -> list[list[str]]:
    """For each cut: sensitivity, specificity, predictive values and the share called infected."""
    rows = []
    for cut in cuts:
        called, truth = answers.infection >= cut, answers.infected
        parts = [
            (called & truth, truth),
            (~called & ~truth, ~truth),
            (called & truth, called),
            (~called & ~truth, ~called),
            (called, np.ones_like(called)),
        ]
        shares = [f"{hit.sum() / of.sum():.3f}" if of.any() else "–" for hit, of in parts]
        rows.append([f"{cut:.3f}", *shares])
    return rows


def _thresholds(answers: Answers, bundle: Bundle) -> tuple[str, str]:
    own = {bundle.thresholds.rule_out: "rule out", bundle.thresholds.rule_in: "rule in"}
    cuts = sorted({*_CUTS, *own})
    rows = threshold_rows(answers, cuts)
    for cut, row in zip(cuts, rows, strict=True):
        if cut in own:
            row[0] += f" ({own[cut]})"
    head = ["Cut", "Sensitivity", "Specificity", "PPV", "NPV", "Called infected"]
    return section(
        "Thresholds",
        text("Predictive values hold for films of which as many are infected as here."),
        table(head, rows),
    )


def _films(
    bundle: Bundle, prepared: Prepared, rows: NDArray[np.int64], answers: Answers
) -> tuple[str, str]:
    error = np.abs(answers.infection - answers.infected)
    wrong = (answers.infection >= CUT) != answers.infected
    worst = np.argsort(-error)[:_MISTAKES]
    worst = worst[wrong[worst]]
    right = np.flatnonzero(~wrong)
    chosen = np.random.default_rng(0).permutation(right)[:_SUCCESSES]
    pictures = [
        gallery(_picture(bundle, prepared, int(rows[i]), answers, int(i)) for i in some)
        for some in (worst, np.sort(chosen))
    ]
    maps = (
        "The colours mark what speaks for infection (class activation map)."
        if bundle.explains
        else "This architecture has no class activation map; the films stand alone."
    )
    return section(
        "Mistakes and successes",
        text(f"The {len(worst)} worst mistakes, the surest first. {maps}"),
        pictures[0],
        text("Random films that it got right:"),
        pictures[1],
    )


def _picture(
    bundle: Bundle, prepared: Prepared, row: int, answers: Answers, number: int
) -> tuple[bytes, str]:
    record = prepared.dataset.records[row]
    radiograph = decode(prepared.dataset.open(record), reduce_to=bundle.spec.reduce_to)
    prediction = bundle.predict(to_model_input(radiograph, bundle.spec)[np.newaxis])
    height, width = radiograph.pixels.shape
    scale = min(1.0, _GALLERY_SIDE / max(height, width))
    size = (max(round(width * scale), 1), max(round(height * scale), 1))
    pixels: Any = cv2.resize(radiograph.pixels, size, interpolation=cv2.INTER_AREA)
    small = replace(radiograph, pixels=pixels)
    activation, offset = np.zeros((1, 1), np.float32), bundle.map_offset
    if prediction.activation_maps is not None:
        activation = infection_activation(
            prediction.activation_maps[0], prediction.probabilities[0], bundle.classes
        )
    place = film_in(radiograph.pixels) if bundle.spec.cut_frame else None
    if place is not None:
        activation = on_whole_picture(activation, place, (height, width), offset)
        offset = (0.0, 0.0)
    truth = next(f.label for f in prepared.dataset.classes if f.id == record.class_id)
    believed = bundle.classes[int(answers.probabilities[number].argmax())].label
    words = caption(truth, believed, float(answers.infection[number]))
    return overlay_png(small, activation, offset), words


def caption(truth: str, believed: str, infection: float) -> str:
    """Of three classes the likeliest may be normal, and the others together likelier still."""
    called = "infected" if infection >= CUT else "normal"
    return f"{truth}; called {called} ({infection:.2f}), most probable class {believed}"


def _training(run: Path) -> list[tuple[str, str]]:
    """The curves of each member, where the run folder is at hand."""
    parts = []
    for member in sorted(run.glob("member*")):
        tables = []
        for number, path in enumerate(sorted(member.glob("stage*/history.csv")), 1):
            tables.append(pandas.read_csv(path).assign(stage=number))
        if tables:
            history = pandas.concat(tables, ignore_index=True)
            drawn = plots.png(plots.training_curves(history))
            parts.append(figure(drawn, f"{member.name}: loss and accuracy of each epoch"))
    return [section("Training", *parts)] if parts else []


def _recipe(bundle: Bundle) -> tuple[str, str]:
    settings = dict(bundle.document["training"]["settings"])
    stages = [dict(_flat(stage)) for stage in settings.pop("stages")]
    head = ["Setting", *(f"Stage {number}" for number in range(1, len(stages) + 1))]
    return section(
        "Recipe",
        table(["Setting", "Value"], [[name, setting(one)] for name, one in _flat(settings)]),
        table(head, [[name, *(setting(one[name]) for one in stages)] for name in stages[0]]),
    )


def _flat(settings: Mapping[str, Any], place: str = "") -> list[tuple[str, Any]]:
    found = []
    for name, value in settings.items():
        inner = isinstance(value, dict)
        found += _flat(value, f"{place}{name}.") if inner else [(f"{place}{name}", value)]
    return found


def _data(bundle: Bundle) -> tuple[str, str]:
    data = bundle.document["training"]["data"]
    labels = [finding.label for finding in bundle.classes]
    rows = [
        [split, *counts.values(), data["patients"][split]]
        for split, counts in data["radiographs"].items()
        if any(counts.values())
    ]
    return section(
        "Data",
        text(data["source"]),
        text(f"Licence: {data['licence']}"),
        table(["Split", *labels, "Patients or groups"], rows),
        *(text(caveat) for caveat in data["caveats"]),
    )


def _environment(run: Path, bundle: Bundle) -> tuple[str, str]:
    training = bundle.document["training"]
    rows = [
        ["created", bundle.document["created"]],
        ["device", training["device"]],
        ["commit", training["commit"]],
        ["data hash", training["data"]["sha256"]],
        ["model.keras, SHA-256", bundle.sha256],
        *bundle.document["libraries"].items(),
    ]
    if (run / "run.json").exists():
        seconds = json.loads((run / "run.json").read_text()).get("seconds", {})
        rows += [[f"{name}, seconds", f"{value:.0f}"] for name, value in seconds.items()]
    return section("Environment", table(["What", "Value"], rows))
