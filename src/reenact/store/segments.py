"""The payload of an object in segments, alone or as a delta: frames of equal content length, then a table of them.

::

    frames            one Zstandard frame with a check sum for each segment of content, in order
    table             a Zstandard frame of
        1 byte        version: 1
        1             depth: how many objects have to be read one after the other, below this one
        2             length of the lineage
        4             number of this version since the last one that was not a delta
        4             length of a segment's content; the last may be shorter
        8             length of the content
        32 each       the lineage: digests of earlier versions to make deltas against (below), zeros for this one
        5 each        for every segment the length of its frame (4) and the number of its ranges (1), then these:
            12 each   offset (8) and length (4) of a range of the base
    4                 length of the table's frame
    32                SHA-256 of the object's header and the table's frame

Numbers are little-endian and unsigned. What a segment's frame is compressed against, and decompressed with, is its ranges of
the base's content, one after the other.

The lineage makes chains short: item k is the newest version whose number is a multiple of 4^k. The version with number i is
made against number i - 4^k, for the largest k with 4^k dividing i, so that 120 versions are nowhere deeper than 9.
"""

from __future__ import annotations

import hashlib
import struct
from itertools import accumulate
from typing import Final

import msgspec

from reenact.store.compression import Corrupt, decompress
from reenact.store.forms import Malformed

__all__ = [
    "ALONE_BYTES",
    "BROAD_BYTES",
    "SEGMENT_BYTES",
    "TRAILER_BYTES",
    "Range",
    "Segment",
    "Table",
    "encode_table",
    "next_lineage",
    "radix_base",
    "read_table",
    "table_bytes",
    "trailer_length",
]

SEGMENT_BYTES: Final = 2 << 20
"""Content of a segment of a delta. Smaller ones take more bytes for tables and tell less about where they come from; larger ones
cover more than one move, and more memory."""
ALONE_BYTES: Final = 4 << 20
"""Content of a segment that stands by itself: shorter ones make uncompressed Parquet larger, longer ones need more memory."""
BROAD_BYTES: Final = 16 << 20
"""Content of a segment that is made against all of its base: to search that once more takes longer than to compress the segment."""
TRAILER_BYTES: Final = 4 + 32

_VERSION: Final = 1
_HEAD: Final = struct.Struct("<BBHIIQ")
_SEGMENT: Final = struct.Struct("<IB")
_RANGE: Final = struct.Struct("<QI")
_LENGTH: Final = struct.Struct("<I")
_SELF: Final = bytes(32)
_RADIX: Final = 4
_LARGEST_TABLE_BYTES: Final = 64 << 20
"""Some 2.5 million segments, 5 TB of content."""


class Range(msgspec.Struct, frozen=True):
    """Some bytes of the base's content."""

    offset: int
    length: int


class Segment(msgspec.Struct, frozen=True):
    """One frame."""

    stored_bytes: int
    ranges: tuple[Range, ...]


class Table(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of an object in segments beside its frames."""

    content_bytes: int
    segment_bytes: int
    depth: int
    number: int
    lineage: tuple[bytes | None, ...]
    """Raw digests; None stands for the object itself."""
    segments: tuple[Segment, ...]

    def length(self, place: int) -> int:
        """Give the length of a segment's content."""
        return min(self.segment_bytes, self.content_bytes - place * self.segment_bytes)

    def offsets(self) -> list[int]:
        """Give where each frame begins, counted from the first, and where the last ends."""
        return list(accumulate((segment.stored_bytes for segment in self.segments), initial=0))


def encode_table(table: Table) -> bytes:
    """Write a table, uncompressed."""
    parts = [
        _HEAD.pack(_VERSION, table.depth, len(table.lineage), table.number, table.segment_bytes, table.content_bytes),
        *(digest or _SELF for digest in table.lineage),
    ]
    for segment in table.segments:
        parts.append(_SEGMENT.pack(segment.stored_bytes, len(segment.ranges)))
        parts += [_RANGE.pack(part.offset, part.length) for part in segment.ranges]
    return b"".join(parts)


def table_bytes(header: bytes, frame: bytes) -> bytes:
    """Give the end of a payload: the table's frame and its trailer."""
    return frame + _LENGTH.pack(len(frame)) + hashlib.sha256(header + frame).digest()


def trailer_length(trailer: bytes) -> int:
    """Give the length of the table's frame from the last :data:`TRAILER_BYTES` of a payload.

    Raises:
        Malformed: they are fewer.
    """
    if len(trailer) != TRAILER_BYTES:
        raise Malformed("bytes that end before the table of their segments")
    return int(_LENGTH.unpack_from(trailer)[0])


def read_table(header: bytes, frame: bytes, trailer: bytes) -> Table:
    """Read a table, and check it against its digest.

    Args:
        header: That of the object, whole.
        frame: The table's frame.
        trailer: The last :data:`TRAILER_BYTES` of the payload.

    Raises:
        Malformed: something of the three is not what was written.
    """
    if hashlib.sha256(header + frame).digest() != trailer[_LENGTH.size :]:
        raise Malformed("a table of segments that does not match its digest")
    try:
        return _decode(decompress(frame, _LARGEST_TABLE_BYTES))
    except (Corrupt, struct.error) as error:
        raise Malformed(f"a table of segments that cannot be read: {error}") from error


def _decode(data: bytes) -> Table:
    version, depth, count, number, segment_bytes, content_bytes = _HEAD.unpack_from(data)
    if version != _VERSION:
        raise Malformed(f"a table of segments of version {version}, which this program cannot read")
    if not 0 < segment_bytes <= BROAD_BYTES:
        raise Malformed(f"segments of {segment_bytes} bytes")
    at = _HEAD.size
    lineage = []
    for _ in range(count):
        digest = data[at : at + 32]
        lineage.append(None if digest == _SELF else digest)
        at += 32
    segments = []
    for _ in range(-(-content_bytes // segment_bytes)):
        stored_bytes, ranges = _SEGMENT.unpack_from(data, at)
        at += _SEGMENT.size
        found = tuple(Range(*_RANGE.unpack_from(data, at + place * _RANGE.size)) for place in range(ranges))
        at += ranges * _RANGE.size
        segments.append(Segment(stored_bytes, found))
    if at != len(data):
        raise Malformed(f"a table of segments with {len(data) - at} bytes too many")
    return Table(
        content_bytes=content_bytes,
        segment_bytes=segment_bytes,
        depth=depth,
        number=number,
        lineage=tuple(lineage),
        segments=tuple(segments),
    )


def radix_base(number: int, lineage: tuple[bytes, ...]) -> bytes:
    """Choose what version `number` is made against, from the lineage of the version before."""
    power = 0
    while number % _RADIX ** (power + 1) == 0:
        power += 1
    return lineage[min(power, len(lineage) - 1)]


def next_lineage(number: int, lineage: tuple[bytes, ...]) -> tuple[bytes | None, ...]:
    """Give the lineage of version `number`, from that of the version before; its last item stays the first version."""
    first = lineage[-1]
    levels = 1
    while _RADIX ** (levels - 1) <= number:
        levels += 1
    known = [*lineage, *[first] * (levels - len(lineage))]
    return tuple(None if number % _RADIX**power == 0 else known[power] for power in range(levels))
