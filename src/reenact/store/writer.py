"""Put objects into a store while a run goes on; nothing counts before the commit.

Content is read once: what is hashed is what is stored, whoever changes the file meanwhile. A commit leaves everything
durable, in this order: large objects, the pack, its index. A writer killed before leaves temporary files that nothing sees
and that :meth:`reenact.store.opening.Store.discard_unfinished` deletes.
"""

from __future__ import annotations

import hashlib
import os
from functools import cached_property
from typing import TYPE_CHECKING, Final

import msgspec

from reenact import digests
from reenact.atomic import TEMPORARY_PREFIX
from reenact.digests import Digest
from reenact.errors import StoreError
from reenact.ids import RunId
from reenact.store.compression import Compressor
from reenact.store.delta_policy import DeltaPolicy
from reenact.store.index import ObjectIndex
from reenact.store.interface import Backend
from reenact.store.large import RawObject, object_key
from reenact.store.pack_writer import SMALL_BYTES, PackWriter
from reenact.store.publishing import Ready, publish
from reenact.store.worker import BLOCK_BYTES, Buffers, Worker

if TYPE_CHECKING:
    # A run of small files needs none of them.
    from reenact.store.arrival import StoredCopy
    from reenact.store.large_forms import LargeForms
    from reenact.store.segmented import SegmentedObject

__all__ = ["Added", "ObjectWriter", "temporary_prefix"]

_BLOCKS: Final = 8
"""Blocks between reader and helper: enough that neither waits for the other's hiccups; 8 MiB."""


_ZEROS: Final = bytes(BLOCK_BYTES)

_LARGEST_READ_TWICE: Final = 512 << 20
"""What was just written, and is no longer than this, is read from memory."""


class Added(msgspec.Struct, frozen=True, kw_only=True):
    """What was put."""

    digest: Digest
    size_bytes: int
    new: bool
    """False when the store, or this writer, had it before."""


def temporary_prefix(run_id: RunId) -> str:
    """Give what the names of all temporary files of a run's writers begin with."""
    return f"{TEMPORARY_PREFIX}{run_id}-"


