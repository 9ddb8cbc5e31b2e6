"""What is around this process: another recording, the closed world of a replay, or neither.

Every recording asks before it starts its job, so this imports next to nothing and is quick: a few small files of /proc.
"""

from __future__ import annotations

import json
import os
from typing import Final, NamedTuple

from reenact.ids import RunId, is_run_id

__all__ = ["WORLD", "Parent", "inside_world", "parent_run"]

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
    holders = _holders()
    while process > 1:
        if holders is None or process in holders:
            found = _recording_of(process)
            if found is not None:
                return found
        process = _parent_of(process)
    return None


def _holders() -> set[int] | None:
    """Give the processes that have locked whole files; None where the kernel does not tell. See: man 5 proc_locks."""
    try:
        with open("/proc/locks", "rb") as file:
            lines = [line.split() for line in file]
    except OSError:
        return None
    try:
        return {int(words[4]) for words in lines if words[1] == b"FLOCK"}
    except (IndexError, ValueError):
        return None


def _parent_of(process: int) -> int:
    try:
        with open(f"/proc/{process}/stat", "rb") as file:
            # The name in parentheses may hold anything; the state and the parent come after the last one.
            return int(file.read().rpartition(b")")[2].split()[1])
    except (OSError, ValueError, IndexError):
        return 0


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
