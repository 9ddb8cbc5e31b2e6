"""Reading ahead: whoever reads values or parts of one in a row gets the next ones without waiting for each.

Three rows are known: numbered values (the log's entries), the same value of one run after the other, in the order in which the
runs were listed or its reverse, and ranges of one length, end to end. After two steps of a row the next are fetched by threads.
What was fetched is given out once, and only to who asks for exactly that; absence and errors are not kept but met anew.
"""

from __future__ import annotations

import os
import re
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Final, NamedTuple

from reenact.atomic import AnyPath
from reenact.errors import StoreError
from reenact.store.backends.forwarding import ForwardingBackend
from reenact.store.interface import Backend

__all__ = ["AheadBackend"]

_NUMBERED: Final = re.compile(r"(.*/)([0-9]{12})")
_OF_A_RUN: Final = re.compile(r"(runs/)([^/]+)(/.*)")
_RUNS: Final = "runs"
_STEPS: Final = 8
"""Values fetched ahead of the one asked for."""
_RANGES: Final = 3
_SHORTEST_RANGE_BYTES: Final = 256 << 10
_LONGEST_RANGE_BYTES: Final = 4 << 20
_MOST_WAITING: Final = 24
"""Fetched and not asked for, 96 MiB at most; the oldest are dropped."""


class _Asked(NamedTuple):
    """One thing to be read; a length of -1 means the whole value."""

    key: str
    offset: int = 0
    length: int = -1


class AheadBackend(ForwardingBackend):
    """Guesses what is asked next. Safe for threads; in a forked process it begins anew."""

    def __init__(self, inner: Backend) -> None:
        super().__init__(inner)
        self._begin()

    def _begin(self) -> None:
        self._process = os.getpid()
        self._lock = threading.Lock()
        self._pool: ThreadPoolExecutor | None = None
        self._waiting: OrderedDict[_Asked, Future[bytes]] = OrderedDict()
        self._last: dict[tuple[str, str], str] = {}
        self._ranges: OrderedDict[str, tuple[int, int]] = OrderedDict()
        self._runs: Sequence[str] = ()
        self._places: Mapping[str, int] = {}

    def get(self, key: str) -> bytes:
        """See :class:`Backend`."""
        return self._read(_Asked(key), self._after_value)

    def get_range(self, key: str, offset: int, length: int) -> bytes:
        """See :class:`Backend`."""
        asked = _Asked(key, offset, length)
        if _SHORTEST_RANGE_BYTES <= length <= _LONGEST_RANGE_BYTES:
            return self._read(asked, self._after_range)
        return self._fetch(asked)

    def names(self, folder: str) -> Sequence[str]:
        """See :class:`Backend`."""
        found = self.inner.names(folder)
        if folder == _RUNS:
            with self._lock:
                self._runs, self._places = found, {name: place for place, name in enumerate(found)}
        return found

    def delete(self, key: str) -> None:
        """See :class:`Backend`."""
        self.inner.delete(key)
        self._forget(key)

    def replace_file(self, key: str, path: AnyPath) -> bool:
        """See :class:`Backend`."""
        put = self.inner.replace_file(key, path)
        self._forget(key)
        return put

    def put_group(self, before: Mapping[str, bytes], key: str, data: bytes) -> bool:
        """See :class:`Backend`."""
        put = self.inner.put_group(before, key, data)
        for name in before:
            self._forget(name)
        return put

    def refresh(self, key: str) -> None:
        """See :class:`Backend`."""
        self._forget(key)
        self.inner.refresh(key)

    def _fetch(self, asked: _Asked) -> bytes:
        if asked.length < 0:
            return self.inner.get(asked.key)
        return self.inner.get_range(asked.key, asked.offset, asked.length)

    def _read(self, asked: _Asked, guess: Callable[[_Asked], list[_Asked]]) -> bytes:
        if os.getpid() != self._process:
            self._begin()
        with self._lock:
            fetched = self._waiting.pop(asked, None)
            for wanted in guess(asked):
                self._start(wanted)
        if fetched is not None:
            try:
                return fetched.result()
            except StoreError:
                pass  # it may be there by now, or the place may answer
        return self._fetch(asked)

    def _start(self, wanted: _Asked) -> None:
        if wanted in self._waiting:
            return
        if self._pool is None:
            self._pool = ThreadPoolExecutor(_STEPS, thread_name_prefix="reenact-ahead")
        self._waiting[wanted] = self._pool.submit(self._fetch, wanted)
        while len(self._waiting) > _MOST_WAITING:
            self._waiting.popitem(last=False)[1].cancel()

    def _after_value(self, asked: _Asked) -> list[_Asked]:
        if found := _NUMBERED.fullmatch(asked.key):
            number = int(found[2])
            ahead = [f"{number + step:012}" for step in range(1, _STEPS + 1)]
            before, after = f"{number - 1:012}" if number else "", ""
        elif found := _OF_A_RUN.fullmatch(asked.key):
            ahead, before, after = self._neighbours(found[2])
        else:
            return []
        row = (found[1], asked.key[found.end(2) :])
        last, self._last[row] = self._last.get(row), found[2]
        if last is None or last not in {before, after}:
            return []
        if last == after:
            ahead = self._neighbours(found[2], forwards=False)[0]
        return [_Asked(f"{row[0]}{name}{row[1]}") for name in ahead]

    def _neighbours(self, name: str, *, forwards: bool = True) -> tuple[list[str], str, str]:
        """Give the runs that follow one in the last list of them, the one before and the one behind it."""
        place = self._places.get(name)
        if place is None:
            return [], "", ""
        following = self._runs[place + 1 : place + 1 + _STEPS]
        earlier = self._runs[max(place - _STEPS, 0) : place][::-1]
        return [*(following if forwards else earlier)], (earlier or [""])[0], (following or [""])[0]

    def _after_range(self, asked: _Asked) -> list[_Asked]:
        last = self._ranges.pop(asked.key, None)
        end = asked.offset + asked.length
        self._ranges[asked.key] = (end, asked.length)
        while len(self._ranges) > _MOST_WAITING:
            self._ranges.popitem(last=False)
        if last != (asked.offset, asked.length):
            return []
        return [_Asked(asked.key, end + step * asked.length, asked.length) for step in range(_RANGES)]

    def _forget(self, key: str) -> None:
        with self._lock:
            for asked in [asked for asked in self._waiting if asked.key == key]:
                self._waiting.pop(asked).cancel()
