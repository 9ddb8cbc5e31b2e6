"""The same as `test_sweep` for a place far away: each process with copies, listings and values read ahead of its own."""

from __future__ import annotations

import itertools
import os
import random
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from reenact.ids import RunId
from reenact.store.access import Access, connect, spared
from reenact.store.backends import listed
from reenact.store.backends.memory import MemoryBackend
from reenact.store.interface import Backend
from reenact.store.opening import Store
from reenact.store.pack_writer import SMALL_BYTES
from reenact.store.sweep import survey
from tests.property.test_sweep import DELTAS, SweptStore
from tests.servers.gateway import Bucket

_ID = "00000000-0000-0000-0000-000000000000"
_numbers = itertools.count()


class SweptFarAway(SweptStore):
    """Whoever sweeps asks the place itself, as `prune` does; writers and readers do not."""

    def open(self) -> Store:
        self.stores += 1
        cache = f"{self.folder}/cache-{self.stores % 2}"
        return Store(
            backend=spared(self.backend, Access(), cache),
            store_id=_ID,
            journals=f"{self.folder}/journals",
            cache=cache,
            deltas=DELTAS,
            staging=f"{self.folder}/staging",
        )


class SweptBucket(SweptFarAway):
    """The same on a real server."""

    url = ""

    def make_backend(self) -> Backend:
        return connect(f"{self.url}-{next(_numbers)}", Access())


@pytest.fixture(autouse=True)
def eager(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let listings answer from the second question on: the stores here are small."""
    monkeypatch.setattr(listed, "_SINGLE_QUESTIONS", 1)


@pytest.fixture
def place(bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in bucket.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(SweptBucket, "url", bucket.url(f"sweep-{os.getpid()}"))


_CHECKS = [HealthCheck.too_slow, HealthCheck.function_scoped_fixture]
SweptFarAway.TestCase.settings = settings(max_examples=10, stateful_step_count=20, deadline=None)
SweptBucket.TestCase.settings = settings(
    max_examples=8, stateful_step_count=15, deadline=None, suppress_health_check=_CHECKS
)
TestSweptFarAway = SweptFarAway.TestCase


@pytest.mark.slow
@pytest.mark.usefixtures("place")
class TestSweptBucket(SweptBucket.TestCase):  # type: ignore[misc,valid-type]  # made by Hypothesis
    pass


def test_what_was_seen_before_a_lease_was_taken_is_stored_again(tmp_path: Path) -> None:
    """A process that has looked at a store for long does not rely on what a sweep took meanwhile."""
    place = MemoryBackend()

    def opened(backend: Backend, name: str) -> Store:
        cache = str(tmp_path / name)
        return Store(backend=backend, store_id=_ID, journals=cache, cache=cache, staging=f"{cache}/staging")

    contents = [random.Random(number).randbytes(SMALL_BYTES + number) for number in range(6)]
    reader, sweeper = opened(spared(place, Access(), str(tmp_path / "values")), "reader"), opened(place, "sweeper")
    first = RunId("01890000-0000-7000-8000-000000000001")
    writer = sweeper.writer(first)
    wanted = [writer.add_bytes(content) for content in contents]
    writer.commit()
    sweeper.leases.release(first)
    assert all(reader.objects.holds(digest) for digest in wanted)
    sweep = sweeper.sweep(frozenset, gone=lambda _: False)
    sweep.condemn(survey(place, frozenset(), now=float("inf")).dead)
    assert len(list(sweep.delete())) == len(wanted)
    writer = reader.writer(RunId("01890000-0000-7000-8000-000000000002"))
    assert [writer.add_bytes(content) for content in contents] == wanted
    writer.commit()
    assert opened(place, "other").objects.verify(wanted, content=True) == []
