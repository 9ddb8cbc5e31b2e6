"""The transparency log of a store: one leaf for every sealed bundle and verdict, in one sequence shared by all who write.

``log/entries/<index>`` is put only if absent: whoever puts an index owns it, whoever loses takes the next. So the log has no
holes, needs no lock, and its length is found by asking for ever higher indexes.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final, Literal, Protocol

import msgspec

from reenact import canonical
from reenact.digests import Digest
from reenact.errors import IntegrityError, StoreError
from reenact.ids import RunId

__all__ = ["Leaf", "Log", "Values", "load_leaf"]

_FOLDER: Final = "log/entries"
_DIGITS: Final = 12
_ATTEMPTS: Final = 10_000


class Values(Protocol):
    """The part of a storage backend the log needs; see reenact.store.interface.Backend."""

    def put_if_absent(self, key: str, data: bytes) -> bool:
        """Put a value unless the key is taken; tell whether it was put. Durable on return."""
        ...

    def get(self, key: str) -> bytes:
        """Read a value."""
        ...

    def exists(self, key: str) -> bool:
        """Tell whether there is a value."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Leaf:
    """What the log says was sealed."""

    kind: Literal["run", "verdict"]
    run_id: RunId
    statement_sha256: Digest
    """Of the signed payload."""
    key_id: str
    time: str
    replay_run_id: RunId | None = None
    """The replay, for a verdict."""


class Log:
    """The log of one store."""

    def __init__(self, values: Values) -> None:
        self._values = values

    def append(self, leaf: Leaf) -> int:
        """Add a leaf and give its index. Durable on return.

        A process killed before it learns the index may have added the leaf; adding it again does no harm.

        Raises:
            StoreError: the log cannot be written.
        """
        data = _dump(leaf)
        index = self.length()
        for _ in range(_ATTEMPTS):
            if self._values.put_if_absent(_key(index), data):
                return index
            index += 1
        raise StoreError(f"lost {_ATTEMPTS} times in a row to other writers of the log", hint="try again")

    def length(self) -> int:
        """Give the number of entries, with about twice as many questions as it has binary digits."""
        if not self._has(0):
            return 0
        known, absent = 0, 1
        while self._has(absent):
            known, absent = absent, absent * 2
        while absent - known > 1:
            middle = (known + absent) // 2
            if self._has(middle):
                known = middle
            else:
                absent = middle
        return absent

    def entry(self, index: int) -> bytes:
        """Give the bytes of a leaf, as they were put."""
        return self._values.get(_key(index))

    def entries(self, start: int = 0) -> Iterator[tuple[int, Leaf]]:
        """Give indexes and leaves from an index on, in order.

        Raises:
            IntegrityError: an entry is not a leaf.
        """
        for index in range(start, self.length()):
            yield index, load_leaf(self.entry(index), index)

    def _has(self, index: int) -> bool:
        return self._values.exists(_key(index))


def _key(index: int) -> str:
    return f"{_FOLDER}/{index:0{_DIGITS}d}"


def _dump(leaf: Leaf) -> bytes:
    fields: dict[str, Any] = {
        "kind": leaf.kind,
        "run_id": leaf.run_id,
        "statement_sha256": leaf.statement_sha256,
        "key_id": leaf.key_id,
        "time": leaf.time,
    }
    if leaf.replay_run_id is not None:
        fields["replay_run_id"] = leaf.replay_run_id
    return canonical.dumps_plain(fields)


def load_leaf(data: bytes, index: int) -> Leaf:
    """Read a leaf; unknown fields are ignored.

    Raises:
        IntegrityError: the bytes are not one.
    """
    try:
        return msgspec.json.decode(data, type=Leaf)
    except (msgspec.ValidationError, msgspec.DecodeError) as error:
        raise IntegrityError(f"entry {index} of the log cannot be read: {error}") from error
