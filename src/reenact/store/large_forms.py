"""Begin to write a large object in the form that suits it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator

from reenact.digests import Digest
from reenact.store import prefix
from reenact.store.bases import Bases
from reenact.store.delta import ALONE, Chain, choose_base
from reenact.store.delta_policy import DeltaPolicy
from reenact.store.effort import Effort, choose_effort
from reenact.store.holes import has_holes
from reenact.store.index import ObjectIndex
from reenact.store.interface import Backend
from reenact.store.large import RawObject
from reenact.store.locate import places_of
from reenact.store.segment_cache import SegmentCache
from reenact.store.segmented import SegmentedObject
from reenact.store.stored import Place
from reenact.store.worker import Worker

__all__ = ["LargeForms"]


class LargeForms:
    """Chooses among raw, segments and delta."""

    def __init__(self, backend: Backend, index: ObjectIndex, policy: DeltaPolicy, worker: Worker) -> None:
        """Prepare.

        Args:
            backend: Where earlier versions are.
            index: Knows where there.
            policy: When deltas are made.
            worker: Writes.
        """
        self._backend, self._index, self._policy = backend, index, policy
        self._worker = worker

    def of_bytes(self, path: str, content: memoryview) -> RawObject | SegmentedObject:
        """Begin an object whose content is in memory; `path` is that of the temporary file."""
        return self._alone(path, lambda offset, length: bytes(content[offset : offset + length]), len(content))

    def of_descriptor(self, path: str, descriptor: int, previous: Digest | None = None) -> RawObject | SegmentedObject:
        """Begin an object that is read from a file.

        Args:
            path: Of the temporary file.
            descriptor: The open file.
            previous: An object this one may resemble.

        Raises:
            StoreError: the temporary file cannot be created.
            OSError: the file cannot be read.
        """
        found = os.fstat(descriptor)
        size_bytes = found.st_size

        def sample(offset: int, length: int) -> bytes:
            return os.pread(descriptor, length, offset)

        if previous is not None and self._policy.wants(size_bytes):
            chain = self._chain(sample, size_bytes, previous)
            if chain is not None:
                return SegmentedObject(path, self._worker, effort=ALONE, chain=chain, size_bytes=size_bytes)
        # Raw, its holes would take the room that they spare now; and samples may all lie beside them.
        return self._alone(path, sample, size_bytes, least="quick" if has_holes(found) else None)

    def _alone(
        self, path: str, sample: Callable[[int, int], bytes], size_bytes: int, least: Effort | None = None
    ) -> RawObject | SegmentedObject:
        effort = _effort(sample, size_bytes) or least
        if effort is None:
            return RawObject(path, self._worker)
        return SegmentedObject(path, self._worker, effort=effort)

    def _chain(self, sample: Callable[[int, int], bytes], size_bytes: int, previous: Digest) -> Chain | None:
        cache = SegmentCache()
        bases = Bases(self._backend, self._places)
        return choose_base(previous, lambda digest: bases.open(digest, cache), sample, size_bytes, self._policy)

    def _places(self, digest: Digest) -> Iterator[Place]:
        return places_of(self._backend, self._index, digest)


def _effort(sample: Callable[[int, int], bytes], size_bytes: int) -> Effort | None:
    return choose_effort(
        sample, size_bytes, lambda content, effort: len(prefix.compress(content, b"", "plain", effort))
    )
