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
        self._zeros = 0
        """That were given since the last byte that was not, and are not written."""

    def write(self, block: bytes) -> None:
        """Write the next bytes."""
        self._length += len(block)
        if not self._sparse:
            write_all(self._descriptor, block)
            return
        for at in range(0, len(block), _HOLE_BYTES):
            # Bytes with bytes: views are compared item by item, at a twentieth of the speed.
            part = block[at : at + _HOLE_BYTES]
            if part == _ZEROS[: len(part)]:
                self._zeros += len(part)
            else:
                self._skip()
                write_all(self._descriptor, part)

    def finish(self) -> int:
        """End the file where the content ends, and give the content's length in bytes."""
        if self._sparse:
            self._skip()
            os.ftruncate(self._descriptor, os.lseek(self._descriptor, 0, os.SEEK_CUR))
        return self._length

    def _skip(self) -> None:
        if self._zeros:
            os.lseek(self._descriptor, self._zeros, os.SEEK_CUR)
            self._zeros = 0
