"""What the command lines of several commands share. Nothing heavy is imported here."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

DATA_HELP = (
    "Kaggle zip or its extracted folder (Chest X-Ray Images (Pneumonia) or the COVID-19 "
    "Radiography Database, whole or in part), or a folder with one folder for each class"
)

#: Where an age is open at its end, as the shipped adults' bundle has it.
OLDEST = 120

#: What is made of it, ten times as much at most, must fit into 32 bits.
LARGEST_SEED = 100_000_000

Options = TypeVar("Options", bound="DataclassInstance")


def add_command(
    commands: Any, name: str, start: Callable[[argparse.Namespace], object], **words: str
) -> argparse.ArgumentParser:
    """A command that ``start`` carries out.

    Args:
        commands: what ``ArgumentParser.add_subparsers`` returned.
        start: gets the arguments; imports what it needs by itself, as ``--help`` must not wait
            for TensorFlow.
        words: ``help``, ``description``, ``epilog``.
    """
    command: argparse.ArgumentParser = commands.add_parser(
        name, formatter_class=argparse.ArgumentDefaultsHelpFormatter, **words
    )
    command.set_defaults(start=start)
    return command


def options_from(kind: type[Options], given: argparse.Namespace, **instead: Any) -> Options:
    """The options of a command: each field is the argument of its name, a list as a tuple.

    A field without such an argument keeps its default.

    Args:
        kind: a dataclass.
        instead: fields that are not what the argument of that name says.
    """
    said = {**vars(given), **instead}
    values = {field.name: said[field.name] for field in fields(kind) if field.name in said}
    return kind(
        **{name: tuple(one) if isinstance(one, list) else one for name, one in values.items()}
    )


def whole_number(least: int, most: int | None = None) -> Callable[[str], int]:
    """The type of an argument that is a whole number in a range, both ends included."""
    words = f"a whole number from {least}" + ("" if most is None else f" to {most}")

    def read(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            value = least - 1
        if value < least or (most is not None and value > most):
            raise argparse.ArgumentTypeError(f"{words} is wanted, not {text}")
        return value

    return read


def ages(text: str) -> tuple[int, int]:
    """The type of an argument that is a range of ages in whole years: ``1-5``, or ``18-``."""
    youngest, dash, oldest = text.partition("-")
    try:
        found = int(youngest), int(oldest or OLDEST)
    except ValueError:
        found = -1, -1
    if not dash or not 0 <= found[0] <= found[1] <= OLDEST:
        raise argparse.ArgumentTypeError(f"ages in years are wanted, as 1-5 or 18-, not {text}")
    return found


def add_seed(command: argparse.ArgumentParser, of: str) -> None:
    command.add_argument("--seed", type=whole_number(0, LARGEST_SEED), default=0, help=of)


def add_recipe(command: argparse.ArgumentParser) -> None:
    command.add_argument("recipe", metavar="RECIPE", help="name of a file in training/recipes/")


def add_bundle(command: argparse.ArgumentParser) -> None:
    command.add_argument("bundle", type=Path, metavar="models/NAME")


def add_bundles(command: argparse.ArgumentParser) -> None:
    command.add_argument("bundles", type=Path, nargs="+", metavar="models/NAME")


def add_data(command: argparse.ArgumentParser, before: str = "") -> None:
    command.add_argument(
        "--data", type=Path, required=True, metavar="PATH", help=before + DATA_HELP
    )


def add_cache(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--cache", type=Path, default=Path("cache"), help="where decoded films are kept"
    )


def add_places(command: argparse.ArgumentParser) -> None:
    """Where the data are and where things go; and the seed, which with the data fixes a run."""
    add_data(command)
    command.add_argument("--runs", type=Path, default=Path("runs"), help="where run folders go")
    add_cache(command)
    add_seed(command, "of split, weights, augmentation and sampling")


def add_split(command: argparse.ArgumentParser) -> None:
    command.add_argument("--split", default="test", choices=["test", "validation", "train", "all"])


def add_version(command: argparse.ArgumentParser) -> None:
    command.add_argument("--version", default="1.0.0", help="of what is exported")


def add_epochs_and_precision(command: argparse.ArgumentParser) -> None:
    command.add_argument("--epochs", type=int, help="in each stage, instead of the recipe's")
    command.add_argument(
        "--precision", default="auto", help="auto, float32, mixed_bfloat16 or mixed_float16"
    )


def add_training(command: argparse.ArgumentParser) -> None:
    """Of commands that train and can be resumed."""
    add_epochs_and_precision(command)
    command.add_argument("--fresh", action="store_true", help="do not resume an interrupted run")
