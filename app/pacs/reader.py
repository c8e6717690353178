"""A film's file → its outcome and the objects that go back: the work that is worth a processor."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from app.pacs.queue import Outcome
from app.pacs.results import Refusal, objects_of
from app.pacs.results.identity import moment
from app.predictor import Predictor
from app.reading import Reading
from cxr.errors import RadiographError


@dataclass(frozen=True)
class Task:
    """One film to be read.

    Attributes:
        file: where it lies.
        plan: name of the bundle that reads it, or why it is not to be read.
        received: when it came, in seconds since the epoch.
        kinds: the result objects that are made of a reading.
    """

    file: Path
    plan: str | Refusal
    received: float
    kinds: tuple[str, ...]


@dataclass(frozen=True)
class Results:
    """What came of a film.

    Attributes:
        objects: what goes back, by kind, as PS3.10 files.
    """

    outcome: Outcome
    objects: dict[str, bytes]


class FilmLostError(Exception):
    """The file of a film is not in the spool."""


class Reader(Protocol):
    """Reads one film at a time."""

    def prepare(self) -> None:
        """Wait until it can read.

        Raises:
            NotReadyError: there is nothing to read with.
        """

    def read(self, task: Task) -> Results:
        """Read a film.

        Raises:
            FilmLostError: its file is gone.
            UnknownModelError: its bundle is not loaded.
        """

    def close(self) -> None:
        """Read nothing more."""


def read_film(predictor: Predictor, task: Task) -> Results:
    """Read one film, or put into objects why it cannot be read.

    Raises:
        FilmLostError: its file is gone.
        UnknownModelError: its bundle is not loaded.
    """
    try:
        data = task.file.read_bytes()
    except FileNotFoundError:
        raise FilmLostError from None
    outcome = _outcome(data, task.plan, predictor)
    return Results(_summary(outcome), objects_of(data, outcome, moment(task.received), task.kinds))


def _outcome(data: bytes, plan: str | Refusal, predictor: Predictor) -> Reading | Refusal:
    if isinstance(plan, Refusal):
        return plan
    try:
        return predictor.read(data, plan, with_evidence=True, map_if_normal=False)
    except RadiographError as error:
        return Refusal(error.code, error.detail)


def _summary(outcome: Reading | Refusal) -> Outcome:
    if isinstance(outcome, Refusal):
        return Outcome(code=outcome.code)
    return Outcome(outcome.decision, outcome.infection_probability, outcome.bundle.name)
