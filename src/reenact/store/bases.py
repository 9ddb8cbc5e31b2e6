"""Open an object's content for reading any part of it, with the objects it is made against."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from typing import BinaryIO, Final, cast

from reenact import digests
from reenact.digests import Digest
from reenact.errors import KeyAbsent
from reenact.store.forms import DELTA, RAW, SEGMENTS, Malformed
from reenact.store.interface import Backend
from reenact.store.segment_cache import SegmentCache
from reenact.store.sources import (
    FileSource,
    MemorySource,
    RawSource,
    SegmentSource,
    Source,
    load_table,
)
from reenact.store.spool import write_all
from reenact.store.stored import Place, plain_blocks, read_header

__all__ = ["Bases"]

_MOST_DEPTH: Final = 64
"""Deeper than any writer makes them: a store that was tampered with may name a base in a circle."""
_IN_MEMORY_BYTES: Final = 4 << 20


class Bases:
    """Opens objects of one store as sources."""

    def __init__(self, backend: Backend, places: Callable[[Digest], Iterator[Place]]) -> None:
        """Prepare.

        Args:
            backend: Where the objects are.
            places: Gives where an object is.
        """
        self._backend = backend
        self._places = places

    def open(self, digest: Digest, cache: SegmentCache | None = None, *, level: int = 0) -> Source:
        """Open an object by its digest, at the first place where it can be opened.

        Raises:
            KeyAbsent: it is nowhere.
            Malformed: it is damaged, or something it is made against is; which, is said.
        """
        problem: Malformed | None = None
        for place in self._places(digest):
            try:
                return self.open_at(place, digest, cache or SegmentCache(), level=level)
            except Malformed as error:
                problem = error
            except KeyAbsent:
                continue
        if problem is not None:
            raise problem
        raise KeyAbsent(digest)

    def blocks(self, place: Place, digest: Digest) -> Iterator[bytes]:
        """Give the content of the object at a place, in blocks of at most 16 MiB; memory is bounded.

        Raises:
            Malformed: it is damaged, or something it is made against is; which, is said. Perhaps after blocks were given.
            KeyAbsent: it is gone.
        """
        header, _ = read_header(self._backend, place)
        if header.form not in {DELTA, SEGMENTS}:
            yield from plain_blocks(self._backend, place)
            return
        source = self.open_at(place, digest, SegmentCache())
        if isinstance(source, SegmentSource):
            yield from source.blocks()

    def open_at(self, place: Place, digest: Digest, cache: SegmentCache, *, level: int = 0) -> Source:
        """Open an object at a place.

        Raises:
            KeyAbsent: it is not there.
            Malformed: as :meth:`open`.
        """
        header, head = read_header(self._backend, place)
        raw = digests.to_raw(digest)
        if header.form == RAW:
            start = place.offset + header.header_bytes
            return RawSource(raw, header.content_bytes, self._backend, place.key, start)
        if header.form not in {DELTA, SEGMENTS}:
            return self._expanded(place, digest, header.content_bytes)
        if level == _MOST_DEPTH:
            raise Malformed(f"a delta on more than {_MOST_DEPTH} others")
        table = load_table(self._backend, place.key, place.offset, header, head)
        base = None if header.base is None else self._base(digests.from_raw(header.base), cache, level)
        return SegmentSource(
            raw, table, base, cache, backend=self._backend, place=place, header_bytes=header.header_bytes
        )

    def _base(self, digest: Digest, cache: SegmentCache, level: int) -> Source:
        try:
            return self.open(digest, cache, level=level + 1)
        except KeyAbsent:
            raise Malformed(f"its base {digest} is missing") from None
        except Malformed as error:
            raise Malformed(f"its base {digest} is damaged: {error}") from error

    def _expanded(self, place: Place, digest: Digest, content_bytes: int) -> Source:
        """Decompress an object of one frame, which cannot be read from its middle, and check it."""
        raw = digests.to_raw(digest)
        state = hashlib.sha256()
        if content_bytes <= _IN_MEMORY_BYTES:
            content = b"".join(plain_blocks(self._backend, place))
            state.update(content)
            _compare(raw, state.digest())
            return MemorySource(raw, content)
        import tempfile  # noqa: PLC0415 - 8 ms, hardly ever needed

        file = cast(BinaryIO, tempfile.TemporaryFile(buffering=0))  # noqa: SIM115 - the source owns it
        for block in plain_blocks(self._backend, place):
            state.update(block)
            write_all(file.fileno(), block)
        _compare(raw, state.digest())
        return FileSource(raw, content_bytes, file)


def _compare(expected: bytes, got: bytes) -> None:
    if got != expected:
        raise Malformed(f"content with digest {digests.from_raw(got)}")
