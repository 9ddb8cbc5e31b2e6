"""Large objects in segments, alone or as a delta: each in a file of its own, written as its bytes come in.

The caller's thread reads and finds what to compress against; the helper compresses, checks and writes. Memory: a few segments
and what they are compressed against.
"""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Iterator
from typing import Final

import msgspec

from reenact.errors import StoreError
from reenact.store import prefix
from reenact.store.anchors import Aligner
from reenact.store.compression import Compressor
from reenact.store.delta import PAYS, Chain, Coded, SegmentCoder
from reenact.store.effort import Effort
from reenact.store.forms import LONGEST_HEADER_BYTES, Malformed, encode_segmented_header
from reenact.store.segments import (
    ALONE_BYTES,
    BROAD_BYTES,
    SEGMENT_BYTES,
    TRAILER_BYTES,
    Range,
    Segment,
    Table,
    encode_table,
    table_bytes,
)
from reenact.store.spool import Spool, write_all
from reenact.store.worker import Buffers, Worker

__all__ = ["SegmentedObject"]

_IN_FLIGHT_BYTES: Final = 4 << 20
"""Content of segments read and not yet written: two of a delta, one that stands by itself."""

_ZEROS: Final = bytes(ALONE_BYTES)
_NO_RANGES: Final[tuple[Range, ...]] = ()


class _Output(msgspec.Struct):
    """A file of frames."""

    spool: Spool
    segments: list[Segment] = []
    stored_bytes: int = 0
    sha256: hashlib._Hash = msgspec.field(default_factory=hashlib.sha256)

    def begin(self) -> None:
        """Keep the place of the header, which is known at the end."""
        write_all(self.spool.descriptor, bytes(LONGEST_HEADER_BYTES))

    def add(self, coded: Coded) -> None:
        """Append a segment."""
        self.write(coded.frame)
        self.segments.append(Segment(len(coded.frame), coded.ranges))

    def write(self, data: bytes) -> None:
        """Append a part of the payload."""
        write_all(self.spool.descriptor, data)
        self.sha256.update(data)
        self.stored_bytes += len(data)


