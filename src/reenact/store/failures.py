"""Turn the operating system's refusals into store errors that say what to do about them."""

from __future__ import annotations

import errno
import os
from typing import Final

from reenact.errors import StoreError

__all__ = ["store_error"]

_ELSEWHERE: Final = "use another store with --store DIR or REENACT_STORE"

_HINTS: Final = {
    errno.ENOSPC: f"the disk is full: free some space, or {_ELSEWHERE}",
    errno.EDQUOT: f"the disk quota is used up: free some space, or {_ELSEWHERE}",
    errno.EROFS: f"the file system is read-only: mount it writable, or {_ELSEWHERE}",
    errno.EMFILE: "too many open files: raise the limit with ulimit -n",
    errno.ENAMETOOLONG: "the store's path is too long for this file system",
    errno.EIO: "the disk reports an error: check it, and run reenact scrub on the store",
}


def store_error(error: OSError, doing: str) -> StoreError:
    """Give the store error for a refusal while `doing` something (``write objects/ab/…``)."""
    number = error.errno or 0
    if number in {errno.EACCES, errno.EPERM}:
        hint = f"user {os.geteuid()} lacks the permission (or the file system has no hard links): change it, or {_ELSEWHERE}"
    else:
        hint = _HINTS.get(number, "")
    return StoreError(f"cannot {doing}: {os.strerror(number) if number else error}", hint=hint)
