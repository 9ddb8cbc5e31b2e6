"""Put damaged values of a store aside, and good ones in their place: from what is good of them, or from another store.

Nothing is deleted: what was damaged is under ``quarantine/`` before its place is free. A repair that is killed between the two
leaves a value missing that was damaged, and is finished by the next.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final, Literal

from reenact import atomic, canonical, clock, ids
from reenact.actions.opening import peek_bundle
from reenact.actions.sealing import check_signature, logged_statements
from reenact.digests import Digest, of_bytes
from reenact.errors import IntegrityError, KeyAbsent, ReenactError, StoreError
from reenact.ids import RunId, is_run_id
from reenact.store.forms import RAW, encode_header
from reenact.store.interface import Backend
from reenact.store.opening import Store
from reenact.store.packs import PackIndex, Record, encode_index, encode_records, index_key, pack_key
from reenact.store.publishing import Ready, publish
from reenact.store.repacking import PackFile
from reenact.store.runs import pointer_lines
from reenact.store.scrub import scan_pack
from reenact.store.stored import damage_of_stored, in_pack
from reenact.store.worker import BLOCK_BYTES

__all__ = ["Outcome", "Repair"]

Outcome = Literal["reported", "quarantined", "repaired"]

_QUARANTINE: Final = "quarantine"
_VIEWS: Final = ("inputs/pointers.jsonl", "transformations/map.json", "outputs/pointers.jsonl")


class Repair:
    """Mends what a scrub found. For one thread."""

    def __init__(self, store: Store, other: Store | None, say: Callable[[str], None]) -> None:
        """Prepare.

        Args:
            store: What is to be mended.
            other: Where good copies may be; without it, damaged values are only put aside, and what can be made anew is.
            say: Told what is being done.
        """
        self._store, self._other, self._say = store, other, say
        self._backend: Backend = store.backend
        self._aside: set[str] = set()

    def run(self, findings: Sequence[tuple[str, str, Digest | None]]) -> list[Outcome]:
        """Mend; give what came of each.

        Args:
            findings: Subject, problem, and the object that is harmed, as a scrub has them.

        Raises:
            StoreError: a store cannot be used.
        """
        packs = {_pack_name(subject) for subject, _, _ in findings} - {""}
        for name in sorted(packs):
            self._pack(name)
        wanted = dict.fromkeys(digest for _, _, digest in findings if digest is not None)
        for subject, problem, _ in findings:
            if subject.startswith("objects/") and problem == "damaged":
                self._put_aside(subject)
        self._store.objects.refresh()
        self._fetch([digest for digest in wanted if not self._is_good(digest)])
        return [self._outcome(*finding) for finding in findings]

    def _outcome(self, subject: str, problem: str, digest: Digest | None) -> Outcome:
        if digest is not None:
            if self._is_good(digest):
                return "repaired"
        elif problem != "stray" and self._record(subject):
            return "repaired"
        elif _pack_name(subject) and subject in self._aside:
            return "repaired"  # whatever was good in it is in another, and nothing was harmed
        return "quarantined" if subject in self._aside else "reported"

    def _is_good(self, digest: Digest) -> bool:
        return self._store.objects.verify([digest], content=True) == []

    # --- objects

    def _put_aside(self, key: str) -> None:
        """Move a value to the quarantine."""
        if key in self._aside:
            return
        try:
            size_bytes = self._backend.size(key)
        except KeyAbsent:
            return
        self._say(f"putting {key} aside")
        path = atomic.temporary_name(self._store.staging())
        try:
            with open(path, "xb") as file:
                for at in range(0, size_bytes, BLOCK_BYTES):
                    with contextlib.suppress(StoreError):  # what a disk cannot read any more is a hole
                        file.seek(at)
                        file.write(self._backend.get_range(key, at, BLOCK_BYTES))
                file.truncate(size_bytes)
                file.flush()
                os.fsync(file.fileno())
            name = f"{_QUARANTINE}/{key}.{ids.new_run_id(clock.now_ns())}"
            self._backend.put_file_if_absent(name, path)
        finally:
            with contextlib.suppress(OSError):
                os.unlink(path)
        self._backend.delete(key)
        self._aside.add(key)

    def _pack(self, name: str) -> None:
        """Copy what is good of a pack into another, and put the pack aside; or make its index anew, where only that is bad."""
        found = dict(scan_pack(self._backend, name))
        if self._is_whole(name):
            index = encode_index(bytes.fromhex(name), self._backend.size(pack_key(name)), encode_records(found))
            if not self._same(index_key(name), index):
                self._put_aside(index_key(name))
                self._backend.put_if_absent(index_key(name), index)
            return
        with contextlib.suppress(KeyAbsent, IntegrityError):
            found |= self._indexed(name)
        if found:
            self._say(f"copying what is good of pack {name}")
            ready = self._copied(name, found, b"")
            if ready.name == name:
                # The place is taken by what is damaged, and what is good must be found at any moment.
                os.unlink(ready.path)
                ready = self._copied(name, found, os.urandom(16))
            publish(self._backend, ready)
        self._put_aside(index_key(name))
        self._put_aside(pack_key(name))

    def _is_whole(self, name: str) -> bool:
        state = hashlib.sha256()
        try:
            for at in range(0, self._backend.size(pack_key(name)), BLOCK_BYTES):
                state.update(self._backend.get_range(pack_key(name), at, BLOCK_BYTES))
        except StoreError:
            return False
        return state.hexdigest() == name

    def _same(self, key: str, data: bytes) -> bool:
        try:
            return self._backend.get(key) == data
        except StoreError:
            return False

    def _indexed(self, name: str) -> dict[bytes, Record]:
        """Give the objects of a pack that are good, going by its index."""
        index = PackIndex(name, self._backend.get(index_key(name)))
        good: dict[bytes, Record] = {}
        for raw in index.digests():
            record = index.find(raw)
            if record is None:
                continue
            with contextlib.suppress(StoreError):
                if not damage_of_stored(self._backend, in_pack(name, record), raw):
                    good[raw] = record
        return good

    def _copied(self, name: str, records: dict[bytes, Record], mark: bytes) -> Ready:
        """Write objects of a pack into another, and with them a mark, if any, that makes it unlike others."""
        pack = PackFile(atomic.temporary_name(self._store.staging()))
        try:
            if mark:
                digest = hashlib.sha256(mark).digest()
                pack.add(digest, len(mark), iter([encode_header(RAW, len(mark), len(mark)), mark]), digest)
            for raw, record in sorted(records.items()):
                stored = self._blocks(name, record.offset, record.stored_bytes)
                pack.add(raw, record.content_bytes, stored, record.stored_digest)
            return pack.finish()
        except BaseException:
            pack.discard()
            raise

    def _blocks(self, name: str, offset: int, length: int) -> Iterator[bytes]:
        for at in range(offset, offset + length, BLOCK_BYTES):
            yield self._backend.get_range(pack_key(name), at, min(BLOCK_BYTES, offset + length - at))

    def _fetch(self, wanted: Iterable[Digest]) -> None:
        """Put objects anew, from the other store."""
        if self._other is None:
            return
        run_id = ids.new_run_id(clock.now_ns())
        writer = self._store.writer(run_id)
        try:
            for digest in wanted:
                self._say(f"fetching {digest}")
                with tempfile.TemporaryFile(dir=self._store.staging()) as file:
                    try:
                        self._other.objects.copy_to(digest, file.fileno())
                    except ReenactError:
                        continue  # it is not there either, or damaged, too
                    file.flush()
                    writer.add_descriptor(file.fileno())
            writer.commit()
        finally:
            writer.abandon()
            self._store.leases.release(run_id)
        self._store.objects.refresh()

    # --- records

    def _record(self, subject: str) -> bool:
        """Mend a record; tell whether it is good now."""
        if subject.startswith("run "):
            run, _, part = subject.removeprefix("run ").partition(": ")
            if is_run_id(run):
                return self._of_run(RunId(run), part)
        return False

    def _of_run(self, run_id: RunId, part: str) -> bool:
        if part in _VIEWS:
            return self._view(run_id, part)
        if part == "bundle":
            return self._sealed(run_id, f"runs/{run_id}/bundle.dsse.json.zst")
        if part.startswith("verdict "):
            return self._sealed(run_id, f"runs/{run_id}/verdicts/{part.removeprefix('verdict ')}.dsse.json")
        return False

    def _view(self, run_id: RunId, part: str) -> bool:
        """Write a view anew, from its bundle."""
        try:
            bundle = peek_bundle(self._store, run_id)
        except ReenactError:
            return False
        data = {
            _VIEWS[0]: lambda: pointer_lines(bundle.inputs),
            _VIEWS[1]: lambda: canonical.dumps_plain(bundle.transformation_map),
            _VIEWS[2]: lambda: pointer_lines(bundle.outputs),
        }[part]()
        key = f"runs/{run_id}/{part}"
        if not self._same(key, data):
            self._put_aside(key)
            self._backend.put_if_absent(key, data)
        return True

    def _sealed(self, run_id: RunId, key: str) -> bool:
        """Take a bundle or verdict from the other store, when it is what this one's log tells of."""
        if self._other is None:
            return False
        try:
            envelope, data = self._envelope(self._other, run_id, key)
            payload, _ = check_signature(self._store, envelope)
        except ReenactError:
            return False
        if of_bytes(payload) not in logged_statements(self._store):
            return False
        if not self._same(key, data):
            self._put_aside(key)
            self._backend.put_if_absent(key, data)
        return True

    @staticmethod
    def _envelope(store: Store, run_id: RunId, key: str) -> tuple[bytes, bytes]:
        """Give what is signed and sealed, and the bytes under the key."""
        data = store.backend.get(key)
        return (store.runs.envelope(run_id) if key.endswith(".zst") else data), data


def _pack_name(subject: str) -> str:
    """Give the pack that a key is of; empty for another key."""
    name = subject.rpartition("/")[2].partition(".")[0]
    return name if subject in (index_key(name), pack_key(name)) else ""
