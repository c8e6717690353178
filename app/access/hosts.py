"""Under which names the service answers: RFC 9110 §4.2.3 and §7.2, RFC 9112 §3.2.

Werkzeug compares names letter by letter and does not know an IPv6 address in a list, so the check
is made here; what follows for a refused one is Flask's.
"""

from __future__ import annotations

import re
from collections.abc import Collection

from flask import Flask, request
from werkzeug.exceptions import SecurityError

from app.addresses import is_loopback
from app.settings import SettingsError

# uri-host [":" port] (RFC 3986 §3.2.2), of names that a DNS or a container network gives.
_HOST = re.compile(r"([a-z0-9._-]+|\[[0-9a-f:.]+\])(?::\d{0,5})?")


def is_served(host: str, names: Collection[str]) -> bool:
    """Whether requests to ``host`` are answered.

    Args:
        host: as the header says, with or without a port.
        names: that are; one that begins with a dot stands for all below it too. Those of the
            loopback always are: they cannot be another site's, and health checks use them.
            None at all: any.
    """
    match = _HOST.fullmatch(host.lower())
    if match is None:
        return False
    name = match[1]
    if not names or is_loopback(name.strip("[]")):
        return True
    return any(
        name == served.lstrip(".") or (served.startswith(".") and name.endswith(served))
        for served in names
    )


def _name(setting: str) -> str:
    """A name as it is sent: in lower case, without its port, in the letters of the DNS."""
    dot, host = ("." if setting.startswith(".") else ""), setting.lstrip(".").lower()
    try:
        match = _HOST.fullmatch(host) or _HOST.fullmatch(host.encode("idna").decode())
    except UnicodeError:
        match = None
    if match is None:
        raise SettingsError(
            f"XRAY_TRUSTED_HOSTS holds {setting!r}, which is no host name. All below a name is "
            "written with a dot before it: .example.org."
        )
    return dot + match[1]


def init_app(app: Flask, trusted: Collection[str], *, only_this_machine: bool) -> None:
    """Refuse requests to other hosts than ``trusted``, and to what is no host.

    Register it before whatever asks who is asking.

    Args:
        only_this_machine: whether the service is open because nobody else can ask. Then it answers
            under the loopback's names alone where none is trusted: any website may have its own
            name lead here, and so have a browser on this machine ask (DNS rebinding).

    Raises:
        SettingsError: one of ``trusted`` is no host name.
    """
    names = [_name(setting) for setting in trusted] or (["localhost"] if only_this_machine else [])

    def refuse_others() -> None:
        host = request.environ.get("HTTP_HOST")
        if host is None and request.environ.get("SERVER_PROTOCOL") != "HTTP/1.1":
            host = request.environ["SERVER_NAME"]  # before HTTP/1.1 nobody had to name one
        if not is_served(host or "", names):
            request.routing_exception = SecurityError()

    app.before_request(refuse_others)
