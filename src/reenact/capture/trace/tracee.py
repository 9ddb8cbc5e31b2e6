"""Reading a traced process: its memory, its descriptors, who it is.

The process is stopped in a system call while we read, but another of its threads may be changing the memory we look at
(man 2 seccomp_unotify, "time of check"): what is read here is evidence, never the basis of a permission.
"""

from __future__ import annotations

import os
import sys
from collections import OrderedDict
from typing import Final

__all__ = ["Memory", "Unreadable", "absolute", "children_of", "identify", "is_running", "started_ticks"]

_MAX_OPEN: Final = 128
"""Open /proc/PID/mem descriptors; keyed by process, so that thousands of threads share one."""
_STRING_BYTES: Final = 256
_PAGE: Final = 4096
_PATH_MAX: Final = 4096
_ENCODING: Final = sys.getfilesystemencoding()


class Unreadable(Exception):
    """The process's memory cannot be read (another user's program, or it is gone)."""


class Memory:
    """The memory of traced processes, through a small cache of open /proc/PID/mem files."""

    def __init__(self) -> None:
        self._open: OrderedDict[int, int] = OrderedDict()

    def _descriptor(self, process: int) -> int:
        descriptor = self._open.get(process)
        if descriptor is None:
            if len(self._open) >= _MAX_OPEN:
                os.close(self._open.popitem(last=False)[1])
            try:
                descriptor = os.open(f"/proc/{process}/mem", os.O_RDONLY | os.O_CLOEXEC)
            except OSError as error:
                raise Unreadable(str(error)) from error
            self._open[process] = descriptor
        return descriptor

    def forget(self, process: int) -> None:
        """Drop what is open for a process that executes another program or ends."""
        descriptor = self._open.pop(process, None)
        if descriptor is not None:
            os.close(descriptor)

    def read(self, process: int, address: int, length: int) -> bytes:
        """Read up to `length` bytes; fewer at the end of a mapping."""
        for _ in (0, 1):
            try:
                data = os.pread(self._descriptor(process), length, address)
                if data:
                    return data
            except (OSError, OverflowError):
                # The range may run into an unmapped page: read up to the page's end instead.
                rest = _PAGE - address % _PAGE
                if rest < length:
                    length = rest
                    continue
            self.forget(process)  # the program was replaced: its old memory reads as empty
        raise Unreadable(f"no memory at {address:#x} of process {process}")

    @staticmethod
    def write(thread: int, address: int, data: bytes) -> None:
        """Put bytes into a stopped thread's memory; OSError when it does not take them."""
        descriptor = os.open(f"/proc/{thread}/mem", os.O_WRONLY | os.O_CLOEXEC)
        try:
            os.pwrite(descriptor, data, address)
        finally:
            os.close(descriptor)

    def string(self, process: int, address: int) -> str:
        """Read a NUL-terminated path, decoded like :func:`os.fsdecode`."""
        descriptor = self._open.get(process)
        if descriptor is not None:
            # The usual case: nearly all that is read of processes is read here.
            try:
                data = os.pread(descriptor, _STRING_BYTES, address)
            except (OSError, OverflowError):
                data = b""
            end = data.find(b"\0")
            if end >= 0:
                return data[:end].decode(_ENCODING, "surrogateescape")
        return self._long_string(process, address)

    def _long_string(self, process: int, address: int) -> str:
        data = self.read(process, address, _STRING_BYTES)
        end = data.find(b"\0")
        while end < 0:
            if len(data) >= _PATH_MAX:
                break
            more = self.read(process, address + len(data), _STRING_BYTES * 4)
            end = more.find(b"\0")
            end = end + len(data) if end >= 0 else -1
            data += more
        # As os.fsdecode, without its two calls.
        return (data[:end] if end >= 0 else data).decode(_ENCODING, "surrogateescape")

    def pointers(self, process: int, address: int, pointer_bytes: int, limit: int) -> list[int]:
        """Read a null-terminated array of pointers, at most `limit` of them."""
        found: list[int] = []
        while len(found) < limit:
            data = self.read(process, address, 64 * pointer_bytes)
            whole = len(data) - len(data) % pointer_bytes
            for start in range(0, whole, pointer_bytes):
                pointer = int.from_bytes(data[start : start + pointer_bytes], "little")
                if not pointer:
                    return found
                found.append(pointer)
            if not whole:
                break
            address += whole
        return found[:limit]


def absolute(thread: int, folder: int, path: str, at_cwd: bool) -> str:
    """Make a path absolute as the thread would; `folder` is a descriptor of its, unless `at_cwd`.

    An empty path names the descriptor's own file (AT_EMPTY_PATH).
    """
    if path[:1] == "/":
        return path
    base = os.readlink(f"/proc/{thread}/cwd" if at_cwd else f"/proc/{thread}/fd/{folder}")
    base = base.removesuffix(" (deleted)")
    return f"{base}/{path}" if path else base


def children_of(process: int) -> list[int]:
    """List the children its first thread has started, oldest first; empty where it is gone or the kernel does not tell."""
    try:
        with open(f"/proc/{process}/task/{process}/children", "rb") as children:
            return [int(child) for child in children.read().split()]
    except OSError:
        return []


def identify(thread: int) -> tuple[int, int]:
    """Give a thread's process id and its parent's process id, as this process sees them.

    Raises:
        ProcessLookupError, FileNotFoundError: it is gone.
    """
    with open(f"/proc/{thread}/status", "rb") as status:
        data = status.read()
    process = data.index(b"\nTgid:") + 6
    parent = data.index(b"\nPPid:") + 6
    return int(data[process : data.index(b"\n", process)]), int(data[parent : data.index(b"\n", parent)])


def started_ticks(process: int) -> int:
    """Give when a process was started, in ticks since the machine was, which with its id tells it from all others; 0 when it is gone."""
    try:
        with open(f"/proc/{process}/stat", "rb") as file:
            return int(file.read().rpartition(b")")[2].split()[19])
    except (OSError, IndexError, ValueError):
        return 0


def is_running(process: int) -> bool:
    """Tell whether a process has not ended; one that waits to be reaped has."""
    try:
        with open(f"/proc/{process}/stat", "rb") as file:
            return file.read().rpartition(b")")[2].split()[0] not in (b"Z", b"X")
    except (OSError, IndexError):
        return False
