"""A folder for what has to be unpacked before it can be read, with a bound on how much that may be."""

from __future__ import annotations

import os
from typing import IO, Any, Final

from reenact.compare.logical import NotATable

__all__ = ["Scratch"]

_BLOCK_BYTES: Final = 1 << 20


class Scratch:
    """Gives files in a folder that its owner deletes."""

    def __init__(self, folder: str, most_bytes: int) -> None:
        """Set up.

        Args:
            folder: An empty folder of ours.
            most_bytes: How much may be unpacked for one artifact, so that a file that unpacks to a thousand times its size
                does not fill the disk.
        """
        self.folder = folder
        self._most, self._spent, self._number = most_bytes, 0, 0

    def path(self) -> str:
        """Give a path where nothing is yet."""
        self._number += 1
        return os.path.join(self.folder, f"part-{self._number}")

    def unpack(self, source: IO[bytes] | Any) -> str:  # noqa: ANN401 - readers of archives share no type
        """Write all that can be read from a stream into a new file, and give its path.

        Raises:
            NotATable: that is more than the bound.
        """
        path = self.path()
        with open(path, "wb") as target:
            while block := source.read(_BLOCK_BYTES):
                self.spend(len(block))
                target.write(block)
        return path

    def spend(self, number_of_bytes: int) -> None:
        """Count what is unpacked, also by somebody else and into memory.

        Raises:
            NotATable: that is more than the bound.
        """
        self._spent += number_of_bytes
        if self._spent > self._most:
            raise NotATable(f"it unpacks to more than {self._most} bytes (compare.unpacked_max_bytes)")
