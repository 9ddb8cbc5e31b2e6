"""Every order in which a writer's steps and a sweep's may come: what the writer's run refers to is there in the end."""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from collections.abc import Callable, Iterator
from itertools import combinations
from pathlib import Path

import pytest

from reenact.digests import Digest, of_bytes
from reenact.ids import RunId
from reenact.store.backends.memory import MemoryBackend
from reenact.store.delta_policy import DeltaPolicy
from reenact.store.opening import Store
from reenact.store.pack_writer import SMALL_BYTES
from reenact.store.sweep import Dead, Sweep, survey
from reenact.store.writer import ObjectWriter

RUN = RunId("01990000-0001-7000-8000-000000000001")
OTHER = RunId("01990000-0002-7000-8000-000000000001")

_TABLE = b"".join(b"%d,%d,row\n" % (row, row * row % 9973) for row in range(SMALL_BYTES // 8))
_NOISE = b"".join(hashlib.sha256(b"%d" % part).digest() for part in range(SMALL_BYTES // 32))
CONTENTS = {"packed": b"small" * 9, "table": _TABLE, "noise": _NOISE, "version": b"new\n" + _TABLE}
_WRITES = ("open", "begin", "add", "commit", "put")
_SWEEPS = ("condemn", "begin to delete", "go on")


class _Scene:
    """A store with content that nothing refers to, a writer that records a run of the same, and a sweep."""

    def __init__(self, content: bytes, *, repacks: bool) -> None:
        self.folder = tempfile.mkdtemp(dir="/dev/shm" if Path("/dev/shm").is_dir() else None)
        self.backend = MemoryBackend()
        self.content = content
        self.digest = of_bytes(content)
        self.repacks = repacks
        self.marked: set[Digest] = set()
        before = self.open("before")
        for number, earlier in enumerate([_TABLE, content] if content.endswith(_TABLE) else [content]):
            writer = before.writer(OTHER)
            self._add(writer, earlier)
            if repacks and len(content) < SMALL_BYTES:
                # In the same pack is something that stays, so that the pack is rewritten rather than deleted.
                self.marked.add(writer.add_bytes(b"stays %d" % number))
            writer.commit()
        before.leases.release(OTHER)
        before.close()
        self.store = self.open("writer")
        self.writer: ObjectWriter | None = None
        self.sweeper = self.open("sweep")
        self.sweep: Sweep | None = None
        self.deleting: Iterator[Dead] | None = None
        self.waits = False

    def open(self, name: str) -> Store:
        return Store(
            backend=self.backend,
            store_id="00000000-0000-0000-0000-000000000000",
            journals=f"{self.folder}/journals",
            cache=f"{self.folder}/{name}",
            deltas=DeltaPolicy(from_bytes=1),
        )

    def _add(self, writer: ObjectWriter, content: bytes) -> None:
        path = Path(self.folder, "file")
        path.write_bytes(content)
        with path.open("rb") as file:
            assert writer.add_descriptor(file.fileno(), of_bytes(_TABLE)).digest == of_bytes(content)

    def take(self, step: str) -> None:
        steps: dict[str, Callable[[], object]] = {
            "open": lambda: self.store.objects.holds(self.digest),
            "begin": self._begin,
            "add": lambda: self._add(self._writer(), self.content),
            "commit": lambda: self._writer().commit(),
            "put": self._put,
            "condemn": self._condemn,
            "begin to delete": self._begin_to_delete,
            "go on": self._go_on,
        }
        steps[step]()

    def _writer(self) -> ObjectWriter:
        assert self.writer is not None
        return self.writer

    def _begin(self) -> None:
        self.writer = self.store.writer(RUN)

    def _put(self) -> None:
        self.marked.add(self.digest)
        self.store.leases.release(RUN)

    def _condemn(self) -> None:
        found = survey(self.backend, self.marked, now=float("inf"))
        values = list(found.dead)
        if self.repacks:
            names, _, _ = self.sweeper.repack([pack for pack in found.packs if pack.needed])
            values += self.sweeper.values_of_packs(names)
        self.sweep = self.sweeper.sweep(lambda: set(self.marked), gone=lambda _: False)
        self.sweep.condemn(values)

    def _begin_to_delete(self) -> None:
        assert self.sweep is not None
        if self.sweep.waits_for():
            self.waits = True
        else:
            self.deleting = self.sweep.delete()
            next(self.deleting, None)

    def _go_on(self) -> None:
        if self.waits:
            self._begin_to_delete()
        for _ in self.deleting or ():
            pass

    def end(self) -> None:
        """Let the sweep finish; the run's content is there, and nothing of the sweep or the writer."""
        self._go_on()
        store = self.open("after")
        try:
            for digest in self.marked:
                store.objects.read(digest)
            assert store.objects.read(self.digest) == self.content
            assert [*self.backend.list("writers/"), *self.backend.list("condemned/")] == []
        finally:
            store.close()

    def close(self) -> None:
        if self.writer is not None:
            self.writer.abandon()
        self.store.close()
        self.sweeper.close()
        shutil.rmtree(self.folder)


def _orders() -> Iterator[list[str]]:
    total = len(_WRITES) + len(_SWEEPS)
    for places in combinations(range(total), len(_SWEEPS)):
        writes, sweeps = iter(_WRITES), iter(_SWEEPS)
        yield [next(sweeps) if place in places else next(writes) for place in range(total)]


@pytest.mark.parametrize(
    ("kind", "repacks"),
    [
        ("packed", False),
        ("packed", True),
        ("version", False),
        pytest.param("noise", False, marks=pytest.mark.slow),
        pytest.param("table", False, marks=pytest.mark.slow),
    ],
)
def test_in_every_order(kind: str, repacks: bool) -> None:
    for order in _orders():
        scene = _Scene(CONTENTS[kind], repacks=repacks)
        try:
            for step in order:
                scene.take(step)
            scene.end()
        except BaseException as error:
            error.add_note(f"in the order {order}")
            raise
        finally:
            scene.close()
