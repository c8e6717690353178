"""Logging: one JSON line per event (structlog), and nothing about a patient in any of them.

A request's line holds its id, method, route rule, status, code, times, and of a reading the
decision and the model. It holds no query, no file name, no address of the client and no body.
What other libraries log is reduced until no value of a request can be in it: the arguments of
their messages are dropped, of an exception only its type and its places are kept.
"""

from __future__ import annotations

import logging
import re
import sys
import time
import traceback
import uuid
import warnings
from collections.abc import MutableMapping
from typing import TYPE_CHECKING, Any

import structlog
from flask import Flask, Response, g, has_request_context, request
from structlog.contextvars import bind_contextvars, clear_contextvars, merge_contextvars
from structlog.stdlib import BoundLogger, LoggerFactory, ProcessorFormatter

if TYPE_CHECKING:
    from app.reading import Reading

access_log: BoundLogger = structlog.get_logger("app.access")

# What a proxy or a client may choose as its own id; anything else could forge log lines.
_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
# Methods that a client invents must not reach a line, nor each become a time series.
_METHODS = frozenset({"GET", "HEAD", "POST", "OPTIONS", "PUT", "PATCH", "DELETE"})
_FRAMES = 8

Event = MutableMapping[str, Any]


def _without_values(_: Any, __: str, event: Event) -> Event:
    """Cut what libraries log down to text that stands in their source."""
    record: logging.LogRecord = event["_record"]
    event["logger"] = record.name
    # These know processes, signals and the service's own addresses, never a request.
    if not (record.name == "gunicorn.error" and record.module in {"arbiter", "sock"}):
        event["event"] = re.split(r"[%{='\":]", str(record.msg), maxsplit=1)[0].strip()
    return event


def frames_of(error: BaseException) -> list[str]:
    """The innermost places that an error came through."""
    return [
        f"{frame.filename}:{frame.lineno} {frame.name}"
        for frame in traceback.extract_tb(error.__traceback__)[-_FRAMES:]
    ]


def _places_of_exception(_: Any, __: str, event: Event) -> Event:
    """Of an exception its type and where it came from: its message may quote the file."""
    error = event.pop("exc_info", None)
    if isinstance(error, tuple):
        error = error[1]
    elif error is True:
        error = sys.exc_info()[1]
    if isinstance(error, BaseException):
        event["error"] = type(error).__name__
        event["frames"] = frames_of(error)
    event.pop("stack_info", None)
    return event


def _in_order(_: Any, __: str, event: Event) -> Event:
    return {name: event.pop(name) for name in ("time", "level", "event")} | dict(event)


def json_formatter() -> logging.Formatter:
    """Turns records of structlog and of any other library into one line of JSON each."""
    return ProcessorFormatter(
        foreign_pre_chain=[merge_contextvars, _without_values],
        processors=[
            structlog.stdlib.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
            _places_of_exception,
            ProcessorFormatter.remove_processors_meta,
            _in_order,
            structlog.processors.JSONRenderer(),
        ],
    )


class StandardError(logging.StreamHandler):  # type: ignore[type-arg]
    """Writes JSON lines to what ``sys.stderr`` is now, not to what it was at import."""

    def __init__(self) -> None:
        super().__init__()
        self.setFormatter(json_formatter())

    def emit(self, record: logging.LogRecord) -> None:
        self.stream = sys.stderr
        super().emit(record)


#: For gunicorn.conf.py: the server's own lines take the same form.
SERVER_LOGGING: dict[str, Any] = {
    "version": 1,
    "disable_existing_loggers": False,
    "handlers": {"standard_error": {"class": "app.logs.StandardError"}},
    "root": {"level": "WARNING", "handlers": ["standard_error"]},
    "loggers": {
        "gunicorn.error": {"level": "WARNING", "handlers": [], "propagate": True},
        "gunicorn.access": {"level": "CRITICAL", "handlers": [], "propagate": True},
    },
}


def configure(level: str) -> None:
    """Give this process the log that all processes have."""
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            merge_contextvars,
            ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=LoggerFactory(),
        wrapper_class=BoundLogger,
    )
    logging.getLogger("app").setLevel(level)
    root = logging.getLogger()
    if not any(isinstance(handler, StandardError) for handler in root.handlers):
        root.addHandler(StandardError())
    # They quote the values of elements that they find odd, a name or a date among them.
    for library in ("pydicom", "highdicom"):
        logging.getLogger(library).setLevel(logging.CRITICAL + 1)
    for module in ("pydicom", "highdicom", "pylibjpeg", "PIL"):
        warnings.filterwarnings("ignore", module=rf"{module}(\.|$)")


def _begin() -> None:
    g.started = time.perf_counter()
    g.code = None
    sent = request.headers.get("X-Request-ID", "")
    g.request_id = sent if _REQUEST_ID.fullmatch(sent) else uuid.uuid4().hex
    # Whatever is logged while the request is answered carries its id.
    clear_contextvars()
    bind_contextvars(request_id=g.request_id)


def route_rule() -> str:
    """The matched rule (``/models/<name>``), never the address that was asked for."""
    return request.url_rule.rule if request.url_rule else "unmatched"


def method_name() -> str:
    """The request's method, or ``other`` for one that HTTP does not know."""
    return request.method if request.method in _METHODS else "other"


def note_reading(reading: Reading) -> None:
    """Let the line of the request under way, if there is one, say what was read."""
    if has_request_context():
        g.reading = reading


def _of_reading() -> dict[str, Any]:
    reading: Reading | None = g.get("reading")
    if reading is None:
        return {}
    stages = {f"{stage}_ms": round(ms, 2) for stage, ms in reading.timing_ms.items()}
    model = f"{reading.bundle.name} {reading.bundle.version}"
    return {"decision": reading.decision, "model": model, **stages}


def _would_drown_readings(response: Response) -> bool:
    """Whether nobody looks for its line: stylesheets and icons, and probes that found all well."""
    well = response.status_code < 400
    return request.endpoint == "static" or (well and request.blueprint == "health")


def _finish(response: Response) -> Response:
    response.headers["X-Request-ID"] = g.request_id
    access_log.log(
        logging.DEBUG if _would_drown_readings(response) else logging.INFO,
        "request",
        method=method_name(),
        route=route_rule(),
        status=response.status_code,
        code=g.code,
        ms=round((time.perf_counter() - g.started) * 1000, 1),
        **_of_reading(),
    )
    return response


def init_app(app: Flask, level: str) -> None:
    """Give each request an id and each answer one log line."""
    configure(level)
    app.before_request(_begin)
    app.after_request(_finish)
