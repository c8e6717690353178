"""``python -m training <command>``: builds and measures the models that the app serves."""

from __future__ import annotations

import argparse
import errno
import os
import sys
from pathlib import Path

from training.audit.command import add_audit_command
from training.workbench import add_commands

DATA_HELP = (
    "Kaggle zip or its extracted folder (Chest X-Ray Images (Pneumonia) or the COVID-19 "
    "Radiography Database, whole or in part), or a folder with one folder for each class"
)


def parser() -> argparse.ArgumentParser:
    """The command line."""
    whole = argparse.ArgumentParser(
        prog="python -m training",
        description="Train, measure and export the networks of the X-Ray Result Interpreter.",
        epilog=(
            "The device is found by itself. KERAS_BACKEND=tensorflow, jax or torch chooses the "
            "library that computes."
        ),
    )
    commands = whole.add_subparsers(dest="command", required=True, metavar="COMMAND")

    fit = commands.add_parser(
        "fit",
        help="train a recipe on a data set and export a verified bundle",
        description=(
            "Decode once, train, calibrate and choose thresholds on validation films, measure "
            "on test films, export, reload in a fresh process and replay the probes. Call it "
            "again with the same arguments after an interruption: it goes on from the last epoch."
        ),
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    fit.add_argument("recipe", metavar="RECIPE", help="name of a file in training/recipes/")
    fit.add_argument("--data", type=Path, required=True, metavar="PATH", help=DATA_HELP)
    fit.add_argument("--out", type=Path, required=True, metavar="models/NAME", help="the bundle")
    fit.add_argument("--seed", type=int, default=0, help="of split, weights and augmentation")
    fit.add_argument("--epochs", type=int, help="in each stage, instead of the recipe's")
    fit.add_argument("--version", default="1.0.0", help="of the bundle")
    fit.add_argument("--precision", default="auto", help="auto, float32, mixed_bfloat16, …")
    fit.add_argument("--runs", type=Path, default=Path("runs"), help="where run folders go")
    fit.add_argument(
        "--weights",
        metavar="imagenet|none|PATH",
        help="what a network of Keras Applications starts from, instead of the recipe's choice",
    )
    fit.add_argument(
        "--no-augmentation", action="store_true", help="train on the films as they are"
    )
    fit.add_argument(
        "--masks",
        action="store_true",
        help="black out all but the lungs, where the data set carries masks; the model then "
        "reads masked films only",
    )
    fit.add_argument("--fresh", action="store_true", help="do not resume an interrupted run")
    _cache_argument(fit)

    evaluate = commands.add_parser(
        "evaluate",
        help="measure a bundle on a data set",
        description="Figures with 95 % intervals (bootstrap by patient), confusion matrix, "
        "decisions; through the same code as the server.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    evaluate.add_argument("bundle", type=Path, metavar="models/NAME")
    evaluate.add_argument("--data", type=Path, required=True, metavar="PATH", help=DATA_HELP)
    evaluate.add_argument("--split", default="test", choices=["test", "validation", "train", "all"])
    evaluate.add_argument("--json", action="store_true", help="print JSON")
    evaluate.add_argument("--predictions", type=Path, metavar="CSV", help="one line a film")
    _cache_argument(evaluate)

    export = commands.add_parser(
        "export-lean",
        help="write model.onnx beside a bundle's model.keras, for XRAY_ENGINE=lean",
        description="Export, write the hash into the bundle's document, and see that both "
        "engines answer the probes alike. fit does it by itself; again gives the same answers.",
    )
    export.add_argument("bundles", type=Path, nargs="+", metavar="models/NAME")

    compare = commands.add_parser(
        "compare-engines",
        help="prove on real films that both engines answer alike",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    compare.add_argument("bundle", type=Path, metavar="models/NAME")
    compare.add_argument("--data", type=Path, required=True, metavar="PATH", help=DATA_HELP)
    compare.add_argument("--films", type=int, default=500, help="evenly spread over the data")

    gate = commands.add_parser(
        "gate",
        help="train the gate that refuses what is no frontal chest radiograph",
        description="Train a small network on chest films and on pictures of other things, "
        "choose its threshold on validation films, judge it on kinds of pictures left out of "
        "training, export and verify it.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    gate.add_argument(
        "--data",
        type=Path,
        required=True,
        metavar="FOLDER",
        help="holds chest-xray-pneumonia.zip, covid19-radiography-database.zip and "
        "not-chest-xray.zip; nih-adult-external.zip and lung-masks.zip are measured if there",
    )
    gate.add_argument("--out", type=Path, required=True, metavar="models/gate")
    gate.add_argument("--seed", type=int, default=0, help="of views and weights")
    gate.add_argument("--version", default="1.0.0", help="of the gate")
    _cache_argument(gate)

    add_audit_command(commands, DATA_HELP)
    add_commands(commands, DATA_HELP)
    return whole


def _cache_argument(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--cache", type=Path, default=Path("cache"), help="where decoded films are kept"
    )


def main(arguments: list[str] | None = None) -> int:
    """Exit status: 0 done, 1 refused with a sentence, 130 interrupted (call again to go on)."""
    given = parser().parse_args(arguments)
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    from cxr.errors import CxrError  # after the parser: --help must not wait for TensorFlow

    try:
        if "start" in given:
            given.start(given)
        elif given.command == "fit":
            from training.fit import FitOptions, fit

            fit(
                FitOptions(
                    recipe=given.recipe,
                    data=given.data,
                    out=given.out,
                    runs=given.runs,
                    cache=given.cache,
                    seed=given.seed,
                    version=given.version,
                    precision=given.precision,
                    fresh=given.fresh,
                    epochs=given.epochs,
                    weights=given.weights,
                    augmentation=not given.no_augmentation,
                    masks=given.masks,
                )
            )
        elif given.command == "export-lean":
            from training.lean import export_lean

            for folder in given.bundles:
                print(f"{folder}: exported. {export_lean(folder)}.", flush=True)
        elif given.command == "compare-engines":
            from training.lean import compare_engines

            print(f"{given.bundle}: {compare_engines(given.bundle, given.data, given.films)}.")
        elif given.command == "gate":
            from training.gate.command import GateOptions, gate

            gate(GateOptions(given.data, given.out, given.cache, given.seed, given.version))
        else:
            from training.evaluate import EvaluateOptions, evaluate

            evaluate(
                EvaluateOptions(
                    bundle=given.bundle,
                    data=given.data,
                    cache=given.cache,
                    split=given.split,
                    predictions=given.predictions,
                    as_json=given.json,
                )
            )
    except CxrError as error:
        print(f"error: {error.detail}", file=sys.stderr)
        return 1
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        print(
            "error: The disk is full. Free some room and call again: it goes on.", file=sys.stderr
        )
        return 1
    except KeyboardInterrupt:
        print("\nInterrupted. Call the same command again to go on.", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
