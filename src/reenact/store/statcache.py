"""Remember the digest of files by what their stat says, so that an unchanged file costs a stat.

A cache: deletable, per host, and believed only where the user lets it be (``--rehash`` never asks it). What it
cannot see is a file changed without its times changing: by someone who sets the clock back, or through a shared memory
mapping between two of the kernel's write-backs.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import TYPE_CHECKING, Final, NamedTuple

from reenact import digests
from reenact.digests import Digest
from reenact.store.cachefile import CacheFile

if TYPE_CHECKING:
    import sqlite3

__all__ = ["Remembered", "StatCache"]

_VERSION: Final = 1
_TABLES: Final = (
    """CREATE TABLE files (id INTEGER PRIMARY KEY AUTOINCREMENT, device INTEGER NOT NULL, inode INTEGER NOT NULL,
       size INTEGER NOT NULL, mtime_ns INTEGER NOT NULL, ctime_ns INTEGER NOT NULL, digest BLOB NOT NULL,
       UNIQUE (device, inode))""",
)
_FIND: Final = "SELECT id FROM files WHERE device = ? AND inode = ? AND size = ? AND mtime_ns = ? AND ctime_ns = ?"
_FIND_AHEAD: Final = """SELECT device, inode, size, mtime_ns, ctime_ns, digest FROM files WHERE id >= ? ORDER BY id
                        LIMIT 256"""
_MOST_AHEAD: Final = 1 << 16
"""Rows that were read ahead and are kept, at some 300 bytes each."""
_PUT: Final = """INSERT OR REPLACE INTO files (device, inode, size, mtime_ns, ctime_ns, digest)
                 VALUES (?, ?, ?, ?, ?, ?)"""

_MOST_ROWS: Final = 2_000_000
"""Some 200 MB; beyond it the entries written longest ago go."""

_SETTLED_NS: Final = 2_000_000_000
"""A file touched later than this before it was hashed may be touched again within the same tick of its times' clock, and
look the same (the racy-git problem). The coarsest clock of a file system in use ticks every 2 s (FAT)."""


class Remembered(NamedTuple):
    """One file that was hashed."""

    stat: os.stat_result
    """Taken from the open file before the hashing began, and the same after it ended."""
    digest: Digest
    hashed_ns: int
    """When the hashing began; nanoseconds since the epoch."""


class StatCache:
    """Digests of files by device, inode, size, mtime and ctime. Safe for threads, other processes, and across forks."""

    def __init__(self, path: str | None) -> None:
        """Open lazily; None for a cache that lives as long as the process."""
        self._file = CacheFile(path, version=_VERSION, tables=_TABLES, fill=lambda _: None)
        self._ahead: dict[_Key, object] = {}
        self._empty: bool | None = None

    def lookup(self, stat: os.stat_result) -> Digest | None:
        """Give the digest a file with this stat had, when it is known.

        Files that were remembered together are likely asked for together, so the rows behind a found one are read with it.
        They hold whatever happens meanwhile: a row says what a file with exactly that stat was.
        """
        key = _key(stat)
        found = self._ahead.get(key)
        if found is None:
            found = self._look(key)
        # The file may hold anything; what is not a digest is as good as nothing.
        return digests.from_raw(found) if isinstance(found, bytes) and len(found) == 32 else None  # noqa: PLR2004 - SHA-256

    def _look(self, key: _Key) -> object:
        if self._empty is None:
            self._empty = not self._file.read(
                lambda db: db.execute("SELECT EXISTS (SELECT 1 FROM files)").fetchone()[0]
            )
        if self._empty:
            return None
        row = self._file.read(lambda db: db.execute(_FIND, key).fetchone())
        if row is None:
            return None
        if len(self._ahead) >= _MOST_AHEAD:
            self._ahead.clear()
        for *fields, digest in self._file.read(lambda db: db.execute(_FIND_AHEAD, row).fetchall()):
            self._ahead[tuple(fields)] = digest
        return self._ahead.get(key)

    def remember_many(self, items: Iterable[Remembered]) -> None:
        """Remember files, all in one transaction; those touched just before they were hashed are left out."""
        rows = [
            (*_key(item.stat), digests.to_raw(item.digest))
            for item in items
            if max(item.stat.st_mtime_ns, item.stat.st_ctime_ns) < item.hashed_ns - _SETTLED_NS
        ]

        def put(db: sqlite3.Connection) -> None:
            db.executemany(_PUT, rows)
            db.execute("DELETE FROM files WHERE id <= (SELECT max(id) FROM files) - ?", (_MOST_ROWS,))

        if rows:
            self._file.write(put)
            self._empty = None

    def close(self) -> None:
        """Close the cache file; the next question opens it again."""
        self._file.close()


_Key = tuple[int, ...]
"""Device, inode, size, mtime and ctime in nanoseconds."""


def _key(stat: os.stat_result) -> _Key:
    return (_signed(stat.st_dev), _signed(stat.st_ino), stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns)


def _signed(number: int) -> int:
    """Fold an unsigned 64-bit number into SQLite's signed ones."""
    return number - (1 << 64) if number >= 1 << 63 else number
