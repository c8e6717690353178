"""The commands of the workbench: look, compare, search and report, but export nothing."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from training.arguments import (
    add_cache,
    add_command,
    add_data,
    add_epochs_and_precision,
    add_places,
    add_recipe,
    add_split,
    add_training,
    options_from,
    whole_number,
)


def add_workbench_commands(commands: Any) -> None:
    """Add ``explore``, ``crossvalidate``, ``tune``, ``compare``, ``report`` and ``results``.

    Args:
        commands: what ``ArgumentParser.add_subparsers`` returned.
    """
    _explore(commands)
    _crossvalidate(commands)
    _tune(commands)
    _compare(commands)
    _report(commands)
    _results(commands)


def _explore(commands: Any) -> None:
    def start(given: argparse.Namespace) -> None:
        from training.explore import ExploreOptions, explore

        explore(options_from(ExploreOptions, given))

    command = add_command(
        commands,
        "explore",
        start,
        help="look at a data set before training on it",
        description=(
            "Classes, sample films, mean and standard-deviation images, grey levels, sizes, "
            "brightness and contrast, metadata, patients in each split, exact and near "
            "duplicates, unreadable files: as PNG, as CSV, and as one page (index.html) that "
            "opens offline. Nothing is trained. A data set that cannot be trained on (one "
            "class, too few films) is shown all the same, with the reason."
        ),
    )
    add_places(command)
    command.add_argument(
        "--size", type=whole_number(32, 1024), default=160, help="side of the films shown, pixels"
    )


def _crossvalidate(commands: Any) -> None:
    def start(given: argparse.Namespace) -> None:
        from training.crossvalidate import CrossvalidateOptions, crossvalidate

        crossvalidate(options_from(CrossvalidateOptions, given))

    command = add_command(
        commands,
        "crossvalidate",
        start,
        help="judge a recipe on every patient, by k networks that never saw them",
        description=(
            "Stratified k-fold by patient: mean ± standard deviation over the folds, the "
            "out-of-fold answer to every film (out_of_fold.csv) and a page (index.html). Within "
            "each fold a tenth of the training patients chooses the epoch and calibrates. The "
            "test split stays out unless --include-test asks for it. Call it again after an "
            "interruption: finished folds are kept, the one that was cut off goes on."
        ),
    )
    add_recipe(command)
    add_places(command)
    command.add_argument(
        "--folds", type=whole_number(2), default=5, help="how many networks are trained"
    )
    command.add_argument("--include-test", action="store_true", help="fold the test split in too")
    add_training(command)


def _tune(commands: Any) -> None:
    def start(given: argparse.Namespace) -> None:
        from training.tune import TuneOptions, tune

        tune(options_from(TuneOptions, given))

    command = add_command(
        commands,
        "tune",
        start,
        help="search better settings for a recipe, on validation films alone",
        description=(
            "Optuna tries settings from the recipe's SEARCH (learning rate, dropout, "
            "augmentation, …), prunes hopeless trials after a few epochs, and keeps the study in "
            "SQLite (study.db): call it again to go on, the trial that was cut off included. "
            "Writes best.json, trials.csv, history and importance plots and a page. The recipe's "
            "own file is left alone: what to take over is for you to decide."
        ),
    )
    add_recipe(command)
    add_places(command)
    command.add_argument("--trials", type=int, default=30, help="how many there shall be in all")
    add_training(command)


def _compare(commands: Any) -> None:
    def start(given: argparse.Namespace) -> None:
        from training.classical import BASELINES
        from training.compare import CompareOptions, compare

        baselines = BASELINES if given.baselines == ["all"] else given.baselines
        compare(options_from(CompareOptions, given, baselines=tuple(baselines)))

    command = add_command(
        commands,
        "compare",
        start,
        help="networks and classical baselines on identical splits",
        description=(
            "Trains every recipe and every baseline on the same patients and asks all the same "
            "test films: accuracy, sensitivity, specificity and AUC with 95 % intervals, McNemar "
            "and DeLong against one of them, time and size. The baselines are logistic "
            "regression, linear and RBF SVM, k-NN, random forest and histogram gradient boosting, "
            "each on HOG and on principal components (logistic-hog, rbf_svm-pca, …). "
            "--sensitivity trains systems again on 10, 25, 50 and 100 % of the patients, on other "
            "input sizes and without augmentation. Call it again after an interruption: what is "
            "there is not trained again."
        ),
    )
    add_places(command)
    command.add_argument("--recipes", nargs="*", default=["residual"], metavar="RECIPE")
    command.add_argument(
        "--models",
        nargs="*",
        type=Path,
        default=[],
        metavar="models/NAME",
        help="bundles trained on just this data and seed; asked, not trained again",
    )
    command.add_argument("--baselines", nargs="*", default=["all"], metavar="NAME")
    command.add_argument(
        "--sensitivity",
        nargs="*",
        default=[],
        metavar="SYSTEM",
        help="recipes or baselines to train on fewer films, at other sizes, without augmentation",
    )
    command.add_argument("--against", metavar="SYSTEM", help="what is tested against; the first")
    add_training(command)


def _report(commands: Any) -> None:
    def start(given: argparse.Namespace) -> None:
        from training.report import ReportOptions, report

        report(options_from(ReportOptions, given))

    command = add_command(
        commands,
        "report",
        start,
        help="one self-contained page about a training",
        description=(
            "Figures with intervals, confusion matrix, ROC and precision-recall curve, "
            "calibration, threshold table, the worst mistakes and random successes with class "
            "activation maps, training curves, recipe, data and environment: one HTML file that "
            "opens offline and prints to PDF. It shows radiographs of the data set: keep it where "
            "the data may be."
        ),
    )
    command.add_argument("run", type=Path, metavar="RUN", help="runs/RECIPE-TIME or models/NAME")
    add_data(command)
    add_cache(command)
    command.add_argument("--out", type=Path, metavar="HTML", help="instead of RUN/report.html")
    add_split(command)


def _results(commands: Any) -> None:
    def start(given: argparse.Namespace) -> None:
        from training.results import ResultsOptions, results

        results(options_from(ResultsOptions, given))

    command = add_command(
        commands,
        "results",
        start,
        help="run every known system and write docs/results.md",
        description=(
            "Trains each published system and all classical baselines on the splits of this "
            "project and writes the page of claims and measured figures. Hours on two cores. What "
            "is finished is kept in --out and not run again; a training that was cut off goes on."
        ),
    )
    command.add_argument("--data", type=Path, required=True, help="folder with the two Kaggle zips")
    command.add_argument("--out", type=Path, default=Path("runs/results"), help="finished pieces")
    command.add_argument("--page", type=Path, default=Path("docs/results.md"), help="the page")
    add_cache(command)
    command.add_argument("--only", nargs="*", default=[], metavar="SYSTEM", help="just these")
    add_epochs_and_precision(command)
    command.add_argument(
        "--write-only", action="store_true", help="write the page from what is there"
    )
