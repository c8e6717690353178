"""``CARD.md`` of the gate: written from its measured figures, never by hand."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cxr.verdict import FRONTAL
from training.card_tables import percent, table
from training.gate.negatives import DICOM_FAMILY

COMMAND = "python -m training gate --data FOLDER --out models/gate"


def write_card(document: Mapping[str, Any]) -> str:
    """The card as Markdown."""
    metrics, training = document["metrics"], document["training"]
    size = document["input"]["size"]
    parts = [
        "# The gate",
        f"`gate` {document['version']}, {document['created'][:10]}. "
        "**Research use only. Not a medical device.**",
        "## What it is for",
        f"Before any model reads a picture, a small network looks at it at {size} × {size} pixels "
        "and says whether it is a whole frontal chest radiograph, upright and with bright bones. "
        "What is not gets no reading: `not_a_chest_xray`, or `unsuitable_image` with what is to "
        "be put right (`upside_down`, `turned_left`, `turned_right`, `inverted`, `cropped`). A "
        f"picture passes from a probability of {document['threshold'][FRONTAL]:.3f} of being one "
        "on, and with the warning `doubtful_chest_xray` below 0.5. It does not tell a film from "
        "its mirror image, and it has no lateral chest films to learn from: a lateral view is "
        "recognised by what DICOM says, not by the picture.",
        "## Chest films refused",
        "None of these films trained it or chose its threshold; the classifiers hold them out "
        "too. The external collections were looked at in no other way. 95 % Wilson intervals in "
        "brackets.",
        _films(metrics["films"]),
        "Of the validation films that chose the threshold "
        f"{_share(metrics['validation']['films'])} are refused, and of one strongly augmented view "
        f"of each {_share(metrics['validation']['augmented'])}.",
        "## Everything else refused, of kinds left out of training",
        f"Each family was judged by a network of its own, trained in the same way without any "
        f"picture of that family on {training['views_shown_judged']} views (the shipped one saw "
        f"{training['views_shown']}), with its own threshold from the same validation films. "
        "Collected pictures are taken as they are; made ones are fresh.",
        _left_out(metrics["left_out"]),
        f"All collected pictures: {_share(metrics['left_out_total']['collected'])}; all made ones: "
        f"{_share(metrics['left_out_total']['made'])}. Cuts are nine parts of each photograph, so "
        "they are not independent, their interval is too narrow, and no total counts them.",
        "The shipped network saw every family above in training. It never saw the family of "
        f"*{DICOM_FAMILY}* (CT, MR, ultrasound, nuclear medicine and a leg from `pydicom-data`, "
        "judged by the picture alone, although their modality refuses most of them before): "
        f"{_share(metrics[DICOM_FAMILY])} refused.",
        "## Films turned, inverted or cut",
        "The same films as above, turned or with black and white exchanged: how many are "
        "refused, and how many with the right reason.",
        _turned(metrics["turned"]),
    ]
    if "crops" in metrics:
        parts += [
            "Cuts at random out of the Openi films, by how much of the lungs their masks say is "
            "left:",
            _crops(metrics["crops"]),
        ]
    parts += [
        "## How it was made",
        f"Four convolutions and two dense layers, from random weights, on {_views(training)} views "
        f"of {training['films']} training films (the classifiers' own training splits, less "
        f"{training['films_left_out_as_copies']} that nearly equal a held-out film of the other "
        "set) and of pictures of no chest: collected ("
        + ", ".join(f"{count} {kind}" for kind, count in training["pictures"].items())
        + "), made by program (sections, limbs, dead leaves, documents, screenshots, plots, "
        "drawings, noise, gradients) and chest films without their layout (shuffled, stirred, "
        "several on a sheet, a detail). Crops, margins, burnt-in text, tone curves, blur, grain "
        "and JPEG are drawn alike for films and for everything else, so none of them tells the "
        f"two apart. {training['seconds'] / 60:.0f} minutes with all "
        f"the judging, {training['device']}.",
        f"Reproduce: `{COMMAND}`, where the folder holds `chest-xray-pneumonia.zip`, "
        "`covid19-radiography-database.zip`, `not-chest-xray.zip`, and for measuring alone "
        "`nih-adult-external.zip` and `lung-masks.zip`.",
        "## Limits",
        "- It was never shown a lateral chest film, a mammogram, or a film of an animal.\n"
        "- The made kinds are easier than what people will really send; the collected ones are "
        "few.\n"
        "- It lets pass what looks like a chest film: a drawing good enough, a photograph of a "
        "screen that shows nothing but the film, a film of another patient.",
        "## Data",
        "Films: Kermany 2018 (CC BY 4.0, doi:10.17632/rscbjbr9sj.2); COVID-19 Radiography "
        "Database (Chowdhury 2020, doi:10.1109/ACCESS.2020.3010287; Rahman 2021, "
        "doi:10.1016/j.compbiomed.2021.104319). Measured only: NIH ChestX-ray8 (Wang 2017), Openi "
        "films with lung masks. Not chests: periapical dental films and Medical MNIST; "
        "photographs from scikit-image and scikit-learn; DICOM files from pydicom-data.",
    ]
    return "\n\n".join(parts) + "\n"


def _views(training: Mapping[str, Any]) -> int:
    """Views in the pool: the families' are in the class ``not_a_chest_xray`` already."""
    return sum(
        count for name, count in training["pool"].items() if name not in training["families"]
    )


def _share(one: Mapping[str, Any]) -> str:
    return f"{one['refused']} of {one['pictures']} ({percent(one)})"


def _films(films: Mapping[str, Any]) -> str:
    rows = [
        [name, *(_share(conditions[c]) if c in conditions else "–" for c in ("normal", "diseased"))]
        for name, conditions in films.items()
    ]
    return table(["Films", "Normal refused", "Diseased refused"], rows)


def _left_out(families: Mapping[str, Any]) -> str:
    rows = []
    for family, figures in families.items():
        rows.append([f"**{family}**", f"**{_share(figures['total'])}**"])
        rows += [[kind, _share(one)] for kind, one in figures["kinds"].items()]
    return table(["Left out", "Refused"], rows)


def _turned(collections: Mapping[str, Any]) -> str:
    rows = [
        [f"{name}, {change.replace('_', ' ')}", _share(one["refused"]), _share(one["named"])]
        for name, changes in collections.items()
        for change, one in changes.items()
    ]
    return table(["Films", "Refused", "For the right reason"], rows)


def _crops(crops: list[Mapping[str, Any]]) -> str:
    rows = [
        [
            f"{100 * one['lungs_shown'][0]:.0f} to {100 * one['lungs_shown'][1]:.0f} %",
            _share(one["refused"]),
            _share(one["named"]),
        ]
        for one in crops
    ]
    return table(["Lungs left", "Refused", "As `cropped`"], rows)
