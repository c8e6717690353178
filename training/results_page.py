"""``docs/results.md`` and its plots, from the pieces that ``results`` kept."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from training import plots
from training.card_tables import cell, table
from training.compare_page import HEAD, table_row
from training.files import write_whole
from training.layout import COVID_ZIP, KERMANY_ZIP
from training.systems import SYSTEMS, System

_TITLES = {
    KERMANY_ZIP: "Pneumonia in children (Kermany, the official 624 test films)",
    COVID_ZIP: "COVID-19 and other infections (COVID-19 Radiography Database, own 10 %)",
}
_SHOWN = ("accuracy", "sensitivity", "specificity", "precision", "auc")


#: The figures of the page, beside its plots.
FIGURES = "figures.json"


def write_results_page(page: Path, kept: Path) -> None:
    """Write the page and, beside it in a folder of its name, the plots and the figures.

    What was not run here, on this machine, is taken from the figures of the page as it stands:
    to run one system again does not cost the rows of all others.
    """
    figures = page.with_suffix("") / FIGURES
    before = json.loads(figures.read_text()) if figures.exists() else {}
    names = [system.name for system in SYSTEMS]
    names += [f"baselines-{Path(archive).stem}" for archive in _TITLES]
    found = {name: _read(kept / name) or before.get(name) for name in names}
    parts = [
        "# Results",
        "Written by `make results` from the trainings themselves; not edited by hand. Every system "
        "was trained here, from its recipe in `training/recipes/`, on the split that this project "
        "uses: by patient, the official test films where there are any. Calibration and cut come "
        "from validation films; the cut is a calibrated probability of 0.5. In brackets: 95 % "
        "intervals, bootstrap by patient. One seed each. Times depend on what else the machine "
        "did. A commit with a + had changes beside it (this page, for instance). Research use "
        "only. Not a medical device.",
    ]
    for archive, title in _TITLES.items():
        systems = [system for system in SYSTEMS if system.archive == archive]
        baselines = found[f"baselines-{Path(archive).stem}"]
        parts += [f"## {title}", *_systems(systems, found, archive, page)]
        if baselines:
            parts += _baselines(baselines, archive, page)
    parts += _open({system.name: found[system.name] for system in SYSTEMS})
    shown = {name: result for name, result in found.items() if result}
    write_whole(figures, (json.dumps(shown, indent=1) + "\n").encode())
    write_whole(page, ("\n\n".join(parts) + "\n").encode())


def _systems(systems: list[System], found: dict[str, Any], archive: str, page: Path) -> list[str]:
    measured = [(system, found[system.name]) for system in systems if found[system.name]]
    if not measured:
        return ["No network was run on it yet."]
    head = ["System", "Claim", *(name.capitalize() for name in _SHOWN[:-1]), "AUC", "All classes"]
    rows = [
        [
            f"`{system.name}`",
            system.claim or "–",
            *(cell(name, result["figures"].get(name)) for name in (*_SHOWN, "class_accuracy")),
        ]
        for system, result in measured
    ]
    facts = []
    for system, result in measured:
        words = (
            f"- `{system.name}`: {result['films']['train']:,} films trained on, "
            f"{result['films']['validation']:,} chose, {result['films']['test']:,} judged; "
            f"{result['epochs']} epoch{'s' * (result['epochs'] != 1)} in "
            f"{result['fit_seconds'] / 60:.1f} minutes on {result['device']}; "
            f"{result['parameters'] / 1e6:.2f} million weights; commit "
            f"{result.get('trained_at', result['commit'])}."
        )
        if bundle := result.get("bundle"):
            words += f" The shipped model `{bundle['path']}`, SHA-256 `{bundle['sha256'][:12]}…`."
        facts.append(f"{words} {system.why}".rstrip())
    accuracies = {system.name: result["figures"]["accuracy"] for system, result in measured}
    picture = _intervals(
        page, f"systems-{Path(archive).stem}", "Accuracy on the test films", accuracies
    )
    return [table(head, rows, left=2), picture, "\n".join(facts)]


def _baselines(result: dict[str, Any], archive: str, page: Path) -> list[str]:
    lines = result["systems"]
    areas = {
        line["system"]: {"value": line["auc"], "low": line["auc_low"], "high": line["auc_high"]}
        for line in lines
    }
    picture = _intervals(page, f"baselines-{Path(archive).stem}", "AUC on the test films", areas)
    films = result["films"]
    return [
        "### Against classical baselines",
        f"Infected against normal; scikit-learn pipelines fitted on {films['train']:,} films "
        f"(those that train and those that choose), judged on {films['test']:,}. p: no difference "
        f"from `{result['against']}` in accuracy (McNemar) and in AUC (DeLong), not corrected for "
        f"the number of systems. Times on {result['device']}.",
        table(HEAD, [table_row(line, result["against"]) for line in lines], left=2),
        picture,
    ]


def _intervals(page: Path, name: str, what: str, figures: dict[str, dict[str, float]]) -> str:
    """Draw the figures of all systems, with their intervals, and refer to the picture."""
    values, low, high = (
        np.array([figure[key] for figure in figures.values()]) for key in ("value", "low", "high")
    )
    drawn = plots.intervals(list(figures), values, low, high, f"{what}, with its 95 % interval")
    folder = page.with_suffix("")
    write_whole(folder / f"{name}.png", plots.png(drawn, 90))
    return f"![{what}, system by system]({folder.name}/{name}.png)"


def _open(found: dict[str, Any]) -> list[str]:
    missing = [f"`{name}`" for name, result in found.items() if not result]
    if not missing:
        return []
    return [
        "## Not run yet",
        f"{', '.join(missing)}: `make results` trains them and adds their rows; it goes on where "
        "it was cut off, and skips what stands above.",
    ]


def _read(place: Path) -> dict[str, Any] | None:
    path = place / "result.json"
    found: dict[str, Any] | None = json.loads(path.read_text()) if path.exists() else None
    return found
