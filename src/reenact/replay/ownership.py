"""Whose the files of a world are: exactly as recorded where root lays them out, the replaying user's own elsewhere.

Where everything belongs to the one user a user namespace has, permission bits that applied to that user as *group* or *other*
would now be judged as *owner*, and a job could suddenly read or change what it could not. So a file the recorded user could
not read gets mode 000. Folders the recorded user could not change keep their mode (programs copy it) where a whole top-level
folder is such: the sandbox mounts that read-only. Elsewhere a folder's owner bits become the bits the user really had.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from reenact.model.artifact import Entry

__all__ = ["Ownership", "is_inside"]

_READ: Final = 4
_OWNER: Final = 0o700
_WRITE: Final = 2
_LABEL_LENGTH: Final = 12


def is_inside(path: str, folder: str) -> bool:
    """Tell whether a path is a folder or something in it."""
    return path == folder or path.startswith(folder + "/")


@dataclass(frozen=True, slots=True, kw_only=True)
class Ownership:
    """How recorded owners and modes become real ones."""

    exact: bool
    """Owners can be set (root, in no user namespace)."""
    uid: int
    """Of the recorded job."""
    gid: int
    groups: tuple[int, ...] = ()
    read_only: tuple[str, ...] = ()
    """Top-level folders that are mounted read-only, so that folders in them can keep their modes."""

    def owner(self, entry: Entry) -> tuple[int, int]:
        """Give the user and group id a path is to have on this machine."""
        return (entry.uid, entry.gid) if self.exact else (os.geteuid(), os.getegid())

    def mode(self, entry: Entry) -> int:
        """Give the permission bits a path is to have."""
        if self.exact or self.uid in {0, entry.uid}:
            return entry.mode
        allowed = self._allowed(entry)
        if entry.type != "directory":
            return entry.mode if allowed & _READ else 0
        if allowed & _READ and any(is_inside(entry.path, folder) for folder in self.read_only):
            return entry.mode
        return (entry.mode & ~_OWNER) | allowed << 6

    def _allowed(self, entry: Entry) -> int:
        """Give the three bits that applied to the recorded user."""
        if entry.uid == self.uid:
            return entry.mode >> 6 & 7
        in_group = entry.gid == self.gid or entry.gid in self.groups
        return (entry.mode >> 3 if in_group else entry.mode) & 7

    def closed(self, entries: Iterable[Entry]) -> tuple[str, ...]:
        """Find the top-level folders in which the recorded user could change no folder; none where owners are exact.

        Args:
            entries: All that lies in them. Paths are in text form, as in the answer.
        """
        if self.exact or self.uid == 0:
            return ()
        found: dict[str, bool] = {}
        for entry in entries:
            if entry.type == "directory" and entry.path != "/":
                top = "/" + entry.path.split("/", 2)[1]
                found[top] = found.get(top, True) and not self._allowed(entry) & _WRITE
        return tuple(sorted(top for top, is_closed in found.items() if is_closed))

    def label(self) -> str:
        """Name what a laid-out tree depends on besides its entries; two ownerships with equal labels give equal trees."""
        if self.exact:
            return "root"
        parts = (os.geteuid(), os.getegid(), self.uid, self.gid, sorted(self.groups), self.read_only)
        return hashlib.sha256(repr(parts).encode()).hexdigest()[:_LABEL_LENGTH]
