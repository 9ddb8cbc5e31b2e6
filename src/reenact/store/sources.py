"""Read any part of an object's content, whatever its form: for deltas, which are made against parts of other objects.

What is read here was checked by the frames' own sums at most; who gives content out checks its SHA-256.
"""

from __future__ import annotations

import hashlib
import os
from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import BinaryIO, Final

from reenact import digests
from reenact.digests import Digest
from reenact.store import prefix
from reenact.store.compression import Corrupt
from reenact.store.forms import Header, Malformed
from reenact.store.interface import Ranges
from reenact.store.segment_cache import SegmentCache
from reenact.store.segments import TRAILER_BYTES, Range, Table, read_table, trailer_length
from reenact.store.stored import Place, damage_of_stored
from reenact.store.worker import BLOCK_BYTES, Worker

__all__ = ["FileSource", "MemorySource", "RawSource", "SegmentSource", "Source", "load_table"]

_READERS: Final = 2
"""Threads that decode ahead: what is used meanwhile is hashed and written by a third."""


class Source(ABC):
    """The content of one object. Safe for threads."""

    def __init__(self, digest: bytes, size_bytes: int, *, depth: int = 0) -> None:
        self.digest = digest
        """Raw."""
        self.size_bytes = size_bytes
        self.depth = depth
        """How many other objects are read to read this one."""

    @property
    def name(self) -> Digest:
        """The digest as it is written."""
        return digests.from_raw(self.digest)

    @property
    def number(self) -> int:
        """How many versions there were since the last one that was no delta."""
        return 0

    @property
    def lineage(self) -> tuple[bytes, ...]:
        """Raw digests of what later versions may be made against, nearest first (:mod:`reenact.store.segments`)."""
        return (self.digest,)

    @abstractmethod
    def pread(self, offset: int, length: int) -> bytes:
        """Read a range, which must lie within the content.

        Raises:
            Malformed: the stored bytes are damaged; whose, is said.
            KeyAbsent: they are gone.
        """

    def gather(self, ranges: tuple[Range, ...]) -> bytes:
        """Read ranges, one after the other.

        Raises:
            Malformed: a range is not within the content, or as :meth:`pread`.
        """
        if any(part.offset + part.length > self.size_bytes for part in ranges):
            raise Malformed(f"a range beyond the end of its base {self.name}")
        return b"".join([piece for part in ranges for piece in self._pieces(part.offset, part.length)])

    def _pieces(self, offset: int, length: int) -> list[bytes | memoryview]:
        """Read a range as pieces that are copied once, when they are joined."""
        return [self.pread(offset, length)]

    @abstractmethod
    def check(self) -> None:
        """Make sure that ranges can be trusted as far as their readers need.

        Raises:
            Malformed: the content is not what it is named for.
            KeyAbsent: it is gone.
        """


class MemorySource(Source):
    """Content held in memory, which was checked."""

    def __init__(self, digest: bytes, content: bytes) -> None:
        super().__init__(digest, len(content))
        self._content = content

    def pread(self, offset: int, length: int) -> bytes:
        """See :class:`Source`."""
        return self._content[offset : offset + length]

    def check(self) -> None:
        """See :class:`Source`."""


class FileSource(Source):
    """Content in an unnamed temporary file, which was checked."""

    def __init__(self, digest: bytes, size_bytes: int, file: BinaryIO) -> None:
        """Take a file over; it is closed when nobody refers to it any more."""
        super().__init__(digest, size_bytes)
        self._file = file

    def pread(self, offset: int, length: int) -> bytes:
        """See :class:`Source`."""
        return os.pread(self._file.fileno(), length, offset)

    def check(self) -> None:
        """See :class:`Source`."""


class RawSource(Source):
    """Content that is stored as it is."""

    def __init__(self, digest: bytes, size_bytes: int, backend: Ranges, key: str, offset: int) -> None:
        super().__init__(digest, size_bytes)
        self._backend, self._key, self._offset = backend, key, offset
        self._checked = False

    def pread(self, offset: int, length: int) -> bytes:
        """See :class:`Source`."""
        found = self._backend.get_range(self._key, self._offset + offset, length)
        if len(found) != length:
            raise Malformed(f"bytes that end {length - len(found)} too early")
        return found

    def check(self) -> None:
        """See :class:`Source`. Reads it all: nothing else would tell that a range was changed."""
        if self._checked:
            return
        state = hashlib.sha256()
        for at in range(0, self.size_bytes, BLOCK_BYTES):
            state.update(self.pread(at, min(BLOCK_BYTES, self.size_bytes - at)))
        if state.digest() != self.digest:
            raise Malformed(f"content with digest {digests.from_raw(state.digest())}")
        self._checked = True


