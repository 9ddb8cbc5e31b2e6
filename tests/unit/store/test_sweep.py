from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from reenact import digests
from reenact.digests import Digest, of_bytes
from reenact.errors import IntegrityError, StoreError
from reenact.ids import RunId
from reenact.store.delta_policy import DeltaPolicy
from reenact.store.opening import Store, open_store
from reenact.store.pack_writer import SMALL_BYTES
from reenact.store.repacking import pack_of_file, worth_repacking
from reenact.store.sweep import Survey, survey
from tests.shelf import RUN, Shelf

OTHER = RunId("01990000-0002-7000-8000-000000000001")


def put(store: Store, *contents: bytes) -> list[Digest]:
    writer = store.writer(RUN)
    found = [writer.add_bytes(content) for content in contents]
    writer.commit()
    store.leases.release(RUN)
    return found


def look(store: Store, *marked: Digest) -> Survey:
    return survey(store.backend, set(marked), now=float("inf"))


@pytest.fixture
def shelf(tmp_path: Path) -> Iterator[Shelf]:
    made = Shelf(str(tmp_path / "versions"), DeltaPolicy(from_bytes=1))
    yield made
    made.close()


def keys(found: Survey) -> list[str]:
    return [value.key for value in found.dead]


def test_what_is_marked_stays_and_the_rest_is_dead(store: Store) -> None:
    small, large, other = put(store, b"small", os.urandom(SMALL_BYTES), os.urandom(SMALL_BYTES))
    assert keys(look(store, small, large, other)) == []
    assert keys(look(store, small, large)) == [f"objects/{other[7:9]}/{other[9:]}"]
    packs = [value for value in keys(look(store, large, other)) if value.startswith("packs/")]
    assert [key.rpartition(".")[2] for key in packs] == ["idx", "pack"]
    found = look(store)
    stored = sum(store.backend.size(key) for key in store.backend.list("") if key.startswith(("objects/", "packs/")))
    assert found.dead_bytes == stored


def test_bases_of_what_is_marked_stay(shelf: Shelf) -> None:
    chain = list(shelf.put_chain(4))
    found = look(shelf.store, chain[-1])
    assert {digests.from_raw(raw) for raw in found.needed} >= {chain[-1], *shelf.store.objects.bases_of(chain[-1])}
    reader = shelf.store.objects
    for value in found.dead:
        shelf.store.backend.delete(value.key)
    assert reader.verify([chain[-1]], content=True) == []


def test_deltas_are_deleted_before_what_they_are_made_against(shelf: Shelf) -> None:
    objects = shelf.put_chain(6)
    order = keys(look(shelf.store))
    place = {digest: order.index(f"objects/{digest[7:9]}/{digest[9:]}") for digest in objects}
    deltas = 0
    for digest in objects:
        for base in shelf.store.objects.bases_of(digest):
            assert place[digest] < place[base]
            deltas += 1
    assert deltas >= 4


def test_a_marked_object_that_cannot_be_read_stops_it(shelf: Shelf) -> None:
    *_, last = shelf.put_chain(3)
    path = shelf.path(last)
    path.write_bytes(b"damaged" + path.read_bytes()[7:])
    with pytest.raises(IntegrityError, match=f"object {last} is damaged"):
        look(shelf.store, last)


def test_what_is_young_is_counted_and_left(store: Store) -> None:
    put(store, b"small", os.urandom(SMALL_BYTES))
    found = survey(store.backend, set(), now=time.time(), grace_seconds=1000)
    assert (found.dead, found.young > SMALL_BYTES) == ((), True)


def test_a_pack_without_its_index_is_dead(store: Store) -> None:
    (small,) = put(store, b"small")
    (index,) = Path(store.location).glob("packs/*.idx")
    index.unlink()
    assert [key.rpartition(".")[2] for key in keys(look(store, small))] == ["pack"]


def test_a_damaged_index_is_told_and_left(store: Store) -> None:
    put(store, b"small")
    (index,) = Path(store.location).glob("packs/*.idx")
    index.chmod(0o644)
    index.write_bytes(b"damaged")
    found = look(store)
    assert (found.dead, found.unreadable) == ((), (f"packs/{index.name}",))


def test_other_files_are_left(store: Store) -> None:
    for key in ("objects/ab/notes.txt", "objects/README", "packs/x.txt"):
        store.backend.put_if_absent(key, b"x")
    assert [key for key in keys(look(store)) if "packs/x" not in key] == []


def test_a_second_sweep_is_refused_while_the_first_lives(store: Store) -> None:
    first = store.sweep(set, gone=lambda _: False)
    first.condemn([])
    with pytest.raises(StoreError, match="another sweep"):
        store.sweep(set, gone=lambda _: False).condemn([])
    assert len([*store.backend.list("condemned/")]) == 1
    second = store.sweep(set, gone=lambda _: True)
    second.condemn([])
    list(second.delete())
    assert [*store.backend.list("condemned/")] == []


