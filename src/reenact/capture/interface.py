"""What the file-state machine is given: a file tree to look at, and a place for bytes that are about to be destroyed."""

from __future__ import annotations

import os
from typing import Protocol

__all__ = ["FileSystem", "Preimages", "Stat"]

Stat = os.stat_result


class FileSystem(Protocol):
    """The file tree as the observed processes see it; every path is canonical (no link on the way)."""

    def lstat(self, path: str) -> Stat:
        """Stat without following a link; OSError when it is not there."""

    def readlink(self, path: str) -> str:
        """Give a link's text."""

    def scan(self, path: str) -> list[tuple[str, Stat]]:
        """List a folder with each name's lstat, in the order of :meth:`names`; names that vanish meanwhile are left out."""

    def names(self, path: str) -> list[str]:
        """Give the names in a folder in the order in which the observed processes get them; none where it cannot be read."""

    def writable(self, path: str) -> bool:
        """Tell whether the observed processes may write a file, or make and remove names in a folder."""


class Preimages(Protocol):
    """Keeps bytes that are about to be destroyed."""

    def keep(self, path: str, found: Stat, *, needed: int, name_only: bool) -> tuple[str, str]:
        """Keep the bytes now at `path`.

        Args:
            path: Where they are.
            found: What lstat says of it.
            needed: Position in the journal where a replay's need of them was noted, so that bytes stored since then are not
                kept twice; -1: not needed, kept only if that is cheap.
            name_only: Only the name goes (unlink, rename over it): another name for the same file is enough.

        Returns:
            Where they are kept, or an empty string and the reason why they are not.
        """

    def drop(self, where: str) -> None:
        """Let go of what :meth:`keep` kept: its file is still there under its own name, or was kept better."""
