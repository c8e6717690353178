"""Logging: one JSON line per event, and nothing about a patient in any of them.

A request's line holds its id, method, route rule, status, code and time. It holds no
query, no file name, no address of the client and no body.
"""

from __future__ import annotations

import json
import logging
import re
import sys
import time
import uuid
import warnings
from datetime import UTC, datetime

from flask import Flask, Response, g, request

access_log = logging.getLogger("app.access")

# What a proxy or a client may choose as its own id; anything else could forge log lines.
_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")


class JsonFormatter(logging.Formatter):
    """A log record as one line of JSON; ``extra={"fields": {...}}`` adds members."""

    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "event": record.getMessage(),
        }
        line.update(getattr(record, "fields", {}))
        return json.dumps(line)


class _StandardError(logging.StreamHandler):  # type: ignore[type-arg]
    """Writes to what ``sys.stderr`` is now, not to what it was at import."""

    def emit(self, record: logging.LogRecord) -> None:
        self.stream = sys.stderr
        super().emit(record)


def _configure(level: str) -> None:
    logger = logging.getLogger("app")
    logger.setLevel(level)
    logger.propagate = False
    if not any(isinstance(handler, _StandardError) for handler in logger.handlers):
        handler = _StandardError()
        handler.setFormatter(JsonFormatter())
        logger.addHandler(handler)
    # pydicom quotes the values of elements it finds odd, a name or a date among them.
    logging.getLogger("pydicom").setLevel(logging.CRITICAL + 1)
    for module in ("pydicom", "pylibjpeg", "PIL"):
        warnings.filterwarnings("ignore", module=rf"{module}(\.|$)")


def _begin() -> None:
    g.started = time.perf_counter()
    g.code = None
    sent = request.headers.get("X-Request-ID", "")
    g.request_id = sent if _REQUEST_ID.fullmatch(sent) else uuid.uuid4().hex


def route_rule() -> str:
    """The matched rule (``/models/<name>``), never the address that was asked for."""
    return request.url_rule.rule if request.url_rule else "unmatched"


def _finish(response: Response) -> Response:
    response.headers["X-Request-ID"] = g.request_id
    # Stylesheets and icons would drown the readings.
    access_log.log(
        logging.DEBUG if request.endpoint == "static" else logging.INFO,
        "request",
        extra={
            "fields": {
                "request_id": g.request_id,
                "method": request.method,
                "route": route_rule(),
                "status": response.status_code,
                "code": g.code,
                "ms": round((time.perf_counter() - g.started) * 1000, 1),
            }
        },
    )
    return response


def init_app(app: Flask, level: str) -> None:
    """Give each request an id and each answer one log line."""
    _configure(level)
    app.before_request(_begin)
    app.after_request(_finish)
