"""The pool: extracted files that several layers share by hard links.

Links share an inode and so everything but the name: the key is content, mode, time, owner and attributes. Within one layer
no two paths share an inode unless the record says that they were one file, because programs compare inodes (cp: "are the same
file"); equal files get numbered copies in the pool. A pooled file is never trusted: its bytes are hashed before a new layer
uses it.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from reenact.digests import Digest, of_descriptor

__all__ = ["Pool", "Pooled", "matches"]

_PRIVATE: Final = 0o700
_BLOCK_BYTES: Final = 512
"""Unit of st_blocks, whatever the file system's own block size."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pooled:
    """What one pooled file is."""

    digest: Digest
    mode: int
    mtime_ns: int
    uid: int
    gid: int
    xattrs: Mapping[str, str]
    """Values in base64."""
    sparse: bool
    copy: int
    """Number of the copy: a layer that has a file twice uses copies 0 and 1."""

    def key(self) -> str:
        """Give the name in the pool: 64 hex digits."""
        facts = (self.digest, self.mode, self.mtime_ns, self.uid, self.gid, dict(self.xattrs), self.sparse, self.copy)
        return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


class Pool:
    """A folder of pooled files. Safe for any number of processes and threads."""

    def __init__(self, folder: str) -> None:
        self._folder = folder

    def _path(self, pooled: Pooled) -> str:
        key = pooled.key()
        return f"{self._folder}/{key[:2]}/{key[2:]}"

    def link_to(self, pooled: Pooled, path: str) -> bool:
        """Make `path` a link to a pooled file; False when there is none, or no more links to it are possible."""
        try:
            os.link(self._path(pooled), path, follow_symlinks=False)
        except OSError:  # absent, too many links (EMLINK), or links refused (fs.protected_hardlinks)
            return False
        return True

    def take_in(self, pooled: Pooled, path: str) -> None:
        """Share a finished file with later layers; nothing happens where links are refused."""
        target = self._path(pooled)
        with contextlib.suppress(OSError):
            try:
                os.link(path, target, follow_symlinks=False)
            except FileNotFoundError:
                os.makedirs(self._folder, _PRIVATE, exist_ok=True)
                with contextlib.suppress(FileExistsError):
                    os.mkdir(os.path.dirname(target), _PRIVATE)
                os.link(path, target, follow_symlinks=False)

    def expel(self, pooled: Pooled) -> None:
        """Forget a pooled file that turned out not to be what its key says."""
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self._path(pooled))

    def _files(self) -> Iterator[os.DirEntry[str]]:
        with contextlib.suppress(FileNotFoundError), os.scandir(self._folder) as prefixes:
            for prefix in prefixes:
                with os.scandir(prefix.path) as files:
                    yield from files

    def size_bytes(self) -> int:
        """Give the disk space pooled files take; costs a stat of each."""
        total = 0
        for file in self._files():
            with contextlib.suppress(FileNotFoundError):
                total += file.stat(follow_symlinks=False).st_blocks * _BLOCK_BYTES
        return total

    def drop_unused(self) -> int:
        """Delete the files no layer links to any more; give the bytes freed."""
        freed = 0
        for file in self._files():
            with contextlib.suppress(FileNotFoundError):
                found = file.stat(follow_symlinks=False)
                if found.st_nlink == 1:
                    os.unlink(file.path)
                    freed += found.st_blocks * _BLOCK_BYTES
        return freed


def matches(pooled: Pooled, descriptor: int) -> bool:
    """Tell whether an open file still is what its key says (attributes aside): reads it whole."""
    found = os.fstat(descriptor)
    facts = (found.st_mode & 0o7777, found.st_mtime_ns, found.st_uid, found.st_gid)
    return (
        facts == (pooled.mode, pooled.mtime_ns, pooled.uid, pooled.gid) and of_descriptor(descriptor) == pooled.digest
    )
