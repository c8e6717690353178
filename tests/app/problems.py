"""The one assertion about the shape of an error."""

from __future__ import annotations

from typing import Any

from werkzeug.test import TestResponse

from app.errors import PROBLEMS

MEMBERS = {"type", "title", "status", "detail", "code", "request_id"}


def assert_problem(
    response: TestResponse, code: str, *, reason: str | None = None
) -> dict[str, Any]:
    """``response`` is the contract's problem+json for ``code`` and ``reason``; returns its body."""
    assert response.status_code == PROBLEMS[code].status, response.get_data(as_text=True)[:300]
    assert response.mimetype == "application/problem+json"
    body = response.get_json()
    # The clients of the Open Inference Protocol read one member more.
    of_v2 = {"error"} if response.request.path.startswith("/v2") else set()
    assert set(body) == MEMBERS | of_v2 | ({"reason"} if reason else set())
    assert body.get("reason") == reason
    assert body["code"] == code
    assert body["status"] == response.status_code
    assert body["title"] == PROBLEMS[code].title
    assert body["detail"].endswith(".")
    assert body["type"] == f"/docs#{code}"
    assert body["request_id"] == response.headers["X-Request-ID"]
    assert ("Retry-After" in response.headers) == (response.status_code in (429, 503))
    return body
