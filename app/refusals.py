"""Answers that are given before Flask sees a request; ``app/worker.py`` sends them.

They look like those of ``app/errors.py``, which is not imported here: gunicorn's master imports
its worker, and need not hold Flask and the decoders.
"""

from __future__ import annotations

import json
import uuid
from dataclasses import dataclass

#: As in app/errors.py; a test compares.
RETRY_AFTER_SECONDS = 2


@dataclass(frozen=True)
class Refusal:
    """An answer that needs no Flask; the same members as ``app/errors.py`` gives."""

    status: str
    code: str
    title: str
    detail: str
    headers: str = ""

    def encode(self, *, close: bool = True) -> bytes:
        request_id = uuid.uuid4().hex
        body = json.dumps(
            {
                "type": f"/docs#{self.code}",
                "title": self.title,
                "status": int(self.status[:3]),
                "detail": self.detail,
                "code": self.code,
                "request_id": request_id,
            }
        )
        return (
            f"HTTP/1.1 {self.status}\r\nContent-Type: application/problem+json\r\n{self.headers}"
            f"X-Request-ID: {request_id}\r\nX-Content-Type-Options: nosniff\r\n"
            f"Cache-Control: no-store\r\nContent-Length: {len(body)}\r\n"
            f"Connection: {'close' if close else 'keep-alive'}\r\n\r\n{body}"
        ).encode()


TOO_SLOW = Refusal(
    "408 Request Timeout",
    "request_timeout",
    "The request came too slowly",
    "The request did not arrive whole in time. Send it again over a faster connection.",
)
TOO_LONG = Refusal(
    "400 Bad Request",
    "invalid_parameter",
    "The request cannot be understood",
    "The headers of the request do not end.",
)
TOO_MANY = Refusal(
    "503 Service Unavailable",
    "overloaded",
    "Too busy",
    "More radiographs are waiting than can be read soon. This one was not read: send it again "
    "in a moment.",
    f"Retry-After: {RETRY_AFTER_SECONDS}\r\n",
)
