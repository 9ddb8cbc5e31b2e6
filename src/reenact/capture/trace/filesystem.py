"""The live file tree behind :class:`reenact.capture.interface.FileSystem`: direct system calls below a prefix.

The prefix is empty when recording, and ``/proc/PID/root`` when the observed processes live in a closed world of their own.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from reenact.capture.interface import Stat

if TYPE_CHECKING:
    from reenact.capture.trace.listings import ListingOrder

__all__ = ["LiveFileSystem"]


class LiveFileSystem:
    """See the module."""

    def __init__(self, prefix: str = "", order: ListingOrder | None = None) -> None:
        """Set up.

        Args:
            prefix: See the module.
            order: In which the processes are given the names in folders; None: as the kernel has them.
        """
        self.prefix = prefix
        self._order = order
        if not prefix:
            self.lstat = os.lstat  # type: ignore[method-assign] # the hot path, without a Python frame
            self.readlink = os.readlink  # type: ignore[method-assign]

    def lstat(self, path: str) -> Stat:
        """Stat without following a link."""
        return os.lstat(self.prefix + path)

    def readlink(self, path: str) -> str:
        """Give a link's text."""
        return os.readlink(self.prefix + path)

    def scan(self, path: str) -> list[tuple[str, Stat]]:
        """List a folder; a folder that cannot be read has no names."""
        found = []
        try:
            folder = os.open(self.prefix + path, os.O_RDONLY | os.O_DIRECTORY | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError:
            return []
        try:
            for name in self._sorted(path, os.listdir(folder)):
                try:
                    found.append((name, os.stat(name, dir_fd=folder, follow_symlinks=False)))
                except OSError:
                    continue
        except OSError:
            return []
        finally:
            os.close(folder)
        return found

    def names(self, path: str) -> list[str]:
        """List a folder's names in the order in which the observed processes get them."""
        try:
            return self._sorted(path, os.listdir(self.prefix + path))
        except OSError:
            return []

    def _sorted(self, path: str, names: list[str]) -> list[str]:
        return names if self._order is None else self._order.sort(path, names)

    def writable(self, path: str) -> bool:
        """Ask the kernel, with this process's effective identity, which is the job's unless it changed its own."""
        return os.access(self.prefix + path, os.W_OK, effective_ids=True)
