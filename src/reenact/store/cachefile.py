"""SQLite files that hold nothing but what can be found again: kept fast, never trusted, deleted when damaged.

Several processes may use one. Where the file cannot be used (read-only, locked for long, full disk) a process does with a
database of its own in memory, silently.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, TypeVar

if TYPE_CHECKING:
    import sqlite3

__all__ = ["CacheFile"]

_T = TypeVar("_T")

_BUSY_SECONDS: Final = 2.0
_MEMORY: Final = ":memory:"

_inherited: list[object] = []
"""Connections opened before a fork. SQLite forbids using or closing them in the child, so they are only kept from the
garbage collector."""


class CacheFile:
    """One file, opened when first used; again after a fork. Threads take turns."""

    def __init__(
        self, path: str | None, *, version: int, tables: tuple[str, ...], fill: Callable[[sqlite3.Connection], None]
    ) -> None:
        """Describe the file.

        Args:
            path: Where it is; its folder is made. None for memory only.
            version: Of the tables; a file of another version is made anew.
            tables: Statements that create them.
            fill: Called within a transaction on new tables.
        """
        self._path = path or _MEMORY
        self._version = version
        self._tables = tables
        self._fill = fill
        self._connection: sqlite3.Connection | None = None
        self._process = os.getpid()
        self._lock = threading.RLock()

    def read(self, work: Callable[[sqlite3.Connection], _T]) -> _T:
        """Do something with the tables; on a damaged file with new ones, on an unusable file with some in memory."""
        import sqlite3  # noqa: PLC0415 - 4 ms that a process without objects does not spend

        self._notice_fork()
        with self._lock:
            for _ in range(2):
                try:
                    return work(self._connection or self._open())
                except sqlite3.OperationalError as error:
                    if error.sqlite_errorcode == sqlite3.SQLITE_ERROR:
                        self._delete()  # no refusal: the tables are not what the file's version says
                        continue
                    self._close()
                    self._path = _MEMORY
                except sqlite3.DatabaseError:
                    self._delete()
            self._close()
            self._path = _MEMORY
            return work(self._open())

    def write(self, work: Callable[[sqlite3.Connection], None]) -> bool:
        """Change the tables in one transaction; tell whether that was possible."""
        import sqlite3  # noqa: PLC0415 - see `read`

        def transact(connection: sqlite3.Connection) -> None:
            connection.execute("BEGIN IMMEDIATE")
            try:
                work(connection)
                connection.execute("COMMIT")
            except BaseException:
                with contextlib.suppress(sqlite3.Error):
                    connection.execute("ROLLBACK")
                raise

        self._notice_fork()
        with self._lock:
            try:
                transact(self._connection or self._open())
            except sqlite3.OperationalError:
                return False
            except sqlite3.DatabaseError:
                self._delete()
                return False
            return True

    def renew(self) -> None:
        """Delete the file, which was found to say something false; the next use makes and fills it anew."""
        self._notice_fork()
        with self._lock:
            self._delete()

    def forsake(self) -> None:
        """Do without the file from now on: with tables in memory, filled anew."""
        self._notice_fork()
        with self._lock:
            self._close()
            self._path = _MEMORY

    def close(self) -> None:
        """Close the file; the next use opens it again."""
        self._notice_fork()
        with self._lock:
            self._close()

    def _notice_fork(self) -> None:
        process = os.getpid()
        if process != self._process:
            if self._connection is not None:
                _inherited.append(self._connection)
                self._connection = None
            # Another thread may have held the old one when the fork happened.
            self._lock = threading.RLock()
            self._process = process

    def _open(self) -> sqlite3.Connection:
        """Open the file, or a database in memory. Raises sqlite3.DatabaseError for a damaged file."""
        import sqlite3  # noqa: PLC0415 - see `read`

        try:
            self._connection = self._prepare(self._path)
        except (sqlite3.OperationalError, OSError):
            self._path = _MEMORY
            self._connection = self._prepare(_MEMORY)
        return self._connection

    def _prepare(self, path: str) -> sqlite3.Connection:
        import sqlite3  # noqa: PLC0415 - see `read`

        if path != _MEMORY:
            os.makedirs(os.path.dirname(path), exist_ok=True)
        connection = sqlite3.connect(path, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False)
        try:
            # A commit in this mode survives kill -9 without waiting for the disk, and a power cut loses it whole.
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = NORMAL")
            if self._version_of(connection) != self._version:
                self._create(connection)
        except BaseException:
            connection.close()
            raise
        return connection

    def _create(self, connection: sqlite3.Connection) -> None:
        connection.execute("BEGIN IMMEDIATE")
        # Another process may have done it while this one waited for its turn.
        if self._version_of(connection) != self._version:
            names = connection.execute(
                "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"
            ).fetchall()
            for (name,) in names:
                connection.execute(f'DROP TABLE "{name}"')
            for statement in self._tables:
                connection.execute(statement)
            self._fill(connection)
            connection.execute(f"PRAGMA user_version = {self._version}")
        connection.execute("COMMIT")

    @staticmethod
    def _version_of(connection: sqlite3.Connection) -> int:
        return int(connection.execute("PRAGMA user_version").fetchone()[0])

    def _close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _delete(self) -> None:
        self._close()
        if self._path != _MEMORY:
            for suffix in ("", "-wal", "-shm"):
                with contextlib.suppress(OSError):
                    os.unlink(self._path + suffix)
