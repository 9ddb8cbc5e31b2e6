"""A backend in memory: for trying out and for tests; gone with the process."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator, Sequence

from reenact.atomic import AnyPath
from reenact.errors import KeyAbsent
from reenact.store.failures import store_error
from reenact.store.interface import Backend, check_key

__all__ = ["MemoryBackend"]


class MemoryBackend(Backend):
    """Values in a dictionary."""

    def __init__(self) -> None:
        self._values: dict[str, bytes] = {}
        self._times: dict[str, float] = {}
        self._lock = threading.Lock()

    @property
    def location(self) -> str:
        """See :class:`Backend`."""
        return "memory:"

    def put_if_absent(self, key: str, data: bytes) -> bool:
        """See :class:`Backend`."""
        check_key(key)
        with self._lock:
            if key in self._values:
                return False
            self._values[key] = bytes(data)
            self._times[key] = time.time()
            return True

    def put_file_if_absent(self, key: str, path: AnyPath) -> bool:
        """See :class:`Backend`."""
        check_key(key)
        return self.put_if_absent(key, _taken_over(path))

    def replace_file(self, key: str, path: AnyPath) -> bool:
        """See :class:`Backend`."""
        check_key(key)
        data = _taken_over(path)
        with self._lock:
            there = key in self._values
            if there:
                self._values[key], self._times[key] = data, time.time()
        return there

    def get(self, key: str) -> bytes:
        """See :class:`Backend`."""
        try:
            return self._values[check_key(key)]
        except KeyError:
            raise KeyAbsent(key) from None

    def get_range(self, key: str, offset: int, length: int) -> bytes:
        """See :class:`Backend`."""
        return self.get(key)[offset : offset + length]

    def size(self, key: str) -> int:
        """See :class:`Backend`."""
        return len(self.get(key))

    def modified(self, key: str) -> float:
        """See :class:`Backend`."""
        try:
            return self._times[check_key(key)]
        except KeyError:
            raise KeyAbsent(key) from None

    def exists(self, key: str) -> bool:
        """See :class:`Backend`."""
        return check_key(key) in self._values

    def list(self, prefix: str) -> Iterator[str]:
        """See :class:`Backend`."""
        with self._lock:
            keys = [key for key in self._values if key.startswith(prefix)]
        return iter(sorted(keys))

    def names(self, folder: str) -> Sequence[str]:
        """See :class:`Backend`."""
        prefix = check_key(folder) + "/"
        return sorted({key[len(prefix) :].partition("/")[0] for key in self.list(prefix)})

    def delete(self, key: str) -> None:
        """See :class:`Backend`."""
        with self._lock:
            self._values.pop(check_key(key), None)
            self._times.pop(key, None)

    def staging(self) -> str | None:
        """See :class:`Backend`."""
        return None


def _taken_over(path: AnyPath) -> bytes:
    try:
        with open(path, "rb") as file:
            data = file.read()
        os.unlink(path)
    except OSError as error:
        raise store_error(error, f"take over {os.fspath(path)}") from error
    return data
