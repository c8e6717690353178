"""How often one client may ask: a count for each key, or for each address without one."""

from __future__ import annotations

import ipaddress
import math
import time

from flask import Flask, Response, g, request
from flask_limiter import Limiter, RateLimitExceeded

from app.access import counting  # noqa: F401  # the limiter finds its storages by their schemes
from app.access.guard import METRICS_ENDPOINT, OPEN_ENDPOINTS
from app.addresses import address_of
from app.errors import problem_response
from app.settings import Settings

# A probe or a scrape that is refused would say that the service is down.
_NOT_COUNTED = (OPEN_ENDPOINTS - {"access.sign_in"}) | {METRICS_ENDPOINT}


def client() -> str:
    """Whom a request is counted for: its key's name, or its address.

    Of an IPv6 address the network counts: whoever has one address there has 2⁶⁴ of them.
    """
    if g.client is not None:
        return f"key:{g.client}"
    address = address_of(request.remote_addr or "")
    if isinstance(address, ipaddress.IPv6Address):
        return f"address:{ipaddress.ip_network((address, 64), strict=False)}"
    return f"address:{address or 'unknown'}"


def _counted_as() -> str:
    """The name of what is asked for; the limiter counts nothing without one, and no "static"."""
    return "unknown" if g.unknown else request.endpoint or "unmatched"


def init_app(app: Flask, settings: Settings) -> None:
    """Count requests, if a limit is set.

    Must come after the guard has looked at the key, and before it refuses those without.
    """
    if not settings.rate_limit:
        return
    limiter = Limiter(
        client,
        application_limits=[settings.rate_limit],
        storage_uri=settings.rate_limit_store,
        strategy="sliding-window-counter",
        key_prefix="xray",
        request_identifier=_counted_as,
    )
    limiter.request_filter(lambda: request.endpoint in _NOT_COUNTED and not g.unknown)
    limiter.init_app(app)

    def too_often(error: RateLimitExceeded) -> Response:
        limit = limiter.current_limit
        seconds = math.ceil(limit.reset_at - time.time()) if limit else 1
        wait = max(1, seconds)
        return problem_response(
            "rate_limited",
            f"At most {error.limit.limit} are answered to one client. Try again in "
            f"{wait} {'second' if wait == 1 else 'seconds'}.",
            headers={"Retry-After": str(wait)},
        )

    app.register_error_handler(RateLimitExceeded, too_often)
