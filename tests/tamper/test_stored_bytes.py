"""Every flipped bit in every byte of what a store keeps is found, or makes no difference; none gives wrong content."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from reenact.digests import Digest
from reenact.errors import IntegrityError
from reenact.ids import RunId
from reenact.store.delta_policy import DeltaPolicy
from reenact.store.opening import Store, open_store
from reenact.store.pack_writer import SMALL_BYTES
from tests.shelf import Shelf, edited, table

RUN = RunId("01990000-0001-7000-8000-000000000001")
CONTENTS = (b"", b"short", b"text that compresses, " * 40, os.urandom(90))


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = open_store(str(tmp_path / "store"), create=True)
    yield opened
    opened.close()


def put(store: Store, *contents: bytes) -> dict[Digest, bytes]:
    writer = store.writer(RUN)
    found = {writer.add_bytes(content): content for content in contents}
    writer.commit()
    store.close()
    return found


@contextmanager
def without_cache(store: Store) -> Iterator[Store]:
    """Open a store as another host would, whose caches know nothing."""
    again = open_store(store.location, create=False)
    again._index._file._path = ":memory:"
    yield again
    again.close()


def each_flip(path: Path) -> Iterator[int]:
    """Flip each byte of a file in turn (one bit, or all of them), and put it right at the end."""
    whole = path.read_bytes()
    path.chmod(0o644)
    for place in range(len(whole)):
        for mask in (1 << place % 8, 0xFF):
            path.write_bytes(whole[:place] + bytes([whole[place] ^ mask]) + whole[place + 1 :])
            yield place
    path.write_bytes(whole)


def judge(store: Store, objects: dict[Digest, bytes]) -> int:
    """Read and verify all; give how many findings there were. Fails on content that is wrong."""
    found = {}
    for thorough in (False, True):
        found[thorough] = {finding.digest for finding in store.objects.verify(objects, content=thorough)}
    for digest, content in objects.items():
        try:
            assert store.objects.read(digest) == content
        except IntegrityError:
            assert digest in found[False]
            assert digest in found[True]
        else:
            assert digest not in found[True]
    return len(found[False] | found[True])


def test_every_byte_of_a_pack(store: Store) -> None:
    objects = put(store, *CONTENTS)
    (path,) = Path(store.location).glob("packs/*.pack")
    for place in each_flip(path):
        with without_cache(store) as again:
            # The first eight bytes say that it is a pack; nothing is read by them.
            assert judge(again, objects) == (0 if place < 8 else 1), place
    with without_cache(store) as again:
        assert judge(again, objects) == 0


def test_every_byte_of_an_index(store: Store) -> None:
    objects = put(store, *CONTENTS)
    (path,) = Path(store.location).glob("packs/*.idx")
    for place in each_flip(path):
        with without_cache(store) as again:
            assert judge(again, objects) == len(objects), place


@pytest.mark.parametrize("kind", ["segments", "raw"])
def test_every_byte_of_an_object_in_a_file(store: Store, kind: str) -> None:
    content = bytes(SMALL_BYTES + 1) if kind == "segments" else os.urandom(SMALL_BYTES)
    objects = put(store, content)
    (path,) = Path(store.location).glob("objects/*/*")
    whole = path.read_bytes()
    path.chmod(0o644)
    # All of a compressed file; of a raw one, whose every byte is hashed alike, the header and some of the rest.
    places = range(len(whole)) if kind == "segments" else [*range(40), *range(40, len(whole), 40_009), len(whole) - 1]
    for place in places:
        path.write_bytes(whole[:place] + bytes([whole[place] ^ (1 << place % 8)]) + whole[place + 1 :])
        found = store.objects.verify(objects, content=False)
        assert len(found) == 1, place
        for digest in objects:
            try:
                assert store.objects.read(digest) == content
            except IntegrityError:
                continue
            # Bits that a decoder passes over, and the check sum at the end: found, but without harm to the content.
            assert kind == "segments"
            assert store.objects.verify(objects, content=True) == []
    path.write_bytes(whole)
    assert store.objects.verify(objects, content=True) == []


def test_every_length_of_a_cut_file(store: Store) -> None:
    objects = put(store, bytes(SMALL_BYTES + 1))
    (path,) = Path(store.location).glob("objects/*/*")
    whole = path.read_bytes()
    path.chmod(0o644)
    for data in [*(whole[:length] for length in range(len(whole))), whole + b"\0"]:
        path.write_bytes(data)
        for thorough in (False, True):
            assert len(store.objects.verify(objects, content=thorough)) == 1


def test_objects_that_change_places_are_found(store: Store) -> None:
    first, second = os.urandom(SMALL_BYTES), bytes(SMALL_BYTES)
    objects = put(store, first, second)
    one, two = Path(store.location).glob("objects/*/*")
    data = one.read_bytes(), two.read_bytes()
    for path, other in ((one, data[1]), (two, data[0])):
        path.chmod(0o644)
        path.write_bytes(other)
    assert len(store.objects.verify(objects, content=True)) == 2
    for digest in objects:
        with pytest.raises(IntegrityError):
            store.objects.read(digest)


@pytest.fixture
def versions(tmp_path: Path) -> Iterator[tuple[Shelf, dict[Digest, bytes]]]:
    """Give three versions of a table: the first by itself, the second against it, the third against the second."""
    shelf = Shelf(str(tmp_path / "versions"), DeltaPolicy(from_bytes=1))
    objects: dict[Digest, bytes] = {}
    content, previous = table(7500), None
    for number in range(3):
        previous = shelf.put(content, previous)
        objects[previous] = content
        content = edited(content, number, share=0.0005)
    assert [shelf.depth(digest) for digest in objects] == [0, 1, 2]
    yield shelf, objects
    shelf.close()


def test_every_byte_of_a_delta(versions: tuple[Shelf, dict[Digest, bytes]]) -> None:
    shelf, objects = versions
    _, second, third = objects
    for digest, harmed in ((second, {second, third}), (third, {third})):
        for place in each_flip(shelf.path(digest)):
            found = {finding.digest for finding in shelf.store.objects.verify(objects, content=False)}
            assert found == harmed, place
            for needed in harmed:
                try:
                    assert shelf.store.objects.read(needed) == objects[needed], place
                except IntegrityError:
                    continue
        assert shelf.store.objects.verify(objects, content=True) == []


def test_every_length_of_a_cut_delta(versions: tuple[Shelf, dict[Digest, bytes]]) -> None:
    shelf, objects = versions
    *_, third = objects
    path = shelf.path(third)
    whole = path.read_bytes()
    for data in [*(whole[:length] for length in range(len(whole))), whole + b"\0"]:
        path.write_bytes(data)
        for thorough in (False, True):
            found = shelf.store.objects.verify(objects, content=thorough)
            assert [finding.digest for finding in found] == [third]
        with pytest.raises(IntegrityError):
            shelf.store.objects.read(third)


def test_every_deleted_file_of_a_chain(versions: tuple[Shelf, dict[Digest, bytes]]) -> None:
    shelf, objects = versions
    for place, digest in enumerate(objects):
        data = shelf.path(digest).read_bytes()
        shelf.path(digest).unlink()
        found = {finding.digest: finding for finding in shelf.store.objects.verify(objects, content=False)}
        assert set(found) == set(list(objects)[place:])
        assert found[digest].problem == "missing"
        assert all(str(digest) in finding.detail for name, finding in found.items() if name != digest)
        Path(shelf.store.location, "objects", digest[7:9], digest[9:]).write_bytes(data)
