"""Trying again when a place does not answer, and telling the truth about what the attempts did together.

An attempt without an answer may have done its work. So a put that finds its key taken at a later attempt looks at the value
there: when it is the one being put, this call put it. (Or another caller put the same bytes meanwhile; for what a store puts,
values under content or run names and log entries with a time, that makes no difference.)
"""

from __future__ import annotations

import contextlib
import os
import random
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final, TypeVar

from reenact.atomic import AnyPath
from reenact.errors import KeyAbsent, StoreUnavailable
from reenact.store.backends.forwarding import ForwardingBackend
from reenact.store.failures import store_error
from reenact.store.interface import Backend, Listed

__all__ = ["RetryingBackend"]

_T = TypeVar("_T")

_FIRST_SECONDS: Final = 0.1
_LONGEST_SECONDS: Final = 10.0
_BLOCK_BYTES: Final = 4 << 20
_ABREAST: Final = 4
"""Values of a group put at a time."""

_chance: Final = random.SystemRandom().random
"""Not the shared generator, which a program that uses this package may have seeded: hosts would then wait in step."""


class RetryingBackend(ForwardingBackend):
    """Repeats what failed with StoreUnavailable, with growing pauses; every other error passes at once."""

    def __init__(
        self,
        inner: Backend,
        seconds: float,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """Stand before a backend.

        Args:
            inner: That.
            seconds: How long after its start a call may still be tried again; 0 for one attempt.
            clock: Tells seconds.
            sleep: Lets them pass.
        """
        super().__init__(inner)
        self._seconds, self._clock, self._sleep = seconds, clock, sleep

    def put_if_absent(self, key: str, data: bytes) -> bool:
        """See :class:`Backend`."""
        failures = 0

        def attempt() -> bool:
            nonlocal failures
            try:
                put = self.inner.put_if_absent(key, data)
            except StoreUnavailable:
                failures += 1
                raise
            return put or (failures > 0 and self._holds(key, data))

        return self._patiently(attempt)

    def put_group(self, before: Mapping[str, bytes], key: str, data: bytes) -> bool:
        """See :class:`Backend`. Each value by itself, those before abreast: a group that failed half-way goes on where it was."""
        with ThreadPoolExecutor(min(_ABREAST, len(before)) or 1) as pool:
            list(pool.map(self._put_own, before, before.values()))  # raises the first failure
        return self.put_if_absent(key, data)

    def _put_own(self, key: str, data: bytes) -> None:
        if not self.put_if_absent(key, data) and self.get(key) != data:
            self.delete(key)
            self.put_if_absent(key, data)

    def put_file_if_absent(self, key: str, path: AnyPath) -> bool:
        """See :class:`Backend`."""
        failures = 0

        def attempt() -> bool:
            nonlocal failures
            if failures and self.inner.exists(key):
                return self._settle(key, path)
            try:
                return self.inner.put_file_if_absent(key, path)
            except StoreUnavailable:
                failures += 1
                raise

        return self._patiently(attempt)

    def replace_file(self, key: str, path: AnyPath) -> bool:
        """See :class:`Backend`. Done twice, it is as done once."""
        return self._patiently(lambda: self.inner.replace_file(key, path))

    def get(self, key: str) -> bytes:
        """See :class:`Backend`."""
        return self._patiently(lambda: self.inner.get(key))

    def get_range(self, key: str, offset: int, length: int) -> bytes:
        """See :class:`Backend`."""
        return self._patiently(lambda: self.inner.get_range(key, offset, length))

    def size(self, key: str) -> int:
        """See :class:`Backend`."""
        return self._patiently(lambda: self.inner.size(key))

    def modified(self, key: str) -> float:
        """See :class:`Backend`."""
        return self._patiently(lambda: self.inner.modified(key))

    def exists(self, key: str) -> bool:
        """See :class:`Backend`."""
        return self._patiently(lambda: self.inner.exists(key))

    def list(self, prefix: str) -> Iterator[str]:
        """See :class:`Backend`."""
        return self._on_and_on(lambda: self.inner.list(prefix), lambda key: key)

    def listing(self, prefix: str) -> Iterator[Listed]:
        """See :class:`Backend`."""
        return self._on_and_on(lambda: self.inner.listing(prefix), lambda item: item.key)

    def names(self, folder: str) -> Sequence[str]:
        """See :class:`Backend`."""
        return self._patiently(lambda: self.inner.names(folder))

    def delete(self, key: str) -> None:
        """See :class:`Backend`."""
        self._patiently(lambda: self.inner.delete(key))

    def _patiently(self, attempt: Callable[[], _T]) -> _T:
        pauses = self._pauses()
        while True:
            try:
                return attempt()
            except StoreUnavailable:
                pause = next(pauses, None)
                if pause is None:
                    raise
                self._sleep(pause)

    def _pauses(self) -> Iterator[float]:
        """Give the pauses between attempts until the time is over: doubling, each shortened by chance by up to a half."""
        end = self._clock() + self._seconds
        longest = _FIRST_SECONDS
        while True:
            pause = longest * (1 + _chance()) / 2
            if self._clock() + pause > end:
                return
            yield pause
            longest = min(2 * longest, _LONGEST_SECONDS)

    def _on_and_on(self, start: Callable[[], Iterator[_T]], key_of: Callable[[_T], str]) -> Iterator[_T]:
        """Give what a listing gives; when it breaks off, start it anew and pass over what was given."""
        last = ""
        pauses = self._pauses()
        while True:
            try:
                for item in start():
                    if key_of(item) > last:
                        last = key_of(item)
                        pauses = self._pauses()
                        yield item
            except StoreUnavailable:
                pause = next(pauses, None)
                if pause is None:
                    raise
                self._sleep(pause)
            else:
                return

    def _holds(self, key: str, data: bytes) -> bool:
        try:
            return self.inner.size(key) == len(data) and self.inner.get(key) == data
        except KeyAbsent:
            return False

    def _settle(self, key: str, path: AnyPath) -> bool:
        """Take over a file whose key is taken, perhaps by an attempt of ours; tell whether it is what is there."""
        same = self._holds_file(key, path)
        try:
            os.unlink(path)
        except OSError as error:
            raise store_error(error, f"take over {path!r}") from error
        return same

    def _holds_file(self, key: str, path: AnyPath) -> bool:
        try:
            with open(path, "rb") as file, contextlib.suppress(KeyAbsent):
                if os.fstat(file.fileno()).st_size != self.size(key):
                    return False
                offset = 0
                while block := file.read(_BLOCK_BYTES):
                    if self.get_range(key, offset, len(block)) != block:
                        return False
                    offset += len(block)
                return True
        except OSError as error:
            raise store_error(error, f"read {path!r}") from error
        return False
