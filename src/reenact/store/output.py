"""Write an object's content out, with holes where it is zero if wanted."""

from __future__ import annotations

import os
from typing import Final

from reenact.store.spool import write_all

__all__ = ["Output"]

_HOLE_BYTES: Final = 64 << 10
_ZEROS: Final = bytes(_HOLE_BYTES)


class Output:
    """An open file being written at its offset. Errors are OSError: the file is the caller's."""

    def __init__(self, descriptor: int, *, sparse: bool) -> None:
        """Begin.

        Args:
            descriptor: The file.
            sparse: Leave holes for 64 KiB of zeros; the file must be regular and empty from its offset on.
        """
        self._descriptor = descriptor
        self._sparse = sparse
        self._length = 0

    def write(self, block: bytes) -> None:
        """Write the next bytes."""
        self._length += len(block)
        if not self._sparse:
            write_all(self._descriptor, block)
            return
        view = memoryview(block)
        for at in range(0, len(view), _HOLE_BYTES):
            part = view[at : at + _HOLE_BYTES]
            if part == _ZEROS[: len(part)]:
                os.lseek(self._descriptor, len(part), os.SEEK_CUR)
            else:
                write_all(self._descriptor, part)

    def finish(self) -> int:
        """End the file where the content ends, and give the content's length in bytes."""
        if self._sparse:
            os.ftruncate(self._descriptor, os.lseek(self._descriptor, 0, os.SEEK_CUR))
        return self._length
