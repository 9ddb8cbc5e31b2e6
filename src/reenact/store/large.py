"""Large objects: each in a file of its own, ``objects/ab/<rest of the digest>``, written as its bytes come in."""

from __future__ import annotations

import hashlib
import os
from typing import Final

from reenact.store.compression import Compressor
from reenact.store.forms import HEADER_BYTES, RAW, ZSTD, encode_header
from reenact.store.spool import Spool, write_all
from reenact.store.worker import BLOCK_BYTES, Buffers, Worker

__all__ = ["LargeObject", "choose_form", "object_key"]

_SAMPLES: Final = 8
_SAMPLE_BYTES: Final = 8 << 10


def object_key(digest: bytes) -> str:
    """Give the key of the object with a raw digest, when it is in a file of its own."""
    name = digest.hex()
    return f"objects/{name[:2]}/{name[2:]}"


def choose_form(samples: list[bytes | memoryview], compressor: Compressor) -> int:
    """Choose raw or Zstandard from samples of an object."""
    return ZSTD if compressor.gains(samples) else RAW


def sample_descriptor(descriptor: int, size_bytes: int) -> list[bytes | memoryview]:
    """Take samples spread over an open file. They only choose the form, so it does not matter when the file changes."""
    step = max(size_bytes // _SAMPLES, _SAMPLE_BYTES)
    found = [os.pread(descriptor, _SAMPLE_BYTES, place * step) for place in range(_SAMPLES)]
    return [sample for sample in found if sample]


def sample_bytes(content: memoryview) -> list[bytes | memoryview]:
    """Take samples spread over bytes in memory."""
    step = max(len(content) // _SAMPLES, _SAMPLE_BYTES)
    return [content[at : at + _SAMPLE_BYTES] for at in range(0, min(len(content), step * _SAMPLES), step)]


class LargeObject:
    """An object on its way into a file of its own. The caller hashes the content; this writes it."""

    base = None
    """It stands by itself."""

    def __init__(self, path: str, form: int, worker: Worker) -> None:
        self._form = form
        self._spool = Spool(path, worker)
        self._worker = worker
        self._payload_bytes = 0
        self._compressor = Compressor() if form == ZSTD else None
        self._stored = hashlib.sha256()
        # The lengths are known at the end; until then the place of the header is kept.
        self._spool.submit(lambda: write_all(self._spool.descriptor, bytes(HEADER_BYTES)))

    @property
    def spool(self) -> Spool:
        """The temporary file it is in."""
        return self._spool

    def append_block(self, block: bytearray, length: int, buffers: Buffers) -> None:
        """Queue the first `length` bytes of a block, which goes back to its buffers when they are written."""
        self._spool.submit(lambda: self._write(memoryview(block)[:length]), lambda: buffers.give(block))

    def append_bytes(self, content: memoryview) -> None:
        """Queue bytes that stay unchanged until :meth:`finish` returns."""
        for at in range(0, len(content), BLOCK_BYTES):
            self._queue(content[at : at + BLOCK_BYTES])

    def finish(self, content_bytes: int) -> None:
        """Write the end, wait until all is written, and start making it durable.

        Raises:
            StoreError: some of it could not be written; nothing is left of it then.
        """
        self._spool.submit(lambda: self._end(content_bytes))
        self._worker.drain()
        try:
            self._spool.check()
        except BaseException:
            self.discard()
            raise
        self._spool.finish()

    def discard(self) -> None:
        """Delete what was written."""
        self._spool.discard()

    def _queue(self, content: memoryview) -> None:
        self._spool.submit(lambda: self._write(content))

    def _write(self, content: memoryview) -> None:
        if self._compressor is None:
            write_all(self._spool.descriptor, content)
            self._payload_bytes += len(content)
        else:
            self._write_packed(self._compressor.block(content))

    def _write_packed(self, packed: bytes) -> None:
        if packed:
            self._stored.update(packed)
            write_all(self._spool.descriptor, packed)
            self._payload_bytes += len(packed)

    def _end(self, content_bytes: int) -> None:
        if self._compressor is not None:
            self._write_packed(self._compressor.end())
        header = encode_header(self._form, content_bytes, self._payload_bytes)
        if self._compressor is not None:
            self._stored.update(header)
            write_all(self._spool.descriptor, self._stored.digest())
        os.pwrite(self._spool.descriptor, header, 0)
        self._compressor = None
