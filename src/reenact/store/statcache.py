"""Remember the digest of files by what their stat says, so that an unchanged file costs a stat.

A cache: deletable, per host, and believed only where the user lets it be (``--rehash`` and audit never ask it). What it
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
_FIND: Final = "SELECT digest FROM files WHERE device = ? AND inode = ? AND size = ? AND mtime_ns = ? AND ctime_ns = ?"
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

    def lookup(self, stat: os.stat_result) -> Digest | None:
        """Give the digest a file with this stat had, when it is known."""
        row = self._file.read(lambda db: db.execute(_FIND, _key(stat)).fetchone())
        # The file may hold anything; what is not a digest is as good as nothing.
        return digests.from_raw(row[0]) if row is not None and isinstance(row[0], bytes) and len(row[0]) == 32 else None  # noqa: PLR2004 - SHA-256

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

    def close(self) -> None:
        """Close the cache file; the next question opens it again."""
        self._file.close()


def _key(stat: os.stat_result) -> tuple[int, int, int, int, int]:
    return (_signed(stat.st_dev), _signed(stat.st_ino), stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns)


def _signed(number: int) -> int:
    """Fold an unsigned 64-bit number into SQLite's signed ones."""
    return number - (1 << 64) if number >= 1 << 63 else number
