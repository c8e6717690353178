"""Where the server listens, and in how many processes it reads."""

from __future__ import annotations

from dataclasses import dataclass

from app.settings import EnvironmentSettings, _port, _positive, _setting


@dataclass(frozen=True)
class ListenSettings(EnvironmentSettings):
    """What ``gunicorn.conf.py`` hands to gunicorn."""

    host: str = _setting("HOST", "127.0.0.1", "Address to listen on.")
    port: int = _setting("PORT", 8000, "Port.", _port)
    workers: int = _setting("WEB_CONCURRENCY", 0, "Worker processes; 0: as usual.", _positive)

    @property
    def address(self) -> str:
        """Host and port as gunicorn's ``bind`` has them; an IPv6 address in brackets."""
        bare = ":" in self.host and not self.host.startswith(("[", "unix:"))
        return f"[{self.host}]:{self.port}" if bare else f"{self.host}:{self.port}"
