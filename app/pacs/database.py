"""The file that the queue is kept in: SQLite, with a connection for each thread.

In write-ahead mode a committed line survives a crash of the process, and what somebody was told
of is flushed to the disk, to survive one of the machine. The node, the commands and the page use
it at the same time.
"""

from __future__ import annotations

import errno
import os
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_SCHEMA = """
CREATE TABLE IF NOT EXISTS work (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    key TEXT NOT NULL UNIQUE,
    state TEXT NOT NULL CHECK (state IN ('queued', 'delivering', 'done', 'failed')),
    bundle TEXT,
    attempts INTEGER NOT NULL DEFAULT 0,
    due REAL NOT NULL,
    received REAL NOT NULL,
    finished REAL,
    urgent INTEGER NOT NULL DEFAULT 0,
    decision TEXT,
    probability REAL,
    model TEXT,
    code TEXT
);
CREATE INDEX IF NOT EXISTS work_by_state ON work (state, due);
CREATE TABLE IF NOT EXISTS delivery (
    work INTEGER NOT NULL REFERENCES work (id) ON DELETE CASCADE,
    destination TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('waiting', 'delivered', 'dead')),
    urgent INTEGER NOT NULL DEFAULT 0,
    attempts INTEGER NOT NULL DEFAULT 0,
    due REAL NOT NULL,
    reason TEXT,
    PRIMARY KEY (work, destination)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS delivery_by_state ON delivery (destination, state, due);
CREATE TABLE IF NOT EXISTS dropped (
    reason TEXT PRIMARY KEY,
    films INTEGER NOT NULL,
    last REAL NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS health (
    destination TEXT PRIMARY KEY,
    reason TEXT,
    since REAL NOT NULL,
    checked REAL NOT NULL
) WITHOUT ROWID;
"""


def trouble(error: Exception) -> str:
    """What an error says without its words, which may quote a file; a full disk by name."""
    full = (
        error.errno in (errno.ENOSPC, errno.EDQUOT)
        if isinstance(error, OSError)
        else getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_FULL
    )
    return "disk full" if full else type(error).__name__


class Database:
    """The tables in a file; created when it is missing, readable by its owner only."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._local = threading.local()
        self._turn = threading.Lock()
        # SQLite gives its -wal and -shm files the rights of the database itself.
        os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
        self.reading().executescript(_SCHEMA)

    def reading(self) -> sqlite3.Connection:
        """This thread's connection, for questions."""
        connection: sqlite3.Connection | None = getattr(self._local, "connection", None)
        if connection is None:
            connection = sqlite3.connect(self._path, timeout=60, isolation_level=None)
            connection.row_factory = sqlite3.Row
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA foreign_keys = ON")
            self._local.connection = connection
        return connection

    def close(self) -> None:
        """Close this thread's connection."""
        connection: sqlite3.Connection | None = getattr(self._local, "connection", None)
        if connection is not None:
            connection.close()
            del self._local.connection

    @contextmanager
    def writing(self, *, durable: bool = True) -> Iterator[sqlite3.Connection]:
        """A transaction that no other process or thread writes beside.

        Args:
            durable: flushed to the disk at the end. Without it a crash of the process loses
                nothing either, but one of the machine may, with what was written since the
                last durable one: for what may be done again.
        """
        connection = self.reading()
        # Threads of this process take turns at once; SQLite lets them wait in growing naps.
        with self._turn:
            connection.execute(f"PRAGMA synchronous = {'FULL' if durable else 'NORMAL'}")
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
                connection.execute("COMMIT")
            except BaseException:
                if connection.in_transaction:  # SQLite itself ends one for which the disk is full
                    connection.execute("ROLLBACK")
                raise
