"""Files that are there whole or not at all: put-if-absent, replace, and their durability.

Put-if-absent is a temporary file in the same folder, then ``link`` (which fails if the name is taken) and ``unlink``.
Everything is durable when the function returns, unless `durable` is false. Cost: one fsync of the file, one of the folder.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import Final

__all__ = ["TEMPORARY_PREFIX", "put_if_absent", "replace", "sync_folder", "temporary_name"]

TEMPORARY_PREFIX: Final = ".tmp-"
"""Names that begin so are unfinished writes of a process that may have died; anyone may delete old ones."""


def temporary_name(folder: Path) -> Path:
    """Name an unfinished file in `folder` that no other process will choose."""
    return folder / f"{TEMPORARY_PREFIX}{os.getpid()}-{os.urandom(6).hex()}"


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _write(path: Path, data: bytes, mode: int, *, durable: bool) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    try:
        view = memoryview(data)
        while view:
            view = view[os.write(descriptor, view) :]
        if durable:
            os.fsync(descriptor)
    finally:
        os.close(descriptor)


def put_if_absent(path: Path, data: bytes, *, mode: int = 0o644, durable: bool = True) -> bool:
    """Create `path` with `data` unless the name is taken; tell whether it was created.

    Raises:
        OSError: the folder cannot be written (full, read-only, missing).
    """
    temporary = temporary_name(path.parent)
    try:
        _write(temporary, data, mode, durable=durable)
        try:
            os.link(temporary, path)
        except FileExistsError:
            return False
    finally:
        with contextlib.suppress(FileNotFoundError):
            temporary.unlink()
    if durable:
        sync_folder(path.parent)
    return True


def replace(path: Path, data: bytes, *, mode: int = 0o644, durable: bool = True) -> None:
    """Create or replace `path` with `data`; readers see the old bytes or the new, never a mixture."""
    temporary = temporary_name(path.parent)
    try:
        _write(temporary, data, mode, durable=durable)
        temporary.rename(path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            temporary.unlink()
        raise
    if durable:
        sync_folder(path.parent)
