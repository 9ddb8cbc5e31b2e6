"""A backend that fails on purpose: before it does what it is asked, or after, so that only its answer is lost."""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Literal, TypeVar

from reenact.atomic import AnyPath
from reenact.errors import StoreUnavailable
from reenact.store.backends.forwarding import ForwardingBackend
from reenact.store.interface import Backend, Listed

__all__ = ["Fault", "FaultyBackend", "by_chance", "in_turn"]

_T = TypeVar("_T")

Fault = Literal["before", "after"]


def in_turn(*faults: Fault | None) -> Callable[[str], Fault | None]:
    """Plan the faults of the first calls, whatever they are; the later ones have none."""
    rest = iter(faults)
    return lambda _: next(rest, None)


def by_chance(seed: int, share: float = 0.3) -> Callable[[str], Fault | None]:
    """Plan a fault for a share of all calls, half of them before the effect; the same for the same seed and calls."""
    chance = random.Random(seed)  # noqa: S311 - to be repeated

    def plan(_: str) -> Fault | None:
        drawn = chance.random()
        return None if drawn >= share else "before" if drawn < share / 2 else "after"

    return plan


class FaultyBackend(ForwardingBackend):
    """Raises StoreUnavailable as planned."""

    def __init__(self, inner: Backend, plan: Callable[[str], Fault | None]) -> None:
        """Stand before a backend.

        Args:
            inner: That.
            plan: Told the method's name at each call, it says when that one fails, if at all.
        """
        super().__init__(inner)
        self._plan = plan

    def put_if_absent(self, key: str, data: bytes) -> bool:
        """See :class:`Backend`."""
        return self._perhaps("put_if_absent", lambda: self.inner.put_if_absent(key, data))

    def put_group(self, before: Mapping[str, bytes], key: str, data: bytes) -> bool:
        """See :class:`Backend`."""
        return self._perhaps("put_group", lambda: self.inner.put_group(before, key, data))

    def put_file_if_absent(self, key: str, path: AnyPath) -> bool:
        """See :class:`Backend`. The file is there after the error, as the contract has it."""
        return self._perhaps_with(path, "put_file_if_absent", lambda: self.inner.put_file_if_absent(key, path))

    def replace_file(self, key: str, path: AnyPath) -> bool:
        """See :class:`Backend`. As :meth:`put_file_if_absent`."""
        return self._perhaps_with(path, "replace_file", lambda: self.inner.replace_file(key, path))

    def _perhaps_with(self, path: AnyPath, name: str, call: Callable[[], bool]) -> bool:
        spare = f"{os.fspath(path)!s}.spare"
        os.link(path, spare)
        try:
            put = self._perhaps(name, call)
        except StoreUnavailable:
            if os.path.exists(path):
                os.unlink(spare)  # to rename one name of a file to another is to do nothing
            else:
                os.rename(spare, path)
            raise
        os.unlink(spare)
        return put

    def get(self, key: str) -> bytes:
        """See :class:`Backend`."""
        return self._perhaps("get", lambda: self.inner.get(key))

    def get_range(self, key: str, offset: int, length: int) -> bytes:
        """See :class:`Backend`."""
        return self._perhaps("get_range", lambda: self.inner.get_range(key, offset, length))

    def size(self, key: str) -> int:
        """See :class:`Backend`."""
        return self._perhaps("size", lambda: self.inner.size(key))

    def modified(self, key: str) -> float:
        """See :class:`Backend`."""
        return self._perhaps("modified", lambda: self.inner.modified(key))

    def exists(self, key: str) -> bool:
        """See :class:`Backend`."""
        return self._perhaps("exists", lambda: self.inner.exists(key))

    def list(self, prefix: str) -> Iterator[str]:
        """See :class:`Backend`. Fails at the start, or behind the first half."""
        return self._broken_off("list", self.inner.list(prefix))

    def listing(self, prefix: str) -> Iterator[Listed]:
        """See :class:`Backend`. As :meth:`list`."""
        return self._broken_off("listing", self.inner.listing(prefix))

    def names(self, folder: str) -> Sequence[str]:
        """See :class:`Backend`."""
        return self._perhaps("names", lambda: self.inner.names(folder))

    def delete(self, key: str) -> None:
        """See :class:`Backend`."""
        self._perhaps("delete", lambda: self.inner.delete(key))

    def _perhaps(self, name: str, call: Callable[[], _T]) -> _T:
        fault = self._plan(name)
        if fault == "before":
            raise StoreUnavailable(f"{name} fails on purpose, undone")
        result = call()
        if fault == "after":
            raise StoreUnavailable(f"{name} fails on purpose, done")
        return result

    def _broken_off(self, name: str, items: Iterator[_T]) -> Iterator[_T]:
        fault = self._plan(name)
        if fault is None:
            yield from items
            return
        everything = [*items]
        yield from everything[: len(everything) // 2 if fault == "after" else 0]
        raise StoreUnavailable(f"{name} fails on purpose")
