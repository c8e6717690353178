"""Errors → what the client sees: one table, one translation, one place.

Domain errors (``cxr.errors``) know nothing about HTTP; here each stable code gets its
status, title and advice. Programs get RFC 9457 ``application/problem+json``, people get a
page with the same facts.
"""

from __future__ import annotations

from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, ClassVar

import structlog
from flask import Flask, Response, current_app, g, jsonify, render_template, request
from structlog.stdlib import BoundLogger
from werkzeug.exceptions import HTTPException, RequestEntityTooLarge, SecurityError

from app import current
from app.refusals import RETRY_AFTER_SECONDS
from cxr.errors import CxrError, RadiographError

log: BoundLogger = structlog.get_logger("app.errors")


class RequestError(CxrError):
    """The request itself, not the radiograph, is at fault.

    Attributes:
        headers: of the answer.
    """

    headers: ClassVar[dict[str, str]] = {}


class MissingFileError(RequestError):
    """The request carries no file."""

    code = "missing_file"


class InvalidParameterError(RequestError):
    """A parameter has a value that cannot be used."""

    code = "invalid_parameter"


class UnsupportedMediaTypeError(RequestError):
    """The body is of a media type that cannot hold a radiograph."""

    code = "unsupported_format"


class UnsupportedEncodingError(UnsupportedMediaTypeError):
    """The body is compressed, which is not undone here (RFC 9110 §15.5.16)."""

    headers: ClassVar[dict[str, str]] = {"Accept-Encoding": "identity"}


class PatientUnknownError(RequestError):
    """Neither the file nor the person says whether the patient is a child or an adult."""

    code = "patient_unknown"


class UnknownModelError(RequestError):
    """No loaded bundle has the name."""

    code = "unknown_model"


class UnauthorizedError(RequestError):
    """Nobody may ask without a key, and the request carries none that is known."""

    code = "unauthorized"


class NotReadyError(RequestError):
    """The bundles are still loading, or none could be loaded."""

    code = "not_ready"


class OverloadedError(RequestError):
    """More is asked than can be read soon."""

    code = "overloaded"


@dataclass(frozen=True)
class Problem:
    """How a code looks over HTTP: status, title, what a person should do next."""

    status: int
    title: str
    advice: str


PROBLEMS: dict[str, Problem] = {
    "missing_file": Problem(400, "No file was sent", "Choose a radiograph and send it again."),
    "empty_file": Problem(
        400, "The file is empty", "Export the radiograph again: this copy holds no data."
    ),
    "invalid_parameter": Problem(
        400, "The request cannot be understood", "Correct the request and send it again."
    ),
    "patient_unknown": Problem(
        400, "Child or adult?", "Choose the patient's group, then send the file again."
    ),
    "unauthorized": Problem(
        401, "An API key is needed", "Sign in, or ask the administrator for a key."
    ),
    "not_found": Problem(404, "There is nothing here", "Check the address, or start again."),
    "unknown_model": Problem(404, "No such model", "Choose one of the models that are listed."),
    "method_not_allowed": Problem(
        405, "This address does not answer that method", "Start again from the first page."
    ),
    "request_timeout": Problem(
        408, "The request came too slowly", "Send it again over a faster connection."
    ),
    "too_large": Problem(
        413, "The file is too large", "Export the radiograph smaller, or compressed."
    ),
    "too_many_pixels": Problem(
        413, "The image has too many pixels", "Export the radiograph at a lower resolution."
    ),
    "unsatisfiable_range": Problem(
        416, "The file is shorter", "Ask for a range within the file, or for all of it."
    ),
    "unsupported_format": Problem(
        415,
        "This kind of file is not read here",
        "Send a JPEG, PNG, TIFF, WebP, BMP or DICOM file.",
    ),
    "unreadable_image": Problem(
        422,
        "The image is damaged",
        "Export the radiograph again: this copy may have been cut short on its way.",
    ),
    "not_a_chest_xray": Problem(
        422,
        "This does not look like a chest radiograph",
        "Send one frontal (PA or AP) chest radiograph.",
    ),
    "unsuitable_image": Problem(
        422,
        "This image cannot be read as it is",
        "Send a single, grey, frontal chest radiograph, whole, upright and not inverted, of at "
        "least 64 pixels a side.",
    ),
    "rate_limited": Problem(429, "Too many requests", "Wait a moment, then try again."),
    "not_ready": Problem(503, "Not ready to read", "Wait a few seconds, then try again."),
    "overloaded": Problem(503, "Too busy", "Wait a moment, then try again."),
    "internal_error": Problem(
        500,
        "Something went wrong here",
        "It was not your file's fault. If it happens again, tell the administrator the "
        "request number.",
    ),
}

