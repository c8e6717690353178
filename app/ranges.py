"""Parts of a static file: what is no single range of bytes is answered with the whole file."""

from __future__ import annotations

import re

from flask import Flask, request

# RFC 9110 §14.1.2, of one range.
_ONE_RANGE = re.compile(r"bytes=(?:(\d{1,18})-(\d{0,18})|-\d{1,18})")


def _ignore_other_ranges() -> None:
    """Werkzeug answers 416 to every range that it does not serve.

    An unknown unit must be ignored, invalid and several ranges may be (RFC 9110 §14.2).
    """
    asked = request.environ.get("HTTP_RANGE")
    if asked is None:
        return
    match = _ONE_RANGE.fullmatch(asked.strip())
    if match is None or (match[2] and int(match[1]) > int(match[2])):
        del request.environ["HTTP_RANGE"]


def init_app(app: Flask) -> None:
    """Look at the header before a file is sent."""
    app.before_request(_ignore_other_ranges)
