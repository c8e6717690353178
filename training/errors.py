"""Errors of the training line, each with a sentence for the person at the terminal."""

from __future__ import annotations

from cxr.errors import CxrError


class TrainingError(CxrError):
    """A training command cannot go on; the command prints ``detail`` and no traceback."""

    code = "training_error"


class DataError(TrainingError):
    """The radiographs at ``--data`` cannot be used as they are."""

    code = "data_error"


class CacheError(TrainingError):
    """The decoded radiographs cannot be kept on disk."""

    code = "cache_error"
