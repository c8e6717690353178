"""What gunicorn sends and logs for each answer, without what this service does not want of it."""

from __future__ import annotations

import socket
from typing import Any

from gunicorn.config import Config
from gunicorn.glogging import Logger
from gunicorn.http.message import Request
from gunicorn.http.wsgi import Response

from app.leaving import Outbox

#: Linux: wait for what follows and send both in one packet. Elsewhere they go one by one.
_MORE_FOLLOWS = getattr(socket, "MSG_MORE", 0)


class PlainResponse(Response):  # type: ignore[misc]
    """An answer that need not say which server gave it, and wakes its client once, not twice.

    It is written to ``req.outbox``, so that no thread waits for the client to take it.
    """

    headers_sent: bool

    def __init__(self, req: Request, sock: socket.socket, cfg: Config) -> None:
        outbox: Outbox = req.outbox  # of app/worker.py
        super().__init__(req, outbox, cfg)

    def can_sendfile(self) -> bool:
        """No: the system's call would wait for the client."""
        return False

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
        flags = _MORE_FOLLOWS if body_follows else 0
        self.sock.sendall(("".join(lines) + "\r\n").encode("latin-1"), flags)
        self.headers_sent = True


class QuietLogger(Logger):  # type: ignore[misc]
    """Writes no line for an answer: the application does, without query, address or file name.

    Of each line of the server's own it knows which of gunicorn's modules wrote it
    (``app/logs.py``).
    """

    def critical(self, msg: str, *args: Any, **more: Any) -> None:
        """The stock class names itself as the place that wrote the line."""
        self.error_log.critical(msg, *args, stacklevel=2, **more)

    def error(self, msg: str, *args: Any, **more: Any) -> None:
        """As ``critical``."""
        self.error_log.error(msg, *args, stacklevel=2, **more)

    def warning(self, msg: str, *args: Any, **more: Any) -> None:
        """As ``critical``."""
        self.error_log.warning(msg, *args, stacklevel=2, **more)

    def access(self, *_: Any) -> None:
        """Nothing, without working out first what it would be."""
