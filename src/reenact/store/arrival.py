"""A stored object that comes from another store, in the form it has there: copied, checked, then put like one written here.

What came is decoded and hashed before it counts, so that neither a damaged disk nor a dishonest sender can put wrong bytes
under a digest.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator

from reenact import digests
from reenact.digests import Digest
from reenact.store.forms import RAW, ZSTD, Malformed
from reenact.store.interface import Ranges
from reenact.store.segment_cache import SegmentCache
from reenact.store.sources import SegmentSource, Source, load_table
from reenact.store.spool import Spool, write_all
from reenact.store.stored import (
    Place,
    content_digest,
    damage_of_stored,
    in_file,
    plain_blocks,
    read_header,
)
from reenact.store.worker import BLOCK_BYTES, Worker

__all__ = ["StoredCopy"]


class _File:
    """An open file, read as a backend is."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def get_range(self, key: str, offset: int, length: int) -> bytes:  # noqa: ARG002 - it is the only value
        """See :class:`Ranges`."""
        return os.pread(self._descriptor, length, offset)


class StoredCopy:
    """A stored object on its way into a file of its own."""

    def __init__(self, path: str, worker: Worker) -> None:
        """Begin.

        Args:
            path: Of the temporary file.
            worker: The helper that closes it.

        Raises:
            StoreError: the file cannot be created.
        """
        self._spool = Spool(path, worker)
        self._worker = worker
        self.base: bytes | None = None
        """Raw digest of the object it needs; known when it was checked."""

    @property
    def spool(self) -> Spool:
        """The temporary file it is in."""
        return self._spool

    def fill(self, source: Ranges, place: Place) -> None:
        """Copy the stored bytes; memory stays at a block of 1 MiB.

        Raises:
            Malformed: they end too early.
            KeyAbsent: they are gone.
            OSError: they cannot be written.
        """
        for at in range(0, place.stored_bytes, BLOCK_BYTES):
            wanted = min(BLOCK_BYTES, place.stored_bytes - at)
            block = source.get_range(place.key, place.offset + at, wanted)
            if len(block) != wanted:
                raise Malformed(f"bytes that end {wanted - len(block)} too early")
            write_all(self._spool.descriptor, block)

    def check(self, stored_bytes: int, digest: Digest, open_base: Callable[[Digest], Source]) -> None:
        """Check what was copied, and start making it durable.

        Args:
            stored_bytes: Its length.
            digest: What its content must have.
            open_base: Opens what it is made against.

        Raises:
            Malformed: it does not give that content, or its base does not.
            KeyAbsent: its base is not there.
        """
        file = _File(self._spool.descriptor)
        place = in_file(digest, stored_bytes)
        header, _ = read_header(file, place)
        # The frames' sums and the content say nothing of the check sum at the end, which later readers go by.
        damage = damage_of_stored(file, place, digests.to_raw(digest))
        if damage:
            raise Malformed(damage)
        if header.form != RAW:
            got = content_digest(_blocks(file, place, digest, open_base))
            if got != digest:
                raise Malformed(f"content with digest {got}")
        self.base = header.base
        self._spool.finish()
        self._worker.drain()

    def discard(self) -> None:
        """Delete what was written."""
        self._spool.discard()


def _blocks(file: Ranges, place: Place, digest: Digest, open_base: Callable[[Digest], Source]) -> Iterator[bytes]:
    """Give the content of a copy, in blocks of at most 16 MiB."""
    header, head = read_header(file, place)
    if header.form in {RAW, ZSTD}:
        yield from plain_blocks(file, place)
        return
    table = load_table(file, place.key, place.offset, header, head)
    base = None if header.base is None else open_base(digests.from_raw(header.base))
    yield from SegmentSource(
        digests.to_raw(digest),
        table,
        base,
        SegmentCache(),
        backend=file,
        place=place,
        header_bytes=header.header_bytes,
    ).blocks()
