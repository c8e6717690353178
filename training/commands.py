"""The commands around a bundle: train it, measure it, export it; and the gate's training."""

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
    add_places,
    add_recipe,
    add_seed,
    add_split,
    add_training,
    add_version,
    ages,
    options_from,
    whole_number,
)


def add_bundle_commands(commands: Any) -> None:
    """Add ``fit``, ``evaluate``, ``calibrate``, ``export-lean``, ``compare-engines``, ``gate``.

    Args:
        commands: what ``ArgumentParser.add_subparsers`` returned.
    """
    _fit(commands)
    _evaluate(commands)
    _calibrate(commands)
    _export_lean(commands)
    _compare_engines(commands)
    _gate(commands)


def _fit(commands: Any) -> None:
    def start(given: argparse.Namespace) -> None:
        from training.fit import FitOptions, fit

        fit(options_from(FitOptions, given, augmentation=not given.no_augmentation))

    command = add_command(
        commands,
        "fit",
        start,
        help="train a recipe on a data set and export a verified bundle",
        description=(
            "Decode once, train, calibrate and choose thresholds on validation films, measure "
            "on test films, export, reload in a fresh process and replay the probes. Call it "
            "again with the same arguments after an interruption: it goes on from the last epoch."
        ),
    )
    add_recipe(command)
    add_places(command)
    command.add_argument(
        "--out", type=Path, required=True, metavar="models/NAME", help="the bundle"
    )
    add_version(command)
    command.add_argument(
        "--population", metavar="WHOM", help="whom the films show, as Adults; for folders of yours"
    )
    command.add_argument(
        "--ages",
        type=ages,
        metavar="FROM-TO",
        help="of these patients in years, as 1-5 or 18-; without them no film's age chooses the "
        "model, and it reads where it is named",
    )
    command.add_argument(
        "--weights",
        metavar="imagenet|none|PATH",
        help="what a network of Keras Applications starts from, instead of the recipe's choice",
    )
    command.add_argument(
        "--companion",
        type=Path,
        metavar="ZIP",
        help="a second data set, whose films of infections that the first has no class for join "
        "the training as infected with anything, where the recipe has a place for them",
    )
    command.add_argument(
        "--normals",
        type=Path,
        metavar="ZIP",
        help="normal films of another source, each with a lung mask (lung-masks.zip), to join too; "
        "a quarter of them is left for the audit",
    )
    command.add_argument(
        "--no-augmentation", action="store_true", help="train on the films as they are"
    )
    command.add_argument(
        "--masks",
        action="store_true",
        help="black out all but the lungs, where the data set carries masks; the model then "
        "reads masked films only",
    )
    add_training(command)


def _evaluate(commands: Any) -> None:
    def start(given: argparse.Namespace) -> None:
        from training.evaluate import EvaluateOptions, evaluate

        evaluate(options_from(EvaluateOptions, given, as_json=given.json))

    command = add_command(
        commands,
        "evaluate",
        start,
        help="measure a bundle on a data set",
        description=(
            "Figures with 95 % intervals (bootstrap by patient), confusion matrix, decisions; "
            "through the same code as the server."
        ),
    )
    add_bundle(command)
    add_data(command)
    add_split(command)
    command.add_argument("--json", action="store_true", help="print JSON")
    command.add_argument("--predictions", type=Path, metavar="CSV", help="one line a film")
    add_cache(command)


def _calibrate(commands: Any) -> None:
    def start(given: argparse.Namespace) -> None:
        from training.recalibrate import CalibrateOptions, calibrate

        calibrate(options_from(CalibrateOptions, given))

    command = add_command(
        commands,
        "calibrate",
        start,
        help="fit a bundle's probabilities and thresholds to films of your own hospital",
        description=(
            "The weights stay. Half of the patients choose the calibration and the two thresholds, "
            "the other half judges, beside what the bundle said before. At least 100 patients "
            "with normal and 100 with infected films, which the model was not trained on."
        ),
    )
    add_bundle(command)
    add_data(command)
    command.add_argument(
        "--out", type=Path, required=True, metavar="models/NAME-HERE", help="the new bundle"
    )
    command.add_argument(
        "--prevalence",
        type=float,
        default=0.5,
        metavar="SHARE",
        help="of infected films among those that it will read; a half, as the shipped models "
        "have it, leaves that to the reader",
    )
    add_seed(command, "of the halves")
    add_version(command)
    add_cache(command)


def _export_lean(commands: Any) -> None:
    def start(given: argparse.Namespace) -> None:
        from training.lean import export_lean

        for folder in given.bundles:
            print(f"{folder}: exported. {export_lean(folder)}.", flush=True)

    command = add_command(
        commands,
        "export-lean",
        start,
        help="write model.onnx beside a bundle's model.keras, for XRAY_ENGINE=lean",
        description=(
            "Export, write the hash into the bundle's document, and see that both engines "
            "answer the probes alike. fit does it by itself; again gives the same answers."
        ),
    )
    add_bundles(command)


def _compare_engines(commands: Any) -> None:
    def start(given: argparse.Namespace) -> None:
        from training.lean import compare_engines

        print(f"{given.bundle}: {compare_engines(given.bundle, given.data, given.films)}.")

    command = add_command(
        commands,
        "compare-engines",
        start,
        help="prove on real films that both engines answer alike",
    )
    add_bundle(command)
    add_data(command)
    command.add_argument(
        "--films", type=whole_number(1), default=500, help="evenly spread over the data"
    )


def _gate(commands: Any) -> None:
    def start(given: argparse.Namespace) -> None:
        from training.gate.run import GateOptions, gate

        gate(options_from(GateOptions, given))

    command = add_command(
        commands,
        "gate",
        start,
        help="train the gate that refuses what is no frontal chest radiograph",
        description=(
            "Train a small network on chest films and on pictures of other things, choose its "
            "threshold on validation films, judge it on kinds of pictures left out of training, "
            "export and verify it."
        ),
    )
    command.add_argument(
        "--data",
        type=Path,
        required=True,
        metavar="FOLDER",
        help="holds chest-xray-pneumonia.zip, covid19-radiography-database.zip and "
        "not-chest-xray.zip; nih-adult-external.zip and lung-masks.zip are measured if there",
    )
    command.add_argument("--out", type=Path, required=True, metavar="models/gate")
    command.set_defaults(
        interrupted="The decoded films are kept, nothing else: called again, it draws its views "
        "and trains from the start."
    )
    add_seed(command, "of views and weights")
    add_version(command)
    add_cache(command)
