"""Delete the unfinished files that killed processes left in local folders of a store; nothing sees them, but they take room."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Collection, Iterable
from typing import Final

from reenact.atomic import TEMPORARY_PREFIX

__all__ = ["LEFT_SECONDS", "clear_leftovers"]

LEFT_SECONDS: Final = 86400.0
"""Nobody writes one for so long without a byte more, but the recorder of a run, which has a lease."""

_OTHERS: Final = frozenset({"cache", "journals", "private"})


def clear_leftovers(folders: Iterable[str], live: Collection[str], now: float | None = None) -> int:
    """Delete unfinished files that are old; give their length in bytes. What cannot be deleted stays.

    Args:
        folders: Where to look, and in all below.
        live: Ids of runs that are being recorded: theirs are left.
        now: Seconds since 1970.
    """
    before = (time.time() if now is None else now) - LEFT_SECONDS
    freed = 0
    for top in folders:
        for folder, below, names in os.walk(top):
            if folder == top:
                # Files of jobs are in these, whatever their names.
                below[:] = [name for name in below if name not in _OTHERS]
            for name in names:
                if not name.startswith(TEMPORARY_PREFIX) or any(run_id in name for run_id in live):
                    continue
                path = os.path.join(folder, name)
                with contextlib.suppress(OSError):
                    found = os.lstat(path)
                    if found.st_mtime < before:
                        os.unlink(path)
                        freed += found.st_size
    return freed
