"""Answering stat in a replay as the recording was answered: inode numbers, link counts, change times and owners.

No layout can give a file a recorded ctime or inode, yet git's index and uv's interpreter cache are keyed on them. So the calls
are answered from the record, for every path the replay has not changed itself.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Mapping
from typing import Final

__all__ = ["Facts", "StatAnswers"]

Facts = tuple[int, str, int, str, int, int, int, int, int, str, int]
"""Device, inode, links, ctime in nanoseconds, blocks, uid, gid, mode, size, mtime in nanoseconds, rdev."""

_SECOND: Final = 1_000_000_000
_BLOCK_BYTES: Final = 4096
_STATX_BASIC: Final = 0x7FF
_X86_64: Final = struct.Struct("=QQQIIIIQqqqqQqQqQ24x")
"""struct stat of arch/x86/include/uapi/asm/stat.h."""
_GENERIC: Final = struct.Struct("=QQIIIIQQqiiqqQqQqQII")
"""struct stat of include/uapi/asm-generic/stat.h (aarch64)."""
_STATX: Final = struct.Struct("=IIQIIIHHQQQQqIiqIiqIiqIiIIIIQ")
"""struct statx up to stx_mnt_id (include/uapi/linux/stat.h)."""


class StatAnswers:
    """What the recording saw of each path."""

    def __init__(self, facts: Mapping[str, Facts], upper: str) -> None:
        """Set up.

        Args:
            facts: By path in the world, surrogate-escaped.
            upper: The world's upper layer: what is in it was changed by the replay, or will be, and is answered as it is.
        """
        self._facts = facts
        self._upper = upper

    def find(self, path: str) -> Facts | None:
        """Give what to answer for a canonical path; None to let the kernel answer."""
        facts = self._facts.get(path)
        if facts is None or os.path.lexists(self._upper + path):
            return None
        return facts

    @staticmethod
    def stat(facts: Facts) -> bytes:
        """Lay out a struct stat of this machine's own ABI."""
        device, inode, links, ctime, blocks, uid, gid, mode, size, mtime, rdev = facts
        modified, changed = divmod(int(mtime), _SECOND), divmod(int(ctime), _SECOND)
        times = (*modified, *modified, *changed)
        if os.uname().machine == "x86_64":
            return _X86_64.pack(device, int(inode), links, mode, uid, gid, 0, rdev, size, _BLOCK_BYTES, blocks, *times)
        return _GENERIC.pack(
            device, int(inode), mode, links, uid, gid, rdev, 0, size, _BLOCK_BYTES, 0, blocks, *times, 0, 0
        )

    @staticmethod
    def statx(facts: Facts) -> bytes:
        """Lay out a struct statx with the basic fields."""
        device, inode, links, ctime, blocks, uid, gid, mode, size, mtime, rdev = facts
        modified, changed = divmod(int(mtime), _SECOND), divmod(int(ctime), _SECOND)
        return _STATX.pack(
            _STATX_BASIC, _BLOCK_BYTES, 0, links, uid, gid, mode, 0, int(inode), size, blocks, 0,
            *modified, 0, 0, 0, 0, *changed, 0, *modified, 0,
            os.major(rdev), os.minor(rdev), os.major(device), os.minor(device), 0,
        )  # fmt: skip
