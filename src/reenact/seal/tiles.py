"""The Merkle tree over a log, read through tiles: 256 hashes in one value, so that any proof takes a handful of reads.

Everything here is derived from the entries: what is missing is computed from them, and writing it twice writes the same. Tiles
are read as they are; what is proven with them is worth what the signed root says it is.

See: https://c2sp.org/tlog-tiles, whose layout this is, below ``log/``.
"""

from __future__ import annotations

import struct
from typing import Final

from reenact.errors import IntegrityError, KeyAbsent
from reenact.seal.log import LogPlace, entry_key
from reenact.seal.merkle import HASH_BYTES, consistency_proof, inclusion_proof, leaf_hash, range_root, root

__all__ = ["TILES", "TILE_LEAVES", "Tree", "bundle_of", "parse_tile_key", "publish", "tile_key"]

TILES: Final = "log/tile/"
_HEIGHT: Final = 8
TILE_LEAVES: Final = 1 << _HEIGHT
"""Hashes in a full tile."""
_ENTRIES: Final = "entries"
"""Stands in a tile's name for the level, where it holds the entries themselves."""
_AT_ONCE: Final = 8
_LENGTH: Final = struct.Struct(">H")


def tile_key(level: int | str, number: int, width: int = TILE_LEAVES) -> str:
    """Name a tile: ``log/tile/<level>/<number>[.p/<width>]``, the number in groups of three digits."""
    groups = f"{number % 1000:03d}"
    while number := number // 1000:
        groups = f"x{number % 1000:03d}/{groups}"
    return f"{TILES}{level}/{groups}" + ("" if width == TILE_LEAVES else f".p/{width}")


def parse_tile_key(key: str) -> tuple[int | str, int, int] | None:
    """Read what :func:`tile_key` wrote: level, number and width; None when it is no tile's name."""
    level_text, _, rest = key.removeprefix(TILES).partition("/")
    groups, partial_mark, width_text = rest.partition(".p/")
    digits = groups.replace("/x", "").replace("x", "").replace("/", "")
    width_text = width_text if partial_mark else str(TILE_LEAVES)
    if not (digits.isdecimal() and width_text.isdecimal() and (level_text.isdecimal() or level_text == _ENTRIES)):
        return None
    level = level_text if level_text == _ENTRIES else int(level_text)
    found = level, int(digits), int(width_text)
    return found if tile_key(*found) == key else None


class Tree:
    """The tree over the first entries of a log. Not for several threads."""

    def __init__(self, place: LogPlace, size: int, *, from_entries: bool = False) -> None:
        """Look at a tree.

        Args:
            place: Where the log is.
            size: How many entries it covers; they must be there.
            from_entries: Believe no tile, compute all.
        """
        self._place = place
        self._from_entries = from_entries
        self._tiles: dict[tuple[int, int], list[bytes]] = {}
        self.size = size

    def root(self) -> bytes:
        """Give the root's hash."""
        return range_root(0, self.size, self._node)

    def inclusion(self, index: int) -> list[bytes]:
        """Prove that an entry is in the tree."""
        return inclusion_proof(index, self.size, self._node)

    def consistency(self, old: int) -> list[bytes]:
        """Prove that the tree of the first `old` entries is what this one begins with."""
        return consistency_proof(old, self.size, self._node) if old else []

    def root_of(self, old: int) -> bytes:
        """Give the root over the first `old` entries."""
        return range_root(0, old, self._node)

    def tile(self, level: int, number: int) -> list[bytes]:
        """Give the hashes of a tile, as many as the tree has.

        Raises:
            IntegrityError: a kept tile has not the length of one.
        """
        found = self._tiles.get((level, number))
        if found is None:
            found = self._tiles[level, number] = self._read(level, number)
        return found

    def hold(self, number: int, leaves: list[bytes]) -> None:
        """Take the entries of a tile of level 0, which were read anyway."""
        self._tiles[0, number] = [leaf_hash(leaf) for leaf in leaves]

    def _node(self, level: int, index: int) -> bytes:
        above, below = divmod(level, _HEIGHT)
        number, offset = divmod(index << below, TILE_LEAVES)
        return root(self.tile(above, number)[offset : offset + (1 << below)])

    def width(self, level: int, number: int) -> int:
        """Count the hashes a tile has in this tree."""
        return min(TILE_LEAVES, (self.size >> _HEIGHT * level) - number * TILE_LEAVES)

    def _read(self, level: int, number: int) -> list[bytes]:
        width = self.width(level, number)
        if not self._from_entries:
            # A full tile stands in for a partial one that was not kept.
            for kept in {width: None, TILE_LEAVES: None}:
                try:
                    data = self._place.get(tile_key(level, number, kept))
                except KeyAbsent:
                    continue
                if len(data) != kept * HASH_BYTES:
                    raise IntegrityError(f"the log's tile {tile_key(level, number, kept)} has {len(data)} bytes")
                return [data[at : at + HASH_BYTES] for at in range(0, width * HASH_BYTES, HASH_BYTES)]
        first = number * TILE_LEAVES
        if level == 0:
            return [leaf_hash(self._place.get(entry_key(index))) for index in range(first, first + width)]
        return [root(self.tile(level - 1, child)) for child in range(first, first + width)]


def bundle_of(leaves: list[bytes]) -> bytes:
    """Write entries one after the other, each behind its length in two bytes, the higher one first."""
    return b"".join(_LENGTH.pack(len(leaf)) + leaf for leaf in leaves)


def publish(place: LogPlace, size: int, *, partial_too: bool = False) -> None:
    """Keep what can be derived of a tree: full tiles and the entries in them; those that are there stay.

    Tiles are put in order, so where one is, those before it are, or another writer is about to put them. Cheap when nothing
    is missing: an existence check for each level.

    Args:
        place: Where the log is.
        size: How many entries the tree covers.
        partial_too: Also the tiles at the tree's edge, as a checkpoint of this size needs them.
    """
    level = 0
    tree = Tree(place, size)
    for number, width in _wanted(place, _ENTRIES, size, partial_too=partial_too):
        leaves = _leaves(place, number, width)
        tree.hold(number, leaves)
        place.put_if_absent(tile_key(_ENTRIES, number, width), bundle_of(leaves))
    while count := size >> _HEIGHT * level:
        for number, width in _wanted(place, level, count, partial_too=partial_too):
            place.put_if_absent(tile_key(level, number, width), b"".join(tree.tile(level, number)))
        level += 1


def _wanted(place: LogPlace, level: int | str, count: int, *, partial_too: bool) -> list[tuple[int, int]]:
    """Name the tiles of a level that are to be put: number and width."""
    full, rest = divmod(count, TILE_LEAVES)
    found = [(number, TILE_LEAVES) for number in _missing(place, level, full)]
    if rest and partial_too and not place.exists(tile_key(level, full, rest)):
        found.append((full, rest))
    return found


def _leaves(place: LogPlace, number: int, width: int) -> list[bytes]:
    """Read the entries of a tile, several at once: where the store is remote, each is a round trip."""
    from concurrent.futures import ThreadPoolExecutor  # noqa: PLC0415 - one time in 256

    first = number * TILE_LEAVES
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        return list(pool.map(lambda index: place.get(entry_key(index)), range(first, first + width)))


def _missing(place: LogPlace, level: int | str, full: int) -> range:
    """Give the full tiles of a level that are not there: some of the last."""
    first = full
    while first and not place.exists(tile_key(level, first - 1)):
        first -= 1
    return range(first, full)
