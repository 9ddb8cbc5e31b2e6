"""Begin to write a large object in the form that suits it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Final

from reenact.digests import Digest
from reenact.store.bases import Bases
from reenact.store.compression import LEVEL, Compressor
from reenact.store.delta import Chain, DeltaPolicy, choose_base
from reenact.store.forms import RAW
from reenact.store.index import ObjectIndex
from reenact.store.interface import Backend
from reenact.store.large import LargeObject, choose_form, sample_bytes, sample_descriptor
from reenact.store.locate import places_of
from reenact.store.segmented import SegmentedObject
from reenact.store.segments import SEGMENT_BYTES
from reenact.store.sources import SegmentCache
from reenact.store.stored import Place
from reenact.store.worker import Worker

__all__ = ["LargeForms"]

_SEGMENTED_FROM_BYTES: Final = 2 * SEGMENT_BYTES
"""Shorter ones are decompressed whole to read a part of them."""


class LargeForms:
    """Chooses among raw, one frame, segments and delta."""

    def __init__(
        self, backend: Backend, index: ObjectIndex, policy: DeltaPolicy, worker: Worker, compressor: Compressor
    ) -> None:
        """Prepare.

        Args:
            backend: Where earlier versions are.
            index: Knows where there.
            policy: When deltas are made.
            worker: Writes.
            compressor: Tries samples.
        """
        self._backend, self._index, self._policy = backend, index, policy
        self._worker, self._compressor = worker, compressor

    def of_bytes(self, path: str, content: memoryview) -> LargeObject | SegmentedObject:
        """Begin an object whose content is in memory; `path` is that of the temporary file."""
        return self._alone(path, sample_bytes(content), len(content))

    def of_descriptor(
        self, path: str, descriptor: int, previous: Digest | None = None
    ) -> LargeObject | SegmentedObject:
        """Begin an object that is read from a file.

        Args:
            path: Of the temporary file.
            descriptor: The open file.
            previous: An object this one may resemble.

        Raises:
            StoreError: the temporary file cannot be created.
            OSError: the file cannot be read.
        """
        size_bytes = os.fstat(descriptor).st_size
        chain = self._chain(descriptor, size_bytes, previous) if previous is not None else None
        if chain is not None:
            return SegmentedObject(path, self._worker, level=LEVEL, chain=chain, size_bytes=size_bytes)
        return self._alone(path, sample_descriptor(descriptor, size_bytes), size_bytes)

    def _alone(self, path: str, samples: list[bytes | memoryview], size_bytes: int) -> LargeObject | SegmentedObject:
        form = choose_form(samples, self._compressor)
        if form == RAW or size_bytes < _SEGMENTED_FROM_BYTES:
            return LargeObject(path, form, self._worker)
        return SegmentedObject(path, self._worker, level=LEVEL)

    def _chain(self, descriptor: int, size_bytes: int, previous: Digest) -> Chain | None:
        if not self._policy.wants(size_bytes):
            return None
        cache = SegmentCache()
        bases = Bases(self._backend, self._places)
        return choose_base(
            previous,
            lambda digest: bases.open(digest, cache),
            lambda offset, length: os.pread(descriptor, length, offset),
            size_bytes,
            self._policy,
        )

    def _places(self, digest: Digest) -> Iterator[Place]:
        return places_of(self._backend, self._index, digest)
