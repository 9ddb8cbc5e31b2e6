"""Keeping to a rate of bytes and a number of requests at once: a store must not take all of a line, or of a server."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TypeVar

from reenact.atomic import AnyPath
from reenact.store.backends.forwarding import ForwardingBackend
from reenact.store.failures import store_error
from reenact.store.interface import Backend, Listed

__all__ = ["Pace", "ThrottledBackend"]

_T = TypeVar("_T")


class Pace:
    """A rate that several threads keep to together: who wants to pass waits until all before have had their time."""

    def __init__(
        self,
        bytes_per_second: float,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """Prepare.

        Args:
            bytes_per_second: The rate, more than 0.
            clock: Tells seconds.
            sleep: Lets them pass.
        """
        self._rate, self._clock, self._sleep = bytes_per_second, clock, sleep
        self._free_at = clock()
        self._lock = threading.Lock()

    def take(self, count: int) -> None:
        """Wait until `count` bytes may pass: at once after a time without any, then for as long as they take."""
        with self._lock:
            now = self._clock()
            start = max(self._free_at, now)
            self._free_at = start + count / self._rate
        if start > now:
            self._sleep(start - now)


class ThrottledBackend(ForwardingBackend):
    """Counts the bytes of values put and got; names, listings and the like are not counted."""

    def __init__(self, inner: Backend, pace: Pace | None, most_at_once: int, *, files: bool = True) -> None:
        """Stand before a backend.

        Args:
            inner: That.
            pace: The rate; None for as fast as it goes.
            most_at_once: How many calls may be under way; 0 for any number. A listing counts while its start is awaited.
            files: Count the bytes of whole files too; not where the backend itself keeps to the pace as it sends them.
        """
        super().__init__(inner)
        self._pace, self._files = pace, files
        self._gate = threading.BoundedSemaphore(most_at_once) if most_at_once else None

    def put_if_absent(self, key: str, data: bytes) -> bool:
        """See :class:`Backend`."""
        return self._through(lambda: self.inner.put_if_absent(key, data), len(data))

    def put_group(self, before: Mapping[str, bytes], key: str, data: bytes) -> bool:
        """See :class:`Backend`."""
        total = len(data) + sum(map(len, before.values()))
        return self._through(lambda: self.inner.put_group(before, key, data), total)

    def put_file_if_absent(self, key: str, path: AnyPath) -> bool:
        """See :class:`Backend`."""
        return self._through(lambda: self.inner.put_file_if_absent(key, path), self._length(path))

    def replace_file(self, key: str, path: AnyPath) -> bool:
        """See :class:`Backend`."""
        return self._through(lambda: self.inner.replace_file(key, path), self._length(path))

    def get(self, key: str) -> bytes:
        """See :class:`Backend`. The next one waits for as long as this one's bytes take."""
        data = self._through(lambda: self.inner.get(key))
        self._count(len(data))
        return data

    def get_range(self, key: str, offset: int, length: int) -> bytes:
        """See :class:`Backend`."""
        data = self._through(lambda: self.inner.get_range(key, offset, length))
        self._count(len(data))
        return data

    def size(self, key: str) -> int:
        """See :class:`Backend`."""
        return self._through(lambda: self.inner.size(key))

    def modified(self, key: str) -> float:
        """See :class:`Backend`."""
        return self._through(lambda: self.inner.modified(key))

    def exists(self, key: str) -> bool:
        """See :class:`Backend`."""
        return self._through(lambda: self.inner.exists(key))

    def list(self, prefix: str) -> Iterator[str]:
        """See :class:`Backend`."""
        return self._through(lambda: self.inner.list(prefix))

    def listing(self, prefix: str) -> Iterator[Listed]:
        """See :class:`Backend`."""
        return self._through(lambda: self.inner.listing(prefix))

    def names(self, folder: str) -> Sequence[str]:
        """See :class:`Backend`."""
        return self._through(lambda: self.inner.names(folder))

    def delete(self, key: str) -> None:
        """See :class:`Backend`."""
        self._through(lambda: self.inner.delete(key))

    def _length(self, path: AnyPath) -> int:
        try:
            return os.stat(path).st_size if self._files else 0
        except OSError as error:
            raise store_error(error, f"take over {path!r}") from error

    def _count(self, count: int) -> None:
        if self._pace is not None:
            self._pace.take(count)

    def _through(self, call: Callable[[], _T], count: int = 0) -> _T:
        if count:
            self._count(count)
        if self._gate is None:
            return call()
        with self._gate:
            return call()
