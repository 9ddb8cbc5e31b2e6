"""A whole store on a place that fails all the time: what is told to be done is done, once."""

from __future__ import annotations

import random
from collections import Counter
from pathlib import Path

import pytest

from reenact.digests import of_bytes
from reenact.ids import RunId
from reenact.seal.log import Entry, Log
from reenact.store.access import Access, spared
from reenact.store.backends.memory import MemoryBackend
from reenact.store.backends.retry import RetryingBackend
from reenact.store.opening import Store
from reenact.testing.faults import FaultyBackend, by_chance
from tests.bundles import bundle, run_id


def store_on(place: MemoryBackend, seed: int, folder: Path) -> Store:
    faulty = FaultyBackend(place, by_chance(seed))
    patient = RetryingBackend(faulty, 3600.0, sleep=lambda _: None)
    return Store(
        backend=spared(patient, Access(), str(folder / "cache")),
        store_id="00000000-0000-0000-0000-000000000000",
        journals=str(folder / "journals"),
        cache=str(folder / "cache"),
        staging=str(folder / "staging"),
    )


@pytest.mark.parametrize("seed", range(4))
def test_what_was_told_to_be_done_is_done_once(tmp_path: Path, seed: int) -> None:
    place = MemoryBackend()
    hosts = [store_on(place, seed * 10 + number, tmp_path / str(number)) for number in range(2)]
    contents = [random.Random(number).randbytes(length) for number, length in enumerate((10, 3000, 300_000, 700_000))]
    ids = [RunId(run_id(number)) for number in range(8)]
    for number, each in enumerate(ids):
        store = hosts[number % 2]
        writer = store.writer(each)
        for content in (*contents, b"%d" % number):
            writer.add_bytes(content)
        writer.commit()
        assert store.runs.put_run(each, f"envelope {number}".encode(), bundle(run_id=each))
        entry = Entry(
            kind="run", run_id=each, statement=of_bytes(each.encode()), key_id="k", time="2026-01-01T00:00:00Z"
        )
        assert Log(store.backend).append(entry) == number
    reader = store_on(place, 99, tmp_path / "reader")
    assert reader.runs.ids() == ids
    assert [reader.runs.envelope(each) for each in ids] == [f"envelope {number}".encode() for number in range(8)]
    wanted = [of_bytes(content) for content in (*contents, *(b"%d" % number for number in range(8)))]
    assert reader.objects.verify(wanted, content=True) == []
    assert Counter(found.run_id for found in Log(reader.backend).entries()) == dict.fromkeys(ids, 1)
    assert list(place.list("writers/")) == []
    for store in (*hosts, reader):
        store.close()
