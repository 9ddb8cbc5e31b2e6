"""Answering many questions after single values by listings: a thousand values a request in the place of one.

Only what a listing showed is answered so, and for a short time: that a value is there, and its length. What it did not show
is asked for by itself, so absence is never assumed. Before the first listing of a folder a few questions are asked singly,
and no more is listed than was asked, so this never costs much more than it spares.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Final

from reenact.atomic import AnyPath
from reenact.store.backends.forwarding import ForwardingBackend
from reenact.store.interface import Backend, Listed, check_key

__all__ = ["ListedBackend"]

_FOLDERS: Final = frozenset({"objects", "packs", "runs"})
"""Where many are asked for one by one, and lie together."""
_KNOWN: Final = _FOLDERS | {"log", "keys"}
"""Folders with whose values nothing begins; the names of others may be encrypted."""
_SINGLE_QUESTIONS: Final = 16
_PAGE: Final = 1000
_MOST_PAGES: Final = 16
"""Listed at one question at most: a second or so."""
_FRESH_SECONDS: Final = 60.0
_MOST_KEYS: Final = 500_000
"""Remembered of a folder, at some 200 bytes each."""


class _Seen:
    """What is known of one folder."""

    def __init__(self, now: float) -> None:
        self.since = now
        self.questions = 0
        self.sizes: dict[str, int] = {}
        self.rest: Iterator[Listed] | None = None


class ListedBackend(ForwardingBackend):
    """Looks ahead where many values of a folder are asked for."""

    def __init__(self, inner: Backend, *, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__(inner)
        self._clock = clock
        self._seen: dict[str, _Seen] = {}
        self._lock = threading.Lock()

    def exists(self, key: str) -> bool:
        """See :class:`Backend`."""
        return self._size(check_key(key)) is not None or self.inner.exists(key)

    def size(self, key: str) -> int:
        """See :class:`Backend`."""
        known = self._size(check_key(key))
        return self.inner.size(key) if known is None else known

    def put_if_absent(self, key: str, data: bytes) -> bool:
        """See :class:`Backend`. What is put elsewhere may be a lease: who has put one asks anew what is there."""
        put = self.inner.put_if_absent(key, data)
        if key.partition("/")[0] not in _KNOWN:
            with self._lock:
                self._seen.clear()
        return put

    def delete(self, key: str) -> None:
        """See :class:`Backend`."""
        self.inner.delete(key)
        self._forget(key)

    def replace_file(self, key: str, path: AnyPath) -> bool:
        """See :class:`Backend`."""
        put = self.inner.replace_file(key, path)
        self._forget(key)
        return put

    def refresh(self, key: str) -> None:
        """See :class:`Backend`."""
        self._forget(key)
        self.inner.refresh(key)

    def _forget(self, key: str) -> None:
        with self._lock:
            # A listing that has begun may still give the value as it was.
            self._seen.pop(key.partition("/")[0], None)

    def _size(self, key: str) -> int | None:
        folder = key.partition("/")[0]
        if folder not in _FOLDERS:
            return None
        with self._lock:
            seen = self._seen.get(folder)
            if seen is None or self._clock() - seen.since > _FRESH_SECONDS:
                seen = self._seen[folder] = _Seen(self._clock())
            if key not in seen.sizes:
                self._look_ahead(folder, seen)
            return seen.sizes.get(key)

    def _look_ahead(self, folder: str, seen: _Seen) -> None:
        seen.questions += 1
        if seen.questions <= _SINGLE_QUESTIONS or len(seen.sizes) > _MOST_KEYS:
            return
        if seen.rest is None:
            seen.rest = self.inner.listing(f"{folder}/")
        pages = min(seen.questions, _MOST_PAGES)
        seen.sizes.update((item.key, item.size_bytes) for item in islice(seen.rest, pages * _PAGE))
