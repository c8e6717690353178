"""What the results say of one film: a reading, or why there is none."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from pydicom.dataset import Dataset

from app.pacs.results.identity import derived_uid
from app.reading import Reading

PRODUCT = "X-Ray Result Interpreter"
#: How every result describes itself.
UNVERIFIED = "Reading by software, unverified"
#: Stands for the weights in the UIDs of a refusal that no bundle was chosen for.
NO_WEIGHTS = "none"
#: Together they fit an IS: at most 2147483647 (PS3.5 §6.2).
_NUMBERS, _MOST_FILMS = 1_000_000, 2146


@dataclass(frozen=True)
class Refusal:
    """Why a film was not read.

    Attributes:
        code: stable, as the HTTP interface has it, or one of the node's own.
        detail: for people; names nothing of the file.
    """

    code: str
    detail: str


@dataclass(frozen=True)
class Verdict:
    """All that the result objects are made of.

    Attributes:
        source: see ``identity.source_of``.
        outcome: the reading, or why there is none.
        when: the objects' own date and time: when the film was received, so that they come
            out the same however often they are made.
    """

    source: Dataset
    outcome: Reading | Refusal
    when: datetime

    @property
    def weights(self) -> str:
        """sha256 of the weights that read the film."""
        return self.outcome.bundle.sha256 if isinstance(self.outcome, Reading) else NO_WEIGHTS

    @property
    def software(self) -> str:
        """Name and version of the bundle, for Software Versions (LO, 64 characters)."""
        if isinstance(self.outcome, Reading):
            return f"{self.outcome.bundle.name} {self.outcome.bundle.version}"[:64]
        return PRODUCT

    def instance_uid(self, kind: str) -> str:
        """SOP Instance UID of one result of this film by these weights.

        Whatever is said otherwise has another UID: when the film was received, and why it is
        not read.
        """
        why = self.outcome.code if isinstance(self.outcome, Refusal) else ""
        film = str(self.source.SOPInstanceUID)
        return derived_uid(film, self.weights, why, self.when.isoformat(), kind)

    def series_uid(self, kind: str) -> str:
        """Series Instance UID of all results of a kind by these weights in the study."""
        return derived_uid(str(self.source.StudyInstanceUID), self.weights, kind, "series")

    @property
    def instance_number(self) -> int:
        """Number of the result within its series, in the order of the films' numbers.

        Films of several series have the same ones: their UIDs make the last six digits.
        """
        try:
            film = int(self.source.get("InstanceNumber") or 1)
        except (TypeError, ValueError):
            film = 1
        last = int(derived_uid(str(self.source.SOPInstanceUID)).split(".")[-1]) % _NUMBERS
        return min(max(film, 1), _MOST_FILMS) * _NUMBERS + last
