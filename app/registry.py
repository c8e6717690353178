"""The loaded bundles: loaded once, in the background, each on its own.

``/healthz`` must answer while bundles are still being loaded, and one damaged bundle
must not take the others down.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import structlog
from structlog.stdlib import BoundLogger

from app.admission import Admission
from app.errors import NotReadyError
from app.predictor import Predictor
from app.settings import PROJECT_ROOT, Settings
from cxr.decode import prepare_dicom
from cxr.errors import BundleError
from cxr.radiograph import Limits

if TYPE_CHECKING:
    from cxr.bundle import Bundle
    from cxr.engines import EngineName
    from cxr.gate import Gate

#: The folder of the gate among those of the bundles. It is no model that reads.
GATE = "gate"

log: BoundLogger = structlog.get_logger("app.registry")

Loader = Callable[[Path], "Bundle"]


def loader(engine: EngineName) -> Loader:
    """A function that loads a bundle's folder for ``engine``."""

    def load(path: Path) -> Bundle:
        # Imported here and not above: ``/healthz`` need not wait for it.
        from cxr.bundle import load_bundle

        return load_bundle(path, engine)

    return load


def gate_folder(models: Path) -> Path:
    """Where the gate lies: beside the bundles, else the one that came with the application."""
    own = models / GATE
    return own if own.is_dir() else PROJECT_ROOT / "models" / GATE


def make_registry(
    settings: Settings, load: Loader | None = None, admission: Admission | None = None
) -> Registry:
    """The registry that the settings ask for; ``start`` it.

    Args:
        load: reads a bundle's folder; with the engine of the settings when None.
    """
    return Registry(
        Path(settings.models),
        settings.default_model,
        Limits(max_bytes=settings.max_upload_bytes, max_pixels=settings.max_pixels),
        load or loader(settings.engine),
        admission,
        gate_engine=settings.engine if settings.gate else None,
    )


def _bundle_folders(models: Path) -> list[Path]:
    if not models.is_dir():
        raise BundleError(f"The models folder {models} does not exist.")
    if not os.access(models, os.R_OK | os.X_OK):
        raise BundleError(
            f"The models folder {models} cannot be read by user {os.geteuid()}, as whom this runs."
        )
    from cxr.bundle import list_bundles

    folders = list(list_bundles(models))
    # What cannot be entered (closed to this user, a link to nowhere) may be a bundle: it is
    # refused, not passed over.
    folders += sorted(
        path
        for path in models.iterdir()
        if (path.is_dir() or not path.exists())
        and not os.access(path, os.X_OK)
        and path.name not in (GATE, "lost+found")
    )
    folders += sorted(
        path.parent
        for path in models.glob("*/model.keras")
        if path.parent not in folders and path.parent.name != GATE
    )
    # Hidden is what is still being written (``cxr.folders.whole_folder``), or was given up.
    folders = [path for path in folders if not path.name.startswith(".")]
    if not folders:
        raise BundleError(f"The models folder {models} holds no bundle.")
    return folders


class Registry:
    """Bundles by name, once they are loaded, and the reasons why some are not.

    Args:
        gate_engine: what executes the gate's network; None reads without a gate.

    Attributes:
        failures: folder name → reason, for each bundle that was refused, and the gate.
        limits: what a file may hold.
        seconds: how long loading took, or None while it lasts.
    """

    def __init__(
        self,
        models: Path,
        default_model: str,
        limits: Limits,
        load: Loader,
        admission: Admission | None = None,
        *,
        gate_engine: EngineName | None,
    ) -> None:
        self._models = models
        self._gate_engine = gate_engine
        self._default_model = default_model
        self.limits = limits
        self._load = load
        self._admission = admission
        self._predictor: Predictor | None = None
        self._finished = threading.Event()
        self._thread: threading.Thread | None = None
        self._to_tell_first: list[Callable[[], None]] = []
        self._ready_lock = threading.Lock()
        self.failures: dict[str, str] = {}
        self.seconds: float | None = None

    def start(self, tell: Callable[[Registry], None] = lambda _: None) -> None:
        """Begin to load, in a thread of its own, and ``tell`` when that has ended."""
        self._thread = threading.Thread(
            target=self._load_all, args=(tell,), name="load-bundles", daemon=True
        )
        self._thread.start()

    def before_ready(self, tell: Callable[[], None]) -> None:
        """Call ``tell`` once films can be read, before anybody else learns of it; or at once."""
        with self._ready_lock:
            if self._predictor is None:
                self._to_tell_first.append(tell)
                return
        tell()

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until loading has ended, well or badly; False when it has not in time (seconds)."""
        return self._finished.wait(timeout)

    @property
    def loading(self) -> bool:
        return not self._finished.is_set()

    @property
    def at_work(self) -> bool:
        """Whether its thread still runs, which goes on a little after loading has ended."""
        return self._thread is not None and self._thread.is_alive()

    @property
    def predictor(self) -> Predictor:
        """The predictor over all loaded bundles.

        Raises:
            NotReadyError: still loading, or no bundle could be loaded; says which.
        """
        if self._predictor is not None:
            return self._predictor
        if self.loading:
            raise NotReadyError("The models are still loading.")
        raise NotReadyError(self.trouble)

    @property
    def trouble(self) -> str:
        """Why there is nothing to read with, in sentences that name the files."""
        reasons = " ".join(
            f"{name}: {reason.rstrip('.')}." for name, reason in self.failures.items()
        )
        if GATE in self.failures:
            return f"The gate could not be loaded, so nothing is read. {reasons}"
        return f"No model could be loaded. {reasons}"

    @property
    def bundles(self) -> tuple[Bundle, ...]:
        """The bundles that were loaded; none while loading lasts."""
        return tuple(self._predictor.bundles.values()) if self._predictor else ()

    def _load_all(self, tell: Callable[[Registry], None]) -> None:
        began = time.perf_counter()
        bundles: dict[str, Bundle] = {}
        folders: list[Path] = []
        gate: Gate | None = None
        with self._refused_as(self._models.name):
            folders = _bundle_folders(self._models)
        for folder in folders:
            with self._refused_as(folder.name):
                bundle = self._load(folder)
                if bundle.name in bundles:
                    raise BundleError(f"Another bundle is already named {bundle.name}.")
                bundles[bundle.name] = bundle
        if self._gate_engine and bundles:
            from cxr.gate import load_gate

            with self._refused_as(GATE):
                gate = load_gate(gate_folder(self._models), self._gate_engine)
        self.seconds = time.perf_counter() - began
        # Without a gate that was asked for, a photograph would get a reading: nothing is read.
        if bundles and GATE not in self.failures:
            predictor = Predictor(
                bundles,
                self.limits,
                default_model=self._default_model,
                admission=self._admission,
                gate=gate,
            )
            with self._ready_lock:
                for tell_first in self._to_tell_first:
                    tell_first()
                self._predictor = predictor
        tell(self)
        log.info("bundles loaded", models=sorted(bundles), seconds=round(self.seconds, 2))
        self._finished.set()
        prepare_dicom()  # ready without it: it takes longer than the lean engine's networks

    @contextmanager
    def _refused_as(self, name: str) -> Iterator[None]:
        """What goes wrong within is the failure of ``name``, and must not stop the others."""
        try:
            yield
        except Exception as error:
            reason = f"Loading failed with {type(error).__name__}: {error}"
            if isinstance(error, BundleError):
                reason = error.detail
            self.failures[name] = reason
            log.error("bundle refused", bundle=name, reason=reason)
