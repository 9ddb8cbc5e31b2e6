"""A recording inside a recording: finding the run one belongs to.

A process has one seccomp listener above it at most, so the inner run is observed by a lower rung, becomes a run of its own, and
names the outer one as its parent; the outer one sees all of it too. In a replay the outer recording cannot be seen from inside
its closed world: there the inner command just runs.
"""

from __future__ import annotations

import os
import re
from typing import Final

from reenact.ids import RunId, is_run_id

__all__ = ["parent_run"]

_LOCK: Final = re.compile(r"/journals/([0-9a-f-]{36})/lock")


def _parent_of(process: int) -> int:
    try:
        with open(f"/proc/{process}/stat", "rb") as file:
            # The name in parentheses may hold anything; the state and the parent come after the last one.
            return int(file.read().rpartition(b")")[2].split()[1])
    except (OSError, ValueError, IndexError):
        return 0


def parent_run() -> RunId | None:
    """Find the live recording this process runs in: an ancestor that holds the lock of a journal; None when none is seen."""
    process = os.getppid()
    while process > 1:
        try:
            names = os.listdir(f"/proc/{process}/fd")
        except OSError:
            names = []
        for name in names:
            try:
                match = _LOCK.search(os.readlink(f"/proc/{process}/fd/{name}"))
            except OSError:
                continue
            if match and is_run_id(match[1]):
                return RunId(match[1])
        process = _parent_of(process)
    return None
