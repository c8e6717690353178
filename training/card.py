"""``CARD.md``: written from what was measured (bundle.json, audit.json), never by hand."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cxr.bundle import AUDIT_FILE, DOCUMENT_FILE
from training.bootstrap import RESAMPLES
from training.card_audit import audit_sections
from training.card_gate import gate_section
from training.card_recalibrated import population, recalibrated_section
from training.card_tables import CALIBRATION, DECISIONS, FIGURES, cell, percent, table
from training.card_training import training_paragraph
from training.checklists import checklist_sections
from training.opacity import DRAWN


def card_of(folder: Path, models: Path) -> str:
    """The card of an exported bundle, from the documents that lie in ``folder``.

    Args:
        models: where the gate lies that stands before it.
    """
    document = json.loads((folder / DOCUMENT_FILE).read_text())
    audit, gate = folder / AUDIT_FILE, models / "gate" / "gate.json"
    return write_card(
        document["name"],
        document,
        json.loads(audit.read_text()) if audit.exists() else None,
        json.loads(gate.read_text()) if gate.exists() else None,
    )


def write_card(
    name: str,
    document: Mapping[str, Any],
    audit: Mapping[str, Any] | None = None,
    gate: Mapping[str, Any] | None = None,
) -> str:
    """The card as Markdown; the sections follow Mitchell 2019 (arXiv 1810.03993).

    Args:
        document: ``bundle.json``.
        audit: ``audit.json``, where there is one; its plots are in ``figures/`` beside it.
        gate: ``models/gate/gate.json``, where there is one.
    """
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
        f"A second look at frontal (PA or AP) chest radiographs: {population['label'].lower()}"
        f"{ages}. The model tells {', '.join(classes[:-1])} and {classes[-1]} apart, sums the "
        "infected classes to a probability of infection, and says *uncertain* between its two "
        "thresholds. For research: beside a reader, never in place of one.",
        "## What must not be done with it",
        "\n".join(f"- {line}" for line in _must_not(aged=bool(ages))),
        "## Data and licences",
        data["source"],
        f"Licence of the films: {data['licence']}",
        _data_table(document),
        _split_sentence(data),
        *_companions(data),
        *recalibrated_section(document),
        "## Figures",
        f"95 % intervals in brackets: {RESAMPLES} bootstrap resamples of the patients; of a "
        "share of exactly 0 or 100 %, which no resample changes, Wilson's interval for as many "
        "patients as it is a share of. Where a figure needs one cut, a film counts as infected "
        "from a calibrated probability of 0.5 on; calibration and thresholds saw validation films "
        f"only.{_weighed(document)}",
        _figure_table(document["metrics"], FIGURES),
        *_confusions(document),
        f"Reproduce: `python -m training {_command(name, document)}`.",
        "## Calibration",
        "Whether films that are given 80 % are infected in eight of ten cases. The population "
        f"that the probabilities are made for has {_prevalence(document, 'as many normal as')} "
        "infected films; where infection is rarer, every probability is too high.",
        _figure_table(document["metrics"], CALIBRATION),
        *_figure(audit, "Promised probability against the share infected", "reliability"),
        *_reliability_table(document["metrics"]),
        "## Operating points",
        f"Below {thresholds['rule_out']:.3f} the decision is *normal*, from "
        f"{thresholds['rule_in']:.3f} on *infected*, between them *uncertain*. Rule-out keeps "
        f"{chosen['rule_out']} and rule-in {chosen['rule_in']} on the validation films"
        f"{_stressed(chosen['stressed_copies'])}, for a population of which "
        f"{_prevalence(document, 'half')} is infected. The "
        "thresholds carry the hash of the weights; a server refuses them beside any others.",
        _figure_table(document["metrics"], DECISIONS),
        _decision_table(document["metrics"]),
        *_figure(audit, "Accuracy against the share of films decided", "risk-coverage"),
        *_coverage_table(document["metrics"]),
        *gate_section(gate),
        *audit_sections(audit),
        "## Limits",
        "\n".join(f"- {caveat}" for caveat in data["caveats"]),
        "## Training",
        training_paragraph(document),
        *checklist_sections(document),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _command(name: str, document: Mapping[str, Any]) -> str:
    """What prints the figures of the card again."""
    again = document.get("recalibrated")
    if again is None:
        return f"evaluate models/{name} --data <the data set>"
    return (
        f"calibrate models/{again['from']['name']} --data <the same films> --out models/{name} "
        f"--seed {again['seed']} --prevalence {again['prevalence']:g}"
    )


def _prevalence(document: Mapping[str, Any], half: str) -> str:
    """The share of infected films that the probabilities are made for; ``half`` says one half."""
    share = document.get("recalibrated", {}).get("prevalence", 0.5)
    return half if share == 0.5 else population(share)


def _weighed(document: Mapping[str, Any]) -> str:
    share = document.get("recalibrated", {}).get("prevalence")
    if share is None:
        return ""
    return (
        f" Infected and normal films weigh as in a population of which {population(share)} is "
        "infected, here and in all figures and curves below; counts are of films."
    )


def _stressed(copies: int) -> str:
    if not copies:
        return ". Probabilities are calibrated on them"
    return (
        f", and again on these together with {copies} augmented versions of each that stand in for "
        "other detectors. Probabilities are calibrated on all of them"
    )


def _must_not(*, aged: bool) -> tuple[str, ...]:
    patients = "patients outside the ages above" if aged else "patients unlike those of its films"
    return (
        "Send a patient home, or treat one, on its word alone.",
        f"Read lateral views, other body parts, other modalities, or {patients}.",
        "Take *normal* for a film without findings: it knows the classes above and nothing else.",
        "Trust a probability at another hospital before it was measured, and calibrated, on that "
        "hospital's own films.",
        "Take the map for the outline of a disease: it shows what moved the network.",
        "Move its thresholds to other weights, or choose them anew on its test films.",
        "Use it as a medical device. It is none, and nobody has certified it.",
    )


def _data_table(document: Mapping[str, Any]) -> str:
    data = document["training"]["data"]
    head = ["Split", *(finding["label"] for finding in document["classes"]), "Patients or groups"]
    rows = [
        [split, *(str(count) for count in counts.values()), str(data["patients"][split])]
        for split, counts in data["radiographs"].items()
        if any(counts.values())
    ]
    return table(head, rows)


def _companions(data: Mapping[str, Any]) -> list[str]:
    """The films of other data sets, where some joined in; one paragraph for each set."""
    films: dict[str, list[str]] = {}
    for companion in data.get("companions", ()):
        of_class = ", ".join(
            f"{count} {_DRAWN if finding == DRAWN else finding.replace('_', ' ')}"
            for finding, count in companion["radiographs"].items()
        )
        shown = (
            "as infected, without a name for the infection"
            if companion["infected"]
            else f"as they are, at most {companion['repeated']} × an epoch (another quarter of the "
            "source was not shown and is what the audit measures)"
        )
        films.setdefault(companion["name"], []).append(f"{of_class}, shown {shown}")
    sets = {companion["name"]: companion for companion in data.get("companions", ())}
    return [
        f"Films of `{name}` ({one['population'].lower()}) joined the training: "
        f"{'; '.join(films[name])}. None was validated or tested on, and near-duplicates of "
        f"validation and test films were left out. {one['source']} Licence: {one['licence']} "
        f"Data hash `{one['sha256'][:16]}`."
        for name, one in sets.items()
    ]


_DRAWN = "copies of these with an opacity drawn into the lungs"


def _split_sentence(data: Mapping[str, Any]) -> str:
    test = (
        "The test films are the data set's own official split."
        if data["official_split"]
        else "The data set has no official split: 80/10/10, stratified, seeded."
    )
    other = ""
    if held_out := data.get("of_held_out_patients"):
        other = f", or show their patients ({held_out})"
    return (
        f"{test} Patients, where names tell them, and near-duplicate films are on one side only; "
        "*excluded* films are near-duplicates of validation or test films and were not trained "
        f"on{other}. Unreadable files: {data['unreadable']}. Data hash `{data['sha256'][:16]}`."
    )


def _figure_table(metrics: Mapping[str, Any], titles: Mapping[str, str]) -> str:
    splits = list(metrics)
    head = ["Figure", *(f"{split} ({metrics[split]['films']} films)" for split in splits)]
    rows = []
    for name, title in titles.items():
        cells = [cell(name, metrics[split]["figures"].get(name)) for split in splits]
        if any(one != "–" for one in cells):
            rows.append([title, *cells])
    return table(head, rows)


def _figure(audit: Mapping[str, Any] | None, words: str, name: str) -> list[str]:
    """A plot, where the audit has drawn it."""
    return [f"![{words}](figures/{name}.svg)"] if audit else []


def _reliability_table(metrics: Mapping[str, Any]) -> list[str]:
    rows = [
        [
            f"{100 * row['from']:.0f} to {100 * row['to']:.0f} %",
            str(row["films"]),
            f"{100 * row['probability']:.1f} %",
            percent({**row, "value": row["infected"]}),
        ]
        for row in metrics.get("test", {}).get("reliability", [])
    ]
    head = ["Probability, test films", "Films", "Mean probability", "Infected"]
    return [table(head, rows)] if rows else []


def _coverage_table(metrics: Mapping[str, Any]) -> list[str]:
    points = metrics.get("test", {}).get("risk_coverage", [])
    rows = [[f"{100 * point['coverage']:.0f} %", percent(point)] for point in points[::2]]
    return [table(["Test films decided, surest first", "Accuracy"], rows)] if rows else []


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
            table(["", *labels], rows),
        ]
    return parts


def _decision_table(metrics: Mapping[str, Any]) -> str:
    rows = [
        [f"{split}, {truth}", *(str(count) for count in counts.values())]
        for split, measured in metrics.items()
        for truth, counts in measured["decisions"].items()
    ]
    return table(["Films", "normal", "uncertain", "infected"], rows)
