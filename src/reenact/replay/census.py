"""The census of a cached tree: what each path was when it was laid out, so that a changed tree is noticed by stats alone.

A tree is judged by inode, mode, owner, size, modification and change time of every path it was made with. A name added to a
folder shows in the folder's own times. Change times also move when another layer links to or drops a shared file, so a path
that differs in nothing else is looked at (a file read again, a folder listed) instead of refused. Cost: one lstat a path,
some 3 µs.
"""

from __future__ import annotations

import os
import stat
from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Final

import msgspec

from reenact.digests import Digest, of_descriptor
from reenact.model.paths import from_text, to_text

__all__ = ["Census", "Row", "load", "take"]

_FORMAT: Final = "reenact-census/1"


class Row(msgspec.Struct, frozen=True, array_like=True):
    """One path. An array in the file, because there are thousands."""

    path: str
    """Inside the tree, in text form."""
    inode: int
    mode: int
    uid: int
    gid: int
    size_bytes: int
    mtime_ns: int
    ctime_ns: int


class Census(msgspec.Struct, frozen=True):
    """What a tree was."""

    format: str
    rows: list[Row]

    def recount(self, root: str, contents: Mapping[str, Digest], *, rehash: bool = False) -> Census | None:
        """Look at the tree again: the census as it is now, or None when the tree is not what it was.

        Args:
            root: Of the tree.
            contents: Path (in text form) to the digest of its content, where it has one.
            rehash: Look at every path, not only at those whose change time moved.
        """
        rows = []
        suspects = []
        for row in self.rows:
            try:
                present = _row(root, row.path)
            except OSError:
                return None
            if present != row or rehash:
                if msgspec.structs.replace(row, ctime_ns=present.ctime_ns) != present:
                    return None
                suspects.append(present)
            rows.append(present)
        if suspects and not self._all_intact(root, suspects, contents):
            return None
        return Census(_FORMAT, rows)

    def _all_intact(self, root: str, suspects: list[Row], contents: Mapping[str, Digest]) -> bool:
        names: dict[str, set[str]] = defaultdict(set)
        for row in self.rows:
            folder, _, name = row.path.rpartition("/")
            names[folder or "/"].add(name)
        names["/"].discard("")  # the root itself
        for row in suspects:
            here = root + from_text(row.path)
            try:
                if stat.S_ISDIR(row.mode) and {to_text(name) for name in os.listdir(here)} != names[row.path]:
                    return False
                expected = contents.get(row.path)
                if expected is not None and stat.S_ISREG(row.mode) and _digest(here) != expected:
                    return False
            except OSError:
                return False
        return True


def _row(root: str, path: str) -> Row:
    found = os.lstat(root + from_text(path))
    return Row(
        path,
        found.st_ino,
        found.st_mode,
        found.st_uid,
        found.st_gid,
        found.st_size,
        found.st_mtime_ns,
        found.st_ctime_ns,
    )


def _digest(path: str) -> Digest:
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        return of_descriptor(descriptor)
    finally:
        os.close(descriptor)


def take(root: str, paths: Iterable[str]) -> Census:
    """Describe a tree that was just laid out, `paths` (surrogate-escaped) being all that is in it."""
    return Census(_FORMAT, [_row(root, to_text(path)) for path in paths])


def load(data: bytes) -> Census | None:
    """Decode a census; None when it is none, or of a format this program does not know."""
    try:
        census = msgspec.json.decode(data, type=Census)
    except (msgspec.ValidationError, msgspec.DecodeError):
        return None
    return census if census.format == _FORMAT else None
