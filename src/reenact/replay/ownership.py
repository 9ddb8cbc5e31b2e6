"""Whose the files of a world are: exactly as recorded where root lays them out, the replaying user's own elsewhere.

Where everything belongs to the one user a user namespace has, permission bits that applied to that user as *group* or *other*
would now be judged as *owner*. Two adjustments keep what the job is allowed as it was: a file the recorded user could not
read gets mode 000, and a folder's owner bits become the bits the recorded user really had (a job must not start to write
caches into folders of root's). Other files keep their mode, because programs copy it.
"""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from typing import Final

from reenact.model.artifact import Entry

__all__ = ["Ownership"]

_READ: Final = 4
_OWNER: Final = 0o700
_LABEL_LENGTH: Final = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class Ownership:
    """How recorded owners and modes become real ones."""

    exact: bool
    """Owners can be set (root, in no user namespace)."""
    uid: int
    """Of the recorded job."""
    gid: int
    groups: tuple[int, ...] = ()

    def owner(self, entry: Entry) -> tuple[int, int]:
        """Give the user and group id a path is to have on this machine."""
        return (entry.uid, entry.gid) if self.exact else (os.geteuid(), os.getegid())

    def mode(self, entry: Entry) -> int:
        """Give the permission bits a path is to have."""
        if self.exact or self.uid in {0, entry.uid}:
            return entry.mode
        in_group = entry.gid == self.gid or entry.gid in self.groups
        allowed = (entry.mode >> 3 if in_group else entry.mode) & 7
        if entry.type == "directory":
            return (entry.mode & ~_OWNER) | allowed << 6
        return entry.mode if allowed & _READ else 0

    def label(self) -> str:
        """Name what a laid-out tree depends on besides its entries; two ownerships with equal labels give equal trees."""
        if self.exact:
            return "root"
        parts = (os.geteuid(), os.getegid(), self.uid, self.gid, sorted(self.groups))
        return hashlib.sha256(repr(parts).encode()).hexdigest()[:_LABEL_LENGTH]
