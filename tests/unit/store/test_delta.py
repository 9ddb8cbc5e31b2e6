from __future__ import annotations

import os
import random
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from reenact.digests import EMPTY, of_bytes
from reenact.errors import IntegrityError, ObjectDamaged, StoreError
from reenact.store.delta_policy import DeltaPolicy
from reenact.store.segments import SEGMENT_BYTES
from tests.shelf import RUN, Shelf, edited, table


def shelf_at(path: Path, *, most_depth: int = 10, from_bytes: int = 1) -> Shelf:
    return Shelf(str(path), DeltaPolicy(from_bytes=from_bytes, most_depth=most_depth))


@pytest.fixture
def shelf(tmp_path: Path) -> Iterator[Shelf]:
    found = shelf_at(tmp_path / "store")
    yield found
    found.close()


def assert_kept(shelf: Shelf, content: bytes, digest: str) -> None:
    assert digest == of_bytes(content)
    shelf.store.close()
    again = Shelf(shelf.store.location, DeltaPolicy())
    found = of_bytes(content)
    assert again.store.objects.read(found) == content
    assert again.copy(found) == content
    assert again.store.objects.size(found) == len(content)
    for thorough in (False, True):
        assert again.store.objects.verify([found], content=thorough) == []
    again.close()


@pytest.mark.parametrize("rows", [8_000, 90_000])
def test_a_new_version_takes_little(shelf: Shelf, rows: int) -> None:
    old = table(rows)
    first = shelf.put(old)
    new = edited(old, 1)
    second = shelf.put(new, first)
    assert shelf.form(second) == "zstd delta"
    assert shelf.stored_bytes(second) < 0.05 * shelf.stored_bytes(first)
    assert shelf.store.objects.bases_of(second) == (first,)
    assert shelf.store.objects.bases_of(first) == ()
    assert_kept(shelf, old, first)
    assert_kept(shelf, new, second)


