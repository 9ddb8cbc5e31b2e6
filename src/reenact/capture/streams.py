"""The job's three standard descriptors: what they are, and which of them we stand between."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from typing import Any, Final

__all__ = ["describe", "occupy_closed", "same_file", "unnamed_content", "wants_relay"]

_BLOCK_BYTES: Final = 1 << 20
_SYS_KCMP: Final = {"x86_64": 312, "aarch64": 272}.get(os.uname().machine, -1)
_KCMP_FILE: Final = 0
"""man 2 kcmp: compare two open file descriptions."""

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
        import fcntl  # noqa: PLC0415 - what is no file needs none of it

        flags = fcntl.fcntl(descriptor, fcntl.F_GETFL)
        append = bool(flags & os.O_APPEND)
        try:
            offset = found.st_size if append else os.lseek(descriptor, 0, os.SEEK_CUR)
        except OSError:
            offset = 0
        path = os.readlink(f"/proc/self/fd/{descriptor}")
        if not _leads_to(path, found):
            return {"kind": "other"}  # deleted, or never named: nobody will find it under its name
        if flags & os.O_ACCMODE and not os.access(path, os.R_OK | os.W_OK, effective_ids=True):
            return {"kind": "other"}  # opened by somebody with more rights: it is none of this user's files
        return {"kind": "file", "path": path, "offset_bytes": offset, "append": append, "size_bytes": found.st_size}
    if stat.S_ISFIFO(mode):
        return {"kind": "pipe"}
    if stat.S_ISSOCK(mode):
        return {"kind": "socket"}
    if stat.S_ISCHR(mode):
        if os.isatty(descriptor):
            import fcntl  # noqa: PLC0415 - same
            import struct  # noqa: PLC0415 - same
            import termios  # noqa: PLC0415 - same

            rows, columns = struct.unpack("4H", fcntl.ioctl(descriptor, termios.TIOCGWINSZ, bytes(8)))[:2]
            return {"kind": "terminal", "rows": rows, "columns": columns}
        if (os.major(found.st_rdev), os.minor(found.st_rdev)) == (1, 3):
            return {"kind": "null"}
    return {"kind": "other"}


def _leads_to(path: str, found: os.stat_result) -> bool:
    try:
        named = os.stat(path)
    except OSError:
        return False
    return (named.st_dev, named.st_ino) == (found.st_dev, found.st_ino)


def unnamed_content(descriptor: int) -> Iterator[bytes]:
    """Give what is left to read from a file that has no name (a shell's here-document); the offset is not moved.

    Nothing for a descriptor that is no such file, or that cannot be read.
    """
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            return
        offset = os.lseek(descriptor, 0, os.SEEK_CUR)
        while block := os.pread(descriptor, _BLOCK_BYTES, offset):
            offset += len(block)
            yield block
    except OSError:
        return


def wants_relay(stream: dict[str, Any]) -> bool:
    """Tell whether output can be copied on its way: a terminal is passed through as it is, a file is an output by itself."""
    return stream["kind"] in ("pipe", "socket")


def same_file(first: int, second: int) -> bool:
    """Tell whether two descriptors lead to the same pipe, socket or terminal, or share one opening of a file.

    A file that was opened twice has two offsets: what is written through one overwrites what came through the other.
    """
    try:
        one, other = os.fstat(first), os.fstat(second)
    except OSError:
        return False
    if (one.st_dev, one.st_ino) != (other.st_dev, other.st_ino):
        return False
    return not stat.S_ISREG(one.st_mode) or first == second or _share_an_opening(first, second)


def _share_an_opening(first: int, second: int) -> bool:
    """Ask the kernel; where it does not say, different flags or offsets do (``>f 2>f`` at the start cannot be told then)."""
    if _SYS_KCMP >= 0:
        import ctypes  # noqa: PLC0415 - 5 ms that only two descriptors of one file cost

        libc = ctypes.CDLL(None, use_errno=True)
        me = os.getpid()
        answer = libc.syscall(_SYS_KCMP, me, me, _KCMP_FILE, ctypes.c_ulong(first), ctypes.c_ulong(second))
        if answer >= 0:
            return bool(answer == 0)
    import fcntl  # noqa: PLC0415 - same

    marks = [(fcntl.fcntl(d, fcntl.F_GETFL), os.lseek(d, 0, os.SEEK_CUR)) for d in (first, second)]
    return marks[0] == marks[1]
