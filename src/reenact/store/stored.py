"""Read one stored object from one place, and check it as it is read."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator

import msgspec

from reenact import digests
from reenact.digests import Digest
from reenact.store import forms
from reenact.store.compression import Corrupt, decompress_blocks
from reenact.store.forms import FOOTER_BYTES, LONGEST_HEADER_BYTES, Header, Malformed
from reenact.store.interface import Ranges
from reenact.store.packs import Record, pack_key
from reenact.store.worker import BLOCK_BYTES

__all__ = [
    "Place",
    "content_digest",
    "damage_of_stored",
    "header_at",
    "in_file",
    "in_pack",
    "plain_blocks",
    "read_header",
    "whole_content",
]


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """Where a stored object is."""

    key: str
    offset: int
    stored_bytes: int
    """Length there: in a file of its own the whole file."""
    record: Record | None
    """What the pack's index says; None for a file of its own."""


def in_pack(name: str, record: Record) -> Place:
    """Give the place of a packed object."""
    return Place(key=pack_key(name), offset=record.offset, stored_bytes=record.stored_bytes, record=record)


def in_file(key: str, size_bytes: int) -> Place:
    """Give the place of an object in a file of its own."""
    return Place(key=key, offset=0, stored_bytes=size_bytes, record=None)


def header_at(place: Place, data: bytes | memoryview) -> Header:
    """Read the header a stored object begins with, and hold it against what else is known of its length.

    Raises:
        Malformed: it cannot be read, or disagrees.
    """
    header = forms.decode_header(data)
    record = place.record
    expected = header.stored_bytes + (forms.footer_bytes(header.form) if record is None else 0)
    if expected != place.stored_bytes:
        raise Malformed(f"{place.stored_bytes} bytes where the header says {expected}")
    if record is not None and record.content_bytes != header.content_bytes:
        raise Malformed(f"a content of {header.content_bytes} bytes where the index says {record.content_bytes}")
    return header


def whole_content(place: Place, stored: bytes | memoryview) -> bytes:
    """Give the content from all the bytes at a place.

    Raises:
        Malformed: they are not a stored object.
    """
    header = header_at(place, stored)
    return forms.content_of(header, memoryview(stored)[header.header_bytes : header.stored_bytes])


def read_header(backend: Ranges, place: Place) -> tuple[Header, bytes]:
    """Read the header at a place; give it, and its bytes.

    Raises:
        Malformed: it cannot be read, or disagrees with what else is known.
        KeyAbsent: there is nothing.
    """
    head = backend.get_range(place.key, place.offset, min(LONGEST_HEADER_BYTES, place.stored_bytes))
    header = header_at(place, head)
    return header, head[: header.header_bytes]


def plain_blocks(backend: Ranges, place: Place) -> Iterator[bytes]:
    """Give the content of a raw or Zstandard object, in blocks of at most 1 MiB, holding no more than a few of them.

    Raises:
        Malformed: it is not such an object; found out on the way, after blocks were given.
    """
    header, _ = read_header(backend, place)
    if header.form not in {forms.RAW, forms.ZSTD}:
        raise Malformed(f"form {forms.FORM_NAMES[header.form]} where a plain one is wanted")
    payload = _ranges(backend, place, header.header_bytes, header.payload_bytes)
    if header.form == forms.RAW:
        yield from payload
        return
    given = 0
    try:
        for block in decompress_blocks(payload, header.content_bytes, BLOCK_BYTES):
            given += len(block)
            yield block
    except Corrupt as error:
        raise Malformed(f"a payload that cannot be decompressed: {error}") from error
    if given != header.content_bytes:
        raise Malformed(f"{given} bytes of content where the header says {header.content_bytes}")


def damage_of_stored(backend: Ranges, place: Place, digest: bytes) -> str:
    """Say what is wrong with the stored bytes of an object, without decompressing; empty when nothing.

    A raw object is its content, so its raw digest is checked; another form carries the digest of its bytes at its end, or
    the pack's index does.
    """
    try:
        header, head = read_header(backend, place)
        state = hashlib.sha256()
        for block in _ranges(backend, place, header.header_bytes, header.payload_bytes):
            state.update(block)
    except Malformed as error:
        return str(error)
    if place.record is not None:
        promised = place.record.stored_digest
    elif header.form == forms.RAW:
        promised = digest
    else:
        state.update(head)
        promised = backend.get_range(place.key, place.stored_bytes - FOOTER_BYTES, FOOTER_BYTES)
    return "" if state.digest() == promised else f"stored bytes with digest {state.hexdigest()}, not {promised.hex()}"


def content_digest(blocks: Iterator[bytes], use: Callable[[bytes], object] | None = None) -> Digest:
    """Digest blocks, and pass each on."""
    state = hashlib.sha256()
    for block in blocks:
        state.update(block)
        if use is not None:
            use(block)
    return digests.from_raw(state.digest())


def _ranges(backend: Ranges, place: Place, start: int, length: int) -> Iterator[bytes]:
    for at in range(start, start + length, BLOCK_BYTES):
        wanted = min(BLOCK_BYTES, start + length - at)
        block = backend.get_range(place.key, place.offset + at, wanted)
        if len(block) != wanted:
            raise Malformed(f"bytes that end {wanted - len(block)} too early")
        yield block
