"""Keeping bytes that are about to be destroyed: by a hard link, a clone, an open descriptor, or a copy, in that order.

This runs while the job waits, so the cheapest way that works is taken; what cannot be kept is a reason, never an error.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import mmap
import os
from collections.abc import Callable
from typing import Final

from reenact.capture.interface import Stat

__all__ = ["PreimageKeeper"]

_FICLONE: Final = 0x4004_9409
_COPY_BYTES: Final = 1 << 30
_MAX_HELD: Final = 256
"""Open files that stand in for removed names where no hard link is possible."""
_CHEAP_BYTES: Final = 1 << 20
"""Bytes a replay does not need are copied only up to this size: they serve `reenact restore` alone."""


class PreimageKeeper:
    """Keeps bytes in files of `folder` (made on first use), or in open descriptors of this process.

    `stored` is shared with the recorder: the journal position up to which every needed content is in the store.
    """

    def __init__(
        self,
        folder: str,
        max_bytes: int,
        stored: mmap.mmap,
        prefix: str = "",
        pointers: Callable[[str], bool] = lambda _: False,
    ) -> None:
        """Prepare; nothing is made before the first file.

        Args:
            folder: For files with kept bytes.
            max_bytes: The longest file that is copied.
            stored: See the class.
            prefix: Put before every path of the job's.
            pointers: Tells which files are not stored though the recorder has come past them.
        """
        self._folder = folder
        self._max_bytes = max_bytes
        self._stored = stored
        self._prefix = prefix
        self._pointers = pointers
        self._count = 0
        self._held: list[int] = []

    @property
    def holding(self) -> bool:
        """Whether any bytes are kept in open descriptors of this process alone."""
        return bool(self._held)

    def close(self) -> None:
        """Let go of what is kept in open descriptors."""
        for descriptor in self._held:
            os.close(descriptor)
        self._held.clear()

    def keep(self, path: str, found: Stat, *, needed: int, name_only: bool) -> tuple[str, str]:
        """See :class:`reenact.capture.interface.Preimages`."""
        if 0 <= needed <= int.from_bytes(self._stored[:8], "little") and not self._pointers(path):
            return "", "stored"
        source = self._prefix + path
        kept = f"{self._folder}/{self._count}"
        self._count += 1
        if self._count == 1:
            with contextlib.suppress(FileExistsError):
                os.mkdir(self._folder, 0o700)
        if name_only and self._link(source, kept):
            return kept, ""
        try:
            return self._keep_bytes(source, kept, found, needed >= 0, name_only)
        except OSError as error:
            with contextlib.suppress(OSError):
                os.unlink(kept)
            return "", f"cannot be copied: {os.strerror(error.errno or 0)}"

    def drop(self, where: str) -> None:
        """See :class:`reenact.capture.interface.Preimages`; what is kept in a descriptor stays open, as its number may be in use."""
        if where.startswith(f"{self._folder}/"):
            with contextlib.suppress(OSError):
                os.unlink(where)

    def _link(self, source: str, kept: str) -> bool:
        try:
            os.link(source, kept, follow_symlinks=False)
        except OSError:
            return False
        return True

    def _keep_bytes(self, source: str, kept: str, found: Stat, needed: bool, name_only: bool) -> tuple[str, str]:
        descriptor = os.open(source, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        hold = False
        try:
            if name_only and len(self._held) < _MAX_HELD:
                hold = True
                self._held.append(descriptor)
                return f"/proc/{os.getpid()}/fd/{descriptor}", ""
            target = os.open(kept, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            try:
                if self._clone(descriptor, target):
                    return kept, ""
                limit = self._max_bytes if needed else _CHEAP_BYTES
                if found.st_size > limit:
                    os.unlink(kept)
                    return "", f"larger than {limit} bytes"
                self._copy(descriptor, target, found)
                return kept, ""
            finally:
                os.close(target)
        finally:
            if not hold:
                os.close(descriptor)

    @staticmethod
    def _clone(source: int, target: int) -> bool:
        try:
            fcntl.ioctl(target, _FICLONE, source)
        except OSError:
            return False
        return True

    @staticmethod
    def _copy(source: int, target: int, found: Stat) -> None:
        os.ftruncate(target, found.st_size)
        position = 0
        while position < found.st_size:
            try:
                # Skip holes; a file system that knows none says the whole file is data.
                position = os.lseek(source, position, os.SEEK_DATA)
                end = os.lseek(source, position, os.SEEK_HOLE)
            except OSError as error:
                if error.errno == errno.ENXIO:
                    return
                end = found.st_size
            while position < end:
                try:
                    copied = os.copy_file_range(source, target, min(end - position, _COPY_BYTES), position, position)
                except OSError:
                    data = os.pread(source, min(end - position, 1 << 20), position)
                    copied = os.pwrite(target, data, position)
                if copied <= 0:
                    return
                position += copied
