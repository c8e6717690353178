"""Answers that are given before Flask sees a request; ``app/worker.py`` sends them.

They look like those of ``app/errors.py``, which is not imported here: gunicorn's master imports
its worker, and need not hold Flask and the decoders.
"""

from __future__ import annotations

import json
import uuid
from dataclasses import dataclass

from gunicorn.http import errors

RETRY_AFTER_SECONDS = 2


@dataclass(frozen=True)
class Refusal:
    """An answer that needs no Flask; the members that ``app/errors.py`` gives a V2 client."""

    status: str
    code: str
    title: str
    detail: str
    headers: str = ""

    def encode(self, *, close: bool = True) -> bytes:
        """The whole answer, with an id of its own."""
        request_id = uuid.uuid4().hex
        body = json.dumps(
            {
                "type": f"/docs#{self.code}",
                "title": self.title,
                "status": int(self.status[:3]),
                "detail": self.detail,
                "code": self.code,
                "request_id": request_id,
                "error": self.detail,  # for V2 clients; no address is known here yet
            }
        )
        return (
            f"HTTP/1.1 {self.status}\r\nContent-Type: application/problem+json\r\n{self.headers}"
            f"X-Request-ID: {request_id}\r\nX-Content-Type-Options: nosniff\r\n"
            f"Cache-Control: no-store\r\nContent-Length: {len(body)}\r\n"
            f"Connection: {'close' if close else 'keep-alive'}\r\n\r\n{body}"
        ).encode()


def _not_understood(status: str, detail: str) -> Refusal:
    return Refusal(status, "invalid_parameter", "The request cannot be understood", detail)


TOO_SLOW = Refusal(
    "408 Request Timeout",
    "request_timeout",
    "The request came too slowly",
    "The request did not arrive whole in time. Send it again over a faster connection.",
)
TOO_MANY = Refusal(
    "503 Service Unavailable",
    "overloaded",
    "Too busy",
    "More radiographs are waiting than can be read soon. This one was not read: send it again "
    "in a moment.",
    f"Retry-After: {RETRY_AFTER_SECONDS}\r\n",
)
TOO_LONG = _not_understood("400 Bad Request", "The headers of the request do not end.")
BAD_CHUNKS = _not_understood(
    "400 Bad Request",
    "The body is said to come in chunks (RFC 9112, section 7.1), and does not.",
)
UNKNOWN_CODING = _not_understood(
    "501 Not Implemented", "The body has a transfer coding other than chunked."
)
FAILED = Refusal(
    "500 Internal Server Error",
    "internal_error",
    "Something went wrong here",
    "The service failed to answer this request. It has been logged.",
)

_NOT_HTTP = _not_understood(
    "400 Bad Request", "The first line or the headers are not those of HTTP/1.1 (RFC 9112)."
)
#: What gunicorn's parser makes of requests that are none, each before what it is derived from.
_BY_ERROR = {
    errors.InvalidResponseHeader: FAILED,
    errors.InvalidResponseHeaderName: FAILED,
    errors.LimitRequestLine: _not_understood(
        "414 URI Too Long", "The address is too long. A film goes into the body."
    ),
    errors.LimitRequestHeaders: _not_understood(
        "431 Request Header Fields Too Large", "There are too many headers, or too long ones."
    ),
    errors.ExpectationFailed: _not_understood(
        "417 Expectation Failed", "Nothing but 100-continue can be expected."
    ),
    errors.UnsupportedTransferCoding: UNKNOWN_CODING,
    errors.ConfigurationProblem: FAILED,
    errors.ParseException: _NOT_HTTP,
}
#: What a request to any route may get before Flask sees it, for the description of the API.
BEFORE_FLASK = (TOO_SLOW, TOO_MANY, UNKNOWN_CODING, *_BY_ERROR.values())


def refusal_of(error: Exception) -> Refusal:
    """What to answer where a request could not be handed to Flask, or Flask's answer not sent."""
    kinds = (kind for kind in _BY_ERROR if isinstance(error, kind))
    return _BY_ERROR.get(next(kinds, Exception), FAILED)
