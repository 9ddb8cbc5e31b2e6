"""Cached layers: read-only trees laid out once, used by any number of replays, verified at each use, bounded in size.

    <folder>/<key>-<ownership>/tree      the layer
                              /census    what it was when it was laid out
                              /lock      shared while in use, exclusive to delete; its mtime is the last use
            /own-<key>-<ownership>/      the same for a layer that shares no files, and
                                  /bytes the disk space its files take
            /pool-<ownership>/           files layers share
            /.tmp-*                      unfinished or retired; deleted when nobody holds their lock

A layer appears by a rename, whole or not at all; of two processes that build the same one, the second throws its own away.
A layer that is not what it was (someone changed it, a disk lost it) is retired and laid out again.
"""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import msgspec

from reenact import atomic
from reenact.digests import PREFIX, Digest
from reenact.errors import SandboxError
from reenact.model.artifact import Entry
from reenact.replay import census, claims
from reenact.replay.interface import ObjectSource
from reenact.replay.layout import lay_out
from reenact.replay.ownership import Ownership
from reenact.replay.pool import Pool
from reenact.replay.trees import remove_tree

__all__ = ["LayerCache"]

_TREE: Final = "tree"
_CENSUS: Final = "census"
_POOL: Final = "pool-"
_OWN: Final = "own-"
_BYTES: Final = "bytes"
_BLOCK_BYTES: Final = 512
"""Unit of st_blocks, whatever the file system's own block size."""
_PRIVATE: Final = 0o700


class LayerCache:
    """A folder of layers for one ownership. Safe for any number of processes."""

    def __init__(self, folder: Path, *, source: ObjectSource, ownership: Ownership, limit_bytes: int) -> None:
        self._folder = str(folder)
        self._source = source
        self._ownership = ownership
        self._limit_bytes = limit_bytes
        self._pool = Pool(f"{self._folder}/{_POOL}{ownership.label()}")

    @contextlib.contextmanager
    def layer(
        self, key: Digest, entries: Sequence[Entry], *, shared: bool = True, rehash: bool = False
    ) -> Iterator[str]:
        """Give the path of the layer with these entries, laid out now if need be, and keep it from being deleted.

        Args:
            key: Names the entries; equal keys must mean equal entries.
            entries: What is in it.
            shared: Let other layers have its files too, as hard links. The programs of a job can count the links of a file,
                and some leave alone what has more than one (gzip, bzip2, xz): so not for the files a job works on.
            rehash: Read every file again instead of trusting times.

        Raises:
            MalformedBundle, ObjectMissing, ObjectDamaged, SandboxError: as :func:`reenact.replay.layout.lay_out`.
        """
        name = f"{'' if shared else _OWN}{key[len(PREFIX) :]}-{self._ownership.label()}"
        lock = self._use(name, entries, rehash=rehash)
        try:
            if lock is None:
                self._build(name, entries, self._pool if shared else None)
                lock = self._use(name, entries, rehash=False)
                with contextlib.suppress(OSError):  # a cache that grows too large is no reason not to replay
                    self._evict()
        except OSError as error:
            raise SandboxError(f"the layer cache {self._folder} cannot be used: {error}") from error
        if lock is None:
            raise SandboxError(f"the layer {self._folder}/{name} changes while it is being used")
        try:
            yield f"{self._folder}/{name}/{_TREE}"
        finally:
            os.close(lock)

    # --- using

    def _use(self, name: str, entries: Sequence[Entry], *, rehash: bool) -> int | None:
        """Lock a layer that is there and intact; None when there is none (any more)."""
        lock = claims.shared(f"{self._folder}/{name}")
        if lock is None:
            return None
        if self._is_intact(f"{self._folder}/{name}", entries, rehash=rehash):
            os.utime(lock)
            return lock
        self._retire(name, lock)
        return None

    def _is_intact(self, place: str, entries: Sequence[Entry], *, rehash: bool) -> bool:
        try:
            with open(f"{place}/{_CENSUS}", "rb") as file:
                known = census.load(file.read())
        except OSError:
            return False
        if known is None:
            return False
        contents = {entry.path: entry.digest for entry in entries if entry.digest is not None}
        now = known.recount(f"{place}/{_TREE}", contents, rehash=rehash)
        if now is not None and now != known:
            atomic.replace(f"{place}/{_CENSUS}", msgspec.json.encode(now), durable=False)
        return now is not None

    # --- building

    def _build(self, name: str, entries: Sequence[Entry], pool: Pool | None) -> None:
        os.makedirs(self._folder, mode=_PRIVATE, exist_ok=True)
        claims.sweep(self._folder)
        place, lock = claims.claim(self._folder)
        try:
            tree = f"{place}/{_TREE}"
            os.mkdir(tree, _PRIVATE)
            paths = lay_out(entries, tree, source=self._source, ownership=self._ownership, pool=pool)
            if pool is None:
                Path(place, _BYTES).write_text(f"{_bytes_of(tree, paths)}\n", encoding="ascii")
            Path(place, _CENSUS).write_bytes(msgspec.json.encode(census.take(tree, paths)))
            try:
                os.rename(place, f"{self._folder}/{name}")
            except OSError as error:
                if error.errno not in {errno.ENOTEMPTY, errno.EEXIST}:
                    raise
        finally:
            os.close(lock)
            remove_tree(place)

    # --- deleting

    def _retire(self, name: str, lock: int) -> None:
        """Take a layer out of use; it is deleted when nobody uses it any more."""
        with contextlib.suppress(FileNotFoundError):
            # Another process may have replaced it meanwhile by a good one.
            if os.path.samestat(os.fstat(lock), os.stat(f"{self._folder}/{name}/{claims.LOCK}")):
                os.rename(f"{self._folder}/{name}", atomic.temporary_name(self._folder))
        os.close(lock)
        claims.sweep(self._folder)

    def _evict(self) -> None:
        """Delete layers, the longest unused first, until all is within the bound; never one in use."""
        layers = self._by_last_use()
        used_bytes = self._pool.size_bytes() + sum(map(self._own_bytes, layers))
        for name in layers:
            if used_bytes <= self._limit_bytes:
                return
            place = f"{self._folder}/{name}"
            with claims.exclusive(place) as free:
                if not free:
                    continue
                own_bytes = self._own_bytes(name)
                trash = atomic.temporary_name(self._folder)
                os.rename(place, trash)
                remove_tree(trash)
            used_bytes -= own_bytes + self._pool.drop_unused()

    def _own_bytes(self, name: str) -> int:
        """Give the disk space of the files a layer shares with no other."""
        try:
            return int(Path(self._folder, name, _BYTES).read_bytes())
        except (OSError, ValueError):
            return 0  # it shares its files; or it goes just now

    def _by_last_use(self) -> list[str]:
        suffix = f"-{self._ownership.label()}"
        ages = []
        with os.scandir(self._folder) as found:
            for item in found:
                if item.name.endswith(suffix) and not item.name.startswith((atomic.TEMPORARY_PREFIX, _POOL)):
                    with contextlib.suppress(FileNotFoundError):
                        ages.append((os.stat(f"{item.path}/{claims.LOCK}").st_mtime_ns, item.name))
        return [name for _, name in sorted(ages)]


def _bytes_of(tree: str, paths: Sequence[str]) -> int:
    return sum(os.lstat(tree + path).st_blocks for path in paths) * _BLOCK_BYTES
