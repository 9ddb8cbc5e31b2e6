from __future__ import annotations

import os
from pathlib import Path

import pytest

from reenact.digests import Digest, of_bytes
from reenact.errors import ObjectDamaged, ObjectMissing
from reenact.ids import RunId
from reenact.store.opening import Store, open_store

RUN = RunId("01990000-0001-7000-8000-000000000001")
OTHER = RunId("01990000-0002-7000-8000-000000000002")
CONTENTS = (b"", b"small", b"text\n" * 3000, b"row,1\n" * 100_000, os.urandom(3 << 20))


@pytest.fixture
def digests(store: Store) -> list[Digest]:
    writer = store.writer(RUN)
    found = [writer.add_bytes(content) for content in CONTENTS]
    writer.commit()
    return found


def only(store: Store, pattern: str) -> Path:
    (found,) = Path(store.location).glob(pattern)
    return found


def replace(path: Path, data: bytes) -> None:
    path.unlink()
    path.write_bytes(data)


@pytest.mark.parametrize("sparse", [False, True])
def test_copies_are_the_content(store: Store, digests: list[Digest], tmp_path: Path, sparse: bool) -> None:
    writer = store.writer(OTHER)
    holes = b"a" + bytes(5 << 20) + b"b" + bytes(1 << 20)
    for digest, content in [*zip(digests, CONTENTS, strict=True), (writer.add_bytes(holes), holes)]:
        writer.commit()
        output = os.open(tmp_path / "out", os.O_RDWR | os.O_CREAT | os.O_TRUNC)
        assert store.objects.copy_to(digest, output, sparse=sparse) == len(content)
        os.close(output)
        assert (tmp_path / "out").read_bytes() == content


def test_a_copy_into_a_pipe(store: Store, digests: list[Digest]) -> None:
    reading, writing = os.pipe()
    store.objects.copy_to(digests[1], writing)
    os.close(writing)
    assert os.read(reading, 100) == b"small"
    os.close(reading)


def test_missing_objects_are_named(store: Store) -> None:
    digest = of_bytes(b"never put")
    for ask in (store.objects.read, store.objects.size):
        with pytest.raises(ObjectMissing) as caught:
            ask(digest)
        assert caught.value.digest == digest
        assert caught.value.hint()
    assert not store.objects.holds(digest)
    (finding,) = store.objects.verify([digest], content=False)
    assert (finding.digest, finding.problem) == (digest, "missing")


def test_verify_finds_all_at_once_sorted(store: Store, digests: list[Digest]) -> None:
    lost = [of_bytes(b"%d" % number) for number in range(50)]
    found = store.objects.verify([*digests, *lost, *lost], content=True)
    assert [finding.digest for finding in found] == sorted(lost)


@pytest.mark.parametrize("content", [False, True])
def test_a_lost_pack_takes_its_objects_and_no_others(store: Store, digests: list[Digest], content: bool) -> None:
    only(store, "packs/*.pack").unlink()
    again = open_store(store.location, create=False)
    found = again.objects.verify(digests, content=content)
    assert {finding.digest for finding in found} == set(digests[:3])
    assert {finding.problem for finding in found} == {"missing"}
    with pytest.raises(ObjectMissing):
        again.objects.read(digests[1])
    assert again.objects.read(digests[4]) == CONTENTS[4]
    again.close()


@pytest.mark.parametrize("content", [False, True])
def test_a_lost_pack_is_noticed_in_a_process_that_knew_it(store: Store, digests: list[Digest], content: bool) -> None:
    assert store.objects.read(digests[1]) == b"small"
    only(store, "packs/*.pack").unlink()
    assert {finding.problem for finding in store.objects.verify(digests[:3], content=content)} == {"missing"}


@pytest.mark.parametrize("content", [False, True])
def test_a_pack_cut_short_loses_only_its_end(store: Store, digests: list[Digest], content: bool) -> None:
    pack = only(store, "packs/*.pack")
    replace(pack, pack.read_bytes()[:-1])
    again = open_store(store.location, create=False)
    assert again.objects.read(digests[1]) == b"small"
    (finding,) = again.objects.verify(digests, content=content)
    assert (finding.digest, finding.problem) == (digests[2], "damaged")
    again.close()


def test_a_writer_stores_again_what_a_damaged_pack_had(store: Store, digests: list[Digest]) -> None:
    pack = only(store, "packs/*.pack")
    replace(pack, pack.read_bytes()[:-1])
    again = open_store(store.location, create=False)
    writer = again.writer(OTHER)
    assert not writer.holds(digests[1])
    for content in CONTENTS:
        writer.add_bytes(content)
    writer.commit()
    assert again.objects.verify(digests, content=True) == []
    assert [again.objects.read(digest) for digest in digests] == list(CONTENTS)
    again.close()


def test_a_writer_mends_the_index_of_a_pack_it_writes_again(store: Store, digests: list[Digest]) -> None:
    path = only(store, "packs/*.idx")
    replace(path, path.read_bytes()[:-1])
    again = open_store(store.location, create=False)
    writer = again.writer(OTHER)
    for content in CONTENTS:
        writer.add_bytes(content)
    writer.commit()
    assert again.objects.verify(digests, content=True) == []
    again.close()


def test_a_damaged_object_in_a_file_is_never_given_out(store: Store, digests: list[Digest], tmp_path: Path) -> None:
    path = Path(store.location) / f"objects/{digests[4][7:9]}/{digests[4][9:]}"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    replace(path, bytes(data))
    with pytest.raises(ObjectDamaged) as caught:
        store.objects.read(digests[4])
    assert caught.value.digest == digests[4]
    output = os.open(tmp_path / "out", os.O_RDWR | os.O_CREAT)
    with pytest.raises(ObjectDamaged):
        store.objects.copy_to(digests[4], output)
    os.close(output)
    for content in (False, True):
        (finding,) = store.objects.verify(digests, content=content)
        assert (finding.digest, finding.problem) == (digests[4], "damaged")


def test_packs_of_another_process_are_found(store: Store, digests: list[Digest]) -> None:
    other = open_store(store.location, create=False)
    # Another host, with a cache of its own, does not tell ours.
    other._index._file._path = ":memory:"
    writer = other.writer(OTHER)
    digest = writer.add_bytes(b"from elsewhere")
    writer.commit()
    assert not store._index.holds(bytes.fromhex(digest[7:]))
    assert store.objects.read(digest) == b"from elsewhere"
    assert store.objects.verify([digest, *digests], content=False) == []
    other.close()
