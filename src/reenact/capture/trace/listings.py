"""The order of names in listed folders: as it was recorded, whatever the file system of a replay makes of it.

A kernel gives the names in a folder in an order of its file system's own (a hash of the name with a number drawn when the file
system was made, the order of creation, and in an overlay layer by layer), and programs that join what they find in a folder depend
on it. So in a replay getdents64 is answered here.
"""

from __future__ import annotations

import ctypes
import os
import stat
import struct
from collections import OrderedDict
from collections.abc import Container, Mapping, Sequence
from typing import Final

from reenact.capture.trace.tracee import Memory

__all__ = ["Lister", "ListingOrder"]

_SYS_PIDFD_GETFD: Final = 438
"""The same on all processors (Linux 5.6)."""
_ENTRY: Final = struct.Struct("=QqHB")
"""struct linux_dirent64 up to d_name (include/linux/dirent.h)."""
_ALIGNMENT: Final = 8
_MOST_OPEN: Final = 256
"""Folders that are being listed at once and whose names are remembered."""

_libc = ctypes.CDLL(None, use_errno=True)


class ListingOrder:
    """In which order the names of a folder are given. Pure."""

    def __init__(self, recorded: Mapping[str, Sequence[str]], kernels: Container[str]) -> None:
        """Set up.

        Args:
            recorded: By folder: names in the order in which the recording gave them, where that was not the sorted one.
            kernels: Folders that are left to the kernel.
        """
        self._recorded = recorded
        self._kernels = kernels

    def decides(self, folder: str) -> bool:
        """Tell whether a folder's order is decided here."""
        return folder in self._recorded or folder not in self._kernels

    def sort(self, folder: str, names: list[str]) -> list[str]:
        """Put names into their order: the recorded ones, then others, sorted by their bytes."""
        if not self.decides(folder):
            return names
        places = {name: place for place, name in enumerate(self._recorded.get(folder, ()))}
        return sorted(names, key=lambda name: (places.get(name, len(places)), os.fsencode(name)))


class Lister:
    """Answers getdents64. An open folder's position counts the names given, so that seeking and rewinding work."""

    def __init__(self, order: ListingOrder) -> None:
        self.order = order
        self._open: OrderedDict[tuple[int, int], list[bytes]] = OrderedDict()
        """By process and descriptor: the entries of a folder that is being read."""

    def answer(self, thread: int, process: int, arguments: Sequence[int], folder: str) -> int | None:
        """Answer one call: write entries to the caller's buffer.

        Args:
            thread: Who calls.
            process: Of which process.
            arguments: Descriptor, address and length of the buffer.
            folder: The folder's path.

        Returns:
            Bytes written, 0 at the end; None: the kernel is to answer.

        Raises:
            OSError: it cannot be answered here; nothing was written.
        """
        if not self.order.decides(folder):
            return None
        descriptor, buffer, length = arguments[0] & 0xFFFF_FFFF, arguments[1], arguments[2] & 0xFFFF_FFFF
        borrowed = _borrow(process, descriptor)
        try:
            position = os.lseek(borrowed, 0, os.SEEK_CUR)
            entries = self._entries((process, descriptor), position, borrowed, folder)
            data, after = _fill(entries, position, length)
            if not data and position < len(entries):
                return None  # EINVAL: the buffer is too short for the first of them
            if data:
                Memory.write(thread, buffer, data)
            os.lseek(borrowed, after, os.SEEK_SET)
        finally:
            os.close(borrowed)
        if not data:
            self._open.pop((process, descriptor), None)
        return len(data)

    def _entries(self, key: tuple[int, int], position: int, borrowed: int, folder: str) -> list[bytes]:
        found = self._open.get(key)
        if found is None or not position:
            found = self._open[key] = self._read(borrowed, folder)
            if len(self._open) > _MOST_OPEN:
                self._open.popitem(last=False)
        return found

    def _read(self, borrowed: int, folder: str) -> list[bytes]:
        # By a name of its own: reading through the borrowed descriptor would move the caller's position.
        with os.scandir(f"/proc/self/fd/{borrowed}") as scanned:
            found = {entry.name: entry for entry in scanned}
        names = self.order.sort(folder, [*found])
        inodes = {name: os.stat(name, dir_fd=borrowed).st_ino for name in (".", "..")}
        entries = [_entry(inode, place, stat.S_IFDIR, name) for place, (name, inode) in enumerate(inodes.items(), 1)]
        for place, name in enumerate(names, len(entries) + 1):
            entry = found[name]
            entries.append(_entry(entry.inode(), place, _kind(entry), name))
        return entries


def _borrow(process: int, descriptor: int) -> int:
    """Give a descriptor of ours for a file another process has open; both share its position."""
    handle = os.pidfd_open(process)
    try:
        borrowed = int(_libc.syscall(_SYS_PIDFD_GETFD, handle, descriptor, 0))
    finally:
        os.close(handle)
    if borrowed < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return borrowed


def _kind(entry: os.DirEntry[str]) -> int:
    if entry.is_symlink():
        return stat.S_IFLNK
    if entry.is_dir(follow_symlinks=False):
        return stat.S_IFDIR
    return stat.S_IFREG if entry.is_file(follow_symlinks=False) else 0  # DT_UNKNOWN: the program asks itself


def _entry(inode: int, after: int, kind: int, name: str) -> bytes:
    encoded = os.fsencode(name) + b"\0"
    length = -(-(_ENTRY.size + len(encoded)) // _ALIGNMENT) * _ALIGNMENT
    return (_ENTRY.pack(inode, after, length, kind >> 12) + encoded).ljust(length, b"\0")


def _fill(entries: Sequence[bytes], position: int, length: int) -> tuple[bytes, int]:
    """Give as many entries as fit, and the position after them."""
    data = bytearray()
    while position < len(entries) and len(data) + len(entries[position]) <= length:
        data += entries[position]
        position += 1
    return bytes(data), position