_CODE_BY_STATUS = {
    401: "unauthorized",
    404: "not_found",
    405: "method_not_allowed",
    408: "request_timeout",
    413: "too_large",
    415: "unsupported_format",
    416: "unsatisfiable_range",
    429: "rate_limited",
    503: "overloaded",
}


def wants_page() -> bool:
    """Whether a person asks (a browser prefers HTML); programs get JSON.

    ``*/*``, as curl and most client libraries send, means JSON.
    """
    accepted = request.accept_mimetypes
    json = max(accepted["application/json"], accepted["application/problem+json"])
    return accepted["text/html"] > json


def shows_page() -> bool:
    """Whether the answer is a page: a person asks, or nobody else comes to this address."""
    if isinstance(request.routing_exception, SecurityError):
        return False  # under a host that is not served, no address of a stylesheet is known
    endpoint = request.endpoint or ""
    return endpoint.startswith(("web.", "access.")) or wants_page()


def problem_response(
    code: str,
    detail: str,
    *,
    advice: bool = True,
    headers: dict[str, str] | None = None,
    reason: str | None = None,
) -> Response:
    """The answer for ``code``: problem+json for a program, a page for a person.

    Args:
        advice: whether the page adds the table's advice; a refused radiograph's detail
            already says what to do.
        reason: for programs: what is to be put right, finer than the code.
    """
    problem = PROBLEMS[code]
    g.code = code
    if shows_page():
        response = current_app.make_response(
            render_template("error.html", problem=problem, code=code, detail=detail, advice=advice)
        )
    else:
        body: dict[str, Any] = {
            "type": f"/docs#{code}",
            "title": problem.title,
            "status": problem.status,
            "detail": detail,
            "code": code,
            "request_id": g.request_id,
        }
        if request.path.startswith("/v2"):  # where clients of that protocol look for it
            body["error"] = detail
        if reason is not None:
            body["reason"] = reason
        response = jsonify(body)
        response.mimetype = "application/problem+json"
    response.status_code = problem.status
    response.vary.add("Accept")
    if problem.status in (429, 503):
        response.headers["Retry-After"] = str(RETRY_AFTER_SECONDS)
    for name, value in (headers or {}).items():
        response.headers[name] = value
    return response


def _domain_error(error: CxrError) -> Response:
    if error.code not in PROBLEMS or error.code == "internal_error":
        return _unexpected(error)
    if isinstance(error, RadiographError):  # its sentence already says what to do
        return problem_response(error.code, error.detail, advice=False, reason=error.reason)
    headers = error.headers if isinstance(error, RequestError) else None
    return problem_response(error.code, error.detail, headers=headers)


def _http_error(error: HTTPException) -> Any:
    status = error.code or 500
    if status < 400:  # a redirect is an exception too
        return error
    if isinstance(error, RequestEntityTooLarge):
        limit = current.settings().max_upload_bytes
        detail = f"The request is larger than this service accepts ({limit / 2**20:.0f} MiB)."
        return problem_response("too_large", detail)
    if isinstance(error, SecurityError):
        return problem_response(
            "invalid_parameter",
            "This service does not answer for that host. Its administrator says in "
            "XRAY_TRUSTED_HOSTS for which it does.",
        )
    if status >= 500 and status != 503:
        return _unexpected(error)
    code = _CODE_BY_STATUS.get(status, "invalid_parameter")
    details = {
        "not_found": "Nothing is served at this address.",
        "method_not_allowed": f"{request.method} is not answered at this address.",
        "unsatisfiable_range": "The range begins behind the end of the file.",
    }
    detail = details.get(code, f"The request was refused: {HTTPStatus(status).phrase}.")
    headers = {k: v for k, v in error.get_headers() if k in ("Allow", "Content-Range")}
    return problem_response(code, detail, headers=headers)


def _unexpected(error: Exception) -> Response:
    # Of an exception the log keeps types and places only (app/logs.py).
    log.error("unexpected error", exc_info=error)
    return problem_response(
        "internal_error", "The service failed to answer this request. It has been logged."
    )


def init_app(app: Flask) -> None:
    """Register the translation for every kind of error."""
    app.register_error_handler(CxrError, _domain_error)
    app.register_error_handler(HTTPException, _http_error)
    app.register_error_handler(Exception, _unexpected)
