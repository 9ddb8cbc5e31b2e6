"""Where the GNU C library keeps the empty path with which its fstat enters the kernel, as newfstatat(fd, "", …, AT_EMPTY_PATH).

Every open is followed by one, which tells us nothing: the file was booked when it was opened. A filter sees the address of
the path, not that it is empty; but the library is mapped at page borders, so the address's last 12 bits are the same in all
processes that use it. Of other libraries, and of versions that call fstat itself (before 2.33, from 2.39), nothing is known
and nothing needs to be.
"""

from __future__ import annotations

import ctypes
import os
from functools import cache
from typing import Final

__all__ = ["PAGE_BYTES", "empty_path_offset"]

PAGE_BYTES: Final = 4096
"""The smallest page of any machine, and so what is surely the same in all mappings of one file."""
_CODE_BYTES: Final = 48
"""fstat is shorter: it puts two arguments in place and jumps to fstatat."""
_LOAD_FLAGS: Final = b"\xb9\x00\x10\x00\x00"
"""mov ecx, AT_EMPTY_PATH"""
_LOAD_PATH: Final = b"\x48\x8d\x35"
"""lea rsi, [rip + 32 bits that follow]"""
_ALIGNED_BYTES: Final = 16
"""What malloc gives starts at multiples of this."""


@cache
def empty_path_offset() -> int | None:
    """Give the last 12 bits of the empty path's address in the C library we run with; None where that is not known.

    Also None where a path at the start of a block from malloc could have the same: such a one must never be taken for it.
    """
    if os.uname().machine != "x86_64":
        return None
    try:
        function = ctypes.cast(ctypes.CDLL(None).fstat, ctypes.c_void_p).value or 0
        with open("/proc/self/mem", "rb", buffering=0) as memory:  # so that a wrong guess is an error and no crash
            code = os.pread(memory.fileno(), _CODE_BYTES, function)
            address = _address(code, function)
            if address is None or os.pread(memory.fileno(), 1, address) != b"\0":
                return None
    except (AttributeError, OSError, OverflowError, ValueError):
        return None
    offset = address % PAGE_BYTES
    return offset if offset % _ALIGNED_BYTES else None


def _address(code: bytes, function: int) -> int | None:
    """Read the address of the path out of fstat's code, at `function` in memory; None when it is another fstat."""
    at = code.find(_LOAD_PATH)
    end = at + len(_LOAD_PATH) + 4
    if at < 0 or end > len(code) or _LOAD_FLAGS not in code:
        return None
    return function + end + int.from_bytes(code[end - 4 : end], "little", signed=True)