class SegmentedObject:
    """An object on its way into a file of its own. The caller hashes the content; this writes it."""

    def __init__(
        self, path: str, worker: Worker, *, effort: Effort, chain: Chain | None = None, size_bytes: int = 0
    ) -> None:
        """Begin.

        Args:
            path: Of the temporary file.
            worker: The helper.
            effort: For segments that stand by themselves.
            chain: What to make a delta against.
            size_bytes: Length of the content, as far as known.

        Raises:
            StoreError: the file cannot be created.
        """
        self._path, self._worker, self._chain = path, worker, chain
        self._effort: Effort = effort
        broad = chain is not None and chain.broad
        self._segment_bytes = ALONE_BYTES if chain is None else BROAD_BYTES if broad else SEGMENT_BYTES
        self._aligner = Aligner(chain.base, size_bytes) if chain is not None else None
        self._coder = SegmentCoder(effort, broad=broad)
        self._whole: bytes | None = None
        """All of the base, where every segment is made against it."""
        self._pending = bytearray()
        self._start = 0
        self._room = threading.Semaphore(max(1, _IN_FLIGHT_BYTES // self._segment_bytes))
        self._out = _Output(Spool(path, worker))
        self._out.spool.submit(self._out.begin)

    @property
    def spool(self) -> Spool:
        """The temporary file it is in."""
        return self._out.spool

    @property
    def base(self) -> bytes | None:
        """Raw digest of the object it needs; known when it is finished."""
        used = any(segment.ranges for segment in self._out.segments)
        return self._chain.base.digest if self._chain is not None and used else None

    def append_block(self, block: bytearray, length: int, buffers: Buffers) -> None:
        """Take the first `length` bytes of a block, which goes back to its buffers."""
        self.append_bytes(memoryview(block)[:length])
        buffers.give(block)

    def append_bytes(self, content: memoryview) -> None:
        """Take bytes; waits while too many are on their way."""
        while content:
            taken = content[: self._segment_bytes - len(self._pending)]
            self._pending += taken
            content = content[len(taken) :]
            if len(self._pending) == self._segment_bytes:
                self._flush()

    def finish(self, content_bytes: int) -> None:
        """Write the end, wait until all is written, and start making it durable.

        Raises:
            StoreError: some of it could not be written; nothing is left of it then.
        """
        if self._pending:
            self._flush()
        self._out.spool.submit(lambda: self._end(content_bytes))
        self._worker.drain()
        try:
            self._out.spool.check()
        except BaseException:
            self.discard()
            raise
        self._out.spool.finish()

    def discard(self) -> None:
        """Delete what was written."""
        self._out.spool.discard()

    def _flush(self) -> None:
        content = bytes(self._pending)
        self._pending.clear()
        known, ranges = b"", _NO_RANGES
        # Zeros need nothing to be compressed against.
        zeros = content == _ZEROS[: len(content)]
        if self._aligner is not None and self._chain is not None and not zeros:
            known, ranges = self._look_up(self._aligner, self._chain, content)
        self._start += len(content)
        self._room.acquire()
        self._out.spool.submit(lambda: self._out.add(self._coder.code(content, known, ranges)), self._room.release)

    def _look_up(self, aligner: Aligner, chain: Chain, content: bytes) -> tuple[bytes, tuple[Range, ...]]:
        """Read what a segment may be compressed against; nothing any more once the base turns out to be unreadable."""
        try:
            if chain.broad:
                every = (Range(0, chain.base.size_bytes),)
                if self._whole is None:
                    self._whole = chain.base.gather(every)
                return self._whole, every
            ranges = aligner.ranges(content, self._start)
            return (chain.base.gather(ranges) if ranges else b""), ranges
        except (Malformed, StoreError):
            self._aligner = None
            return b"", ()

    def _end(self, content_bytes: int) -> None:
        """Write the table and what frames it; in the helper."""
        chain = self._chain
        if chain is not None and self._out.stored_bytes > PAYS * chain.plain_share * content_bytes:
            self._stand_alone(chain, content_bytes)
        if self.base is None:
            chain = None
        table = Table(
            content_bytes=content_bytes,
            segment_bytes=self._segment_bytes,
            depth=chain.base.depth + 1 if chain is not None else 0,
            number=chain.number if chain is not None else 0,
            lineage=chain.lineage if chain is not None else (),
            segments=tuple(self._out.segments),
        )
        self._frame(table)

    def _stand_alone(self, chain: Chain, content_bytes: int) -> None:
        """Replace a delta that did not pay by segments that stand by themselves."""
        old, length, self._segment_bytes = self._out, self._segment_bytes, ALONE_BYTES
        new = _Output(Spool(f"{self._path}-alone", self._worker))
        coder = SegmentCoder(self._effort)
        try:
            new.begin()
            for content in _cut(_contents(old, chain, content_bytes, length), ALONE_BYTES):
                new.add(coder.code(content, b"", ()))
        except BaseException:
            new.spool.discard()
            raise
        old.spool.discard()
        self._out = new

    def _frame(self, table: Table) -> None:
        out = self._out
        packed = Compressor().whole(encode_table(table))
        payload_bytes = out.stored_bytes + len(packed) + TRAILER_BYTES
        header = encode_segmented_header(self.base, table.content_bytes, payload_bytes)
        out.write(table_bytes(header, packed))
        out.sha256.update(header)
        write_all(out.spool.descriptor, out.sha256.digest())
        os.pwrite(out.spool.descriptor, header, 0)


def _contents(output: _Output, chain: Chain, content_bytes: int, segment_bytes: int) -> Iterator[bytes]:
    """Read back what was written."""
    at = LONGEST_HEADER_BYTES
    for place, segment in enumerate(output.segments):
        frame = os.pread(output.spool.descriptor, segment.stored_bytes, at)
        at += segment.stored_bytes
        known = chain.base.gather(segment.ranges) if segment.ranges else b""
        yield prefix.decompress(frame, known, min(segment_bytes, content_bytes - place * segment_bytes))


def _cut(parts: Iterator[bytes], length: int) -> Iterator[bytes]:
    """Cut parts anew, into pieces of one length; the last may be shorter."""
    pending = bytearray()
    for part in parts:
        pending += part
        while len(pending) >= length:
            yield bytes(pending[:length])
            del pending[:length]
    if pending:
        yield bytes(pending)
