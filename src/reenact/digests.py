"""Digests: the SHA-256 of bytes, written ``sha256:<64 hex digits>``.

The one digest algorithm of bundles and stores; ``sha256sum`` confirms every one of them. No I/O but reading what it is given.
"""

from __future__ import annotations

import hashlib
import os
from typing import Final, NewType

__all__ = [
    "BLOCK_BYTES",
    "EMPTY",
    "PREFIX",
    "Digest",
    "from_raw",
    "is_digest",
    "of_bytes",
    "of_descriptor",
    "of_lines",
    "to_raw",
]

Digest = NewType("Digest", str)
"""``sha256:`` and 64 lower-case hex digits."""

PREFIX: Final = "sha256:"
_RAW_BYTES: Final = hashlib.sha256().digest_size
_LENGTH: Final = len(PREFIX) + 2 * _RAW_BYTES
_HEX: Final = frozenset("0123456789abcdef")

BLOCK_BYTES: Final = 1 << 20
"""Read size: large enough to amortise a system call, small enough to stay in cache."""


def of_bytes(data: bytes | bytearray | memoryview) -> Digest:
    """Digest some bytes."""
    return Digest(PREFIX + hashlib.sha256(data).hexdigest())


EMPTY: Final = of_bytes(b"")


def of_descriptor(descriptor: int) -> Digest:
    """Digest what can be read from an open file, from its start, without moving its offset."""
    state = hashlib.sha256()
    offset = 0
    while block := os.pread(descriptor, BLOCK_BYTES, offset):
        state.update(block)
        offset += len(block)
    return Digest(PREFIX + state.hexdigest())


def of_lines(lines: list[str]) -> Digest:
    """Digest UTF-8 lines, each ended by a newline, in the order given."""
    state = hashlib.sha256()
    for line in lines:
        state.update(line.encode("utf-8", "surrogateescape") + b"\n")
    return Digest(PREFIX + state.hexdigest())


def from_raw(raw: bytes) -> Digest:
    """Write 32 raw bytes as a digest."""
    if len(raw) != _RAW_BYTES:
        raise ValueError(f"a SHA-256 has 32 bytes, got {len(raw)}")
    return Digest(PREFIX + raw.hex())


def to_raw(digest: str) -> bytes:
    """Give the 32 raw bytes of a digest; ValueError when it is not one."""
    try:
        raw = bytes.fromhex(digest[len(PREFIX) :])
    except ValueError:
        raw = b""
    # Faster than looking at every digit; fromhex alone would also take capitals and spaces.
    if len(raw) != _RAW_BYTES or PREFIX + raw.hex() != digest:
        raise ValueError(f"not a digest: {digest!r}")
    return raw


def is_digest(text: str) -> bool:
    """Tell whether a text is a well-formed digest."""
    return len(text) == _LENGTH and text.startswith(PREFIX) and _HEX.issuperset(text[len(PREFIX) :])
