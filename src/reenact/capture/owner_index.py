"""A file on disk that tells which packages own a path: built once, looked up by bisection over a memory map.

A cache, of this machine only: hashes of 64 bits stand for paths, in native byte order. Two different paths of one lookup in a
hundred million million share a hash. A damaged file is known by its checksum. Opening costs about a millisecond, looking a
thousand paths up a few more.
"""

from __future__ import annotations

import contextlib
import hashlib
import mmap
import os
import struct
import zlib
from array import array
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from typing import Final

import msgspec

from reenact import atomic
from reenact.model.environment import OsPackage

__all__ = ["OwnerIndex", "build", "load", "save"]

_MAGIC: Final = b"reenact-owners-2\n"
_NUMBERS: Final = struct.Struct("<QQQ")
"""The CRC-32 of all that follows, the length of the package table, the number of entries."""
_HEAD_BYTES: Final = len(_MAGIC) + _NUMBERS.size
_HASH_BYTES: Final = 8
_OWNER_BITS: Final = 32
_OWNER_MASK: Final = (1 << _OWNER_BITS) - 1


def _hashes(paths: Iterable[str]) -> array[int]:
    # Not Python's hash(): it differs between processes. Of all in hashlib this one is the fastest for short texts.
    digest = hashlib.blake2s
    found = array("Q")
    found.frombytes(
        b"".join([digest(p.encode("utf-8", "surrogateescape"), digest_size=_HASH_BYTES).digest() for p in paths])
    )
    return found


class OwnerIndex:
    """Paths to packages."""

    def __init__(self, table: Sequence[OsPackage], hashes: Sequence[int], owners: Sequence[int]) -> None:
        """Hold an index: `hashes` sorted, and beside each the place of its owner in `table`."""
        self._table, self._hashes, self._owners = table, hashes, owners

    def owners(self, paths: Iterable[str]) -> set[OsPackage]:
        """Find the packages that own any of the paths."""
        places: set[int] = set()
        count = len(self._hashes)
        for wanted in _hashes(paths):
            at = bisect_left(self._hashes, wanted)
            while at < count and self._hashes[at] == wanted:  # Packages of two architectures share files.
                places.add(self._owners[at])
                at += 1
        return {self._table[place] for place in places}


def build(table: Sequence[OsPackage], files: Iterable[tuple[str, int]]) -> tuple[OwnerIndex, bytes]:
    """Make an index from (path, place of its owner in `table`), and the bytes to save it as."""
    # One number a pair, hash first: numbers sort several times faster than pairs.
    listed = list(files)
    hashed = _hashes(path for path, _ in listed)
    pairs = sorted({number << _OWNER_BITS | owner for number, (_, owner) in zip(hashed, listed, strict=True)})
    hashes = array("Q", [pair >> _OWNER_BITS for pair in pairs])
    owners = array("L", [pair & _OWNER_MASK for pair in pairs])
    packages = msgspec.json.encode(table)
    packages += b" " * (-(_HEAD_BYTES + len(packages)) % _HASH_BYTES)  # Arrays begin where they may be read as such.
    body = b"".join([packages, hashes.tobytes(), owners.tobytes()])
    head = _MAGIC + _NUMBERS.pack(zlib.crc32(body), len(packages), len(pairs))
    return OwnerIndex(table, hashes, owners), head + body


def save(path: str, data: bytes) -> None:
    """Put an index in its place, as far as the folder can be written: it is a cache."""
    with contextlib.suppress(OSError):
        os.makedirs(os.path.dirname(path), exist_ok=True)
        atomic.replace(path, data, durable=False)


def load(path: str) -> OwnerIndex | None:
    """Open a saved index; None when there is none, or it is damaged."""
    try:
        with open(path, "rb") as file:
            view = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
    except (OSError, ValueError):
        return None
    if len(view) < _HEAD_BYTES or bytes(view[: len(_MAGIC)]) != _MAGIC:
        return None
    checksum, table_bytes, count = _NUMBERS.unpack(view[len(_MAGIC) : _HEAD_BYTES])
    start = _HEAD_BYTES + table_bytes
    middle = start + count * _HASH_BYTES
    if len(view) != middle + count * array("L").itemsize or zlib.crc32(view[_HEAD_BYTES:]) != checksum:
        return None
    table = msgspec.json.decode(view[_HEAD_BYTES:start], type=list[OsPackage])
    return OwnerIndex(table, view[start:middle].cast("Q"), view[middle:].cast("L"))
