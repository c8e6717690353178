"""The commands of the workbench: their arguments, and what each starts."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

_FORMAT = argparse.ArgumentDefaultsHelpFormatter


def add_commands(commands: Any, data_help: str) -> None:
    """Add every command of the workbench; each sets ``start`` to what carries it out.

    Args:
        commands: what ``ArgumentParser.add_subparsers`` returned.
    """
    _explore(commands, data_help)


def _command(
    commands: Any, name: str, start: Callable[[argparse.Namespace], object], **words: str
) -> argparse.ArgumentParser:
    command: argparse.ArgumentParser = commands.add_parser(name, formatter_class=_FORMAT, **words)
    command.set_defaults(start=start)
    return command


def _places(command: argparse.ArgumentParser, data_help: str) -> None:
    command.add_argument("--data", type=Path, required=True, metavar="PATH", help=data_help)
    command.add_argument("--runs", type=Path, default=Path("runs"), help="where run folders go")
    command.add_argument(
        "--cache", type=Path, default=Path("cache"), help="where decoded films are kept"
    )
    command.add_argument("--seed", type=int, default=0, help="of split, weights and sampling")


def _explore(commands: Any, data_help: str) -> None:
    def start(given: argparse.Namespace) -> None:
        from training.explore import ExploreOptions, explore

        explore(ExploreOptions(given.data, given.runs, given.cache, given.size, given.seed))

    command = _command(
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
    _places(command, data_help)
    command.add_argument("--size", type=int, default=160, help="side of the films shown, pixels")
