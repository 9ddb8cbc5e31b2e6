"""Files that are there whole or not at all: put-if-absent, replace, and their durability.

Put-if-absent is a temporary file in the same folder, then ``link`` (which fails if the name is taken) and ``unlink``.
Everything is durable when the function returns, unless `durable` is false. Cost: one fsync of the file, one of the folder.
"""

from __future__ import annotations

import contextlib
import os
from typing import Final

__all__ = ["TEMPORARY_PREFIX", "AnyPath", "put_if_absent", "replace", "sync_folder", "temporary_name"]

AnyPath = str | os.PathLike[str]
"""Every recording waits for what is imported here, and pathlib takes longer than all else of it."""

TEMPORARY_PREFIX: Final = ".tmp-"
"""Names that begin so are unfinished writes of a process that may have died; anyone may delete old ones."""


def temporary_name(folder: AnyPath) -> str:
    """Name an unfinished file in `folder` that no other process will choose."""
    return os.path.join(folder, f"{TEMPORARY_PREFIX}{os.getpid()}-{os.urandom(6).hex()}")


def sync_folder(folder: AnyPath) -> None:
    """Make the names in a folder durable."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _write(path: str, data: bytes, mode: int, *, durable: bool) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    try:
        view = memoryview(data)
        while view:
            view = view[os.write(descriptor, view) :]
        if durable:
            os.fsync(descriptor)
    finally:
        os.close(descriptor)


def put_if_absent(path: AnyPath, data: bytes, *, mode: int = 0o644, durable: bool = True) -> bool:
    """Create `path` with `data` unless the name is taken; tell whether it was created.

    Raises:
        OSError: the folder cannot be written (full, read-only, missing).
    """
    folder = os.path.dirname(path)
    temporary = temporary_name(folder)
    try:
        _write(temporary, data, mode, durable=durable)
        try:
            os.link(temporary, path)
        except FileExistsError:
            return False
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)
    if durable:
        sync_folder(folder)
    return True


def replace(path: AnyPath, data: bytes, *, mode: int = 0o644, durable: bool = True) -> None:
    """Create or replace `path` with `data`; readers see the old bytes or the new, never a mixture."""
    folder = os.path.dirname(path)
    temporary = temporary_name(folder)
    try:
        _write(temporary, data, mode, durable=durable)
        os.rename(temporary, path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)
        raise
    if durable:
        sync_folder(folder)
