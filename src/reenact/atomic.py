"""Files that are there whole or not at all: put-if-absent, replace, and their durability.

Put-if-absent is a temporary file in the same folder, then ``link`` (which fails if the name is taken) and ``unlink``.
Everything is durable when the function returns, unless `durable` is false. Cost: one fsync of the file, one of the folder.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Mapping
from typing import Final

__all__ = [
    "TEMPORARY_PREFIX",
    "AnyPath",
    "put_group",
    "put_if_absent",
    "replace",
    "sync",
    "sync_folder",
    "temporary_name",
]

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


def sync(paths: Iterable[AnyPath]) -> None:
    """Make the contents of files, and the names in folders, durable, all at once. Raises OSError."""
    import threading  # noqa: PLC0415 - most who write a file write one

    if not (wanted := [*paths]):
        return
    first, *others = wanted
    failures: list[OSError] = []

    def sync_one(path: AnyPath) -> None:
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
        except OSError as error:
            failures.append(error)

    threads = [threading.Thread(target=sync_one, args=(path,)) for path in others]
    started = []
    for thread, path in zip(threads, others, strict=True):
        try:
            thread.start()
        except RuntimeError:  # no thread can be had
            sync_one(path)
        else:
            started.append(thread)
    sync_one(first)
    for thread in started:
        thread.join()
    if failures:
        raise failures[0]


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


def put_group(
    before: Mapping[str, bytes], path: str, data: bytes, *, folders: Iterable[str] = (), mode: int = 0o644
) -> bool:
    """Put several files whose names nobody else uses, and when they are durable create `path` unless the name is taken.

    What the disk has to do for files that need not wait for each other is asked for at once: it then does it in one go.

    Args:
        before: Path to content; what is there under such a name is replaced.
        path: The file that counts, in a folder that is there.
        data: Its content.
        folders: More whose names are to be durable before it is there: those in which others were just made.
        mode: Permission bits of all, before the umask.

    Returns:
        Whether `path` was created; it is durable then.

    Raises:
        OSError: a folder cannot be written (full, read-only, missing).
    """
    contents = {**before, path: data}
    temporary = {name: temporary_name(os.path.dirname(name)) for name in contents}
    try:
        for name, content in contents.items():
            _write(temporary[name], content, mode, durable=False)
        sync(temporary.values())
        for name in before:
            os.rename(temporary[name], name)
        sync({*folders, *map(os.path.dirname, before)})
        try:
            os.link(temporary[path], path)
        except FileExistsError:
            return False
    finally:
        for leftover in temporary.values():
            with contextlib.suppress(FileNotFoundError):
                os.unlink(leftover)
    sync_folder(os.path.dirname(path))
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
