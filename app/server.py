"""What gunicorn sends and logs for each answer, without what this service does not want of it."""

from __future__ import annotations

import socket
from typing import Any

from gunicorn.glogging import Logger
from gunicorn.http.wsgi import Response

#: Linux: wait for what follows and send both in one packet. Elsewhere they go one by one.
_MORE_FOLLOWS = getattr(socket, "MSG_MORE", 0)


class PlainResponse(Response):  # type: ignore[misc]
    """An answer that need not say which server gave it, and wakes its client once, not twice."""

    headers_sent: bool

    def default_headers(self) -> list[str]:
        """The status line and the connection's headers."""
        lines: list[str] = super().default_headers()
        return [line for line in lines if not line.startswith("Server:")]

    def send_headers(self) -> None:
        """Once; with the body if there is one."""
        if self.headers_sent:
            return
        lines = [*self.default_headers(), *(f"{name}: {value}\r\n" for name, value in self.headers)]
        body_follows = bool(self.response_length) and not self._omits_body
        flags = _MORE_FOLLOWS if body_follows and not self.cfg.is_ssl else 0
        self.sock.sendall(("".join(lines) + "\r\n").encode("latin-1"), flags)
        self.headers_sent = True


class QuietLogger(Logger):  # type: ignore[misc]
    """Writes no line for an answer: the application does, without query, address or file name."""

    def access(self, *_: Any) -> None:
        """Nothing, without working out first what it would be."""