def test_small_and_mostly_dead_packs_are_worth_it(store: Store) -> None:
    first = put(store, b"one", os.urandom(2000))
    assert worth_repacking(look(store, *first).packs) == []
    assert len(worth_repacking(look(store, first[0]).packs)) == 1
    second = put(store, b"two")
    assert len(worth_repacking(look(store, *first, *second).packs)) == 2
    assert worth_repacking(look(store).packs) == []


def test_repacking_copies_what_is_needed_once(store: Store) -> None:
    kept = put(store, b"one" * 100, b"both")
    kept += put(store, b"two")
    lost = put(store, os.urandom(500))
    names, damaged, written = store.repack(worth_repacking(look(store, *kept).packs))
    assert (len(names), damaged) == (2, [])
    assert written > 0
    again = open_store(store.location, create=False)
    new = [pack for pack in look(again, *kept).packs if pack.contents.name not in names]
    assert {len(pack.needed) for pack in new if pack.needed} == {3}
    for value in store.values_of_packs(names):
        store.backend.delete(value.key)
    assert again.objects.verify(kept, content=True) == []
    assert again.objects.holds(lost[0])
    again.close()


def test_a_damaged_pack_is_not_repacked(store: Store) -> None:
    first = put(store, b"one")
    second = put(store, b"two")
    path = next(path for path in Path(store.location).glob("packs/*.pack") if b"one" in path.read_bytes())
    path.chmod(0o644)
    path.write_bytes(path.read_bytes().replace(b"one", b"eno"))
    names, damaged, _ = store.repack(worth_repacking(look(store, *first, *second).packs))
    assert damaged == [path.name.removesuffix(".pack")]
    assert len(names) == 0 or names != damaged
    assert path.exists()


@pytest.mark.parametrize("compresses", [False, True])
def test_a_large_object_in_a_pack_of_its_own_reads_and_is_checked(
    store: Store, tmp_path: Path, *, compresses: bool
) -> None:
    content = b"row,1\n" * 2_000_000 if compresses else os.urandom(5 << 20)
    (digest,) = put(store, content)
    (path,) = Path(store.location).glob("objects/*/*")
    pack = pack_of_file(str(path), digest, str(tmp_path / "new"), store.backend, lambda _: iter(()))
    from reenact.store.publishing import publish

    publish(store.backend, pack)
    path.unlink()
    again = open_store(store.location, create=False)
    assert again.objects.read(digest) == content
    for thorough in (False, True):
        assert again.objects.verify([digest], content=thorough) == []
    (packed,) = Path(store.location).glob("packs/*.pack")
    packed.chmod(0o644)
    data = bytearray(packed.read_bytes())
    data[-1] ^= 1
    packed.write_bytes(data)
    for thorough in (False, True):
        assert [finding.digest for finding in again.objects.verify([digest], content=thorough)] == [digest]
    assert of_bytes(content) == digest
    again.close()


def test_who_reads_beside_a_repacking_finds_everything_at_any_moment(store: Store, tmp_path: Path) -> None:
    kept = {}
    for number in range(4):
        content = b"%d" % number * 300
        kept[put(store, content, os.urandom(500))[0]] = content
    reader = open_store(store.location, create=False)
    assert reader.objects.verify(kept, content=True) == []  # it knows the packs of this moment
    names, _, _ = store.repack(worth_repacking(look(store, *kept).packs))
    for value in store.values_of_packs(names):
        store.backend.delete(value.key)
        other = open_store(store.location, create=False)
        for digest, content in kept.items():
            assert reader.objects.read(digest) == other.objects.read(digest) == content
            with (tmp_path / "out").open("wb") as file:
                reader.objects.copy_to(digest, file.fileno())
            assert (tmp_path / "out").read_bytes() == content
        other.close()
    again = open_store(store.location, create=False)
    assert again.objects.verify(kept, content=True) == []
    reader.close()
    again.close()


def test_a_check_that_began_before_a_repacking_finds_nothing_missing(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = [put(store, b"%d" % number * 300, os.urandom(500))[0] for number in range(4)]
    reader = open_store(store.location, create=False)
    from reenact.store.checking import Checker

    run = Checker.run

    def beside(self: Checker, tasks: list[object]) -> list[object]:
        monkeypatch.setattr(Checker, "run", run)
        names, _, _ = store.repack(worth_repacking(look(store, *kept).packs))
        for value in store.values_of_packs(names):
            store.backend.delete(value.key)
        return run(self, tasks)  # type: ignore[arg-type,return-value]

    monkeypatch.setattr(Checker, "run", beside)
    assert reader.objects.verify(kept, content=True) == []
    reader.close()
