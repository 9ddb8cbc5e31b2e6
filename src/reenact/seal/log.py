"""The log: one entry for every sealed bundle and verdict, in the order they were sealed, numbered without gaps.

An entry is claimed by creating the next number; whoever loses the race takes the one after. No lock, no server: any number of
hosts append to one store. The Merkle tree over the entries is derived from them and not kept here.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Final, Protocol

import msgspec

from reenact import canonical
from reenact.digests import Digest
from reenact.errors import IntegrityError, KeyAbsent

__all__ = ["Entry", "Log", "LogPlace"]

_FOLDER: Final = "log/entries"
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


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """What was sealed."""

    kind: str
    """``run`` or ``verdict``."""
    run_id: str
    statement: Digest
    """Of the signed payload."""
    key_id: str
    time: str
    replay_run_id: str | None = None


_FIELDS: Final = Entry.__struct_fields__


def _key(index: int) -> str:
    return f"{_FOLDER}/{index:0{_DIGITS}d}"


class Log:
    """The entries of a store."""

    def __init__(self, place: LogPlace) -> None:
        self._place = place

    def append(self, entry: Entry) -> int:
        """Append an entry; give its index. Durable when it returns. Cost: O(log n) existence checks and one put."""
        data = canonical.dumps_plain(entry)
        index = self.size()
        while not self._place.put_if_absent(_key(index), data):
            index += 1
        return index

    def size(self) -> int:
        """Count the entries, by probing: numbers have no gaps, so the first free one is found by doubling and halving."""
        if not self._place.exists(_key(0)):
            return 0
        taken, free = 0, 1
        while self._place.exists(_key(free)):
            taken, free = free, free * 2
        while free - taken > 1:
            middle = (taken + free) // 2
            if self._place.exists(_key(middle)):
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
                data = self._place.get(_key(index))
            except KeyAbsent:
                return
            try:
                fields = json.loads(data)
                # A later version may say more; what this one knows it must still be able to read.
                yield Entry(**{name: fields[name] for name in _FIELDS if name in fields})
            except (ValueError, TypeError, RecursionError) as error:
                raise IntegrityError(f"log entry {index} cannot be read: {error}") from error
            index += 1
