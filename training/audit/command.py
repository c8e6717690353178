"""``python -m training audit``: its arguments. Nothing heavy is imported before they are read."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any


def add_audit_command(commands: Any, data_help: str) -> None:
    """Add ``audit`` to the commands of ``python -m training``."""
    audit = commands.add_parser(
        "audit",
        help="find out what a bundle leans on, what upsets it and whom it fails",
        description=(
            "Measure a trained bundle from every side: shortcuts (lungs blacked out, borders "
            "only, corner markers painted over, what the features tell besides the disease), "
            "robustness (does a decision stand under mild changes), subgroups, faithfulness of "
            "the map (deletion, random weights), other seeds, another hospital. Writes "
            "audit.json, figures/*.svg and CARD.md into the bundle, and refreshes the figures in "
            "bundle.json after they came out again. The weights and thresholds stay untouched. "
            "Some minutes on two cores; docs/audit.md explains every measure."
        ),
        epilog=(
            "Example: python -m training audit models/pediatric-pneumonia --data "
            "chest-xray-pneumonia.zip --external nih-adult-external.zip --lung-masks "
            "lung-masks.zip"
        ),
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    audit.add_argument("bundle", type=Path, metavar="models/NAME")
    audit.add_argument(
        "--data",
        type=Path,
        required=True,
        metavar="PATH",
        help="what it was trained on: " + data_help,
    )
    audit.add_argument(
        "--external",
        type=Path,
        metavar="PATH",
        help="films of another hospital with a labels.csv (file, nih_label, rsna_class, view); "
        "only measured on",
    )
    audit.add_argument(
        "--lung-masks",
        type=Path,
        metavar="PATH",
        help="images/NAME with masks/NAME: a small segmenter is trained on them once, and kept "
        "in the cache, to black the lungs out; without it that measure is left out",
    )
    audit.add_argument(
        "--also",
        type=Path,
        nargs="+",
        default=[],
        metavar="models/OTHER",
        help="bundles of the same recipe with other seeds: how often do they disagree?",
    )
    audit.add_argument("--out", type=Path, metavar="FOLDER", help="instead of into the bundle")
    audit.add_argument(
        "--films", type=int, default=2000, help="look at most at so many test films (by patient)"
    )
    audit.add_argument("--seed", type=int, default=0, help="of noise, folds and random weights")
    audit.add_argument("--json", action="store_true", help="print audit.json")
    audit.add_argument(
        "--cache", type=Path, default=Path("cache"), help="where decoded films are kept"
    )
    audit.set_defaults(start=_start)

    card = commands.add_parser(
        "card",
        help="write CARD.md anew from bundle.json, audit.json and the gate's figures",
        description="Nothing is measured again; a second or two. For a card whose wording or gate "
        "has changed since the audit.",
    )
    card.add_argument("bundles", type=Path, nargs="+", metavar="models/NAME")
    card.set_defaults(start=_card)


def _start(given: argparse.Namespace) -> None:
    from training.audit.run import AuditOptions, audit

    audit(
        AuditOptions(
            bundle=given.bundle,
            data=given.data,
            cache=given.cache,
            external=given.external,
            lung_masks=given.lung_masks,
            also=tuple(given.also),
            out=given.out,
            films=given.films,
            seed=given.seed,
            as_json=given.json,
        )
    )


def _card(given: argparse.Namespace) -> None:
    from cxr.bundle import CARD_FILE, load_bundle
    from training.card import card_of

    for folder in given.bundles:
        load_bundle(folder)  # what does not verify gets no card
        (folder / CARD_FILE).write_text(card_of(folder, folder.parent))
        print(f"Written: {folder / CARD_FILE}")
