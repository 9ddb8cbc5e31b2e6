"""Remember what a job's files held last, so that their next versions can be kept as deltas.

A cache: deletable, per host. A false answer costs a look at an object that does not help, and never correctness.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

from reenact import digests
from reenact.digests import Digest
from reenact.store.cachefile import CacheFile

if TYPE_CHECKING:
    import sqlite3

__all__ = ["Versions"]

_VERSION: Final = 1
_TABLES: Final = (
    """CREATE TABLE versions (id INTEGER PRIMARY KEY AUTOINCREMENT, job BLOB NOT NULL, path BLOB NOT NULL,
       path_shape BLOB NOT NULL, name_shape BLOB NOT NULL, digest BLOB NOT NULL, UNIQUE (job, path))""",
    "CREATE INDEX by_path_shape ON versions (job, path_shape, id)",
    "CREATE INDEX by_name_shape ON versions (job, name_shape, id)",
)
_LOOKS: Final = (
    "SELECT digest FROM versions WHERE job = ? AND path = ?",
    "SELECT digest FROM versions WHERE job = ? AND path_shape = ? ORDER BY id DESC LIMIT 1",
    "SELECT digest FROM versions WHERE job = ? AND name_shape = ? ORDER BY id DESC LIMIT 1",
)
_PUT: Final = "INSERT OR REPLACE INTO versions (job, path, path_shape, name_shape, digest) VALUES (?, ?, ?, ?, ?)"
_MOST_ROWS: Final = 500_000
_NUMBERS: Final = re.compile(rb"[0-9]+")


class Versions:
    """Digests of large files by job and path. Safe for threads, other processes, and across forks."""

    def __init__(self, path: str | None) -> None:
        """Open lazily; None for a cache that lives as long as the process."""
        self._file = CacheFile(path, version=_VERSION, tables=_TABLES, fill=lambda _: None)

    def previous(self, job: str, path: str) -> Digest | None:
        """Give what a path held in the job's last run that had it.

        Else what the newest path held that differs from it in numbers only, as names with dates do; else the newest file whose
        own name does, in whatever folder.
        """
        key = _text(job)
        _, *keys = _row(job, path)

        def find(database: sqlite3.Connection) -> tuple[object] | None:
            for look, value in zip(_LOOKS, keys, strict=True):
                found: tuple[object] | None = database.execute(look, (key, value)).fetchone()
                if found is not None:
                    return found
            return None

        row = self._file.read(find)
        # The file may hold anything; what is not a digest is as good as nothing.
        return digests.from_raw(row[0]) if row is not None and isinstance(row[0], bytes) and len(row[0]) == 32 else None  # noqa: PLR2004 - SHA-256

    def knows(self, job: str) -> bool:
        """Tell whether anything is known of a job."""
        query = "SELECT EXISTS (SELECT 1 FROM versions WHERE job = ?)"
        return bool(self._file.read(lambda database: database.execute(query, (_text(job),)).fetchone()[0]))

    def remember(self, job: str, found: Iterable[tuple[str, Digest]]) -> None:
        """Remember what paths hold now, all in one transaction; of a path given twice the last counts."""
        rows = [(*_row(job, path), digests.to_raw(digest)) for path, digest in found]

        def put(database: sqlite3.Connection) -> None:
            database.executemany(_PUT, rows)
            database.execute("DELETE FROM versions WHERE id <= (SELECT max(id) FROM versions) - ?", (_MOST_ROWS,))

        if rows:
            self._file.write(put)

    def close(self) -> None:
        """Close the cache file; the next question opens it again."""
        self._file.close()


def _row(job: str, path: str) -> tuple[bytes, bytes, bytes, bytes]:
    """Give the keys of a path: job, path, and what path and name have in common with those that differ in numbers."""
    name = os.fsencode(path)
    return _text(job), name, _NUMBERS.sub(b"#", name), _NUMBERS.sub(b"#", os.path.basename(name))


def _text(job: str) -> bytes:
    return job.encode("utf-8", "surrogatepass")