class SegmentSource(Source):
    """Content in segments, perhaps against another object."""

    def __init__(
        self,
        digest: bytes,
        table: Table,
        base: Source | None,
        cache: SegmentCache,
        backend: Ranges,
        place: Place,
        header_bytes: int,
    ) -> None:
        """Prepare.

        Args:
            digest: Raw digest of the content.
            table: What its payload ends with.
            base: The object it is made against.
            cache: Holds segments of it and others.
            backend: Where it is.
            place: Where there.
            header_bytes: Length of its header, behind which the frames begin.
        """
        super().__init__(digest, table.content_bytes, depth=0 if base is None else base.depth + 1)
        self._table, self._base, self._cache = table, base, cache
        self._checked = False
        self._backend, self._place = backend, place
        self._offsets = [place.offset + header_bytes + offset for offset in table.offsets()]

    @property
    def number(self) -> int:
        """See :class:`Source`."""
        return self._table.number

    @property
    def lineage(self) -> tuple[bytes, ...]:
        """See :class:`Source`."""
        return tuple(digest or self.digest for digest in self._table.lineage) or (self.digest,)

    @property
    def base(self) -> Source | None:
        """What it is made against."""
        return self._base

    def pread(self, offset: int, length: int) -> bytes:
        """See :class:`Source`."""
        return b"".join(self._pieces(offset, length))

    def _pieces(self, offset: int, length: int) -> list[bytes | memoryview]:
        pieces: list[bytes | memoryview] = []
        end = offset + length
        while offset < end:
            place, skip = divmod(offset, self._table.segment_bytes)
            piece = memoryview(self.segment(place))[skip : skip + end - offset]
            pieces.append(piece)
            offset += len(piece)
        return pieces

    def segment(self, place: int) -> bytes:
        """Give a whole segment.

        Raises:
            Malformed: this object or its base is damaged; which, is said.
            KeyAbsent: it is gone.
        """
        return self._cache.obtain(self.digest, place, lambda: self._decoded(place))

    def blocks(self) -> Iterator[bytes]:
        """Give the content in order, segment by segment; two threads read ahead while the one before is used.

        Raises:
            Malformed, KeyAbsent: as :meth:`segment`.
        """
        workers = [Worker() for _ in range(_READERS)]
        try:
            waiting = [self._ahead(worker, place) for place, worker in enumerate(workers)]
            for place in range(len(self._table.segments)):
                turn = place % _READERS
                workers[turn].drain()
                content = waiting[turn][0]
                waiting[turn] = self._ahead(workers[turn], place + _READERS)
                if isinstance(content, Exception):
                    raise content
                yield content
        finally:
            for worker in workers:
                worker.close()

    def _ahead(self, worker: Worker, place: int) -> list[bytes | Exception]:
        found: list[bytes | Exception] = []

        def read() -> None:
            try:
                found.append(self._decoded(place))
            except Exception as error:  # noqa: BLE001 - raised where it is asked for
                found.append(error)

        if place < len(self._table.segments):
            worker.submit(read)
        return found

    def _decoded(self, place: int) -> bytes:
        segment = self._table.segments[place]
        length = self._table.length(place)
        frame = self._backend.get_range(self._place.key, self._offsets[place], segment.stored_bytes)
        known = self._prefix(segment.ranges) if segment.ranges else b""
        try:
            return prefix.decompress(frame, known, length)
        except Corrupt as error:
            if segment.ranges:
                self._blame_base()
            raise Malformed(f"segment {place} cannot be decompressed: {error}") from error

    def _prefix(self, ranges: tuple[Range, ...]) -> bytes:
        if self._base is None:
            raise Malformed("a segment made against a base in an object without one")
        try:
            return self._base.gather(ranges)
        except Malformed as error:
            raise Malformed(f"its base {self._base.name} is damaged: {error}") from error

    def _blame_base(self) -> None:
        """Say so when it is the base that changed: a raw one has no sums that would have told."""
        if self._base is None:
            return
        try:
            self._base.check()
        except Malformed as error:
            raise Malformed(f"its base {self._base.name} is damaged: {error}") from error

    def check(self) -> None:
        """See :class:`Source`. Reads what is stored, all down to the last base, and decompresses nothing."""
        if self._checked:
            return
        damage = damage_of_stored(self._backend, self._place, self.digest)
        if damage:
            raise Malformed(damage)
        self._blame_base()
        self._checked = True


def load_table(backend: Ranges, key: str, offset: int, header: Header, head: bytes) -> Table:
    """Read the table of an object in segments.

    Args:
        backend: Where it is.
        key: Its key there.
        offset: Where in the value its header begins.
        header: Its header.
        head: The bytes of that.

    Raises:
        Malformed: it is not what was written.
    """
    end = offset + header.stored_bytes
    trailer = backend.get_range(key, end - TRAILER_BYTES, TRAILER_BYTES)
    length = trailer_length(trailer)
    if length > header.payload_bytes - TRAILER_BYTES:
        raise Malformed("a table of segments longer than all of the payload")
    frame = backend.get_range(key, end - TRAILER_BYTES - length, length)
    table = read_table(head[: header.header_bytes], frame, trailer)
    if table.content_bytes != header.content_bytes:
        raise Malformed(f"a table for {table.content_bytes} bytes where the header says {header.content_bytes}")
    if table.offsets()[-1] + length + TRAILER_BYTES != header.payload_bytes:
        raise Malformed("frames that do not fill the payload")
    return table
