"""Find the holes of a sparse file: ranges that take no room and read as zeros, so that they need not be read."""

from __future__ import annotations

import errno
import os
from typing import Final

__all__ = ["Holes", "has_holes"]

_BLOCK_BYTES: Final = 512
"""Unit of st_blocks, whatever the file system's (stat(2))."""
_SHARE: Final = 0.98
"""Below this share of its length in blocks a file counts as sparse: block maps and rounding explain the rest."""


def has_holes(found: os.stat_result) -> bool:
    """Tell whether a file takes clearly less room than it is long: it has holes, or its file system compresses."""
    return found.st_blocks * _BLOCK_BYTES < _SHARE * found.st_size


class Holes:
    """Tells of ranges of one open file, asked for in order, whether they lie in a hole. Leaves the file's offset as it is."""

    def __init__(self, descriptor: int) -> None:
        """Look whether it is worth looking; nothing else is done for a file without holes."""
        self._descriptor = descriptor
        self._sparse = has_holes(os.fstat(descriptor))
        self._data = 0
        """Where the next data begins, at or behind the last range asked for; what is before it is a hole."""
        self._end = 0
        """Where that data ends."""

    def covers(self, offset: int, length: int) -> bool:
        """Tell whether a range is a hole, all of it and within the file; one that only begins or ends as one is not."""
        if not self._sparse:
            return False
        if offset >= self._end:
            self._look(offset)
        return offset + length <= self._data

    def _look(self, offset: int) -> None:
        before = os.lseek(self._descriptor, 0, os.SEEK_CUR)
        try:
            self._data = os.lseek(self._descriptor, offset, os.SEEK_DATA)
            self._end = os.lseek(self._descriptor, self._data, os.SEEK_HOLE)
        except OSError as error:
            # No data behind: a hole up to the end, wherever that is by now. Else a file system that does not know.
            self._sparse = error.errno == errno.ENXIO
            self._data = self._end = os.fstat(self._descriptor).st_size if self._sparse else 0
        finally:
            os.lseek(self._descriptor, before, os.SEEK_SET)
