"""What a way to a destination promises, and how it says that it failed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from pydicom.dataset import Dataset


class UnreachableError(Exception):
    """The destination cannot be spoken to at all; the text says why, without identity."""


class NoAnswerError(Exception):
    """The destination fell silent in the middle of a film; the text says where.

    Whether it is the film that silences it or whether it answers nothing, nobody knows yet.
    """


class RefusedError(Exception):
    """The destination did not take an object; the text says why, without identity.

    Args:
        for_good: it will not take it however often it is asked.
    """

    def __init__(self, reason: str, *, for_good: bool = False) -> None:
        super().__init__(reason)
        self.for_good = for_good

    @classmethod
    def of(cls, refusals: Sequence[RefusedError]) -> RefusedError:
        """Several as one, which is for good where nothing is left that may yet be taken."""
        reasons = "; ".join(map(str, refusals))
        return cls(reasons, for_good=all(refusal.for_good for refusal in refusals))


def uncompressed(dataset: Dataset) -> Dataset:
    """The same object, its picture uncompressed."""
    if dataset.file_meta.TransferSyntaxUID.is_compressed:
        dataset.decompress(generate_instance_uid=False)
    return dataset


class Sender(Protocol):
    """One way to a destination. Used by one thread."""

    def send(self, paths: Sequence[Path]) -> None:
        """Send the results of one film; they are stored there when this returns.

        Raises:
            UnreachableError, NoAnswerError, RefusedError: they are not, or not all. Whatever
                else it raises is the fault of what is sent.
        """

    def close(self) -> None:
        """End what is open; ``send`` opens it again."""
