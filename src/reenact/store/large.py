"""Large objects kept as they are: each in a file of its own, ``objects/ab/<rest of the digest>``, written as its bytes come in."""

from __future__ import annotations

import os

from reenact.store.forms import HEADER_BYTES, RAW, encode_header
from reenact.store.spool import Spool, write_all
from reenact.store.worker import Buffers, Worker

__all__ = ["RawObject", "named_object", "object_key"]


def object_key(digest: bytes) -> str:
    """Give the key of the object with a raw digest, when it is in a file of its own."""
    name = digest.hex()
    return f"objects/{name[:2]}/{name[2:]}"


def named_object(key: str) -> bytes | None:
    """Give the raw digest of the object whose file a key is; None where it is not one."""
    try:
        raw = bytes.fromhex("".join(key.split("/")[1:]))
    except ValueError:
        return None
    return raw if len(raw) == 32 and object_key(raw) == key else None  # noqa: PLR2004 - SHA-256


class RawObject:
    """An object on its way into a file of its own. The caller hashes the content; this writes it."""

    base = None
    """It stands by itself."""

    def __init__(self, path: str, worker: Worker) -> None:
        self._spool = Spool(path, worker)
        self._worker = worker
        # The lengths are known at the end; until then the place of the header is kept.
        self._spool.submit(lambda: write_all(self._spool.descriptor, bytes(HEADER_BYTES)))

    @property
    def spool(self) -> Spool:
        """The temporary file it is in."""
        return self._spool

    def append_block(self, block: bytearray, length: int, buffers: Buffers) -> None:
        """Queue the first `length` bytes of a block, which goes back to its buffers when they are written."""
        self._spool.submit(
            lambda: write_all(self._spool.descriptor, memoryview(block)[:length]), lambda: buffers.give(block)
        )

    def append_bytes(self, content: memoryview) -> None:
        """Queue bytes that stay unchanged until :meth:`finish` returns."""
        self._spool.submit(lambda: write_all(self._spool.descriptor, content))

    def finish(self, content_bytes: int) -> None:
        """Write the end, wait until all is written, and start making it durable.

        Raises:
            StoreError: some of it could not be written; nothing is left of it then.
        """
        header = encode_header(RAW, content_bytes, content_bytes)
        self._spool.submit(lambda: _put(self._spool.descriptor, header))
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


def _put(descriptor: int, header: bytes) -> None:
    os.pwrite(descriptor, header, 0)
