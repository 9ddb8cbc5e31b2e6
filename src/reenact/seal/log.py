"""The log: one entry for every sealed bundle and verdict, key event and tombstone, in order, numbered without gaps.

An entry is claimed by creating the next number; whoever loses the race takes the one after. No lock, no server: any number of
hosts append to one store. The Merkle tree over the entries is derived from them: see :mod:`reenact.seal.tiles`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final, Protocol

from msgspec.structs import replace

from reenact import canonical
from reenact.digests import Digest, of_bytes
from reenact.errors import KeyAbsent
from reenact.seal.entry import Entry, load, signed

__all__ = ["Entry", "Log", "LogPlace", "entry_key"]

FOLDER: Final = "log/entries"
_DIGITS: Final = 12
"""Names sort as numbers do."""


class LogPlace(Protocol):
    """The part of a store's backend the log needs."""

    def put_if_absent(self, key: str, data: bytes) -> bool:
        """Put a value unless the key is taken; tell whether it was put."""

    def get(self, key: str) -> bytes:
        """Give a value; KeyAbsent when there is none."""

    def exists(self, key: str) -> bool:
        """Tell whether a key is taken."""


def entry_key(index: int) -> str:
    """Name the value that holds an entry."""
    return f"{FOLDER}/{index:0{_DIGITS}d}"


class Log:
    """The entries of a store."""

    def __init__(self, place: LogPlace, *, known: int = 0) -> None:
        """Look at a log.

        Args:
            place: Where it is.
            known: How many entries it is thought to have; a wrong number costs some questions, nothing else.
        """
        self._place = place
        self._known = known

    def append(self, entry: Entry, sign: Callable[[bytes], bytes] | None = None) -> int:
        """Append an entry; give its index. Durable when it returns.

        Cost: O(log n) existence checks, one read, one signature and one put; after a lost race, the last three again.

        Args:
            entry: Without index, previous and signature, which are added.
            sign: Signs bytes with the key the entry names; without it the entry is not signed, and `verify` says so.
        """
        index = self.size()
        while True:
            placed = replace(entry, index=index, previous=self._digest(index - 1))
            data = signed(placed, sign) if sign is not None else canonical.dumps_plain(placed)
            if self._place.put_if_absent(entry_key(index), data):
                return index
            index += 1

    def _digest(self, index: int) -> Digest | None:
        return of_bytes(self.leaf(index)) if index >= 0 else None

    def leaf(self, index: int) -> bytes:
        """Give the bytes of an entry; KeyAbsent when there is none."""
        return self._place.get(entry_key(index))

    def size(self) -> int:
        """Count the entries, by probing: numbers have no gaps, so the first free one is found by doubling and halving.

        Costs two existence checks where the number it was thought to be is right, else O(log n).
        """
        taken = self._known - 1
        if taken < 0 or not self._place.exists(entry_key(taken)):
            taken = -1
        step = 1
        while self._place.exists(entry_key(taken + step)):
            taken, step = taken + step, step * 2
        free = taken + step
        while free - taken > 1:
            middle = (taken + free) // 2
            if self._place.exists(entry_key(middle)):
                taken = middle
            else:
                free = middle
        return free

    def entries(self) -> Iterator[Entry]:
        """Give all entries in order.

        Raises:
            IntegrityError: an entry cannot be read.
        """
        index = 0
        while True:
            try:
                data = self.leaf(index)
            except KeyAbsent:
                return
            yield load(data, index)
            index += 1
