"""Write packs from what is stored already: small or mostly dead packs into larger ones, and a large object into one of its own.

Stored bytes are copied as they are, and checked on the way. The new pack counts before the old ones are taken away, so each
object can be read at any moment; that the old ones go is the sweep's business (:mod:`reenact.store.sweep`).
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Callable, Iterable, Iterator
from typing import Final, NamedTuple, cast

from reenact import atomic, digests
from reenact.digests import BLOCK_BYTES, Digest
from reenact.errors import IntegrityError, KeyAbsent
from reenact.store.backends.folder import VALUE_MODE
from reenact.store.bases import Bases
from reenact.store.failures import store_error
from reenact.store.forms import HEADER_BYTES, RAW, Malformed, encode_header
from reenact.store.interface import Backend
from reenact.store.packs import PACK_MAGIC, PackIndex, Record, encode_index, encode_records, index_key, pack_key
from reenact.store.publishing import Ready, publish
from reenact.store.spool import write_all
from reenact.store.stored import Place, in_file

__all__ = ["PackFile", "Packed", "keys_of_pack", "pack_of_file", "repack", "worth_repacking"]

_LARGE_BYTES: Final = 64 << 20
"""A pack that has reached this length is closed: what is rewritten because half of it died stays bounded."""
_SMALL_BYTES: Final = 4 << 20
"""Below this a pack is joined with others like it."""


class PackFile:
    """A pack being written to a temporary file, object by object."""

    def __init__(self, path: str) -> None:
        """Create the file.

        Raises:
            StoreError: it cannot be created.
        """
        self._path = path
        self._sha256 = hashlib.sha256()
        self._records: dict[bytes, Record] = {}
        self.size_bytes = 0
        try:
            self._descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, VALUE_MODE)
        except OSError as error:
            raise store_error(error, f"write {path}") from error
        self._write(PACK_MAGIC)

    def __contains__(self, digest: bytes) -> bool:
        """Tell whether the pack has an object, by raw digest."""
        return digest in self._records

    def add(self, digest: bytes, content_bytes: int, stored: Iterable[bytes | memoryview], promised: bytes) -> None:
        """Append an object.

        Args:
            digest: Raw.
            content_bytes: Length of its content.
            stored: Header and payload, in blocks; the first holds all of the header.
            promised: The raw digest that the payload must have.

        Raises:
            StoreError: they cannot be written.
            IntegrityError: the payload is another.
        """
        state = hashlib.sha256()
        start, skipped = self.size_bytes, HEADER_BYTES
        for block in stored:
            state.update(memoryview(block)[skipped:])
            skipped = 0
            self._write(block)
        if state.digest() != promised:
            raise IntegrityError(f"object {digests.from_raw(digest)} was to be packed, and is not what it should be")
        self._records[digest] = Record(start, self.size_bytes - start, content_bytes, promised)

    def finish(self) -> Ready:
        """Make the file durable, and give it.

        Raises:
            StoreError: it cannot be made so.
        """
        try:
            os.fsync(self._descriptor)
        except OSError as error:
            raise store_error(error, f"write {self._path}") from error
        self._close()
        sha256 = self._sha256.digest()
        index = encode_index(sha256, self.size_bytes, encode_records(self._records))
        return Ready(sha256.hex(), self.size_bytes, self._path, index, sorted(self._records))

    def discard(self) -> None:
        """Delete the file."""
        self._close()
        with contextlib.suppress(OSError):
            os.unlink(self._path)

    def _write(self, data: bytes | memoryview) -> None:
        try:
            write_all(self._descriptor, data)
        except OSError as error:
            raise store_error(error, f"write {self._path}") from error
        self._sha256.update(data)
        self.size_bytes += len(data)

    def _close(self) -> None:
        if self._descriptor >= 0:
            with contextlib.suppress(OSError):
                os.close(self._descriptor)
            self._descriptor = -1


_NEW: Final = "new"
"""Is no key of an object."""


class _WithFile:
    """A store's values, and a file that is none yet, for those who read stored objects."""

    def __init__(self, backend: Backend, path: str) -> None:
        self._backend = backend
        self._path = path

    def get_range(self, key: str, offset: int, length: int) -> bytes:
        """See :class:`Backend`."""
        if key != _NEW:
            return self._backend.get_range(key, offset, length)
        try:
            with open(self._path, "rb") as file:
                file.seek(offset)
                return file.read(length)
        except OSError as error:
            raise store_error(error, f"read {self._path}") from error


