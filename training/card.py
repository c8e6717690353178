"""``CARD.md``: written from the bundle's own figures, never by hand."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from training.bootstrap import RESAMPLES

_FIGURES = {
    "accuracy": "Accuracy, infected against normal",
    "sensitivity": "Sensitivity",
    "specificity": "Specificity",
    "precision": "Precision (positive predictive value)",
    "f1": "F1",
    "auc": "Area under the ROC curve",
    "class_accuracy": "Accuracy over all classes",
    "calibration_error": "Expected calibration error, 10 bins",
    "brier_score": "Brier score",
    "share_decided": "Share of films decided (not uncertain)",
    "accuracy_decided": "Accuracy among the decided",
}
_PLAIN = {"auc", "brier_score", "f1"}


def write_card(name: str, document: Mapping[str, Any]) -> str:
    """The card as Markdown; the sections follow Mitchell 2019 (arXiv 1810.03993)."""
    data = document["training"]["data"]
    population = document["population"]
    ages = ""
    if "min_age_years" in population:
        ages = f", {population['min_age_years']} to {population['max_age_years']} years"
    classes = [finding["label"] for finding in document["classes"]]
    thresholds, chosen = document["thresholds"], document["thresholds_chosen"]
    parts = [
        f"# {document['title']}",
        f"`{name}` {document['version']}, {document['created'][:10]}. "
        "**Research use only. Not a medical device.**",
        "## Intended use",
        f"Second reading of frontal (PA or AP) chest radiographs: {population['label'].lower()}"
        f"{ages}. The model tells {', '.join(classes[:-1])} and {classes[-1]} apart, sums the "
        "infected classes to a probability of infection, and says *uncertain* between its two "
        "thresholds. It must not be used to send a patient home, without a reader, on lateral "
        "views, on other ages, or for any finding that it does not name.",
        "## Data",
        data["source"],
        f"Licence: {data['licence']}",
        _data_table(document),
        _split_sentence(data),
        "## Figures",
        f"95 % intervals in brackets: {RESAMPLES} bootstrap resamples of the patients. Where a "
        "figure needs one cut, a film counts as infected from a calibrated probability of 0.5 on; "
        "calibration and thresholds saw validation films only.",
        _figure_table(document["metrics"]),
        *_confusions(document),
        f"Reproduce: `python -m training evaluate models/{name} --data <the data set>`.",
        "## Operating points",
        f"Below {thresholds['rule_out']:.3f} the decision is *normal*, from "
        f"{thresholds['rule_in']:.3f} on *infected*, between them *uncertain*. Rule-out keeps "
        f"{chosen['rule_out']} and rule-in {chosen['rule_in']} on the validation films, and again "
        f"on these together with {chosen['stressed_copies']} augmented versions of each that "
        "stand in for other detectors. Probabilities are calibrated on all of them, for a "
        "population of which half is infected.",
        _decision_table(document["metrics"]),
        "## Limits",
        "\n".join(f"- {caveat}" for caveat in data["caveats"]),
        "## Training",
        _training(document),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _table(head: list[str], rows: list[list[str]]) -> str:
    lines = [head, ["---"] + ["---:"] * (len(head) - 1), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _data_table(document: Mapping[str, Any]) -> str:
    data = document["training"]["data"]
    head = ["Split", *(finding["label"] for finding in document["classes"]), "Patients or groups"]
    rows = [
        [split, *(str(count) for count in counts.values()), str(data["patients"][split])]
        for split, counts in data["radiographs"].items()
        if any(counts.values())
    ]
    return _table(head, rows)


def _split_sentence(data: Mapping[str, Any]) -> str:
    test = (
        "The test films are the data set's own official split."
        if data["official_split"]
        else "The data set has no official split: 80/10/10, stratified, seeded."
    )
    return (
        f"{test} Patients, where names tell them, and near-duplicate films are on one side only; "
        "*excluded* films are near-duplicates of validation or test films and were not trained "
        f"on. Unreadable files: {data['unreadable']}. Data hash `{data['sha256'][:16]}`."
    )


def _figure_table(metrics: Mapping[str, Any]) -> str:
    splits = list(metrics)
    head = ["Figure", *(f"{split} ({metrics[split]['films']} films)" for split in splits)]
    rows = []
    for name, title in _FIGURES.items():
        cells = [_cell(name, metrics[split]["figures"].get(name)) for split in splits]
        if any(cell != "–" for cell in cells):
            rows.append([title, *cells])
    return _table(head, rows)


def _cell(name: str, figure: Mapping[str, float] | None) -> str:
    if figure is None:
        return "–"
    values = [figure[key] for key in ("value", "low", "high")]
    if name in _PLAIN:
        value, low, high = (f"{value:.3f}" for value in values)
        return f"{value} [{low}, {high}]"
    value, low, high = (f"{100 * value:.1f}" for value in values)
    return f"{value} % [{low}, {high}]"


def _confusions(document: Mapping[str, Any]) -> list[str]:
    labels = [finding["label"] for finding in document["classes"]]
    parts = []
    for split, measured in document["metrics"].items():
        if split == "validation" or "confusion_matrix" not in measured:
            continue
        rows = [
            [f"**{label}**", *(str(count) for count in counts)]
            for label, counts in zip(labels, measured["confusion_matrix"], strict=True)
        ]
        parts += [
            f"Rows: truth; columns: most probable class; {split} films.",
            _table(["", *labels], rows),
        ]
    return parts


def _decision_table(metrics: Mapping[str, Any]) -> str:
    rows = [
        [f"{split}, {truth}", *(str(count) for count in counts.values())]
        for split, measured in metrics.items()
        for truth, counts in measured["decisions"].items()
    ]
    return _table(["Films", "normal", "uncertain", "infected"], rows)


def _training(document: Mapping[str, Any]) -> str:
    training = document["training"]
    networks = "; ".join(
        f"{network['epochs']} epochs (best: {network['best_epoch']}) in "
        f"{network['seconds'] / 60:.1f} minutes"
        for network in training["networks"]
    )
    libraries = ", ".join(f"{name} {version}" for name, version in document["libraries"].items())
    return (
        f"Recipe `{training['recipe']}`, from random weights, seed {training['seed']}; "
        f"input {document['input']['size']} × {document['input']['size']} pixels. "
        f"Networks averaged: {len(training['networks'])}. {networks}. Device: "
        f"{training['device']}. {libraries}."
    )
