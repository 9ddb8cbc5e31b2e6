"""Read objects; whatever is given out was checked against its digest, and nothing is repaired or deleted on the way."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable, Iterator
from typing import Final, TypeVar

from reenact import digests
from reenact.digests import BLOCK_BYTES, Digest
from reenact.errors import KeyAbsent, ObjectDamaged, ObjectMissing, StoreError
from reenact.store.bases import Bases
from reenact.store.checking import Checker, Task
from reenact.store.closure import base_at, blamed, closure
from reenact.store.forms import RAW, ZSTD, Malformed
from reenact.store.index import ObjectIndex
from reenact.store.interface import Backend, Finding, Problem
from reenact.store.locate import places_of
from reenact.store.output import Output
from reenact.store.segment_cache import SegmentCache
from reenact.store.sources import Source
from reenact.store.stored import Place, content_digest, read_header, whole_content

__all__ = ["ObjectReader"]

_T = TypeVar("_T")

_HINT_MISSING: Final = "it was deleted, or its pack was; look for it in a copy of the store"
_HINT_DAMAGED: Final = "the disk or a hand changed what the store keeps; look for it in a copy of the store"


class ObjectReader:
    """Reads the objects of one store. Safe for threads."""

    def __init__(self, backend: Backend, index: ObjectIndex) -> None:
        self._backend = backend
        self._index = index
        self._bases = Bases(backend, self._places)
        self._lent: dict[Digest, str] = {}

    def lend(self, digest: Digest, path: str) -> None:
        """Let a local file stand for an object that the store does not keep; it is checked whenever it is read.

        For this reader alone, and for what asks for the bytes: :meth:`place_of` and what looks for places know nothing of it.
        """
        self._lent[digest] = path

    def read(self, digest: Digest) -> bytes:
        """Read a whole object into memory.

        Raises:
            ObjectMissing: the store does not have it.
            ObjectDamaged: its stored bytes do not give it.
        """
        if digest in self._lent:
            return b"".join(self._lent_blocks(digest))
        return self._first_good(digest, lambda place: self._read_at(place, digest))

    def copy_to(self, digest: Digest, descriptor: int, *, sparse: bool = False) -> int:
        """Write an object to an open file at its offset, and give its length in bytes; memory stays at a few MiB.

        Args:
            digest: Which object.
            descriptor: Where to; a pipe will do, unless `sparse`.
            sparse: Leave holes where 64 KiB are zero; for an empty regular file.

        Raises:
            ObjectMissing: the store does not have it.
            ObjectDamaged: what was written is not the object. Only a normal return says that it is.
            StoreError: it cannot be read.
            OSError: it cannot be written.
        """
        output = Output(descriptor, sparse=sparse)
        if digest in self._lent:
            for block in self._lent_blocks(digest):
                output.write(block)
            return output.finish()
        if self.size(digest) <= BLOCK_BYTES:
            output.write(self.read(digest))
        else:
            self._stream(digest, output)
        return output.finish()

    def size(self, digest: Digest) -> int:
        """Give the length of an object's content in bytes, from its header or its pack's index; nothing is verified.

        Raises:
            ObjectMissing: the store does not have it.
            ObjectDamaged: its header cannot be read.
        """
        if digest in self._lent:
            return os.stat(self._lent[digest]).st_size
        return self._first_good(digest, self._size_at)

    def holds(self, digest: Digest) -> bool:
        """Tell whether the store has an object, without reading it."""
        if digest in self._lent:
            return True
        if next(self._places(digest), None) is not None:
            return True
        return self._index.look_again([digests.to_raw(digest)]) and next(self._places(digest), None) is not None

    def place_of(self, digest: Digest) -> Place | None:
        """Give the first place of an object; None when the store does not have it, to this process's knowledge.

        Unlike :meth:`holds` it does not look for packs that other processes put meanwhile.

        Raises:
            StoreError: it cannot be looked for.
        """
        return next(self._places(digest), None)

    def is_packed(self, digest: Digest) -> bool:
        """Tell whether a pack that this process knows of has an object. Cheap: nothing is read or listed."""
        return self._index.holds(digests.to_raw(digest))

    def refresh(self) -> None:
        """Learn of packs that other processes put or deleted. Cost: one listing, and the index of each new pack."""
        self._index.refresh()

    def open_source(self, digest: Digest, cache: SegmentCache) -> Source:
        """Open an object for reading parts of it; what those are was checked by sums of segments at most.

        Raises:
            KeyAbsent: the store does not have it.
            Malformed: it is damaged, or something it is made against is.
        """
        return self._bases.open(digest, cache)

    def bases_of(self, digest: Digest) -> tuple[Digest, ...]:
        """Give the objects that the stored forms of an object are made against; none but for deltas.

        Whoever keeps the object must keep those, and theirs.

        Raises:
            StoreError: it cannot be read.
        """
        found = (base_at(self._backend, place) for place in self._places(digest))
        return tuple(dict.fromkeys(base for base in found if base is not None))

    def verify(self, wanted: Iterable[Digest], *, content: bool) -> list[Finding]:
        """Check objects, and report the missing and damaged ones, sorted by digest.

        Two threads. An object that cannot be read counts as damaged; it is not an exception. What a delta is made against is
        checked too, and when that is bad, so is the delta: its finding says which base.

        Args:
            wanted: Which objects; each is checked once.
            content: Check that the content has its digest. Else only that the stored bytes are those once written,
                which spares decompression.

        Raises:
            StoreError: the store's folders cannot be searched at all.
        """
        wanted = sorted(set(wanted).difference(self._lent))
        bases = closure(wanted, self._base_of)
        tasks, absent = self._tasks(sorted({*wanted, *bases.values()}))
        if absent and self._index.look_again([digests.to_raw(digest) for digest in absent]):
            more, absent = self._tasks(absent)
            tasks += more
        findings = [Finding(digest=digest, problem="missing", detail=self._missing_detail()) for digest in absent]
        findings += self._checked(tasks, content=content)
        return blamed(wanted, findings, bases)

    def _checked(self, tasks: list[Task], *, content: bool) -> list[Finding]:
        checker = Checker(self._backend, self._second_look, self._bases.blocks, content=content)
        findings = checker.run(tasks)
        gone = [finding.digest for finding in findings if finding.problem == "missing"]
        if gone and self._index.refresh():
            # Somebody has repacked meanwhile: it may be in a pack that was not there when this began.
            more, _ = self._tasks(gone)
            bad = {finding.digest for finding in findings if finding.problem == "missing"} - {t.digest for t in more}
            findings = [f for f in findings if f.problem != "missing" or f.digest in bad]
            findings += checker.run(more)
        return findings

    def _base_of(self, digest: Digest) -> Digest | None:
        place = next(self._places(digest), None)
        return None if place is None else base_at(self._backend, place)

    def _tasks(self, wanted: list[Digest]) -> tuple[list[Task], list[Digest]]:
        """Pair digests with their first places; give those without one apart."""
        tasks: list[Task] = []
        absent: list[Digest] = []
        for digest in wanted:
            place = next(self._places(digest), None)
            if place is None:
                absent.append(digest)
            else:
                tasks.append(Task(digest=digest, place=place))
        return tasks, absent

    def _second_look(self, task: Task, found: str) -> Finding | None:
        """Judge an object whose place was found bad: it may be good in another."""
        for place in self._places(task.digest):
            if place != task.place and self._is_good(place, task.digest):
                return None
        problem: Problem = "damaged" if self._backend.exists(task.place.key) else "missing"
        return Finding(digest=task.digest, problem=problem, detail=found)

    def _is_good(self, place: Place, digest: Digest) -> bool:
        try:
            self._check_at(place, digest)
        except (Malformed, ObjectDamaged, StoreError):
            return False
        return True

    def _lent_blocks(self, digest: Digest) -> Iterator[bytes]:
        """Give what a lent file holds; an error at its end when that is not what it was lent for."""
        path = self._lent[digest]
        state = hashlib.sha256()
        try:
            with open(path, "rb", buffering=0) as file:
                while block := file.read(BLOCK_BYTES):
                    state.update(block)
                    yield block
        except OSError as error:
            raise ObjectMissing(digest, hint=f"{path} cannot be read any more: {error.strerror}") from error
        _compare(digest, digests.from_raw(state.digest()))

    def _missing_detail(self) -> str:
        damaged = self._index.damaged
        if damaged:
            return f"in no file of its own and no pack that can be searched; {next(iter(damaged.values()))}"
        return "in no pack and no file of its own"

    def _places(self, digest: Digest) -> Iterator[Place]:
        return places_of(self._backend, self._index, digest)

    def _first_good(self, digest: Digest, read: Callable[[Place], _T]) -> _T:
        """Give what `read` gives for the first place it does not refuse; without any place, look for new packs once."""
        problem: Exception | None = None
        for _ in range(2):
            for place in self._places(digest):
                try:
                    return read(place)
                except Malformed as error:
                    problem = ObjectDamaged(digest, str(error), hint=_HINT_DAMAGED)
                except KeyAbsent:
                    continue
                except (ObjectDamaged, StoreError) as error:
                    problem = error
            if problem is not None:
                raise problem
            if not self._index.look_again([digests.to_raw(digest)]):
                break
        raise ObjectMissing(digest, hint=_HINT_MISSING)

    def _size_at(self, place: Place) -> int:
        if place.record is not None:
            return place.record.content_bytes
        return read_header(self._backend, place)[0].content_bytes

    def _read_at(self, place: Place, digest: Digest) -> bytes:
        if place.record is None and read_header(self._backend, place)[0].form not in {RAW, ZSTD}:
            content = b"".join(self._bases.blocks(place, digest))
        else:
            content = whole_content(place, self._backend.get_range(place.key, place.offset, place.stored_bytes))
        _compare(digest, digests.of_bytes(content))
        return content

    def _check_at(self, place: Place, digest: Digest) -> None:
        _compare(digest, content_digest(self._bases.blocks(place, digest)))

    def _sound_place(self, place: Place, digest: Digest) -> Place:
        self._check_at(place, digest)
        return place

    def _stream(self, digest: Digest, output: Output) -> None:
        places = list(self._places(digest))
        # What went out cannot be taken back, so with a choice of places the one to copy from is checked before.
        place = places[0] if len(places) == 1 else self._first_good(digest, lambda at: self._sound_place(at, digest))
        try:
            _compare(digest, content_digest(self._bases.blocks(place, digest), output.write))
        except Malformed as error:
            raise ObjectDamaged(digest, str(error), hint=_HINT_DAMAGED) from error
        except KeyAbsent as error:
            raise ObjectMissing(digest, hint=_HINT_MISSING) from error


def _compare(digest: Digest, got: str) -> None:
    if got != digest:
        raise ObjectDamaged(digest, got, hint=_HINT_DAMAGED)
