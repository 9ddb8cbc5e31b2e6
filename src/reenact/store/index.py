"""Which pack holds an object: a derived, deletable cache over the indexes of all packs.

The cache only names packs; whether and where an object is in one is then read from the pack's own index, which is checked
when it is loaded. So a cache that is stale, damaged or forged can hide an object, never invent one; and who misses an
object looks again in all the indexes (:meth:`ObjectIndex.look_again`) before calling it lost. Objects in files of their own
are not in here: the file system answers for them as fast.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Final

from reenact.errors import IntegrityError, KeyAbsent
from reenact.store.cachefile import CacheFile
from reenact.store.interface import Backend
from reenact.store.packs import FOLDER, PackIndex, Record, index_key, pack_key, pack_names

if TYPE_CHECKING:
    import sqlite3

__all__ = ["ObjectIndex"]

_VERSION: Final = 1
_TABLES: Final = (
    "CREATE TABLE packs (id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL UNIQUE)",
    "CREATE TABLE objects (digest BLOB NOT NULL, pack INTEGER NOT NULL, PRIMARY KEY (digest, pack)) WITHOUT ROWID",
)
_MOST_KNOWN: Final = 500_000
"""Digests of packs met in this process that are kept at hand, at some 120 bytes each."""

_FIND: Final = "SELECT name FROM objects JOIN packs ON packs.id = objects.pack WHERE digest = ? ORDER BY packs.id"


class ObjectIndex:
    """Finds objects in packs. Safe for threads, for other processes, and across forks."""

    def __init__(self, backend: Backend, path: str | None) -> None:
        """Open lazily.

        Args:
            backend: Where the packs are.
            path: Of the cache file; None to keep it in memory.
        """
        self._backend = backend
        self._file = CacheFile(path, version=_VERSION, tables=_TABLES, fill=self._fill)
        self._packs: dict[str, PackIndex | None] = {}
        self._whole: dict[str, bool] = {}
        self._empty: bool | None = None
        self._known: set[bytes] = set()
        self.damaged: dict[str, str] = {}
        """Packs met in this process whose index cannot be used, by name, and why."""

    def holds(self, digest: bytes, but_not: frozenset[str] = frozenset()) -> bool:
        """Tell whether a pack that is there and of its full length has an object. No scan.

        Args:
            digest: Raw.
            but_not: Keys of packs, or of their indexes, that do not count.
        """
        if self._empty is None:
            self._empty = not self._file.read(
                lambda db: db.execute("SELECT EXISTS (SELECT 1 FROM packs)").fetchone()[0]
            )
        if self._empty:
            return False
        if digest in self._known and not but_not:
            return True
        return any(
            self._whole[index.name] and but_not.isdisjoint((pack_key(index.name), index_key(index.name)))
            for index, _ in self.places(digest)
        )

    def places(self, digest: bytes) -> Iterator[tuple[PackIndex, Record]]:
        """Give where an object is, by raw digest: packs that exist, perhaps cut short, and what their indexes say."""
        for (name,) in self._file.read(lambda db: db.execute(_FIND, (digest,)).fetchall()):
            index = self._pack(name)
            record = index.find(digest) if index is not None else None
            if index is not None and record is not None:
                yield index, record

    def add_pack(self, name: str, objects: list[bytes]) -> None:
        """Note a pack that was published, with the sorted raw digests of its objects."""
        self._packs.pop(name, None)
        self.damaged.pop(name, None)
        if self._file.write(lambda db: _insert(db, name, objects)):
            self._empty = None

    def forget_packs(self) -> None:
        """Let go of what this process knows of packs, so that each is looked at again: one may have been deleted."""
        self._packs.clear()
        self._whole.clear()
        self._known.clear()

    def look_again(self, missed: Iterable[bytes]) -> bool:
        """Search for objects, by raw digest, that were found nowhere; tell whether asking again is worth it.

        Lists the packs' names, and, when there is no new one, reads the indexes of all that were not met yet.
        """
        if self.refresh():
            return True
        indexes = [index for name in self._names() if (index := self._pack(name)) is not None]
        if any(index.find(digest) is not None for digest in missed for index in indexes):
            self._file.renew()
            self._empty = None
            return True
        return False

    def refresh(self) -> bool:
        """Note packs that appeared and forget those that went; tell whether anything changed."""
        current = self._names()
        known = set(self._file.read(lambda db: [name for (name,) in db.execute("SELECT name FROM packs")]))
        new = [(name, list(index.digests())) for name in current if name not in known and (index := self._load(name))]
        gone = known.difference(current)
        if gone:
            self.forget_packs()
        for name in [name for name, index in self._packs.items() if index is None]:
            # Its index was damaged, or not there, when it was met.
            del self._packs[name]
            self.damaged.pop(name, None)

        def change(db: sqlite3.Connection) -> None:
            for name, objects in new:
                _insert(db, name, objects)
            for name in gone:
                db.execute("DELETE FROM objects WHERE pack IN (SELECT id FROM packs WHERE name = ?)", (name,))
                db.execute("DELETE FROM packs WHERE name = ?", (name,))

        if new or gone:
            if not self._file.write(change):
                self._file.forsake()
            self._empty = None
        return bool(new or gone)

    def close(self) -> None:
        """Close the cache file; the next question opens it again."""
        self._file.close()

    def _fill(self, db: sqlite3.Connection) -> None:
        for name in self._names():
            index = self._load(name)
            if index is not None:
                _insert(db, name, index.digests())

    def _names(self) -> list[str]:
        return pack_names(self._backend.names(FOLDER))

    def _pack(self, name: str) -> PackIndex | None:
        if name not in self._packs:
            index = self._packs[name] = self._load(name)
            if index is not None and self._whole[name] and len(self._known) + index.count <= _MOST_KNOWN:
                # A run's objects tend to lie together: the first one found answers for the others of its pack.
                self._known.update(index.digests())
        return self._packs[name]

    def _load(self, name: str) -> PackIndex | None:
        """Read a pack's index, and look (once per process, see `_pack`) whether the pack is there and of its length."""
        try:
            index = PackIndex(name, self._backend.get(index_key(name)))
            self._whole[name] = self._backend.size(pack_key(name)) == index.pack_bytes
        except KeyAbsent:
            return None
        except IntegrityError as error:
            self.damaged[name] = str(error)
            return None
        return index


def _insert(db: sqlite3.Connection, name: str, objects: Iterable[bytes]) -> None:
    db.execute("INSERT OR IGNORE INTO packs (name) VALUES (?)", (name,))
    pack = db.execute("SELECT id FROM packs WHERE name = ?", (name,)).fetchone()[0]
    db.executemany("INSERT OR IGNORE INTO objects VALUES (?, ?)", ((digest, pack) for digest in objects))
