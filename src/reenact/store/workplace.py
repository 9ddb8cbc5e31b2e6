"""A folder for the unfinished files of one process, that is cleared when the process is done, and by others when it was killed.

Its owner holds a lock on it, which the kernel lets go of with the process; so whoever gets the lock may clear it.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from typing import Final

from reenact.atomic import TEMPORARY_PREFIX
from reenact.store.failures import store_error

__all__ = ["workplace"]

_PREFIX: Final = f"{TEMPORARY_PREFIX}work-"


@contextlib.contextmanager
def workplace(folder: str) -> Iterator[str]:
    """Make a folder below another, and delete it at the end; those that killed processes left there are deleted first.

    Raises:
        StoreError: it cannot be made.
    """
    try:
        _clear(folder)
        path, lock = _made(folder)
    except OSError as error:
        raise store_error(error, f"write in {folder}") from error
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)
        os.close(lock)


def _made(folder: str) -> tuple[str, int]:
    """Make a folder and lock it; again when another process cleared it in between."""
    while True:
        path = tempfile.mkdtemp(prefix=_PREFIX, dir=folder)
        with contextlib.suppress(FileNotFoundError):
            lock = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if os.stat(path).st_ino == os.fstat(lock).st_ino:
                    return path, lock
            except BlockingIOError:
                pass  # whoever clears it is at it
            os.close(lock)


def _clear(folder: str) -> None:
    for name in os.listdir(folder):
        if not name.startswith(_PREFIX):
            continue
        path = os.path.join(folder, name)
        with contextlib.suppress(OSError):
            lock = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(path, ignore_errors=True)
            finally:
                os.close(lock)
