"""A store is the dictionary of what its records refer to, whatever writers, sweeps and repackings do at once, and wherever
they are killed."""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from reenact.digests import Digest, of_bytes
from reenact.errors import StoreError
from reenact.ids import RunId
from reenact.store.backends.folder import FolderBackend
from reenact.store.backends.memory import MemoryBackend
from reenact.store.delta_policy import DeltaPolicy
from reenact.store.interface import Backend
from reenact.store.leases import Lease
from reenact.store.opening import Store
from reenact.store.pack_writer import SMALL_BYTES
from reenact.store.repacking import repack, worth_repacking
from reenact.store.sweep import Dead, Sweep, pack_values, survey
from reenact.store.writer import ObjectWriter

DELTAS = DeltaPolicy(from_bytes=1, most_depth=3)

_FAST = "/dev/shm"
_ROWS = b"".join(b"%d,%d,row\n" % (row, row * row % 9973) for row in range(SMALL_BYTES // 8))


_CONTENTS = [
    b"small 1" * 20,
    b"small 2" * 20,
    _ROWS,
    _ROWS[:5000] + b"changed\n" + _ROWS[5000:],
    b"".join(hashlib.sha256(b"%d" % part).digest() for part in range(SMALL_BYTES // 32)),
]
"""Few, so that runs share them: small ones, a table and a version of it, and random bytes."""
numbers = st.integers(0, len(_CONTENTS) - 1)


class _Writer:
    """A process that records a run: it has a store of its own, whose caches are its own."""

    def __init__(self, store: Store, run_id: RunId, leases: set[str]) -> None:
        self.store, self.run_id = store, run_id
        before = {lease.key for lease in store.leases.all()}
        self.writer: ObjectWriter = store.writer(run_id)
        self.leases = {lease.key for lease in store.leases.all()} - before
        leases |= self.leases
        self.added: dict[Digest, bytes] = {}
        self.committed = False


class SweptStore(RuleBasedStateMachine):
    """Processes are objects that take turns; one that is killed never takes another."""

    kind = "memory"

    def __init__(self) -> None:
        super().__init__()
        # Where the disk is not waited for, there is time for more examples; what a power cut leaves is not tried here.
        self.folder = tempfile.mkdtemp(prefix="reenact-property-", dir=_FAST if Path(_FAST).is_dir() else None)
        self.backend: Backend = self.make_backend()
        self.runs: dict[str, dict[Digest, bytes]] = {}
        self.writers: list[_Writer] = []
        self.stores = 0
        self.spare: Store | None = None
        self.number = 0
        self.killed: set[str] = set()
        self.alive: set[str] = set()
        self.sweep: Sweep | None = None
        self.deleting: Iterator[Dead] | None = None

    def make_backend(self) -> Backend:
        if self.kind == "memory":
            return MemoryBackend()
        root = Path(self.folder, "store")
        root.mkdir()
        return FolderBackend(root)

    def open(self) -> Store:
        """Open the store as a process of its own does."""
        self.stores += 1
        return Store(
            backend=self.backend,
            store_id="00000000-0000-0000-0000-000000000000",
            journals=f"{self.folder}/journals",
            cache=f"{self.folder}/cache-{self.stores % 2}",
            deltas=DELTAS,
        )

    def is_gone(self, lease: Lease) -> bool:
        return lease.key in self.killed

    def mark(self) -> set[Digest]:
        return {digest for run in self.runs.values() for digest in run}

    # --- writers

    @initialize(dropped=st.sets(numbers))
    def there_is_something_dead(self, dropped: set[int]) -> None:
        """Put a run of each content, and drop some."""
        for number in range(len(_CONTENTS)):
            self.record({number})
        for number, run_id in enumerate(sorted(self.runs)):
            if number in dropped:
                del self.runs[run_id]

    @rule(contents=st.sets(numbers, min_size=1, max_size=3))
    def record(self, contents: set[int]) -> None:
        """Record a run while nobody else gets a turn."""
        self.begin()
        for number in contents:
            self._add(self.writers[-1], number, "file")
        self.writers[-1].writer.commit()
        self._put(self.writers[-1])

    @precondition(lambda self: len(self.writers) < 3)
    @rule()
    def begin(self) -> None:
        self.number += 1
        run_id = RunId(f"01990000-{self.number:04x}-7000-8000-000000000001")
        store, self.spare = self.spare or self.open(), None
        self.writers.append(_Writer(store, run_id, self.alive))

    @rule()
    def look_around(self) -> None:
        """Let the next writer know the packs of this moment already."""
        if self.spare is None:
            self.spare = self.open()
            for content in _CONTENTS:
                self.spare.objects.holds(of_bytes(content))

    @precondition(lambda self: self.writers)
    @rule(data=st.data(), number=numbers, how=st.sampled_from(["bytes", "file", "asked"]))
    def add(self, data: Any, number: int, how: str) -> None:
        self._add(data.draw(st.sampled_from(self.writers)), number, how)

    def _add(self, writer: _Writer, number: int, how: str) -> None:
        content = _CONTENTS[number]
        digest = of_bytes(content)
        if how == "asked" and writer.writer.holds(digest):
            pass
        elif how == "bytes":
            writer.writer.add_bytes(content)
        else:
            path = Path(self.folder, "file")
            path.write_bytes(content)
            previous = next((d for run in self.runs.values() for d, c in run.items() if c[:4] == content[:4]), None)
            with path.open("rb") as file:
                writer.writer.add_descriptor(file.fileno(), previous, likely_held=number % 2 == 0)
        writer.added[digest] = content
        writer.committed = False

    @precondition(lambda self: self.writers)
    @rule(data=st.data())
    def commit(self, data: Any) -> None:
        writer = data.draw(st.sampled_from(self.writers))
        writer.writer.commit()
        writer.committed = True

    @precondition(lambda self: self.writers)
    @rule(data=st.data())
    def commit_and_put(self, data: Any) -> None:
        writer = data.draw(st.sampled_from(self.writers))
        writer.writer.commit()
        self._put(writer)

    @precondition(lambda self: any(writer.committed for writer in self.writers))
    @rule(data=st.data())
    def put_the_run(self, data: Any) -> None:
        self._put(data.draw(st.sampled_from([writer for writer in self.writers if writer.committed])))

    def _put(self, writer: _Writer) -> None:
        self.runs[writer.run_id] = writer.added
        writer.store.leases.release(writer.run_id)
        self._end(writer)

    @precondition(lambda self: self.writers)
    @rule(data=st.data())
    def kill_a_writer(self, data: Any) -> None:
        writer = data.draw(st.sampled_from(self.writers))
        self.killed |= writer.leases
        self._end(writer)

    def _end(self, writer: _Writer) -> None:
        writer.writer._worker.close()
        writer.store.close()
        self.writers.remove(writer)

    # --- runs go

    @precondition(lambda self: self.runs)
    @rule(data=st.data())
    def drop_a_run(self, data: Any) -> None:
        del self.runs[data.draw(st.sampled_from(sorted(self.runs)))]

    # --- sweeps

    @precondition(lambda self: self.sweep is None)
    @rule(repacks=st.booleans())
    def condemn(self, repacks: bool) -> None:
        store = self.open()
        found = survey(self.backend, self.mark(), now=float("inf"))
        values = list(found.dead)
        if repacks:
            names, damaged = repack(
                self.backend,
                worth_repacking(found.packs),
                self.folder,
                lambda pack: store._index.add_pack(pack.name, pack.digests),
            )
            assert damaged == []
            values += pack_values(self.backend, names)
        self.sweep = Sweep(self.backend, store._index, self.mark, gone=self.is_gone)
        self.sweep.condemn(values)

    @precondition(lambda self: self.sweep is not None and self.deleting is None)
    @rule(waits=st.booleans())
    def begin_deleting(self, waits: bool) -> None:
        assert self.sweep is not None
        if not self.sweep.waits_for():
            self.deleting = self.sweep.delete()
            if waits:
                next(self.deleting, None)
        else:
            try:
                next(self.sweep.delete())
                raise AssertionError("it deletes though writers are at work")
            except StoreError:
                pass

    @precondition(lambda self: self.deleting is not None)
    @rule(steps=st.integers(1, 4))
    def delete(self, steps: int) -> None:
        assert self.deleting is not None
        for _ in range(steps):
            if next(self.deleting, None) is None:
                self.sweep = self.deleting = None
                return

    @precondition(lambda self: self.sweep is not None)
    @rule()
    def kill_the_sweep(self) -> None:
        assert self.sweep is not None
        self.killed.add(self.sweep._key)
        self.sweep = self.deleting = None

    @precondition(lambda self: self.sweep is not None and self.deleting is None)
    @rule()
    def withdraw(self) -> None:
        assert self.sweep is not None
        self.sweep.withdraw()
        self.sweep = None

    # --- what holds

    @invariant()
    def holds_what_is_referred_to(self) -> None:
        store = self.open()
        try:
            for run in self.runs.values():
                for digest, content in run.items():
                    assert store.objects.read(digest) == content
        finally:
            store.close()

    def teardown(self) -> None:
        """In the end, with nobody at work, one sweep leaves what is referred to and nothing else."""
        for writer in [*self.writers]:
            self.killed |= writer.leases
            self._end(writer)
        if self.sweep is not None:
            self.killed.add(self.sweep._key)
        if self.spare is not None:
            self.spare.close()
        store = self.open()
        try:
            sweep = Sweep(self.backend, store._index, self.mark, gone=self.is_gone)
            sweep.condemn(survey(self.backend, self.mark(), now=float("inf")).dead)
            list(sweep.delete())
            left = survey(self.backend, self.mark(), now=float("inf"))
            assert left.dead == ()
            assert [*self.backend.list("writers/"), *self.backend.list("condemned/")] == []
            for digest in self.mark():
                assert store.objects.holds(digest)
        finally:
            store.close()
            shutil.rmtree(self.folder)


class SweptFolder(SweptStore):
    """The same in a folder."""

    kind = "folder"


SweptStore.TestCase.settings = settings(max_examples=25, stateful_step_count=20, deadline=None)
SweptFolder.TestCase.settings = settings(max_examples=6, stateful_step_count=20, deadline=None)
TestSweptStore = SweptStore.TestCase
TestSweptFolder = SweptFolder.TestCase