def pack_of_file(
    path: str, digest: Digest, new: str, backend: Backend, places: Callable[[Digest], Iterator[Place]]
) -> Ready:
    """Write an object in a file of its own that is not put yet into a pack of its own, decompressed.

    Args:
        path: Of the file; it stays.
        digest: Of the object.
        new: Path of the temporary file to be made.
        backend: Where the object's bases are.
        places: Gives where those are.

    Raises:
        StoreError: it cannot be written.
        IntegrityError: the file does not hold that object.
    """
    source = cast(Backend, _WithFile(backend, path))
    place = in_file(_NEW, os.stat(path).st_size)
    pack = PackFile(new)
    try:
        bases = Bases(source, places)
        size_bytes = sum(len(block) for block in bases.blocks(place, digest))
        header = encode_header(RAW, size_bytes, size_bytes)
        raw = digests.to_raw(digest)
        pack.add(raw, size_bytes, _chain(header, bases.blocks(place, digest)), raw)
        return pack.finish()
    except Malformed as error:
        pack.discard()
        raise IntegrityError(f"object {digest} was not written as it should: {error}") from error
    except BaseException:
        pack.discard()
        raise


def _chain(header: bytes, blocks: Iterator[bytes]) -> Iterator[bytes]:
    yield header
    yield from blocks


class Packed(NamedTuple):
    """A pack, and how much of it is needed."""

    contents: PackIndex
    needed: frozenset[bytes]
    """Raw digests of its objects that something refers to."""

    @property
    def needed_bytes(self) -> int:
        """Length of those, as stored."""
        records = (self.contents.find(digest) for digest in self.needed)
        return sum(record.stored_bytes for record in records if record is not None)


def worth_repacking(packs: Iterable[Packed]) -> list[Packed]:
    """Choose packs of which more than half is dead, and, where there are several, small ones; not those wholly dead."""
    found, small = [], []
    for pack in packs:
        if not pack.needed:
            continue
        if pack.needed_bytes * 2 < pack.contents.pack_bytes - len(PACK_MAGIC):
            found.append(pack)
        elif pack.contents.pack_bytes < _SMALL_BYTES:
            small.append(pack)
    return [*found, *small] if len(small) > 1 or found else []


def repack(
    backend: Backend, packs: Iterable[Packed], folder: str, note: Callable[[Ready], None]
) -> tuple[list[str], list[str]]:
    """Copy what is needed of packs into new ones, which count on return.

    Crash-safe: an attempt that was cut off leaves whole packs, which the next takes up like any other.

    Args:
        backend: Where they are.
        packs: Which.
        folder: For temporary files.
        note: Told each new pack.

    Returns:
        The names of the packs all of whose needed objects are in new ones; and of those that are damaged, which stay.

    Raises:
        StoreError: the store cannot be read or written.
    """
    return _Repacking(backend, folder, note).run(packs)


class _Repacking:
    def __init__(self, backend: Backend, folder: str, note: Callable[[Ready], None]) -> None:
        self._backend = backend
        self._folder = folder
        self._note = note
        self._open: PackFile | None = None
        self._done: set[bytes] = set()
        self._made: set[str] = set()

    def run(self, packs: Iterable[Packed]) -> tuple[list[str], list[str]]:
        copied, damaged = [], []
        try:
            for pack in packs:
                if self._is_whole(pack.contents):
                    self._copy(pack)
                    copied.append(pack.contents.name)
                else:
                    damaged.append(pack.contents.name)
            self._close()
        except BaseException:
            if self._open is not None:
                self._open.discard()
            raise
        return [name for name in copied if name not in self._made], damaged

    def _is_whole(self, index: PackIndex) -> bool:
        """Tell whether a pack is what its name says: what is copied out of it is good then."""
        try:
            state = hashlib.sha256()
            for at in range(0, index.pack_bytes + 1, BLOCK_BYTES):
                state.update(self._backend.get_range(pack_key(index.name), at, BLOCK_BYTES))
        except KeyAbsent:
            return False
        return state.hexdigest() == index.name

    def _copy(self, pack: Packed) -> None:
        for digest in sorted(pack.needed - self._done):
            record = pack.contents.find(digest)
            if record is None:
                continue
            if self._open is None:
                self._open = PackFile(atomic.temporary_name(self._folder))
            self._open.add(digest, record.content_bytes, self._stored(pack.contents, record), record.stored_digest)
            self._done.add(digest)
            if self._open.size_bytes >= _LARGE_BYTES:
                self._close()

    def _stored(self, index: PackIndex, record: Record) -> Iterator[bytes]:
        end = record.offset + record.stored_bytes
        for at in range(record.offset, end, BLOCK_BYTES):
            yield self._backend.get_range(pack_key(index.name), at, min(BLOCK_BYTES, end - at))

    def _close(self) -> None:
        if self._open is not None:
            ready = self._open.finish()
            self._open = None
            publish(self._backend, ready)
            self._made.add(ready.name)
            self._note(ready)


def keys_of_pack(name: str) -> tuple[str, str]:
    """Give the keys of a pack in the order they are deleted: its index first, for it does not count without."""
    return index_key(name), pack_key(name)
