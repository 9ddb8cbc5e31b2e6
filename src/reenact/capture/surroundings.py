"""What is around this process: another recording, the closed world of a replay, or neither.

Every recording asks before it starts its job, so this imports next to nothing and is quick: a small file of /proc an ancestor.
"""

from __future__ import annotations

import json
import os
from typing import Final, NamedTuple

from reenact.ids import RunId, is_run_id

__all__ = ["MAIN", "WORLD", "Parent", "inside_world", "parent_run"]

MAIN: Final = "reenact"
"""What the main process of a recording is called, so that only its descriptors are looked through, and not all ancestors'.

The kernel's list of locks would tell, too; but read while many locks come and go, it leaves some out.
"""

WORLD: Final = "reenact-world"
"""What the first process of a replay's closed world is called, by which one knows from inside."""
_LOCK: Final = "/lock"
_JOURNALS: Final = "/journals/"


class Parent(NamedTuple):
    """The recording around this process."""

    run_id: RunId
    folder: str
    """Its journal folder."""
    replays: bool
    """It is a replay, in a folder of this machine: there the commands of the record run as what they are."""


def inside_world() -> bool:
    """Tell whether this is inside the closed world of a replay, where no recording can be seen, nor a store."""
    try:
        with open("/proc/1/comm", "rb") as file:
            return file.read().rstrip(b"\n") == WORLD.encode()
    except OSError:
        return False


def parent_run() -> Parent | None:
    """Find the live recording this process runs in: an ancestor that holds the lock of a journal; None when none is seen.

    What another user records cannot be seen, nor what is outside of the PID namespace.
    """
    process = os.getppid()
    while process > 1:
        name, above = _ancestor(process)
        if name == MAIN.encode() and (found := _recording_of(process)) is not None:
            return found
        process = above
    return None


def _ancestor(process: int) -> tuple[bytes, int]:
    """Give the name of a process and its parent; 0 when it cannot be told."""
    try:
        with open(f"/proc/{process}/stat", "rb") as file:
            # The name in parentheses may hold anything; the state and the parent come after the last one.
            head, _, rest = file.read().rpartition(b")")
        return head.partition(b"(")[2], int(rest.split()[1])
    except (OSError, ValueError, IndexError):
        return b"", 0


def _recording_of(process: int) -> Parent | None:
    """Give the recording whose journal a process holds open, if it is the main process of one."""
    try:
        names = os.listdir(f"/proc/{process}/fd")
    except OSError:
        return None
    for name in names:
        try:
            path = os.readlink(f"/proc/{process}/fd/{name}")
        except OSError:
            continue
        folder = path.removesuffix(_LOCK)
        above, _, run_id = folder.rpartition("/")
        if folder != path and f"{above}/".endswith(_JOURNALS) and is_run_id(run_id):
            return Parent(run_id=RunId(run_id), folder=folder, replays=_replays(folder))
    return None


def _replays(folder: str) -> bool:
    """Tell what the first record of a journal says: whether the run is a replay."""
    try:
        with open(f"{folder}/events", "rb") as file:
            _, header = json.loads(file.readline().partition(b" ")[2])
        return bool(header.get("replay_of"))
    except (OSError, ValueError, TypeError, AttributeError):
        return False
