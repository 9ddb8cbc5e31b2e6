"""Encrypt whole files, in bounded memory."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import Final

from reenact.atomic import AnyPath
from reenact.errors import StoreError
from reenact.store.backends.folder import VALUE_MODE
from reenact.store.crypt.keyring import KeyRing
from reenact.store.crypt.values import CHUNK_BYTES, HEADER_BYTES, ValueCipher, new_cipher, stored_length
from reenact.store.spool import write_all

__all__ = ["reseal", "seal_file"]

_CHUNKS: Final = 16
"""Chunks that are read and written together: 1 MiB."""


def seal_file(ring: KeyRing, key: str, path: AnyPath, target: str) -> None:
    """Encrypt a file, to be put under `key`, into a new file, which is durable on return.

    Raises:
        StoreError: it changed meanwhile.
        OSError: it cannot be read, or the other not be written; what there is of that is the caller's to delete.
    """
    with open(path, "rb", buffering=0) as source:
        content_bytes = os.fstat(source.fileno()).st_size
        cipher = new_cipher(ring, key, content_bytes)
        at = 0

        def blocks() -> Iterator[bytes]:
            nonlocal at
            while at < content_bytes:
                block = os.pread(source.fileno(), min(CHUNK_BYTES * _CHUNKS, content_bytes - at), at)
                if not block:
                    raise StoreError(f"{os.fspath(path)} became shorter while it was encrypted")
                # A short read is completed, so that chunks are whole.
                while len(block) % CHUNK_BYTES and at + len(block) < content_bytes:
                    more = os.pread(source.fileno(), CHUNK_BYTES - len(block) % CHUNK_BYTES, at + len(block))
                    if not more:
                        raise StoreError(f"{os.fspath(path)} became shorter while it was encrypted")
                    block += more
                at += len(block)
                yield block

        _write(cipher, blocks(), target)


def reseal(ring: KeyRing, key: str, old: ValueCipher, read: Callable[[int, int], bytes], target: str) -> None:
    """Encrypt a value anew, with the key of the current epoch, into a new file, which is durable on return.

    Args:
        ring: The keys.
        key: What the value is under.
        old: Decrypts it as it is.
        read: Reads from what is stored: offset, length.
        target: The new file.

    Raises:
        ValueDamaged: what is stored is not what was put.
        OSError: the file cannot be written; what there is of it is the caller's to delete.
    """

    def blocks() -> Iterator[bytes]:
        for first in range(0, old.chunks, _CHUNKS):
            last = min(first + _CHUNKS, old.chunks) - 1
            stored = read(*old.place(first, last))
            yield b"".join(old.open_all(first, stored))

    _write(new_cipher(ring, key, old.content_bytes), blocks(), target)


def _write(cipher: ValueCipher, blocks: Iterator[bytes], target: str) -> None:
    """Write blocks, all but the last of whole chunks, as one encrypted value."""
    descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, VALUE_MODE)
    try:
        write_all(descriptor, cipher.header)
        number = 0
        for block in blocks:
            view = memoryview(block)
            chunks = [view[at : at + CHUNK_BYTES] for at in range(0, len(view), CHUNK_BYTES)]
            write_all(descriptor, b"".join([cipher.seal(number + n, chunk) for n, chunk in enumerate(chunks)]))
            number += len(chunks)
        if number == 0:
            write_all(descriptor, cipher.seal(0, b""))
        if os.fstat(descriptor).st_size != stored_length(cipher.content_bytes):
            raise StoreError(f"{os.fstat(descriptor).st_size - HEADER_BYTES} bytes were encrypted, not all of a value")
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
