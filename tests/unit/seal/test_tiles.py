from __future__ import annotations

import pytest

from reenact.errors import IntegrityError
from reenact.seal.log import entry_key
from reenact.seal.merkle import is_consistent, leaf_hash, root, root_of_inclusion
from reenact.seal.tiles import TILES, Tree, parse_tile_key, publish, tile_key
from reenact.store.backends.memory import MemoryBackend


class Counting(MemoryBackend):
    """Counts what is read."""

    read = 0

    def get(self, key: str) -> bytes:
        self.read += 1
        return super().get(key)


def log(size: int) -> Counting:
    place = Counting()
    for index in range(size):
        place.put_if_absent(entry_key(index), b"entry %d" % index)
    return place


def hashes(size: int) -> list[bytes]:
    return [leaf_hash(b"entry %d" % index) for index in range(size)]


def test_tiles_are_named_as_the_specification_says() -> None:
    assert tile_key(0, 1234067) == "log/tile/0/x001/x234/067"
    assert tile_key(2, 5, 17) == "log/tile/2/005.p/17"
    assert tile_key("entries", 1000) == "log/tile/entries/x001/000"
    for named in ((0, 1234067, 256), (2, 5, 17), ("entries", 1000, 256), (1, 999, 1)):
        assert parse_tile_key(tile_key(*named)) == named
    for key in (
        "log/tile/0/1",
        "log/tile/x/000",
        "log/tile/0/000.p/",
        "log/tile/0/000.p/01",
        "log/tile/0/000/x001",
        "log/tile/0",
    ):
        assert parse_tile_key(key) is None


def test_the_tiles_of_seventy_thousand_entries_are_those_of_the_specification() -> None:
    place = log(70_000)
    publish(place, 70_000, partial_too=True)
    kept = [key.removeprefix(TILES) for key in place.list(TILES)]
    assert sum(key.startswith("0/") and ".p" not in key for key in kept) == 273
    assert [key for key in kept if ".p" in key] == ["0/273.p/112", "1/001.p/17", "2/000.p/1", "entries/273.p/112"]
    assert [key for key in kept if key.startswith("1/") and ".p" not in key] == ["1/000"]
    assert place.get(tile_key(1, 0))[:32] == root(hashes(256))
    whole = root(hashes(70_000))
    place.read = 0
    tree = Tree(place, 70_000)
    assert tree.root() == whole
    proof = tree.inclusion(40_000)
    assert root_of_inclusion(40_000, 70_000, hashes(40_001)[-1], proof) == whole
    assert place.read <= 6
    assert is_consistent(300, 70_000, root(hashes(300)), whole, tree.consistency(300))


@pytest.mark.parametrize("size", [1, 2, 255, 256, 257, 511, 513])
def test_the_same_with_and_without_tiles_whenever_they_were_kept(size: int) -> None:
    place, bare = log(size), log(size)
    for kept in range(256, size + 1, 256):
        publish(place, kept)
    publish(place, size, partial_too=True)
    known = set(place.list(""))
    publish(place, size, partial_too=True)
    assert set(place.list("")) == known
    assert Tree(place, size).root() == Tree(bare, size).root() == root(hashes(size))
    assert Tree(place, size).root() == Tree(place, size, from_entries=True).root()
    for old in {1, size // 2, size} - {0}:
        assert Tree(place, size).root_of(old) == root(hashes(old))


def test_a_full_tile_stands_in_for_a_partial_one() -> None:
    place = log(300)
    publish(place, 300)
    for index in range(256):
        place.delete(entry_key(index))
    assert Tree(place, 200).root() == root(hashes(200))


def test_a_tile_of_the_wrong_length_is_told() -> None:
    place = log(256)
    place.put_if_absent(tile_key(0, 0), b"short")
    with pytest.raises(IntegrityError, match="log/tile/0/000 has 5 bytes"):
        Tree(place, 256).root()


def test_entries_lie_in_their_tiles_behind_their_lengths() -> None:
    place = log(256)
    publish(place, 256)
    data = place.get(tile_key("entries", 0))
    assert data.startswith(b"\x00\x07entry 0\x00\x07entry 1")
    assert data.endswith(b"\x00\x09entry 255")
