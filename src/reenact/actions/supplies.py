"""Take files of this machine (or of a Git repository) into a store, to be laid out in a world in place of recorded ones."""

from __future__ import annotations

import contextlib
import os
import stat
import time
from collections.abc import Iterable, Iterator
from types import TracebackType
from typing import TYPE_CHECKING, Final, Self

from reenact import ids
from reenact.compare.media import HEAD_BYTES, media_type
from reenact.digests import Digest
from reenact.errors import UsageError
from reenact.model.paths import to_text
from reenact.replay.vary import Offer

if TYPE_CHECKING:
    from reenact.store.opening import Store

__all__ = ["Supplies", "existing", "tree"]

_LEFT_OUT: Final = frozenset({".git", ".hg", ".svn", "__pycache__", "node_modules", ".reenact"})
"""Folders that are no part of a folder's own files: version control, caches, packages, a store."""
_MARKS: Final = ("pyvenv.cfg", "store.json")
"""A file by which a folder is a virtual environment, or a store."""


class Supplies:
    """Puts offers' bytes into a store. Nothing refers to them yet, so no sweep takes them before the context ends."""

    def __init__(self, target: Store) -> None:
        self._run_id = ids.new_run_id(time.time_ns())
        self._leases = target.leases
        self._writer = target.writer(self._run_id)
        self.digests: set[Digest] = set()
        """Of everything that was put."""

    def __enter__(self) -> Self:
        """Begin."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End: what was not committed is dropped, and what was committed is kept by what refers to it, or by nothing."""
        self._writer.abandon()
        self._leases.release(self._run_id)

    def commit(self) -> None:
        """Make what was put durable.

        Raises:
            StoreError: some of it cannot be written.
        """
        self._writer.commit()

    def path(self, path: str, *, shebang: tuple[str, str] | None = None) -> Offer | None:
        """Take a file, a link or a folder; None for what is neither, or is not there.

        Args:
            path: Where it is.
            shebang: A folder's path, and the one to be written instead of it in the first line of a script.

        Raises:
            OSError: it cannot be read.
            StoreError: it cannot be stored.
        """
        try:
            found = os.lstat(path)
        except (FileNotFoundError, NotADirectoryError):
            return None
        mode = stat.S_IMODE(found.st_mode)
        if stat.S_ISLNK(found.st_mode):
            return Offer(type="symlink", mode=mode, mtime_ns=found.st_mtime_ns, target=to_text(os.readlink(path)))
        if stat.S_ISDIR(found.st_mode):
            return Offer(type="directory", mode=mode, mtime_ns=found.st_mtime_ns)
        return self._file(path, shebang) if stat.S_ISREG(found.st_mode) else None

    def _file(self, path: str, shebang: tuple[str, str] | None) -> Offer:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        try:
            found = os.fstat(descriptor)
            head = os.pread(descriptor, HEAD_BYTES, 0)
            mode = stat.S_IMODE(found.st_mode)
            if shebang is not None and head.startswith(b"#!" + os.fsencode(shebang[0])):
                with open(descriptor, "rb", closefd=False) as file:
                    data = file.read().replace(os.fsencode(shebang[0]), os.fsencode(shebang[1]), 1)
                return self.data(path, data, mode=mode, mtime_ns=found.st_mtime_ns)
            added = self._writer.add_descriptor(descriptor, likely_held=True)
        finally:
            os.close(descriptor)
        self.digests.add(added.digest)
        return Offer(
            type="file",
            mode=mode,
            mtime_ns=found.st_mtime_ns,
            size_bytes=added.size_bytes,
            digest=added.digest,
            media_type=media_type(path, head),
        )

    def data(self, name: str, data: bytes, *, mode: int, mtime_ns: int) -> Offer:
        """Take bytes as a file."""
        digest = self._writer.add_bytes(data)
        self.digests.add(digest)
        kind = media_type(name, data[:HEAD_BYTES])
        return Offer(type="file", mode=mode, mtime_ns=mtime_ns, size_bytes=len(data), digest=digest, media_type=kind)

    def must(self, path: str) -> Offer:
        """Take what a person named.

        Raises:
            UsageError: it is not there, or no file, link or folder.
        """
        real = os.path.realpath(path)
        try:
            offer = self.path(real)
        except PermissionError:
            raise UsageError(f"{path} cannot be read") from None
        if offer is None:
            raise UsageError(f"{path} is not there, or is no file")
        return offer


def tree(top: str, *, whole: bool = False) -> Iterator[str]:
    """Give the names of the files and links below a folder, relative to it, in no particular order.

    Args:
        top: The folder; links in it are never followed.
        whole: Everything. Else version control, caches, installed packages, virtual environments and stores are left out.
    """
    waiting = [""]
    while waiting:
        inside = waiting.pop()
        with contextlib.suppress(PermissionError), os.scandir(f"{top}/{inside}") as found:
            items = list(found)
            if not whole and inside and any(item.name in _MARKS for item in items):
                continue
            for item in items:
                name = f"{inside}{item.name}"
                if item.is_dir(follow_symlinks=False):
                    if whole or item.name not in _LEFT_OUT:
                        waiting.append(f"{name}/")
                elif item.is_file(follow_symlinks=False) or item.is_symlink():
                    yield name


def existing(folder: str, names: Iterable[str]) -> set[str]:
    """Give those of some names that are files or links in a folder."""
    return {name for name in names if os.path.lexists(f"{folder}/{name}") and not _is_folder(f"{folder}/{name}")}


def _is_folder(path: str) -> bool:
    return os.path.isdir(path) and not os.path.islink(path)
