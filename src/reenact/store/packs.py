"""Packs: the small objects of a run in one file, and the index that finds them in it.

A pack is ``RNPK``, a version byte (1), three zero bytes, then stored objects (:mod:`reenact.store.forms`) back to back. Its
name is the SHA-256 of all of it. Since each object tells its length, a pack can be read without its index. The index::

    offset  bytes  what
    0       4      "RNIX"
    4       1      version: 1
    5       3      zero
    8       8      number of records
    16      8      length of the pack in bytes
    24      32     SHA-256 of the pack: its name
    56      88 n   records, sorted by digest: digest (32), offset, stored length, content length (8 each),
                   stored digest (32; see :mod:`reenact.store.forms`)
    ...     32     SHA-256 of all before

Numbers are little-endian and unsigned. A pack without its index does not count: it is what a killed commit leaves.
"""

from __future__ import annotations

import hashlib
import struct
from bisect import bisect_left
from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

from reenact.errors import IntegrityError

__all__ = [
    "FOLDER",
    "PACK_MAGIC",
    "RECORD",
    "PackIndex",
    "Record",
    "encode_index",
    "encode_records",
    "index_key",
    "pack_key",
    "pack_names",
]

FOLDER: Final = "packs"
PACK_MAGIC: Final = b"RNPK\x01\0\0\0"
RECORD: Final = struct.Struct("<32sQQQ32s")

_INDEX_MAGIC: Final = b"RNIX\x01\0\0\0"
_HEAD: Final = struct.Struct("<8sQQ32s")
_CHECK_BYTES: Final = 32
_INDEX_SUFFIX: Final = ".idx"


class Record(NamedTuple):
    """Where in a pack an object is."""

    offset: int
    stored_bytes: int
    content_bytes: int
    stored_digest: bytes


def pack_key(name: str) -> str:
    """Give the key of a pack; `name` is the hex SHA-256 of its bytes."""
    return f"{FOLDER}/{name}.pack"


def index_key(name: str) -> str:
    """Give the key of a pack's index."""
    return f"{FOLDER}/{name}{_INDEX_SUFFIX}"


def pack_names(names: Iterable[str]) -> list[str]:
    """Pick, from the names in the packs' folder, the packs that count: those with an index."""
    return [name[: -len(_INDEX_SUFFIX)] for name in names if name.endswith(_INDEX_SUFFIX)]


def encode_records(records: dict[bytes, Record]) -> bytes:
    """Write the records of an index, by raw digest; the part of it that needs no knowledge of the pack's name."""
    pack = RECORD.pack
    return b"".join([pack(digest, *records[digest]) for digest in sorted(records)])


def encode_index(pack_sha256: bytes, pack_bytes: int, records: bytes) -> bytes:
    """Write the index of a pack around its encoded records."""
    body = _HEAD.pack(_INDEX_MAGIC, len(records) // RECORD.size, pack_bytes, pack_sha256) + records
    return body + hashlib.sha256(body).digest()


class PackIndex:
    """The index of one pack, whole and checked. Look-ups are binary searches; nothing is unpacked before."""

    __slots__ = ("_data", "count", "name", "pack_bytes")

    def __init__(self, name: str, data: bytes) -> None:
        """Read an index.

        Raises:
            IntegrityError: the bytes are not the whole, unchanged index of the pack of that name.
        """
        count, pack_bytes = _checked(name, data)
        self.name = name
        self.count = count
        self.pack_bytes = pack_bytes
        self._data = data

    def find(self, digest: bytes) -> Record | None:
        """Find an object by its raw digest."""
        place = bisect_left(range(self.count), digest, key=self._digest)
        if place == self.count or self._digest(place) != digest:
            return None
        return Record(*RECORD.unpack_from(self._data, _HEAD.size + place * RECORD.size)[1:])

    def digests(self) -> Iterator[bytes]:
        """Give the raw digests of all objects, sorted."""
        return map(self._digest, range(self.count))

    def _digest(self, place: int) -> bytes:
        start = _HEAD.size + place * RECORD.size
        return self._data[start : start + 32]


def _checked(name: str, data: bytes) -> tuple[int, int]:
    problem = ""
    count = pack_bytes = 0
    if len(data) < _HEAD.size + _CHECK_BYTES:
        problem = f"{len(data)} bytes are too few"
    elif hashlib.sha256(memoryview(data)[:-_CHECK_BYTES]).digest() != data[-_CHECK_BYTES:]:
        problem = "its bytes do not match their check sum"
    else:
        magic, count, pack_bytes, sha256 = _HEAD.unpack_from(data)
        if magic != _INDEX_MAGIC:
            problem = "it is of a version this program cannot read"
        elif sha256.hex() != name:
            problem = f"it belongs to the pack {sha256.hex()}"
        elif len(data) != _HEAD.size + count * RECORD.size + _CHECK_BYTES:
            problem = f"{len(data)} bytes do not hold {count} records"
    if problem:
        raise IntegrityError(f"the index of pack {name} is damaged: {problem}")
    return count, pack_bytes
