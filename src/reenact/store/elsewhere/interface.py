"""What fetching bytes from elsewhere is asked for, and how it says that they cannot be had."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final, NamedTuple

from reenact.digests import Digest

__all__ = ["BLOCK_BYTES", "Place", "Unavailable", "Wanted"]

BLOCK_BYTES: Final = 1 << 20


class Unavailable(Exception):
    """Bytes cannot be had from a place; the text says why, in words that begin with what was looked at."""


class Wanted(NamedTuple):
    """Some bytes."""

    digest: Digest
    size_bytes: int


class Place(NamedTuple):
    """Where they may be."""

    what: str
    """In words, without secrets: ``the file at /data/x.csv``."""
    blocks: Callable[[], Iterator[bytes]]
    """Gives what is there, in blocks; raises :class:`Unavailable`, perhaps after blocks were given."""
    path: str | None = None
    """Of a local file, which need not be copied."""
