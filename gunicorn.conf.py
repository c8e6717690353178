"""gunicorn's settings; ``gunicorn "app:create_app()"`` finds this file by itself.

``HOST``, ``PORT`` and ``WEB_CONCURRENCY`` (workers) are honoured.
"""

from __future__ import annotations

import gc
import importlib
import os
import secrets
import sys
import threading
from pathlib import Path
from typing import Any

import cv2
import gunicorn.http.wsgi
from gunicorn.arbiter import Arbiter

# gunicorn adds this folder to the path only after it has read this file.
sys.path.insert(0, str(Path(__file__).resolve().parent))

from app import master  # noqa: E402  # needs the path above
from app.admission import usual_at_once  # noqa: E402  # needs the path above
from app.allocator import give_back, settle  # noqa: E402  # needs the path above
from app.balance import usual_workers  # noqa: E402  # needs the path above
from app.crashes import leave_no_core  # noqa: E402  # needs the path above
from app.listening import ListenSettings  # noqa: E402  # needs the path above
from app.logs import SERVER_LOGGING, configure  # noqa: E402  # needs the path above
from app.server import PlainResponse, QuietLogger  # noqa: E402  # needs the path above
from app.settings import Settings, SettingsError  # noqa: E402

try:
    _settings = Settings.from_environment()
    _listen = ListenSettings.from_environment()
except SettingsError as error:
    raise SystemExit(str(error)) from None

bind = _listen.address

# TensorFlow hangs in a process that was forked after it started (gunicorn#2369), so each
# worker loads every bundle for itself; when_ready does what may be done before.
preload_app = False
workers = _listen.workers or usual_workers(_settings)

# Each reading on one core: threads within a network would only wait for those of the next request.
_at_once = _settings.read_at_once or usual_at_once(workers)
os.environ["XRAY_READ_AT_ONCE"] = str(_at_once)
os.environ.setdefault("TF_NUM_INTRAOP_THREADS", "1")

# The poller collects requests; a thread sees a whole one (app/worker.py). There is a thread for
# each that reads or waits (app/admission.py), and some that answer everybody else at once.
worker_class = "app.worker.BufferingWorker"
threads = _at_once + _settings.max_waiting + 8

timeout = 60
graceful_timeout = 30
keepalive = 5

# A worker that beats on a disk under load looks dead; shared memory never blocks.
worker_tmp_dir = "/dev/shm" if Path("/dev/shm").is_dir() else None

# A proxy's headers are the application's business (XRAY_PROXY_HOPS); here nobody is believed.
secure_scheme_headers: dict[str, str] = {}
forwarder_headers = ""

# There is no setting for either.
gunicorn.http.wsgi.Response = PlainResponse
logger_class = QuietLogger

errorlog = "-"
loglevel = "warning"
control_socket_disable = True

# Its own lines, such as a worker that timed out, are JSON like the application's.
logconfig_dict = SERVER_LOGGING

# TensorFlow greets with a page of build advice.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

# One for all workers of this start: a session that one of them opened holds with the others.
os.environ["XRAY_SECRET_KEY"] = os.environ.get("XRAY_SECRET_KEY") or secrets.token_hex(32)

master.settle_metrics(workers, worker_tmp_dir)


def on_starting(server: Any) -> None:
    """Stop with a sentence, before anything is loaded, where the settings cannot be used."""
    from app.access.exposure import check_settings
    from app.pacs.settings import PacsSettings

    configure(_settings.log_level)
    leave_no_core()  # nor do the workers
    if server.cfg.is_ssl:
        raise SystemExit(
            "TLS belongs to the proxy in front (deploy/nginx): start without a certificate."
        )
    try:
        check_settings(Settings.from_environment())
        PacsSettings.from_environment()  # of the page /pacs
    except SettingsError as error:
        raise SystemExit(str(error)) from None


def when_ready(server: Any) -> None:
    """Stop where others can reach what nobody has decided to open.

    Here and not earlier, because only the sockets themselves know: ``--bind`` and systemd
    overrule what stands above. No worker has been started yet.
    """
    from app.access.exposure import check_addresses

    names = [listener.getsockname() for listener in server.LISTENERS]
    hosts = [name[0] if isinstance(name, tuple) else str(name) for name in names]
    try:
        check_addresses(Settings.from_environment(), hosts)
    except SettingsError as error:
        raise SystemExit(str(error)) from None
    # Seconds of every start, and memory, that all workers share, one that takes a killed one's
    # place too. All this is imported and nothing of it is run: see preload_app.
    modules = ["app.access", "app.api", "app.inference.api", "app.registry", "app.station"]
    # ONNX Runtime starts a thread when it is imported; a process forked after that cannot end.
    if _settings.engine == "keras":
        modules.append("keras")
    # A tenth of that time the collector would look through it all, again and again, for nothing.
    gc.disable()
    for module in modules:
        importlib.import_module(module)
    # The collector of a worker would write to every object, and so copy the pages.
    gc.freeze()
    gc.enable()
    give_back()


def pre_fork(server: Any, worker: Any) -> None:
    """In the master: a place among those that share the connections."""
    worker.share = master.balance.join()


def post_fork(server: Any, worker: Any) -> None:
    """Before the worker has any thread."""
    # TensorFlow's threads would wait for each other's allocations: a tenth of the readings.
    settle(max(2, _at_once) if _settings.engine == "keras" else 1)
    # Requests fill the cores; threads within one picture would wait for those of the next.
    cv2.setNumThreads(1)
    # What Python lets a thread keep the interpreter, 5 ms, is longer than a network takes.
    sys.setswitchinterval(0.0005)


def post_worker_init(worker: Any) -> None:
    """End the start where no model can be loaded; later, keep answering /readyz with the reason."""
    registry = worker.wsgi.extensions["registry"]

    def can_read() -> None:
        master.ever_ready[0] = 1
        worker.share.ready = True

    # Whoever is told so by /readyz must not find a worker then that does not know it.
    registry.before_ready(can_read)

    def judge() -> None:
        registry.wait()
        if not registry.bundles and not master.ever_ready[0]:
            print(f"The service cannot start. {registry.trouble}", file=sys.stderr, flush=True)
            os._exit(Arbiter.WORKER_BOOT_ERROR)  # which ends the master too

    threading.Thread(target=judge, name="judge-start", daemon=True).start()


def worker_exit(server: Any, worker: Any) -> None:
    """In the worker, last of all: one that was stopped while it loads ends here and now.

    Python's own end would take ONNX Runtime away under the thread that loads: C++ aborts.
    """
    if worker.wsgi and worker.wsgi.extensions["registry"].at_work:
        os._exit(0)


def child_exit(server: Any, worker: Any) -> None:
    """Forget the connections and gauges of a worker that is gone; its counters stay."""
    master.balance.leave(worker.share)
    if os.environ.get("PROMETHEUS_MULTIPROC_DIR"):
        from prometheus_client import multiprocess

        multiprocess.mark_process_dead(worker.pid)


def on_exit(server: Any) -> None:
    """At the end of the master."""
    master.forget_metrics()