@pytest.mark.parametrize(
    "change",
    [
        lambda old: old[len(old) // 2 :] + old[: len(old) // 2],
        lambda old: b"header\n" + old,
        lambda old: old[1000:],
        lambda old: old + old,
        lambda old: old[: len(old) // 3],
        lambda old: old.replace(b"north", b"up"),
        lambda old: old[: 2 << 20] + random.Random(1).randbytes(1 << 20) + old[2 << 20 :],
        lambda old: old[:-1],
        lambda old: bytes(3 << 20) + old,
    ],
)
def test_whatever_changed_it_comes_back(shelf: Shelf, change: object) -> None:
    old = table(90_000)
    first = shelf.put(old)
    new: bytes = change(old)  # type: ignore[operator]
    second = shelf.put(new, first)
    assert shelf.form(second) == "zstd delta"
    assert_kept(shelf, new, second)


@pytest.mark.parametrize("extra", [-1, 0, 1])
def test_content_of_about_a_segment(shelf: Shelf, extra: int) -> None:
    old = (table(50_000) * 2)[: SEGMENT_BYTES + extra]
    first = shelf.put(old)
    new = edited(old, 3)[: SEGMENT_BYTES + extra]
    assert_kept(shelf, new, shelf.put(new, first))


def test_a_chain_is_no_deeper_than_allowed(tmp_path: Path) -> None:
    for most_depth in (1, 3):
        shelf = shelf_at(tmp_path / str(most_depth), most_depth=most_depth)
        versions = shelf.put_chain(12)
        depths = [shelf.depth(digest) for digest in versions]
        assert max(depths) == most_depth
        assert {digest: shelf.copy(digest) for digest in versions} == versions
        shelf.close()


def test_many_versions_are_nowhere_deep(shelf: Shelf) -> None:
    versions = shelf.put_chain(22)
    assert max(shelf.depth(digest) for digest in versions) <= 6
    assert [shelf.form(digest) for digest in versions] == ["segments"] + 21 * ["zstd delta"]
    assert {digest: shelf.copy(digest) for digest in versions} == versions


def test_a_base_may_be_of_any_form(shelf: Shelf) -> None:
    noise = random.Random(2).randbytes(3 << 20)
    raw = shelf.put(noise)
    assert shelf.form(raw) == "raw"
    changed = noise[: 1 << 20] + b"changed" + noise[1 << 20 :]
    second = shelf.put(changed, raw)
    assert (shelf.form(second), shelf.stored_bytes(second) < 10_000) == ("zstd delta", True)
    assert_kept(shelf, changed, second)
    packed = shelf.put(table(3000))
    grown = table(8000)
    third = shelf.put(grown, packed)
    assert_kept(shelf, grown, third)


@pytest.mark.parametrize("previous", [of_bytes(b"never stored"), EMPTY])
def test_a_previous_version_that_is_not_there_costs_space_only(shelf: Shelf, previous: str) -> None:
    content = table(8000)
    digest = shelf.put(content, of_bytes(b"") if previous == EMPTY else of_bytes(b"never stored"))
    assert shelf.form(digest) == "segments"
    assert_kept(shelf, content, digest)


def test_a_previous_version_of_nothing_alike_costs_space_only(shelf: Shelf) -> None:
    other = shelf.put(random.Random(3).randbytes(1 << 20))
    content = table(20_000)
    digest = shelf.put(content, other)
    assert shelf.form(digest) == "segments"
    assert shelf.stored_bytes(digest) == shelf.stored_bytes(shelf_like(shelf).put(content))
    assert_kept(shelf, content, digest)


def shelf_like(shelf: Shelf) -> Shelf:
    return Shelf(tempfile.mkdtemp(dir=Path(shelf.store.location).parent), DeltaPolicy())


@pytest.mark.parametrize("place", [10, 5000, -40, -5])
@pytest.mark.parametrize("kind", ["raw", "segments", "zstd delta"])
def test_a_damaged_previous_version_costs_space_only(shelf: Shelf, place: int, kind: str) -> None:
    old = random.Random(2).randbytes(1 << 20) if kind == "raw" else table(20_000)
    base = shelf.put(old)
    if kind == "zstd delta":
        old = edited(old, 1, share=0.1)
        base = shelf.put(old, base)
    assert shelf.form(base) == kind
    data = bytearray(shelf.path(base).read_bytes())
    data[place % len(data)] ^= 1
    shelf.path(base).write_bytes(data)
    new = old[: len(old) // 2] + b"changed" + old[len(old) // 2 :]
    digest = shelf.put(new, base)
    assert base not in shelf.store.objects.bases_of(digest), "an older version may do, the damaged one never"
    assert_kept(shelf, new, digest)


def test_a_base_that_is_cut_while_it_is_used_costs_space_only(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    from reenact.store.segmented import SegmentedObject

    old = table(200_000)
    base = shelf.put(old)
    data = shelf.path(base).read_bytes()
    flush = SegmentedObject._flush
    flushed = []

    def cut_and_flush(self: SegmentedObject) -> None:
        flushed.append(1)
        if len(flushed) == 2:
            shelf.path(base).write_bytes(data[: len(data) // 2])
        flush(self)

    monkeypatch.setattr(SegmentedObject, "_flush", cut_and_flush)
    new = edited(old, 5)
    digest = shelf.put(new, base)
    assert len(flushed) > 3
    shelf.path(base).write_bytes(data)
    assert_kept(shelf, new, digest)


def test_what_is_there_already_is_not_stored_again(shelf: Shelf) -> None:
    versions = shelf.put_chain(3)
    before = sorted(Path(shelf.store.location, "objects").rglob("*"))
    first, *_, last = versions
    assert shelf.put(versions[last], first) == last
    assert shelf.put(versions[first], last) == first
    assert sorted(Path(shelf.store.location, "objects").rglob("*")) == before


def test_a_policy_of_never_and_short_files(tmp_path: Path) -> None:
    for name, from_bytes in (("never", 0), ("short", 1 << 20)):
        shelf = shelf_at(tmp_path / name, from_bytes=from_bytes)
        assert {shelf.form(digest) for digest in shelf.put_chain(3)} == {"segments"}
        shelf.close()


def test_a_base_deleted_before_the_commit_is_told(shelf: Shelf) -> None:
    first = shelf.put(table(8000))
    writer = shelf.store.writer(RUN)
    with tempfile.TemporaryFile() as file:
        file.write(edited(table(8000), 1))
        file.flush()
        digest = writer.add_descriptor(file.fileno(), first).digest
    shelf.path(first).unlink()
    with pytest.raises(StoreError, match=f"{first} was deleted while another was made against it"):
        writer.commit()
    writer.abandon()
    assert not shelf.store.objects.holds(digest)
    assert list(Path(shelf.store.location, "staging").iterdir()) == []


def test_a_missing_or_damaged_base_is_named_for_all_that_need_it(shelf: Shelf) -> None:
    versions = shelf.put_chain(6)
    first, *others = versions
    data = shelf.path(first).read_bytes()
    changes = {"missing": None, "damaged": data[:3000] + bytes([data[3000] ^ 8]) + data[3001:]}
    for problem, changed in changes.items():
        shelf.path(first).unlink()
        if changed is not None:
            path = Path(shelf.store.location, "objects", first[7:9], first[9:])
            path.write_bytes(changed)
        for thorough in (False, True):
            found = {finding.digest: finding for finding in shelf.store.objects.verify(versions, content=thorough)}
            assert set(found) == set(versions)
            assert found[first].problem == problem
            assert all(f"its base {first} is {problem}" in found[digest].detail for digest in others)
        for digest in others:
            with pytest.raises(IntegrityError, match=str(first)):
                shelf.store.objects.read(digest)
            with pytest.raises(ObjectDamaged, match=str(first)):
                shelf.copy(digest)
        Path(shelf.store.location, "objects", first[7:9], first[9:]).write_bytes(data)
    assert shelf.store.objects.verify(versions, content=True) == []


def test_the_same_versions_give_the_same_bytes(tmp_path: Path) -> None:
    stored = []
    for name in ("one", "two"):
        shelf = shelf_at(tmp_path / name)
        stored.append([shelf.path(digest).read_bytes() for digest in shelf.put_chain(4)])
        shelf.close()
    assert stored[0] == stored[1]


def test_without_threads_it_works_the_same(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: object) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr("threading.Thread.start", refuse)
    versions = shelf.put_chain(3)
    assert {digest: shelf.copy(digest) for digest in versions} == versions
    assert [shelf.form(digest) for digest in versions] == ["segments", "zstd delta", "zstd delta"]


def test_what_is_not_whole_is_not_counted(shelf: Shelf) -> None:
    """A delta is only read with its base, so a base is never taken from a place that does not give it."""
    versions = shelf.put_chain(2)
    first, second = versions
    one, two = shelf.path(first).read_bytes(), shelf.path(second).read_bytes()
    shelf.path(first).write_bytes(two)
    shelf.path(second).write_bytes(one)
    for digest in versions:
        with pytest.raises(IntegrityError):
            shelf.store.objects.read(digest)
    assert len(shelf.store.objects.verify(versions, content=True)) == 2
    os.replace(shelf.path(first), shelf.path(second))
    assert len(shelf.store.objects.verify(versions, content=True)) == 2


def shuffled(content: bytes, seed: int) -> bytes:
    lines = content.splitlines(keepends=True)
    random.Random(seed).shuffle(lines)
    return b"".join(lines)


def wide_table(rows: int) -> bytes:
    """Make rows that are long enough to be found again wherever they are."""
    chance = random.Random(3)
    return b"".join(b"%d,%s\n" % (row, chance.randbytes(30).hex().encode()) for row in range(rows))


@pytest.mark.slow
def test_rows_in_another_order_are_found(shelf: Shelf) -> None:
    old = wide_table(250_000)  # two segments of those that are made against all of the base
    first = shelf.put(old)
    new = shuffled(old, 1)
    second = shelf.put(new, first)
    assert shelf.form(second) == "zstd delta"
    assert shelf.stored_bytes(second) < 0.25 * shelf.stored_bytes(first)
    assert shelf.depth(second) == 1
    assert_kept(shelf, new, second)
    # What follows is made against it as against any other, and another order again against the first, which needs nothing else.
    third_content = edited(new, 5, share=0.001)
    third = shelf.put(third_content, second)
    assert shelf.stored_bytes(third) < 0.03 * shelf.stored_bytes(first)
    fourth_content = shuffled(third_content, 2)
    fourth = shelf.put(fourth_content, third)
    assert (shelf.form(fourth), shelf.depth(fourth)) == ("zstd delta", 1)
    assert_kept(shelf, third_content, third)
    assert_kept(shelf, fourth_content, fourth)
    assert shelf.store.objects.bases_of(fourth) == (first,)


def test_a_damaged_base_of_another_order_is_blamed(shelf: Shelf) -> None:
    old = wide_table(60_000)
    first = shelf.put(old)
    second = shelf.put(shuffled(old, 1), first)
    assert shelf.store.objects.bases_of(second) == (first,)
    path = shelf.path(first)
    stored = bytearray(path.read_bytes())
    stored[len(stored) // 2] ^= 1
    path.write_bytes(stored)
    with pytest.raises(ObjectDamaged) as caught:
        shelf.store.objects.read(second)
    assert first in str(caught.value)


@pytest.mark.slow
def test_what_only_seemed_to_be_in_another_order_stands_by_itself(shelf: Shelf) -> None:
    """Samples are old rows, and all between them is new."""
    old = wide_table(200_000)
    first = shelf.put(old)
    length = len(old)
    content = bytearray(random.Random(9).randbytes(length // 2).hex().encode()[:length])
    rows = shuffled(old, 4)
    for place in range(4):
        middle = length * (2 * place + 1) // 8
        content[middle - (150 << 10) : middle + (150 << 10)] = rows[place << 20 : (place << 20) + (300 << 10)]
    second = shelf.put(bytes(content), first)
    assert shelf.form(second) == "segments"
    assert_kept(shelf, bytes(content), second)
