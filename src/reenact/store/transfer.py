"""Move objects from one store to another: only those that are missing there, each checked when it has arrived.

Objects of packs are put anew, as what else is in their pack may be nobody's business there. An object in a file of its own
travels in the form it has, unless that is a delta whose base neither is there nor goes along: then its content is put anew.
Nothing refers to what a move that was cut off left; the next one finds it there.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field
from typing import Final

from reenact import digests
from reenact.digests import Digest
from reenact.errors import KeyAbsent, ObjectDamaged, ObjectMissing
from reenact.ids import RunId
from reenact.store.arrival import StoredCopy
from reenact.store.closure import base_at
from reenact.store.failures import store_error
from reenact.store.forms import Malformed
from reenact.store.interface import Finding
from reenact.store.opening import Store
from reenact.store.pack_writer import SMALL_BYTES
from reenact.store.segment_cache import SegmentCache
from reenact.store.sources import Source
from reenact.store.stored import Place, whole_content
from reenact.store.worker import Worker
from reenact.store.writer import ObjectWriter

__all__ = ["Moved", "Mover"]

_READ_BYTES: Final = 4 << 20
"""Objects that lie together in a pack are read together, up to so much: over a network each reading costs as much as a MiB."""
_GAP_BYTES: Final = 256 << 10
_COMMIT_BYTES: Final = 256 << 20
"""So much of small objects is put at once: what a move that is cut off has to do again."""


@dataclass(slots=True)
class Moved:
    """What came of moving objects."""

    objects: int = 0
    """Those that were not there before."""
    content_bytes: int = 0
    stored_bytes: int = 0
    """What was read of the source for them."""
    findings: list[Finding] = field(default_factory=list)
    """Those that could not be moved, as the source's bytes are missing or damaged."""