class ObjectWriter:
    """Puts the objects of one run. For one thread; make it in the process that uses it, it does not survive a fork.

    After a store error from an `add` of a large object the writer goes on with the others. After one that concerns the pack
    (the message names it), only :meth:`abandon` is left. Memory: about 20 MiB, whatever the objects' sizes; for one that
    becomes a delta some 100 MiB, or 260 where it is made against all of its base.
    """

    def __init__(
        self,
        backend: Backend,
        index: ObjectIndex,
        run_id: RunId,
        folder: str,
        policy: DeltaPolicy = DeltaPolicy(),  # noqa: B008 - frozen
        condemned: frozenset[str] = frozenset(),
    ) -> None:
        """Prepare; nothing is written before the first object.

        Args:
            backend: Where objects go.
            index: What it has.
            run_id: Names the temporary files.
            folder: Where temporary files go: the backend's staging folder.
            policy: Which objects may be kept as deltas.
            condemned: Keys that a sweep may delete at any moment (:mod:`reenact.store.leases`): they count as absent.
        """
        self._backend = backend
        self._index = index
        self._prefix = os.path.join(folder, f"{temporary_prefix(run_id)}{os.getpid()}-{os.urandom(4).hex()}-")
        self._files = 0
        self._worker = Worker()
        self._buffers = Buffers(_BLOCKS)
        self._block: bytearray | None = None
        self._compressor = Compressor()
        self._pack: PackWriter | None = None
        self._policy = policy
        self._condemned = condemned
        self._large: dict[bytes, RawObject | SegmentedObject | StoredCopy] = {}

    @cached_property
    def _forms(self) -> LargeForms:
        from reenact.store.large_forms import LargeForms  # noqa: PLC0415 - only where there is a large object

        return LargeForms(self._backend, self._index, self._policy, self._worker)

    def holds(self, digest: Digest) -> bool:
        """Tell whether the store, or this writer, has an object; it need not be added then."""
        raw = digests.to_raw(digest)
        return self._has(raw) or self._has_file(raw)

    def holds_packed(self, digest: Digest) -> bool:
        """Tell whether a pack of the store, or this writer, has an object: it costs no look at a file."""
        return self._has(digests.to_raw(digest))

    def add_bytes(self, data: bytes) -> Digest:
        """Put bytes.

        Raises:
            StoreError: they cannot be written.
        """
        raw = hashlib.sha256(data).digest()
        if not self._has(raw):
            content = memoryview(data)
            if len(content) < SMALL_BYTES:
                self._add_small(raw, content)
            elif not self._has_file(raw):
                large = self._forms.of_bytes(self._temporary(".object"), content)
                large.append_bytes(content)
                large.finish(len(content))
                self._large[raw] = large
        return digests.from_raw(raw)

    def add_descriptor(self, descriptor: int, previous: Digest | None = None, *, likely_held: bool = False) -> Added:
        """Put what can be read from an open file, from its start to its end, without moving its offset.

        Args:
            descriptor: The file.
            previous: An object of the store that it may resemble: it may become a delta against that, or an earlier one.
            likely_held: The store may well have it. It is hashed before it is compressed then, which costs reading it once more
                where that was wrong, and a tenth of the time where it was right.

        Raises:
            StoreError: it cannot be written.
            OSError: the file cannot be read.
        """
        if self._block is None:
            self._block = self._buffers.take()
        got = _fill(descriptor, self._block, 0)
        if got >= SMALL_BYTES:
            if likely_held and (held := self._find_held(descriptor)) is not None:
                return held
            return self._stream(descriptor, got, previous)
        content = memoryview(self._block)[:got]
        raw = hashlib.sha256(content).digest()
        new = not self._has(raw)
        if new:
            self._add_small(raw, content)
        return Added(digest=digests.from_raw(raw), size_bytes=got, new=new)

    def add_stored(self, digest: Digest, copy: StoredCopy) -> None:
        """Take over an object in the form it had in another store; it was checked."""
        self._large[digests.to_raw(digest)] = copy

    def commit(self) -> None:
        """Make everything added durable and visible; the writer is empty then and may be used again.

        Raises:
            StoreError: some of it cannot be written; call :meth:`abandon`.
        """
        self._worker.drain()
        for raw, large in list(self._large.items()):
            large.spool.check()
            self._check_base(large)
            key = object_key(raw)
            if key in self._condemned:
                # What is put under this key now may be deleted; under another it is as good.
                self._publish(self._alone(raw, large))
            else:
                self._backend.put_file_if_absent(key, large.spool.path)
            del self._large[raw]
        if self._pack is not None:
            pack = self._pack.finish()
            self._publish(Ready(pack.name, pack.pack_bytes, pack.spool.path, pack.index, pack.digests))
            self._pack = None
        self._worker.close()

    def abandon(self) -> None:
        """Delete what was added since the last commit. Never fails; may follow a failure of anything else."""
        if self._pack is not None:
            self._pack.discard()
            self._pack = None
        for large in self._large.values():
            large.discard()
        self._large.clear()
        self._worker.close()

    def _check_base(self, large: RawObject | SegmentedObject | StoredCopy) -> None:
        """Look whether what a delta was made against is still there: whoever sweeps the store may not know of this one yet."""
        base = large.base
        if base is not None and not self._index.holds(base) and not self._backend.exists(object_key(base)):
            name = digests.from_raw(base)
            raise StoreError(
                f"object {name} was deleted while another was made against it", hint="run the command again"
            )

    def _publish(self, pack: Ready) -> None:
        publish(self._backend, pack)
        self._index.add_pack(pack.name, pack.digests)

    def _alone(self, raw: bytes, large: RawObject | SegmentedObject | StoredCopy) -> Ready:
        """Put a large object into a pack of its own."""
        from reenact.store.locate import places_of  # noqa: PLC0415 - only beside a sweep
        from reenact.store.repacking import pack_of_file  # noqa: PLC0415 - same

        digest = digests.from_raw(raw)
        found = pack_of_file(
            large.spool.path,
            digest,
            self._temporary(".pack"),
            self._backend,
            lambda base: places_of(self._backend, self._index, base),
        )
        large.discard()
        return found

    def _has(self, raw: bytes) -> bool:
        if (self._pack is not None and raw in self._pack) or raw in self._large:
            return True
        return self._index.holds(raw, self._condemned)

    def _has_file(self, raw: bytes) -> bool:
        key = object_key(raw)
        return key not in self._condemned and self._backend.exists(key)

    def _temporary(self, suffix: str) -> str:
        self._files += 1
        return f"{self._prefix}{self._files}{suffix}"

    def _add_small(self, raw: bytes, content: memoryview) -> None:
        if self._pack is None:
            self._pack = PackWriter(self._temporary(".pack"), self._worker, self._compressor)
            if self._condemned:
                # So that it cannot be one of those that are being deleted, whatever else is in it.
                mark = os.urandom(16)
                self._pack.add(hashlib.sha256(mark).digest(), memoryview(mark))
        self._pack.add(raw, content)

    def _find_held(self, descriptor: int) -> Added | None:
        """Hash a large file; None when the store has no such object, or it is too large to be read twice."""
        size_bytes = os.fstat(descriptor).st_size
        if size_bytes > _LARGEST_READ_TWICE:
            return None
        digest = digests.of_descriptor(descriptor)
        return Added(digest=digest, size_bytes=size_bytes, new=False) if self.holds(digest) else None

    def _stream(self, descriptor: int, got: int, previous: Digest | None) -> Added:
        """Put a large file whose first `got` bytes are in the current block."""
        # A delta would rely on its base, and those of that.
        base = None if self._condemned else previous
        large = self._forms.of_descriptor(self._temporary(".object"), descriptor, base)
        try:
            raw, size_bytes = self._pump(descriptor, got, large)
        except BaseException:
            large.discard()
            raise
        new = not self._has(raw) and not self._has_file(raw)
        if new:
            large.finish(size_bytes)
            self._large[raw] = large
        else:
            large.discard()
        return Added(digest=digests.from_raw(raw), size_bytes=size_bytes, new=new)

    def _pump(self, descriptor: int, got: int, large: RawObject | SegmentedObject) -> tuple[bytes, int]:
        """Hash blocks here while the helper writes them; give the raw digest and the length."""
        from reenact.store.holes import Holes  # noqa: PLC0415 - only where there is a large object

        holes = Holes(descriptor)
        state = hashlib.sha256()
        offset = 0
        while got:
            block = self._block
            assert block is not None  # noqa: S101 - add_descriptor filled it
            self._block = None
            large.append_block(block, got, self._buffers)
            # Handed over, but nobody else takes it before this thread takes the next.
            state.update(memoryview(block)[:got])
            offset += got
            self._block = self._buffers.take()
            if got == BLOCK_BYTES and holes.covers(offset, BLOCK_BYTES):
                self._block[:] = _ZEROS
            else:
                got = _fill(descriptor, self._block, offset) if got == BLOCK_BYTES else 0
        return state.digest(), offset


def _fill(descriptor: int, block: bytearray, offset: int) -> int:
    """Read from an offset until the block is full or the file ends; give the number of bytes."""
    got = os.preadv(descriptor, [block], offset)
    while 0 < got < len(block):
        more = os.preadv(descriptor, [memoryview(block)[got:]], offset + got)
        if not more:
            break
        got += more
    return got
