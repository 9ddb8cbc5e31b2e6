from __future__ import annotations

import random

import pytest

from reenact.store.compression import Compressor
from reenact.store.forms import Malformed, encode_segmented_header
from reenact.store.segments import (
    TRAILER_BYTES,
    Range,
    Segment,
    Table,
    encode_table,
    next_lineage,
    radix_base,
    read_table,
    table_bytes,
    trailer_length,
)

TABLE = Table(
    content_bytes=5 << 20,
    segment_bytes=2 << 20,
    depth=3,
    number=17,
    lineage=(None, bytes(range(32)), b"x" * 32),
    segments=(
        Segment(1000, (Range(0, 1 << 20), Range(5, 6))),
        Segment(0, ()),
        Segment(7, (Range(1 << 40, (1 << 32) - 1),)),
    ),
)
HEADER = encode_segmented_header(b"b" * 32, 5 << 20, 5000)


def test_a_table_survives_being_written() -> None:
    end = table_bytes(HEADER, Compressor().whole(encode_table(TABLE)))
    frame, trailer = end[:-TRAILER_BYTES], end[-TRAILER_BYTES:]
    assert trailer_length(trailer) == len(frame)
    assert read_table(HEADER, frame, trailer) == TABLE
    assert [TABLE.length(place) for place in range(3)] == [2 << 20, 2 << 20, 1 << 20]
    assert TABLE.offsets() == [0, 1000, 1000, 1007]


def test_every_flipped_bit_of_a_table_is_found() -> None:
    end = table_bytes(HEADER, Compressor().whole(encode_table(TABLE)))
    for place in range(len(HEADER) + len(end)):
        for bit in range(8):
            data = bytearray(HEADER + end)
            data[place] ^= 1 << bit
            header, rest = bytes(data[: len(HEADER)]), bytes(data[len(HEADER) :])
            if trailer_length(rest[-TRAILER_BYTES:]) != len(rest) - TRAILER_BYTES:
                continue  # the reader looks for the frame where it says
            with pytest.raises(Malformed):
                read_table(header, rest[:-TRAILER_BYTES], rest[-TRAILER_BYTES:])


@pytest.mark.parametrize(
    ("change", "what"),
    [
        (lambda data: b"\x02" + data[1:], "version 2"),
        (lambda data: data + b"\0", "1 bytes too many"),
        (lambda data: data[:-1], "cannot be read"),
        (lambda data: data[:8] + bytes(4) + data[12:], "segments of 0 bytes"),
        (lambda data: data[:0], "cannot be read"),
    ],
)
def test_a_table_written_wrongly_is_refused(change: object, what: str) -> None:
    frame = Compressor().whole(change(encode_table(TABLE)))  # type: ignore[operator]
    end = table_bytes(HEADER, frame)
    with pytest.raises(Malformed, match=what):
        read_table(HEADER, frame, end[-TRAILER_BYTES:])


def test_the_chain_of_120_versions_is_nowhere_deeper_than_nine() -> None:
    names = [random.Random(number).randbytes(32) for number in range(121)]
    lineage: tuple[bytes, ...] = (names[0],)
    depth = {names[0]: 0}
    for number in range(1, 121):
        depth[names[number]] = depth[radix_base(number, lineage)] + 1
        lineage = tuple(item or names[number] for item in next_lineage(number, lineage))
    assert max(depth.values()) == 9
    assert max(depth[names[number]] for number in range(31)) == 6
