"""Check many objects with two threads: the disk reads for one while the other hashes.

Objects of a pack are read together, in the order they lie in it.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Iterator
from typing import Final

import msgspec

from reenact import digests
from reenact.digests import Digest
from reenact.errors import KeyAbsent, StoreError
from reenact.store.forms import Malformed
from reenact.store.interface import Backend, Finding
from reenact.store.packs import Record
from reenact.store.stored import Place, content_digest, damage_of_stored, header_at, whole_content

__all__ = ["Checker", "Task"]

_BATCH_BYTES: Final = 4 << 20
_THREADS: Final = 2

_GONE: Final = "it was in {}, which is gone"


class Task(msgspec.Struct, frozen=True, kw_only=True):
    """One object to check, at one place."""

    digest: Digest
    place: Place


class Checker:
    """Checks objects where they are stored."""

    def __init__(
        self,
        backend: Backend,
        second_look: Callable[[Task, str], Finding | None],
        blocks: Callable[[Place, Digest], Iterator[bytes]],
        *,
        content: bool,
    ) -> None:
        """Prepare.

        Args:
            backend: Where the objects are.
            second_look: Judges an object whose place was found bad, given what was found there: it may be good elsewhere.
            blocks: Gives the content of an object at a place, or raises Malformed.
            content: Check the content's digest, not only the stored bytes.
        """
        self._backend = backend
        self._second_look = second_look
        self._blocks = blocks
        self._content = content

    def run(self, tasks: list[Task]) -> list[Finding]:
        """Check all; give the findings in no particular order."""
        batches = _batches(tasks)
        lock = threading.Lock()
        bad: list[tuple[Task, str]] = []

        def work() -> None:
            while True:
                with lock:
                    batch = next(batches, None)
                if batch is None:
                    return
                bad.extend(self._check(batch))

        threads = [threading.Thread(target=work, name="reenact-check", daemon=True) for _ in range(_THREADS - 1)]
        try:
            for thread in threads:
                thread.start()
        except RuntimeError:
            threads = []  # No thread can be had; one does it all.
        work()
        for thread in threads:
            thread.join()
        return [finding for task, found in bad if (finding := self._second_look(task, found)) is not None]

    def _check(self, batch: list[Task]) -> list[tuple[Task, str]]:
        """Give the bad ones, and what was found."""
        try:
            if batch[0].place.record is not None and batch[0].place.stored_bytes <= _BATCH_BYTES:
                return self._check_packed(batch)
            return [(task, found) for task in batch if (found := self._check_file(task))]
        except KeyAbsent as error:
            return [(task, _GONE.format(error.key)) for task in batch]
        except StoreError as error:
            return [(task, str(error)) for task in batch]

    def _check_packed(self, batch: list[Task]) -> list[tuple[Task, str]]:
        first, last = batch[0].place, batch[-1].place
        data = memoryview(
            self._backend.get_range(first.key, first.offset, last.offset + last.stored_bytes - first.offset)
        )
        bad = []
        for task in batch:
            at = task.place.offset - first.offset
            found = self._damage(task, data[at : at + task.place.stored_bytes])
            if found:
                bad.append((task, found))
        return bad

    def _damage(self, task: Task, stored: memoryview) -> str:
        """Say what is wrong with a packed object; empty when nothing is."""
        try:
            if self._content:
                got = digests.of_bytes(whole_content(task.place, stored))
                return "" if got == task.digest else f"content with digest {got}"
            header = header_at(task.place, stored)
        except Malformed as error:
            return str(error)
        record = task.place.record
        promised = record.stored_digest if isinstance(record, Record) else b""
        got_raw = hashlib.sha256(stored[header.header_bytes :]).digest()
        return "" if got_raw == promised else f"stored bytes with digest {got_raw.hex()}, not {promised.hex()}"

    def _check_file(self, task: Task) -> str:
        if not self._content:
            return damage_of_stored(self._backend, task.place, digests.to_raw(task.digest))
        try:
            got = content_digest(self._blocks(task.place, task.digest))
        except Malformed as error:
            return str(error)
        return "" if got == task.digest else f"content with digest {got}"


def _batches(tasks: list[Task]) -> Iterator[list[Task]]:
    """Group packed objects that lie near each other; the others stay alone."""
    batch: list[Task] = []
    for task in sorted(tasks, key=lambda task: (task.place.key, task.place.offset)):
        place = task.place
        fits = (
            batch
            and place.record is not None
            and place.key == batch[0].place.key
            and place.offset + place.stored_bytes - batch[0].place.offset <= _BATCH_BYTES
        )
        if batch and not fits:
            yield batch
            batch = []
        batch.append(task)
    if batch:
        yield batch
