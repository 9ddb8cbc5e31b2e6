"""What of a store was checked already: a file among this host's caches, so that long work goes on where it was cut off."""

from __future__ import annotations

import contextlib
import json
import os
import threading
import time
from collections.abc import Iterator
from typing import Any, Final

from reenact.errors import StoreError
from reenact.store.failures import store_error

__all__ = ["Checklist"]

_FLUSH_SECONDS: Final = 2.0


class Checklist:
    """Keys that were checked, and what was found at each. Safe for threads; for one process at a time.

    Deletable, and lost with the caches: then everything is checked again.
    """

    def __init__(self, path: str, task: dict[str, Any]) -> None:
        """Open, or begin where the file is of another task, or is none.

        Args:
            path: Of the file.
            task: What is being done: another one begins anew.

        Raises:
            StoreError: it cannot be written.
        """
        self._path = path
        self._lock = threading.Lock()
        self.done: dict[str, list[Any]] = {}
        self._read(task)
        try:
            os.makedirs(os.path.dirname(path), exist_ok=True)
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
            if not self.done:
                os.ftruncate(descriptor, 0)
            self._file = os.fdopen(descriptor, "a", encoding="utf-8")
        except OSError as error:
            raise store_error(error, f"write {path}") from error
        if not self.done:
            self._write(json.dumps({"task": task}))
        self._flushed = time.monotonic()

    @property
    def resumed(self) -> bool:
        """Whether something was done before."""
        return bool(self.done)

    def add(self, key: str, found: list[Any]) -> None:
        """Note a key that was checked, and what was found, as values for JSON.

        Raises:
            StoreError: it cannot be written.
        """
        with self._lock:
            self._write(json.dumps([key, found]))

    def finish(self) -> None:
        """All is done: the file goes."""
        self._file.close()
        with contextlib.suppress(OSError):
            os.unlink(self._path)

    def close(self) -> None:
        """Keep the file for whoever goes on."""
        with contextlib.suppress(OSError):
            self._file.close()

    def _read(self, task: dict[str, Any]) -> None:
        lines = self._lines()
        first = next(lines, None)
        if not isinstance(first, dict) or first.get("task") != task:
            return
        for line in lines:
            if isinstance(line, list) and len(line) == 2 and isinstance(line[1], list):  # noqa: PLR2004 - a pair
                self.done[str(line[0])] = line[1]

    def _lines(self) -> Iterator[Any]:
        """Give the lines that are whole; a killed process may have left half of one at the end."""
        try:
            with open(self._path, encoding="utf-8") as file:
                for line in file:
                    yield json.loads(line)
        except (OSError, ValueError, RecursionError):
            return

    def _write(self, line: str) -> None:
        try:
            self._file.write(line + "\n")
            now = time.monotonic()
            if now - getattr(self, "_flushed", 0.0) > _FLUSH_SECONDS:
                self._file.flush()
                self._flushed = now
        except OSError as error:
            raise StoreError(f"cannot write {self._path}: {error.strerror}") from error
