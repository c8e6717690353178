"""``audit`` and ``card``: their arguments, and what each starts."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from training.arguments import (
    add_bundle,
    add_bundles,
    add_cache,
    add_command,
    add_data,
    add_seed,
    options_from,
    whole_number,
)


def add_audit_commands(commands: Any) -> None:
    """Add ``audit`` and ``card``.

    Args:
        commands: what ``ArgumentParser.add_subparsers`` returned.
    """
    _audit(commands)
    _card(commands)


def _audit(commands: Any) -> None:
    def start(given: argparse.Namespace) -> None:
        from training.audit.run import AuditOptions, audit

        audit(options_from(AuditOptions, given, as_json=given.json))

    command = add_command(
        commands,
        "audit",
        start,
        help="find out what a bundle leans on, what upsets it and whom it fails",
        description=(
            "Measure a trained bundle from every side: shortcuts (lungs blacked out, borders "
            "only, corner markers painted over, what the features tell besides the disease), "
            "robustness (does a decision stand under mild changes), subgroups, faithfulness of "
            "the map (deletion, random weights), other seeds, another hospital, normal "
            "films of another source. Writes audit.json, figures/*.svg and CARD.md into the "
            "bundle, and refreshes the figures in bundle.json after they came out again. The "
            "weights and thresholds stay untouched. Some minutes on two cores; docs/audit.md "
            "explains every measure."
        ),
        epilog=(
            "Example: python -m training audit models/pediatric-pneumonia --data "
            "chest-xray-pneumonia.zip --external nih-adult-external.zip --lung-masks "
            "lung-masks.zip --normals lung-masks.zip"
        ),
    )
    add_bundle(command)
    add_data(command, "what it was trained on: ")
    command.add_argument(
        "--external",
        type=Path,
        metavar="PATH",
        help="films of another hospital with a labels.csv (file, nih_label, rsna_class, view); "
        "only measured on",
    )
    command.add_argument(
        "--normals",
        type=Path,
        metavar="PATH",
        help="normal films of another source with a lung mask each (lung-masks.zip): how many of "
        "the quarter that no training sees are called infected",
    )
    command.add_argument(
        "--lung-masks",
        type=Path,
        metavar="PATH",
        help="images/NAME with masks/NAME: a small segmenter is trained on them once, and kept "
        "in the cache, to black the lungs out; without it that measure is left out",
    )
    command.add_argument(
        "--also",
        type=Path,
        nargs="+",
        default=[],
        metavar="models/OTHER",
        help="bundles of the same recipe with other seeds: how often do they disagree?",
    )
    command.add_argument("--out", type=Path, metavar="FOLDER", help="instead of into the bundle")
    command.add_argument(
        "--films",
        type=whole_number(1),
        default=2000,
        help="look at most at so many test films (by patient)",
    )
    add_seed(command, "of noise, folds and random weights")
    command.add_argument("--json", action="store_true", help="print audit.json")
    add_cache(command)


def _card(commands: Any) -> None:
    def start(given: argparse.Namespace) -> None:
        from cxr.bundle import CARD_FILE, load_bundle
        from training.card import card_of

        for folder in given.bundles:
            load_bundle(folder)  # what does not verify gets no card
            (folder / CARD_FILE).write_text(card_of(folder, folder.parent))
            print(f"Written: {folder / CARD_FILE}")

    command = add_command(
        commands,
        "card",
        start,
        help="write CARD.md anew from bundle.json, audit.json and the gate's figures",
        description=(
            "Nothing is measured again; a second or two. For a card whose wording or gate has "
            "changed since the audit."
        ),
    )
    add_bundles(command)
