"""Temporary files that the helper thread writes while the caller goes on.

A spool keeps the first failure of its file and skips what would come after; the caller meets it as a store error at the
next step that waits. Nothing a spool writes counts before the writer's commit publishes it.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable

from reenact.errors import StoreError
from reenact.store.backends.folder import VALUE_MODE
from reenact.store.failures import store_error
from reenact.store.worker import Worker

__all__ = ["Spool", "write_all"]


def write_all(descriptor: int, data: bytes | bytearray | memoryview) -> None:
    """Write all of some bytes; raises OSError."""
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


class Spool:
    """One temporary file, open until it is finished or discarded."""

    def __init__(self, path: str, worker: Worker) -> None:
        """Create the file.

        Raises:
            StoreError: it cannot be created.
        """
        self.path = path
        self._worker = worker
        self._failure: Exception | None = None
        try:
            self.descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, VALUE_MODE)
        except OSError as error:
            raise store_error(error, f"write {path}") from error

    def submit(self, job: Callable[[], None], after: Callable[[], None] | None = None) -> None:
        """Let the helper do a job, unless an earlier one failed, and then, in any case, what comes `after`."""

        def guarded() -> None:
            try:
                if self._failure is None:
                    job()
            except Exception as error:  # noqa: BLE001 - it is the caller's to see, at `check`
                self._failure = error
            if after is not None:
                after()

        self._worker.submit(guarded)

    def finish(self) -> None:
        """Let the helper make the file durable and close it."""
        self.submit(lambda: os.fsync(self.descriptor), self._close)

    def check(self) -> None:
        """Raise the first failure among the jobs done so far.

        Raises:
            StoreError: the file could not be written.
        """
        if isinstance(self._failure, OSError):
            raise store_error(self._failure, f"write {self.path}") from self._failure
        if self._failure is not None:
            raise StoreError(f"cannot write {self.path}: {self._failure}") from self._failure

    def discard(self) -> None:
        """Let the helper close and delete the file, and skip what it has not done yet."""
        self._failure = self._failure or StoreError("discarded")

        def remove() -> None:
            self._close()
            with contextlib.suppress(OSError):
                os.unlink(self.path)

        self._worker.submit(remove)

    def _close(self) -> None:
        if self.descriptor >= 0:
            with contextlib.suppress(OSError):
                os.close(self.descriptor)
            self.descriptor = -1
