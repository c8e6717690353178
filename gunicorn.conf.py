"""gunicorn's settings; ``gunicorn "app:create_app()"`` finds this file by itself.

``HOST``, ``PORT`` and ``WEB_CONCURRENCY`` (workers) are honoured.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any

import gunicorn.http.wsgi

bind = f"{os.environ.get('HOST') or '127.0.0.1'}:{os.environ.get('PORT') or '8000'}"

# TensorFlow hangs in a process that was forked after it started (gunicorn#2369), so each
# worker loads for itself. One worker holds every bundle; decoding and the network release
# the interpreter's lock, so threads fill the cores.
preload_app = False
worker_class = "gthread"
workers = int(os.environ.get("WEB_CONCURRENCY") or 1)
threads = max(4, 2 * (os.cpu_count() or 1))

timeout = 60
graceful_timeout = 30
keepalive = 5

# A worker that beats on a disk under load looks dead; shared memory never blocks.
worker_tmp_dir = "/dev/shm" if Path("/dev/shm").is_dir() else None

# There is no setting for the banner; it need not say which server this is.
gunicorn.http.wsgi.SERVER = "xray"

# The application writes its own line per request, without query, address or file name.
accesslog = None
errorlog = "-"
loglevel = "warning"
control_socket_disable = True

# TensorFlow greets with a page of build advice.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

if workers > 1:
    # Before any worker imports prometheus_client, which reads it then.
    os.environ.setdefault("PROMETHEUS_MULTIPROC_DIR", tempfile.mkdtemp(prefix="xray-metrics-"))


def child_exit(server: Any, worker: Any) -> None:
    """Forget the gauges of a worker that is gone; its counters stay."""
    if os.environ.get("PROMETHEUS_MULTIPROC_DIR"):
        from prometheus_client import multiprocess

        multiprocess.mark_process_dead(worker.pid)
