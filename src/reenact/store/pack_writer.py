"""Write the pack of a run: small objects are laid into blocks, and the helper thread writes and hashes the blocks."""

from __future__ import annotations

import hashlib
from typing import Final

import msgspec

from reenact.store.compression import Compressor
from reenact.store.forms import HEADER_BYTES, RAW, choose, encode_header
from reenact.store.packs import PACK_MAGIC, Record, encode_index, encode_records
from reenact.store.spool import Spool, write_all
from reenact.store.worker import BLOCK_BYTES, Buffers, Worker

__all__ = ["SMALL_BYTES", "FinishedPack", "PackWriter"]

SMALL_BYTES: Final = 256 << 10
"""Objects below this length go into the pack; an fsync of their own would cost them more than being read out of a pack."""

_BLOCKS: Final = 4


class FinishedPack(msgspec.Struct, frozen=True, kw_only=True):
    """A pack that is written and durable, but not yet published."""

    name: str
    """Hex SHA-256 of its bytes."""
    pack_bytes: int
    spool: Spool
    index: bytes
    digests: list[bytes]
    """Raw digests of its objects, sorted."""


class PackWriter:
    """A pack being written to a temporary file."""

    def __init__(self, path: str, worker: Worker, compressor: Compressor) -> None:
        """Create the file.

        Raises:
            StoreError: it cannot be created.
        """
        self._spool = Spool(path, worker)
        self._worker = worker
        self._compressor = compressor
        self._sha256 = hashlib.sha256()
        self._buffers = Buffers(_BLOCKS)
        self._records: dict[bytes, Record] = {}
        self._block = self._buffers.take()
        self._view = memoryview(self._block)
        self._view[: len(PACK_MAGIC)] = PACK_MAGIC
        self._filled = len(PACK_MAGIC)
        self._written = 0

    def __contains__(self, digest: bytes) -> bool:
        """Tell whether the pack has an object, by raw digest."""
        return digest in self._records

    def add(self, digest: bytes, content: memoryview) -> None:
        """Append an object the pack does not have; the content is copied.

        Raises:
            StoreError: an earlier part of the pack could not be written.
        """
        form, payload = choose(content, self._compressor)
        stored = digest if form == RAW else hashlib.sha256(payload).digest()
        header = encode_header(form, len(content), len(payload))
        length = HEADER_BYTES + len(payload)
        if self._filled + length > BLOCK_BYTES:
            self._flush()
        at = self._filled
        self._view[at : at + HEADER_BYTES] = header
        self._view[at + HEADER_BYTES : at + length] = payload
        self._filled = at + length
        self._records[digest] = Record(self._written + at, length, len(content), stored)

    def finish(self) -> FinishedPack:
        """Make the pack durable and name it.

        Raises:
            StoreError: it could not be written.
        """
        self._flush()
        self._spool.finish()
        # Meanwhile the helper waits for the disk.
        records = encode_records(self._records)
        self._worker.drain()
        self._spool.check()
        sha256 = self._sha256.digest()
        index = encode_index(sha256, self._written, records)
        return FinishedPack(
            name=sha256.hex(), pack_bytes=self._written, spool=self._spool, index=index, digests=sorted(self._records)
        )

    def discard(self) -> None:
        """Delete what was written."""
        self._spool.discard()

    def _flush(self) -> None:
        self._spool.check()
        block, length = self._block, self._filled

        def write() -> None:
            data = memoryview(block)[:length]
            write_all(self._spool.descriptor, data)
            self._sha256.update(data)

        self._spool.submit(write, lambda: self._buffers.give(block))
        self._written += length
        self._filled = 0
        self._block = self._buffers.take()
        self._view = memoryview(self._block)
