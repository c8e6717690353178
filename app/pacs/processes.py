"""Readers in processes of their own: one interpreter cannot both receive films and read them.

A film that brings its reader down (a decoder that crashes, memory that runs out) takes nothing
else with it: it is tried again a few times, then put aside.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import Any

from app.errors import NotReadyError, UnknownModelError
from app.logs import configure, frames_of
from app.pacs.database import trouble
from app.pacs.reader import FilmLostError, Results, Task, read_film
from app.predictor import Predictor
from app.registry import make_registry
from app.settings import Settings

#: Gives the predictor, or raises ``NotReadyError``.
Source = Callable[[], Predictor]

# Started afresh: threads, and TensorFlow's above all, do not survive a fork.
_PROCESSES = multiprocessing.get_context("spawn")
#: A reader that takes longer hangs. The largest films take seconds, models on a slow disk a minute.
_READ_SECONDS = 120.0
_LOAD_SECONDS = 600.0


def load_models(settings: Settings) -> Source:
    """The bundles of the settings, loaded: what a ``ReaderProcess`` of the node starts with."""
    configure(settings.log_level)
    registry = make_registry(settings)
    registry.start()
    registry.wait()
    return lambda: registry.predictor


class ReadingFailedError(Exception):
    """A film failed in its reader, unexpectedly.

    Args: name of the error's type, and its innermost frames. Not its message, which may quote
    the file, and so the patient.
    """


class ReaderLostError(Exception):
    """The process ended while it read a film, or was ended because it did not finish."""


class ReaderProcess:
    """A reader in a process of its own, which is started again when it dies or hangs.

    Args:
        load: called there, once; gives what ``Source`` says. It must be importable.
        read_seconds, load_seconds: how long a film, and loading the models, may take.
    """

    def __init__(
        self,
        load: Callable[[], Source],
        *,
        read_seconds: float = _READ_SECONDS,
        load_seconds: float = _LOAD_SECONDS,
    ) -> None:
        self._load = load
        self._read_seconds = read_seconds
        self._load_seconds = load_seconds
        self._renew()

    def _renew(self) -> None:
        # The process itself starts with the first that it is asked.
        self._pool = ProcessPoolExecutor(
            1, mp_context=_PROCESSES, initializer=_begin, initargs=(self._load,)
        )
        self._loaded: Future[None] | None = None

    def prepare(self) -> None:
        """As ``Reader``; the first call, and the one after a crash, starts the process."""
        try:
            if self._loaded is None:
                self._loaded = self._pool.submit(_check)
            self._loaded.result(self._load_seconds)
        except BrokenProcessPool:
            self._renew()
            raise NotReadyError("A reader ended while it loaded the models.") from None
        except TimeoutError:
            self._kill()
            self._renew()
            raise NotReadyError("A reader did not load the models in time.") from None
        except NotReadyError:
            self._loaded = None
            raise

    def read(self, task: Task) -> Results:
        """As ``Reader``.

        Raises:
            ReadingFailedError: an unexpected error.
            ReaderLostError: the process died of it, or did not finish and was killed.
        """
        try:
            return self._pool.submit(_read, task).result(self._read_seconds)
        except (BrokenProcessPool, TimeoutError):
            self._kill()
            self._renew()
            raise ReaderLostError from None

    def close(self) -> None:
        """As ``Reader``; a film that is still being read is left for the next start."""
        self._kill()
        self._pool.shutdown()

    def _kill(self) -> None:
        """End the process at once: it holds nothing, and one that hangs does not end by itself."""
        # Python 3.14 has kill_workers for this.
        for process in list((self._pool._processes or {}).values()):
            process.kill()


_source: Source | None = None


def _begin(load: Callable[[], Source]) -> None:
    """In the new process, before its first film."""
    global _source
    # Whoever stops the node may signal all its processes; the node itself decides when a
    # reader has finished the film in hand.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)
    threading.Thread(target=_end_with_the_node, name="end-with-the-node", daemon=True).start()
    _source = load()


def _end_with_the_node() -> None:
    node = multiprocessing.parent_process()
    assert node is not None
    node.join()
    os._exit(0)


def _predictor() -> Predictor:
    assert _source is not None
    return _source()


def _check() -> None:
    _predictor()


def _read(task: Task) -> Results:
    try:
        return read_film(_predictor(), task)
    except (FilmLostError, NotReadyError, UnknownModelError):
        raise
    except Exception as error:
        raise ReadingFailedError(type(error).__name__, frames_of(error)) from None


def what_failed(error: Exception) -> dict[str, Any]:
    """Type and places of an error, wherever it happened, for a log.

    Not its words: a library's may quote the file, and so the patient.
    """
    if isinstance(error, ReadingFailedError):
        name, frames = error.args
    else:
        name, frames = trouble(error), frames_of(error)
    return {"error": name, "frames": frames}
