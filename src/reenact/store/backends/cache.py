"""Keeping on this host's disk what was read from a place far away.

Values do not change, so what was read once is what would be read again; it is kept with its SHA-256, and a copy that does not
have it any more is dropped. That a value is *absent* is never kept, nor that it is there: both are always asked of the place.
A copy is used for a day: where a damaged value was replaced by another host, its copy here goes by itself.

Who wants to know what the place itself holds, as verify and scrub do, must not ask through here.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import threading
import time
from collections.abc import Callable, Mapping
from typing import Final

from reenact import atomic
from reenact.store.backends.forwarding import ForwardingBackend
from reenact.store.interface import Backend, check_key

__all__ = ["CachingBackend"]

_DIGEST_BYTES: Final = 32
_LONGEST_PIECE_BYTES: Final = 8 << 20
_FRESH_SECONDS: Final = 86_400.0
_LEFT_AFTER_CLEARING: Final = 0.9
_WHOLE: Final = "whole"


class CachingBackend(ForwardingBackend):
    """Reads from a folder what was read before. Several processes may use one folder; where it cannot be used, nothing is kept."""

    def __init__(self, inner: Backend, folder: str, most_bytes: int, *, clock: Callable[[], float] = time.time) -> None:
        """Stand before a backend.

        Args:
            inner: That.
            folder: For the copies; made when it is first needed, for its owner alone.
            most_bytes: How much the copies may take together; what was not used for longest goes first.
            clock: Tells seconds since 1970.
        """
        super().__init__(inner)
        self._folder, self._most_bytes, self._clock = folder, most_bytes, clock
        self._used_bytes: int | None = None
        self._lock = threading.Lock()

    def put_if_absent(self, key: str, data: bytes) -> bool:
        """See :class:`Backend`."""
        put = self.inner.put_if_absent(key, data)
        if put:
            self._forget(key)  # a copy of what was there before it was deleted
        return put

    def put_group(self, before: Mapping[str, bytes], key: str, data: bytes) -> bool:
        """See :class:`Backend`."""
        put = self.inner.put_group(before, key, data)
        for name in (*before, key):
            self._forget(name)
        return put

    def put_file_if_absent(self, key: str, path: atomic.AnyPath) -> bool:
        """See :class:`Backend`."""
        put = self.inner.put_file_if_absent(key, path)
        if put:
            self._forget(key)
        return put

    def replace_file(self, key: str, path: atomic.AnyPath) -> bool:
        """See :class:`Backend`."""
        put = self.inner.replace_file(key, path)
        self._forget(key)
        return put

    def get(self, key: str) -> bytes:
        """See :class:`Backend`."""
        return self._through(check_key(key), _WHOLE, lambda: self.inner.get(key))

    def get_range(self, key: str, offset: int, length: int) -> bytes:
        """See :class:`Backend`."""
        if length > _LONGEST_PIECE_BYTES:
            return self.inner.get_range(key, offset, length)
        return self._through(check_key(key), f"{offset}-{length}", lambda: self.inner.get_range(key, offset, length))

    def refresh(self, key: str) -> None:
        """See :class:`Backend`."""
        self._forget(key)
        self.inner.refresh(key)

    def delete(self, key: str) -> None:
        """See :class:`Backend`."""
        self._forget(key)
        self.inner.delete(key)
        self._forget(key)  # what another thread read meanwhile

    def _through(self, key: str, part: str, fetch: Callable[[], bytes]) -> bytes:
        path = os.path.join(self._place(key), part)
        found = self._kept(path)
        if found is None:
            found = fetch()
            if len(found) <= _LONGEST_PIECE_BYTES:
                self._keep(path, found)
        return found

    def _place(self, key: str) -> str:
        """Give the folder of a value's pieces. Its name is short and plain, whatever the key."""
        name = hashlib.sha256(key.encode()).hexdigest()[:40]
        return os.path.join(self._folder, name[:2], name[2:])

    def _kept(self, path: str) -> bytes | None:
        try:
            with open(path, "rb") as file:
                kept = os.fstat(file.fileno())
                data = file.read()
        except OSError:
            return None
        now, content = self._clock(), data[_DIGEST_BYTES:]
        if not 0 <= now - kept.st_mtime < _FRESH_SECONDS or hashlib.sha256(content).digest() != data[:_DIGEST_BYTES]:
            with contextlib.suppress(OSError):
                os.unlink(path)
            return None
        with contextlib.suppress(OSError):
            os.utime(path, (now, kept.st_mtime))  # when it was used, which not all mounts keep; when it was read stays
        return content

    def _keep(self, path: str, content: bytes) -> None:
        data = hashlib.sha256(content).digest() + content
        try:
            self._make_room(len(data))
            os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
            atomic.put_if_absent(path, data, mode=0o600, durable=False)
            now = self._clock()
            os.utime(path, (now, now))
        except OSError:
            return

    def _make_room(self, wanted_bytes: int) -> None:
        with self._lock:
            if self._used_bytes is None:
                os.makedirs(self._folder, mode=0o700, exist_ok=True)
                self._used_bytes = sum(size for _, size, _ in self._copies())
            self._used_bytes += wanted_bytes
            if self._used_bytes > self._most_bytes:
                self._used_bytes = self._clear(self._most_bytes * _LEFT_AFTER_CLEARING - wanted_bytes) + wanted_bytes

    def _clear(self, most_bytes: float) -> int:
        """Delete copies, those first that were not used for longest; give what the others take."""
        copies = sorted(self._copies())
        total = sum(size for _, size, _ in copies)
        for _, size, path in copies:
            if total <= most_bytes:
                break
            with contextlib.suppress(OSError):
                os.unlink(path)
            total -= size
        return total

    def _copies(self) -> list[tuple[float, int, str]]:
        found = []
        for folder, _, names in os.walk(self._folder):
            for name in names:
                path = os.path.join(folder, name)
                with contextlib.suppress(OSError):
                    kept = os.stat(path)
                    found.append((kept.st_atime, kept.st_size, path))
        return found

    def _forget(self, key: str) -> None:
        place = self._place(check_key(key))
        with contextlib.suppress(OSError):
            for name in os.listdir(place):
                with contextlib.suppress(OSError):
                    os.unlink(os.path.join(place, name))
