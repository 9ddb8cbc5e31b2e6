"""The job's three standard descriptors: what they are, and which of them we stand between."""

from __future__ import annotations

import fcntl
import os
import stat
import struct
import termios
from typing import Any

__all__ = ["describe", "occupy_closed", "same_file", "wants_relay"]


_occupied: set[int] = set()


def occupy_closed() -> None:
    """Where a standard descriptor is closed, put one in its place that the job does not inherit.

    Else the next file we open would take its number, and the job would find it there. Call before anything is opened.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            descriptor = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
            if descriptor != number:
                os.dup2(descriptor, number, inheritable=False)
                os.close(descriptor)
            _occupied.add(number)


def describe(descriptor: int) -> dict[str, Any]:
    """Describe a descriptor of this process in the terms of :class:`reenact.model.bundle.Stream`."""
    try:
        found = os.fstat(descriptor)
    except OSError:
        return {"kind": "closed"}
    if descriptor in _occupied:
        return {"kind": "closed"}
    mode = found.st_mode
    if stat.S_ISREG(mode):
        append = bool(fcntl.fcntl(descriptor, fcntl.F_GETFL) & os.O_APPEND)
        try:
            offset = found.st_size if append else os.lseek(descriptor, 0, os.SEEK_CUR)
        except OSError:
            offset = 0
        path = os.readlink(f"/proc/self/fd/{descriptor}")
        return {"kind": "file", "path": path, "offset_bytes": offset, "append": append, "size_bytes": found.st_size}
    if stat.S_ISFIFO(mode):
        return {"kind": "pipe"}
    if stat.S_ISSOCK(mode):
        return {"kind": "socket"}
    if stat.S_ISCHR(mode):
        if os.isatty(descriptor):
            rows, columns = struct.unpack("4H", fcntl.ioctl(descriptor, termios.TIOCGWINSZ, bytes(8)))[:2]
            return {"kind": "terminal", "rows": rows, "columns": columns}
        if (os.major(found.st_rdev), os.minor(found.st_rdev)) == (1, 3):
            return {"kind": "null"}
    return {"kind": "other"}


def wants_relay(stream: dict[str, Any]) -> bool:
    """Tell whether output can be copied on its way: a terminal is passed through as it is, a file is an output by itself."""
    return stream["kind"] in ("pipe", "socket")


def same_file(first: int, second: int) -> bool:
    """Tell whether two descriptors lead to the same pipe, socket, terminal or file."""
    try:
        one, other = os.fstat(first), os.fstat(second)
    except OSError:
        return False
    return (one.st_dev, one.st_ino) == (other.st_dev, other.st_ino)
