"""Temporary folders that tell whether somebody still uses them, so that what killed processes leave behind can be deleted.

A folder in use holds a lock file that a living process has locked (shared); the kernel unlocks it when the last of its
processes dies. Whoever can lock it exclusively may delete the folder.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from reenact import atomic, clock
from reenact.replay.trees import remove_tree

__all__ = ["LOCK", "claim", "claimed", "exclusive", "shared", "sweep"]

LOCK: Final = "lock"
_PRIVATE: Final = 0o700
_SETTLING_NS: Final = 60 * 10**9
"""A folder younger than this may belong to a process that has not locked it yet."""


def claim(folder: str) -> tuple[str, int]:
    """Make a private temporary folder in `folder`; give its path and its lock, to be closed after use."""
    place = atomic.temporary_name(folder)
    os.mkdir(place, _PRIVATE)
    lock = os.open(f"{place}/{LOCK}", os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    fcntl.flock(lock, fcntl.LOCK_SH)
    return place, lock


@contextlib.contextmanager
def claimed(folder: Path) -> Iterator[str]:
    """Give a private temporary folder in `folder` (made when missing); it is deleted at the end."""
    folder.mkdir(parents=True, exist_ok=True)
    sweep(str(folder))
    place, lock = claim(str(folder))
    try:
        yield place
    finally:
        os.close(lock)
        remove_tree(place)


def sweep(folder: str) -> None:
    """Delete the temporary folders in `folder` that nobody uses; those that cannot be deleted are left."""
    newest = clock.now_ns() - _SETTLING_NS
    with os.scandir(folder) as found:
        leftovers = [item.path for item in found if item.name.startswith(atomic.TEMPORARY_PREFIX)]
    for place in leftovers:
        with contextlib.suppress(OSError):
            if os.stat(place).st_mtime_ns < newest:
                with exclusive(place) as free:
                    if free:
                        remove_tree(place)


def shared(place: str) -> int | None:
    """Lock a folder that is still at `place` once it is locked; None when it is not there."""
    while True:
        try:
            lock = os.open(f"{place}/{LOCK}", os.O_RDWR | os.O_CLOEXEC)
        except FileNotFoundError:
            return None
        fcntl.flock(lock, fcntl.LOCK_SH)
        with contextlib.suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(lock), os.stat(f"{place}/{LOCK}")):
                return lock
        os.close(lock)


@contextlib.contextmanager
def exclusive(place: str) -> Iterator[bool]:
    """Try to lock a folder nobody else has locked; one without a lock file counts as nobody's."""
    try:
        lock = os.open(f"{place}/{LOCK}", os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        yield True
        return
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True
    finally:
        os.close(lock)
