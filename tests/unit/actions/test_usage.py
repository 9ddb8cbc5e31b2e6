from __future__ import annotations

import os
from pathlib import Path

import pytest

from reenact.actions.usage import Usage, usage
from reenact.digests import of_bytes
from reenact.ids import RunId
from reenact.settings import Settings
from reenact.store.delta_policy import DeltaPolicy
from reenact.store.opening import Store, open_store
from reenact.store.pack_writer import SMALL_BYTES
from tests.bundles import artifact, run_id
from tests.records import add_run
from tests.shelf import edited, table


def add(store: Store, number: int, *contents: bytes, kept: bool = True, job: str = "etl") -> None:
    outputs = tuple(artifact(f"out{place}", content, "created") for place, content in enumerate(contents))
    add_run(store, number, kept=(b"in", b"print()", *(contents if kept else ())), outputs=outputs, job=job)


def forms(found: Usage) -> dict[str, tuple[int, int]]:
    return {use.form: (use.objects, use.content_bytes) for use in found.forms}


def test_an_empty_store(settings: Settings, store: Store) -> None:
    found = usage(settings)
    assert (found.objects_bytes, found.referred_bytes, found.jobs, found.runs, found.forms) == (0, 0, (), (), ())
    assert found.stored_bytes == found.records_bytes == store.backend.size("store.json")


def test_what_is_needed_by_one_and_by_several(settings: Settings, store: Store) -> None:
    shared, mine, other = (os.urandom(SMALL_BYTES + extra) for extra in (1, 2, 3))
    add(store, 1, shared, mine)
    add(store, 2, shared)
    add(store, 3, shared, other, job="load")
    found = usage(settings)
    overhead = 24
    one, two, three = sorted(found.runs, key=lambda use: use.name)
    assert (one.unique_bytes, three.unique_bytes) == (len(mine) + overhead, len(other) + overhead)
    assert two.unique_bytes == 0
    assert one.shared_bytes == two.shared_bytes == three.shared_bytes
    etl, load = sorted(found.jobs, key=lambda use: use.name)
    assert (etl.name, etl.runs, etl.unique_bytes) == ("etl", 2, len(mine) + overhead)
    assert (load.name, load.runs, load.unique_bytes) == ("load", 1, len(other) + overhead)
    # Input and script are in the record's list as well, shared like the large one.
    small = len(b"in") + len(b"print()")
    assert found.referred_bytes == 3 * (len(shared) + small) + len(mine) + len(other)
    assert found.saved_by_sharing_bytes == 2 * (len(shared) + small)
    assert found.unreferenced_bytes == 0
    assert found.records_bytes > sum(use.records_bytes for use in found.runs) > 0
    stored = sum(store.backend.size(key) for key in store.backend.list("") if key.startswith(("objects/", "packs/")))
    assert found.objects_bytes == stored


def test_forms_and_what_compressing_saved(settings: Settings, store: Store) -> None:
    noise, zeros, text = os.urandom(SMALL_BYTES), bytes(SMALL_BYTES), b"text " * 500
    add(store, 1, noise, zeros, text)
    found = usage(settings)
    assert forms(found) == {
        "raw": (1, len(noise)),
        "segments": (1, len(zeros)),
        "packed zstd": (1, len(text)),
        "packed raw": (2, len(b"in") + len(b"print()")),
    }
    assert len(zeros) < found.saved_by_compressing_bytes < len(zeros) + len(text)
    assert found.saved_by_deltas_bytes == 0


def test_deltas_and_their_bases(settings: Settings, store: Store, tmp_path: Path) -> None:
    old = table(8000)
    new = edited(old, 1, share=0.001)
    deltas = open_store(store.location, create=False, deltas=DeltaPolicy(from_bytes=1))
    writer = deltas.writer(RunId(run_id(9)))
    for content, previous in ((old, None), (new, of_bytes(old))):
        path = tmp_path / "file"
        path.write_bytes(content)
        with path.open("rb") as file:
            writer.add_descriptor(file.fileno(), previous)
        writer.commit()
    deltas.close()
    add(store, 1, new, kept=False)
    found = usage(settings)
    assert forms(found)["zstd delta"] == (1, len(new))
    assert found.saved_by_deltas_bytes > len(new) * 0.9
    # The base is needed, though no run names it.
    assert found.unreferenced_bytes == 0
    (run,) = found.runs
    assert run.content_bytes == len(old) + len(new) + len(b"in") + len(b"print()")


def test_what_nothing_refers_to(settings: Settings, store: Store) -> None:
    add(store, 1, b"out")
    writer = store.writer(RunId(run_id(2)))
    writer.add_bytes(os.urandom(SMALL_BYTES))
    writer.commit()
    assert usage(settings).unreferenced_bytes == SMALL_BYTES + 24


@pytest.mark.parametrize("harm", ["bundle", "object"])
def test_what_cannot_be_read_is_told(settings: Settings, store: Store, harm: str) -> None:
    content = os.urandom(SMALL_BYTES)
    add(store, 1, content)
    path = next(Path(store.location).glob("runs/*/bundle*" if harm == "bundle" else "objects/*/*"))
    path.chmod(0o644)
    path.write_bytes(b"damaged")
    found = usage(settings)
    if harm == "bundle":
        assert found.unreadable == (run_id(1),)
        assert found.unreferenced_bytes > SMALL_BYTES
    else:
        assert forms(found)["unreadable"] == (1, 0)
        assert found.saved_by_compressing_bytes <= 0
