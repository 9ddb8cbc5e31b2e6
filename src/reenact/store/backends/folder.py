"""A backend in a local folder: a value is a file, put under its name by ``link``, which fails when the name is taken.

Unfinished writes bear names that begin with :data:`reenact.atomic.TEMPORARY_PREFIX` and are seen by no method here, so a
process killed at any instant leaves whole values and nothing else. Values are read-only files: only a deliberate hand
changes one.
"""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from reenact import atomic
from reenact.atomic import AnyPath
from reenact.errors import KeyAbsent
from reenact.store.failures import store_error
from reenact.store.interface import Backend, check_key

__all__ = ["VALUE_MODE", "FolderBackend"]

_STAGING: Final = "staging"
VALUE_MODE: Final = 0o444
"""Permission bits of a value's file, before the umask."""


class FolderBackend(Backend):
    """Values as files under one folder, which exists."""

    def __init__(self, root: AnyPath) -> None:
        self._root = os.fspath(root)
        self._prefix = self._root + "/"

    @property
    def location(self) -> str:
        """See :class:`Backend`."""
        return self._root

    def put_if_absent(self, key: str, data: bytes) -> bool:
        """See :class:`Backend`."""
        path = self._prefix + check_key(key)
        try:
            folder = os.path.dirname(path)
            self._make_folder(folder)
            created = atomic.put_if_absent(path, data, mode=VALUE_MODE)
            if not created:
                # Whoever put it may not have come to this yet.
                atomic.sync_folder(folder)
        except OSError as error:
            raise store_error(error, f"write {path}") from error
        return created

    def put_group(self, before: Mapping[str, bytes], key: str, data: bytes) -> bool:
        """See :class:`Backend`. The disk is waited for three times, however many values there are."""
        values = {self._prefix + check_key(name): value for name, value in before.items()}
        path = self._prefix + check_key(key)
        above: set[str] = set()
        try:
            for name in (*values, path):
                self._make_folder(os.path.dirname(name), above)
            return atomic.put_group(values, path, data, folders=above, mode=VALUE_MODE)
        except OSError as error:
            raise store_error(error, f"write {path}") from error

    def put_file_if_absent(self, key: str, path: AnyPath) -> bool:
        """See :class:`Backend`."""
        target = self._prefix + check_key(key)
        try:
            folder = os.path.dirname(target)
            self._make_folder(folder)
            created = True
            try:
                os.link(path, target)
            except FileExistsError:
                created = False
            atomic.sync_folder(folder)
            os.unlink(path)
        except OSError as error:
            raise store_error(error, f"write {target}") from error
        return created

    def replace_file(self, key: str, path: AnyPath) -> bool:
        """See :class:`Backend`."""
        target = self._prefix + check_key(key)
        try:
            there = self._stat(key) is not None
            if there:
                os.rename(path, target)
                atomic.sync_folder(os.path.dirname(target))
            else:
                os.unlink(path)
        except OSError as error:
            raise store_error(error, f"write {target}") from error
        return there

    def get(self, key: str) -> bytes:
        """See :class:`Backend`."""
        with self._opened(key) as descriptor:
            return _read(descriptor, 0, os.fstat(descriptor).st_size)

    def get_range(self, key: str, offset: int, length: int) -> bytes:
        """See :class:`Backend`."""
        with self._opened(key) as descriptor:
            return _read(descriptor, offset, length)

    def size(self, key: str) -> int:
        """See :class:`Backend`."""
        found = self._stat(key)
        if found is None:
            raise KeyAbsent(key)
        return found.st_size

    def modified(self, key: str) -> float:
        """See :class:`Backend`. The time of the file's last change, also of its names: its bytes may be older than the value."""
        found = self._stat(key)
        if found is None:
            raise KeyAbsent(key)
        return found.st_ctime

    def exists(self, key: str) -> bool:
        """See :class:`Backend`."""
        return self._stat(key) is not None

    def list(self, prefix: str) -> Iterator[str]:
        """See :class:`Backend`."""
        folder = prefix.rpartition("/")[0]
        if folder:
            check_key(folder)
        for key in self._walk(folder):
            if key.startswith(prefix):
                yield key

    def names(self, folder: str) -> Sequence[str]:
        """See :class:`Backend`."""
        return sorted(entry.name for entry in self._scan(check_key(folder)))

    def delete(self, key: str) -> None:
        """See :class:`Backend`."""
        path = self._prefix + check_key(key)
        try:
            with contextlib.suppress(FileNotFoundError, NotADirectoryError):
                os.unlink(path)
                atomic.sync_folder(os.path.dirname(path))
        except OSError as error:
            raise store_error(error, f"delete {path}") from error

    def staging(self) -> str | None:
        """See :class:`Backend`."""
        folder = self._prefix + _STAGING
        try:
            self._make_folder(folder)
        except OSError as error:
            raise store_error(error, f"make {folder}") from error
        return folder

    def _make_folder(self, folder: str, unsynced: set[str] | None = None) -> None:
        """Make a folder and those above it, durably; cheap when it is there. Raises OSError.

        Args:
            folder: Its path.
            unsynced: Takes the folders whose names have yet to be made durable, where the caller does that.
        """
        if os.path.isdir(folder):
            return
        above = os.path.dirname(folder)
        # The root itself is never made here: a store that was deleted must not come back half.
        if len(above) >= len(self._prefix):
            self._make_folder(above, unsynced)
        with contextlib.suppress(FileExistsError):
            os.mkdir(folder)
        if unsynced is None:
            atomic.sync_folder(above)
        else:
            unsynced.add(above)

    @contextlib.contextmanager
    def _opened(self, key: str) -> Iterator[int]:
        path = self._prefix + check_key(key)
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            try:
                yield descriptor
            finally:
                os.close(descriptor)
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
            raise KeyAbsent(key) from None
        except OSError as error:
            raise store_error(error, f"read {path}") from error

    def _stat(self, key: str) -> os.stat_result | None:
        path = self._prefix + check_key(key)
        try:
            found = os.stat(path)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise store_error(error, f"read {path}") from error
        return found if stat.S_ISREG(found.st_mode) else None

    def _scan(self, folder: str) -> Sequence[os.DirEntry[str]]:
        path = self._prefix + folder
        try:
            with os.scandir(path) as entries:
                return [entry for entry in entries if not entry.name.startswith(".")]
        except (FileNotFoundError, NotADirectoryError):
            return []
        except OSError as error:
            raise store_error(error, f"list {path}") from error

    def _walk(self, folder: str) -> Iterator[str]:
        entries = [(entry.name + "/" if entry.is_dir() else entry.name) for entry in self._scan(folder)]
        # With its slash, a folder's name sorts as its keys do: "a-b" comes before "a/b".
        for name in sorted(entries):
            key = f"{folder}/{name}" if folder else name
            if name.endswith("/"):
                yield from self._walk(key[:-1])
            else:
                yield key


def _read(descriptor: int, offset: int, length: int) -> bytes:
    """Read a range, in as many calls as the kernel needs (it gives at most 2 GiB a call)."""
    data = os.pread(descriptor, length, offset)
    if len(data) == length or not data:
        return data
    parts = [data]
    got = len(data)
    while got < length and (data := os.pread(descriptor, length - got, offset + got)):
        parts.append(data)
        got += len(data)
    return b"".join(parts)
