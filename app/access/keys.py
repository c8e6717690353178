"""API keys in a file: a name and a hash a line, read again whenever the file changes.

A key is 256 random bits, so a plain SHA-256 is enough: there is nothing to guess, and a slow
hash would only slow every request down. The file holds no key, and whoever reads it cannot
make one from it.
"""

from __future__ import annotations

import fcntl
import hashlib
import hmac
import os
import re
import secrets
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import structlog
from structlog.stdlib import BoundLogger

log: BoundLogger = structlog.get_logger("app.keys")

#: Recognisable, so that scanners for leaked secrets can find a key in a repository.
PREFIX = "xray_"

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_LINE = re.compile(r"(?P<name>\S+) sha256:(?P<digest>[0-9a-f]{64}) (?P<created>\d{4}-\d\d-\d\d)")
_HEADER = "# API keys of the X-Ray Result Interpreter: name, hash, day of creation."


class KeyFileError(ValueError):
    """The key file cannot be read, or cannot be changed as asked; the message says why."""


@dataclass(frozen=True)
class ApiKey:
    """One key, without the key itself.

    Attributes:
        name: whom it was given to.
        digest: SHA-256 of the key, 64 hexadecimal digits.
        created: ``YYYY-MM-DD``, UTC.
    """

    name: str
    digest: str
    created: str


def digest_of(key: str) -> str:
    """SHA-256 of a key, as the file holds it."""
    return hashlib.sha256(key.encode()).hexdigest()


def _name_on(line: str) -> str:
    """The first word of a line that is to hold a key; nothing of a comment or an empty line."""
    return "" if line.startswith("#") else line.strip().partition(" ")[0]


class KeyFile:
    """The keys of one file. Thread-safe; several processes may read and change the file."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._seen: tuple[tuple[int, ...] | None, dict[str, ApiKey]] = (None, {})

    def _text(self) -> str:
        try:
            return self.path.read_text("utf-8-sig")  # some editors put a mark before the first line
        except PermissionError as error:
            user = os.geteuid()
            raise KeyFileError(
                f"The key file {self.path} cannot be read by user {user}, as whom this runs. Where "
                f"the service does, give it the folder and the file: chown -R {user} FOLDER."
            ) from error
        except (OSError, UnicodeDecodeError) as error:
            raise KeyFileError(f"The key file {self.path} cannot be read: {error}.") from error

    def read(self) -> dict[str, ApiKey]:
        """Name → key, as the file says now.

        Of a name that stands on two lines neither key is taken, and the log says so: one of them
        may be the one that was to end. ``revoke`` removes both.

        Raises:
            KeyFileError: the file is missing, unreadable, or has a line that is no key.
        """
        keys: dict[str, ApiKey] = {}
        twice = set()
        for number, line in enumerate(self._text().splitlines(), 1):
            if not _name_on(line):
                continue
            match = _LINE.fullmatch(line.strip())
            if match is None:
                raise KeyFileError(
                    f"The key file {self.path} has no valid key on line {number}. Expected is "
                    "'NAME sha256:HASH YYYY-MM-DD', as 'flask api-key create' writes it."
                )
            key = ApiKey(**match.groupdict())
            if key.name in keys:
                twice.add(key.name)
            keys[key.name] = key
        for name in twice:
            del keys[name]
            reason = f"The key file {self.path} has two keys named {name}: neither is taken."
            log.error("API key refused", reason=reason)
        return keys

    def current(self) -> dict[str, ApiKey]:
        """The same, but from memory while the file is unchanged, and never an error.

        A file that is gone or damaged lets nobody in: that is the safe way to be wrong.
        """
        try:
            status = self.path.stat()
            # ctime too: nothing else changes in a file that is given to the right user.
            signature = (status.st_mtime_ns, status.st_ctime_ns, status.st_size, status.st_ino)
        except OSError:
            signature = (0, 0, 0, 0)
        seen, keys = self._seen
        if signature == seen:
            return keys
        try:
            keys = self.read()
            log.info("API keys read", keys=len(keys))
        except KeyFileError as error:
            keys = {}
            log.error("API keys refused", reason=str(error))
        self._seen = (signature, keys)
        return keys

    def identify(self, presented: str) -> ApiKey | None:
        """The key that was presented, or None. Takes as long for a wrong key as for a right one."""
        digest = digest_of(presented)
        found = None
        for key in self.current().values():
            if hmac.compare_digest(key.digest, digest):
                found = key
        return found

    def create(self, name: str) -> str:
        """Add a key and return it: the only time that it can be seen.

        Raises:
            KeyFileError: the name is taken or has other characters than it may.
        """
        if not _NAME.fullmatch(name):
            raise KeyFileError(
                "A name has up to 64 letters, digits, '.', '_' and '-', and begins with a letter "
                "or digit."
            )
        with self._locked():
            lines = self._lines() if self.path.exists() else [_HEADER]
            if name in map(_name_on, lines):
                raise KeyFileError(f"There is a key named {name} already: revoke it first.")
            secret = PREFIX + secrets.token_urlsafe(32)
            today = datetime.now(UTC).date().isoformat()
            self._write([*lines, f"{name} sha256:{digest_of(secret)} {today}"])
        return secret

    def revoke(self, name: str) -> None:
        """Remove a key; servers that run refuse it from their next request on.

        Raises:
            KeyFileError: there is no key of that name.
        """
        with self._locked():
            lines = self._lines()
            kept = [line for line in lines if _name_on(line) != name]
            if kept == lines:
                raise KeyFileError(f"There is no key named {name}.")
            self._write(kept)

    def _lines(self) -> list[str]:
        """The lines of a file that can be read, comments too, for one that is to be changed."""
        self.read()
        return self._text().splitlines()

    @contextmanager
    def _locked(self) -> Iterator[None]:
        # The folder and not the file: the file is replaced under the lock.
        try:
            folder = os.open(self.path.resolve().parent, os.O_RDONLY | os.O_DIRECTORY)
        except OSError as error:
            raise KeyFileError(f"The folder {self.path.parent} cannot be used: {error}.") from error
        try:
            fcntl.flock(folder, fcntl.LOCK_EX)
            yield
        finally:
            os.close(folder)

    def _write(self, lines: list[str]) -> None:
        """Replace the file in one step.

        A new one belongs to whom the folder belongs to, and can be read by nobody else. A link
        stays, and what it leads to is replaced: the service may know that by another name.
        """
        path = self.path.resolve()
        try:
            before = path.stat() if path.exists() else None
            handle, partial = tempfile.mkstemp(dir=path.parent, prefix=".api-keys-")
            try:
                with os.fdopen(handle, "w", encoding="utf-8") as file:
                    file.writelines(f"{line}\n" for line in lines)
                    # The server may run as another user than whoever makes or revokes a key.
                    owner = before or path.parent.stat()
                    with suppress(PermissionError):
                        os.fchown(file.fileno(), owner.st_uid, owner.st_gid)
                    if before:
                        os.fchmod(file.fileno(), before.st_mode & 0o640)
                    # A new name may reach the disk before what it names.
                    file.flush()
                    os.fsync(file.fileno())
                os.replace(partial, path)
            except BaseException:
                os.unlink(partial)
                raise
        except OSError as error:
            raise KeyFileError(f"The key file {self.path} cannot be written: {error}.") from error
