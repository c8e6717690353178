"""Can this be trained on?"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from training.cache import Corrupt
from training.errors import DataError
from training.layout import Named

#: Fewer radiographs of a class than this cannot be shared out 80/10/10.
FEWEST_OF_A_CLASS = 10


def unread(lists: Sequence[str]) -> str:
    """What to do where a table names the classes; nothing where there is none."""
    if not lists:
        return ""
    return (
        f" {lists[0]} is not read: a film is of the class that its folder names. Make a folder for "
        "each class of the table, and put the films there (docs/training.md has the few lines)."
    )


def check_trainable(
    data: Path,
    named: Sequence[Named],
    corrupt: Sequence[Corrupt] = (),
    lists: Sequence[str] = (),
) -> None:
    """Refuse what cannot be learned from, in a sentence that says what to do.

    Args:
        data: where the radiographs lie; for the sentence.
        named: the radiographs, or those that could be decoded.
        corrupt: those that could not.
        lists: tables that lie beside them.

    Raises:
        DataError: no radiographs, one class only, no normal or no infected class, or a
            class with too few images.
    """
    counts = Counter(one.finding for one in named)
    unreadable = f" {len(corrupt)} files could not be decoded." if corrupt else ""
    if not counts:
        example = f" (the first: {corrupt[0].path}: {corrupt[0].reason})" if corrupt else ""
        raise DataError(f"None of the images in {data} could be decoded{example}.")
    if len(counts) == 1:
        only = next(iter(counts))
        raise DataError(
            f"All radiographs in {data} are of one class, {only.label!r}: there is nothing to "
            f"tell apart. Is this only a part of the data set?{unreadable}{unread(lists)}"
        )
    labels = ", ".join(finding.label for finding in counts)
    if all(finding.infected for finding in counts):
        raise DataError(
            f"None of the classes in {data} ({labels}) is normal. Name the folder of "
            "radiographs without findings 'Normal'."
        )
    if not any(finding.infected for finding in counts):
        raise DataError(f"All classes in {data} ({labels}) are normal: nothing to find.")
    fewest, count = min(counts.items(), key=lambda item: item[1])
    if count < FEWEST_OF_A_CLASS:
        raise DataError(
            f"Class {fewest.label!r} has only {count} radiographs; at least "
            f"{FEWEST_OF_A_CLASS} are needed. Add some, or leave the class out.{unreadable}"
        )
