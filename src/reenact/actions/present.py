"""The files of this machine as they are now, by digest; hashed once, and through the stat cache where that is wanted."""

from __future__ import annotations

import contextlib
import hashlib
import os
import stat
from collections.abc import Callable
from typing import Final

from reenact import clock, digests
from reenact.digests import BLOCK_BYTES, Digest
from reenact.errors import StoreError
from reenact.store.statcache import Remembered, StatCache

__all__ = ["Present", "Unreadable"]

_AT_ONCE: Final = 512
"""Digests that are remembered together."""


class Unreadable(Exception):
    """A file is there and cannot be read; the text says why."""


class Present:
    """Digests of files. For one thread."""

    def __init__(self, cache: StatCache | None, take: Callable[[int], None] = lambda _: None) -> None:
        """Look at nothing yet.

        Args:
            cache: What this host knows of unchanged files; None to hash each.
            take: Called before so many bytes are read: waits, where a rate is kept to.
        """
        self._cache, self._take = cache, take
        self._known: dict[str, Digest | None] = {}
        self._new: list[Remembered] = []
        self.hashed_bytes = 0

    def digest(self, path: str) -> Digest | None:
        """Digest a file; None when there is none of that name, or it is no file.

        Raises:
            Unreadable: it cannot be read.
        """
        if path not in self._known:
            self._known[path] = self._look(path)
        return self._known[path]

    def close(self) -> None:
        """Remember what was hashed, where that can be."""
        new, self._new = self._new, []
        if self._cache is not None and new:
            with contextlib.suppress(StoreError, OSError):
                self._cache.remember_many(new)

    def _look(self, path: str) -> Digest | None:
        try:
            # Never waits for somebody to write into a pipe that stands there now.
            descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except (OSError, ValueError) as error:
            raise Unreadable(str(error)) from error
        try:
            found = os.fstat(descriptor)
            if not stat.S_ISREG(found.st_mode):
                return None
            known = self._cache.lookup(found) if self._cache is not None else None
            return known or self._hash(descriptor, found)
        except OSError as error:
            raise Unreadable(str(error)) from error
        finally:
            os.close(descriptor)

    def _hash(self, descriptor: int, before: os.stat_result) -> Digest:
        begun = clock.now_ns()
        state = hashlib.sha256()
        while block := os.read(descriptor, BLOCK_BYTES):
            self._take(len(block))
            state.update(block)
            self.hashed_bytes += len(block)
        digest = digests.from_raw(state.digest())
        after = os.fstat(descriptor)
        if (before.st_mtime_ns, before.st_ctime_ns, before.st_size) == (
            after.st_mtime_ns,
            after.st_ctime_ns,
            after.st_size,
        ):
            self._new.append(Remembered(before, digest, begun))
            if len(self._new) >= _AT_ONCE:
                self.close()
        return digest
