"""What a store needs of the place that keeps its bytes, and the values its parts exchange.

A backend keeps immutable values under keys. It needs no locks and no overwriting: putting a value where there is none is
the only way anything gets written, so any number of processes and hosts may share one. (Encrypting old values anew puts the
same content in their place; nothing depends on who comes first there.)
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Final, Literal, NamedTuple, Protocol

import msgspec

from reenact.atomic import AnyPath
from reenact.digests import Digest
from reenact.errors import KeyAbsent, StoreError

__all__ = ["Backend", "Finding", "Listed", "Problem", "Ranges", "check_key"]

# No leading dot: names of unfinished writes (atomic.TEMPORARY_PREFIX) can never be keys, nor can "." and "..".
# ASCII only: such names mean the same on every file system and object store, and sort the same everywhere.
_KEY: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*(?:/[A-Za-z0-9_][A-Za-z0-9._-]*)*")


def check_key(key: str) -> str:
    """Give the key back; ValueError when it is not one (a mistake of the program, not of its user)."""
    if _KEY.fullmatch(key) is None:
        raise ValueError(f"not a key: {key!r}")
    return key


class Listed(NamedTuple):
    """What a listing tells about a value."""

    key: str
    size_bytes: int
    modified: float
    """See :meth:`Backend.modified`."""


class Ranges(Protocol):
    """The part of a backend that reading a stored object needs."""

    def get_range(self, key: str, offset: int, length: int) -> bytes:
        """See :class:`Backend`."""
        ...


class Backend(Protocol):
    """A place for immutable values under '/'-separated keys.

    Every method may be called from several threads, and raises :class:`~reenact.errors.StoreError`, with a hint, when the
    place cannot be used (read-only, full, no permission), and ValueError for a malformed key.
    """

    @property
    def location(self) -> str:
        """What a person would write to name this place."""
        ...

    def put_if_absent(self, key: str, data: bytes) -> bool:
        """Put a value unless the key is taken; tell whether it was put.

        Of several callers at once exactly one is told True. Readers see the whole value or none. Durable on return,
        whichever the answer. Trying again after an error is safe; a value that was put before then gives False.
        """
        ...

    def put_group(self, before: Mapping[str, bytes], key: str, data: bytes) -> bool:
        """Put values that only this caller puts, then, when they are durable, one as :meth:`put_if_absent` does.

        Where one of the former is there with other bytes, which an attempt left that never came to its end, it is replaced.

        Args:
            before: Keys and values.
            key: Of the value that counts.
            data: That value.

        Returns:
            Whether that one was put.
        """
        for name, value in before.items():
            if not self.put_if_absent(name, value) and self.get(name) != value:
                self.delete(name)
                self.put_if_absent(name, value)
        return self.put_if_absent(key, data)

    def put_file_if_absent(self, key: str, path: AnyPath) -> bool:
        """Put a finished, fsynced file of :meth:`staging` as a value unless the key is taken; tell whether it was put.

        The file is taken over: on return it is gone from `path`, also when the key was taken. After an error it is still
        there. Otherwise as :meth:`put_if_absent`.
        """
        ...

    def replace_file(self, key: str, path: AnyPath) -> bool:
        """Put a finished, fsynced file of :meth:`staging` in place of a value; False, and nothing put, when there is none.

        Readers find the old value or the new at any time, whole. Durable on return. The file is taken over as by
        :meth:`put_file_if_absent`. Only for the same content in another encryption: values are immutable to all above.
        """
        raise StoreError(f"values cannot be replaced at {self.location}, {os.fspath(path)} not put under {key}")

    def get(self, key: str) -> bytes:
        """Read a whole value; KeyAbsent when there is none."""
        ...

    def get_range(self, key: str, offset: int, length: int) -> bytes:
        """Read `length` bytes from `offset`, fewer only where the value ends; KeyAbsent when there is none."""
        ...

    def size(self, key: str) -> int:
        """Give the length of a value in bytes; KeyAbsent when there is none."""
        ...

    def modified(self, key: str) -> float:
        """Give when a value was put, in seconds since 1970 by the clock of the place; KeyAbsent when there is none.

        Never earlier than that; later where a hand touched it since. For telling what is too new to be swept.
        """
        ...

    def exists(self, key: str) -> bool:
        """Tell whether there is a value. Cheap: a stat, or one request."""
        ...

    def list(self, prefix: str) -> Iterator[str]:
        """Give the keys that start with a prefix (any text, also an empty one), sorted by their bytes.

        Costs time in proportion to what lies under the prefix's folder. Values put meanwhile may or may not appear.
        """
        ...

    def listing(self, prefix: str) -> Iterator[Listed]:
        """Give the keys that start with a prefix as :meth:`list` does, each with its value's length and time.

        For whoever looks at all of a store: an object store tells a thousand in one request.
        """
        for key in self.list(prefix):
            try:
                yield Listed(key, self.size(key), self.modified(key))
            except KeyAbsent:
                continue  # deleted meanwhile

    def names(self, folder: str) -> Sequence[str]:
        """Give the names directly in a folder (values and folders alike), sorted; empty when there is no such folder."""
        ...

    def refresh(self, key: str) -> None:  # noqa: ARG002 - for those that keep something
        """Forget what was kept of a value on the way here: it does not fit together, so another may have taken its place."""
        return

    def delete(self, key: str) -> None:
        """Delete a value; nothing happens when there is none. Only the sweep of unreferenced values may call this."""
        ...

    def staging(self) -> str | None:
        """Give the existing local folder where files for :meth:`put_file_if_absent` are made; None when any will do."""
        ...


Problem = Literal["missing", "damaged"]


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """What is wrong with one object."""

    digest: Digest
    problem: Problem
    detail: str
    """In words: where it was looked for, or what was expected and what was there."""