class Mover:
    """Moves objects of runs between two stores. For one thread."""

    def __init__(self, source: Store, target: Store, going: Collection[Digest], folder: str) -> None:
        """Prepare.

        Args:
            source: Where the objects are.
            target: Where they go.
            going: All that will be moved, of whatever run: a delta stays one where its base is among them.
            folder: A local folder for unfinished files, which :meth:`Store.staging` of the target is on one file system with.
        """
        self._source, self._target = source, target
        self._going = going
        self._folder = folder
        self._files = 0
        self._worker = Worker()
        self._failed: dict[Digest, Finding] = {}
        for store in (source, target):
            store.objects.refresh()

    def move(
        self, run_id: RunId, wanted: Collection[Digest], say: Callable[[int, int], None], *, referred: bool = False
    ) -> Moved:
        """Move what a run needs, as far as it is not there. Durable on return.

        Args:
            run_id: Which run.
            wanted: The objects.
            say: Told, now and then, how many of how many objects were moved.
            referred: The target has the run, so that nobody takes away there what it needs.

        Raises:
            StoreError: a store cannot be used.
        """
        moved = Moved()
        if referred and all(self._target.objects.place_of(digest) is not None for digest in wanted):
            return moved  # nothing is written, so it may be a store that cannot be
        # Before anything is looked up: what its lease says keeps it there.
        writer = self._target.writer(run_id, self._folder)
        small, large = self._missing(writer, wanted, moved)
        total = len(small) + len(large)
        try:
            self._move_small(writer, small, moved, lambda: say(moved.objects, total))
            for digest in large:
                self._move_large(writer, digest, moved)
                say(moved.objects, total)
        except OSError as error:
            raise store_error(error, f"write in {self._folder}") from error
        finally:
            writer.abandon()
        return moved

    def close(self) -> None:
        """End the helper."""
        self._worker.close()

    def _missing(
        self, writer: ObjectWriter, wanted: Collection[Digest], moved: Moved
    ) -> tuple[dict[Digest, Place], list[Digest]]:
        """Find what the target lacks: those in packs of the source, and those in files of their own."""
        small: dict[Digest, Place] = {}
        large: list[Digest] = []
        for digest in wanted:
            if writer.holds_packed(digest):
                continue
            place = self._source.objects.place_of(digest)
            if place is None:
                detail = "in no pack and no file of its own of the source"
                moved.findings.append(Finding(digest=digest, problem="missing", detail=detail))
            elif place.record is not None and place.record.content_bytes < SMALL_BYTES:
                small[digest] = place
            elif not writer.holds(digest):
                large.append(digest)
        return small, large

    def _move_small(
        self, writer: ObjectWriter, places: dict[Digest, Place], moved: Moved, say: Callable[[], None]
    ) -> None:
        waiting = 0
        for content, stored_bytes in self._contents(places, moved):
            writer.add_bytes(content)
            _count(moved, len(content), stored_bytes)
            waiting += len(content)
            if waiting > _COMMIT_BYTES:
                writer.commit()
                waiting = 0
            say()
        writer.commit()

    def _contents(self, places: dict[Digest, Place], moved: Moved) -> Iterator[tuple[bytes, int]]:
        """Read small objects, neighbours together; give each with the length it is stored with."""
        backend = self._source.backend
        for group in _neighbours(places):
            start = group[0][1].offset
            end = max(place.offset + place.stored_bytes for _, place in group)
            try:
                data = backend.get_range(group[0][1].key, start, end - start)
            except KeyAbsent:
                data = b""
            for digest, place in group:
                stored = data[place.offset - start :][: place.stored_bytes]
                content = self._content(digest, place, stored, moved)
                if content is not None:
                    yield content, place.stored_bytes

    def _content(self, digest: Digest, place: Place, stored: bytes, moved: Moved) -> bytes | None:
        """Give an object's content, from elsewhere in the source where these bytes are not good."""
        try:
            content = whole_content(place, stored)
            if digests.of_bytes(content) == digest:
                return content
        except Malformed:
            pass
        try:
            return self._source.objects.read(digest)
        except (ObjectMissing, ObjectDamaged) as error:
            moved.findings.append(_finding(digest, error))
            return None

    def _move_large(self, writer: ObjectWriter, digest: Digest, moved: Moved) -> None:
        """Move an object, after those it is made against that go along."""
        waiting = [digest]
        while waiting:
            place = self._source.objects.place_of(waiting[-1])
            base = base_at(self._source.backend, place) if place is not None else None
            if base is not None and base not in waiting and self._goes_first(writer, base):
                waiting.append(base)
                continue
            current = waiting.pop()
            if not writer.holds(current):
                self._move_one(writer, current, place, base, moved)

    def _goes_first(self, writer: ObjectWriter, base: Digest) -> bool:
        return base in self._going and base not in self._failed and not writer.holds(base)

    def _move_one(
        self, writer: ObjectWriter, digest: Digest, place: Place | None, base: Digest | None, moved: Moved
    ) -> None:
        alone = place is not None and place.record is None and (base is None or writer.holds(base))
        if alone and place is not None and self._as_it_is(writer, digest, place):
            _count(moved, self._source.objects.size(digest), place.stored_bytes)
            return
        try:
            length = self._anew(writer, digest, base)
        except (ObjectMissing, ObjectDamaged) as error:
            finding = self._failed[digest] = _finding(digest, error)
            moved.findings.append(finding)
        else:
            _count(moved, length, place.stored_bytes if place is not None else 0)

    def _as_it_is(self, writer: ObjectWriter, digest: Digest, place: Place) -> bool:
        """Copy the stored form, and commit; False when it is not good, and nothing was put."""
        self._files += 1
        copy = StoredCopy(os.path.join(self._folder, f"{self._files}.copy"), self._worker)
        try:
            copy.fill(self._source.backend, place)
            copy.check(place.stored_bytes, digest, self._open)
        except (Malformed, KeyAbsent):
            copy.discard()
            return False
        except BaseException:
            copy.discard()
            raise
        writer.add_stored(digest, copy)
        writer.commit()
        return True

    def _open(self, digest: Digest) -> Source:
        """Open a base where it is on this host: at the target when that is local, else at the source."""
        local = self._target if self._target.backend.staging() is not None else self._source
        return local.objects.open_source(digest, SegmentCache())

    def _anew(self, writer: ObjectWriter, digest: Digest, base: Digest | None) -> int:
        """Put the content of an object, as a delta against what the target has of the bases; give its length."""
        with tempfile.TemporaryFile(dir=self._folder) as file:
            length = self._source.objects.copy_to(digest, file.fileno(), sparse=True)
            file.flush()
            added = writer.add_descriptor(file.fileno(), self._known_base(writer, base))
        writer.commit()
        if added.digest != digest:
            raise ObjectDamaged(digest, added.digest, hint="something changes files below the target's folder")
        return length

    def _known_base(self, writer: ObjectWriter, base: Digest | None) -> Digest | None:
        seen: set[Digest] = set()
        while base is not None and base not in seen:
            if writer.holds(base):
                return base
            seen.add(base)
            place = self._source.objects.place_of(base)
            base = base_at(self._source.backend, place) if place is not None else None
        return None


def _neighbours(places: dict[Digest, Place]) -> Iterator[list[tuple[Digest, Place]]]:
    """Group places that can be read in one go."""
    ordered = sorted(places.items(), key=lambda item: (item[1].key, item[1].offset))
    group: list[tuple[Digest, Place]] = []
    for item in ordered:
        place = item[1]
        if group:
            first, last = group[0][1], group[-1][1]
            apart = place.key != first.key or place.offset > last.offset + last.stored_bytes + _GAP_BYTES
            if apart or place.offset + place.stored_bytes - first.offset > _READ_BYTES:
                yield group
                group = []
        group.append(item)
    if group:
        yield group


def _count(moved: Moved, content_bytes: int, stored_bytes: int) -> None:
    moved.objects += 1
    moved.content_bytes += content_bytes
    moved.stored_bytes += stored_bytes


def _finding(digest: Digest, error: ObjectMissing | ObjectDamaged) -> Finding:
    if isinstance(error, ObjectDamaged):
        return Finding(digest=digest, problem="damaged", detail=error.got)
    return Finding(digest=digest, problem="missing", detail="in no pack and no file of its own of the source")
