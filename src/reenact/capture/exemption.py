"""A nested recording's folders, made known to the observers around it: its store is no part of what they record.

Where the inner run cannot be observed by the outer supervisor (:mod:`reenact.capture.nesting`) they may have nothing in common
that both can open: another user, another version, no socket at all. But the outer one sees the inner one's calls. So the inner
run asks for a path that nobody has, and what follows the prefix is the folder.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable
from typing import Final

__all__ = ["ask", "granted"]

_PREFIX: Final = "/proc/reenact-ignores"


def ask(folders: Iterable[str]) -> None:
    """Ask whoever observes this process to leave folders, given as canonical paths, out of what they record."""
    for folder in folders:
        os.access(_PREFIX + folder, os.F_OK)


def granted(path: str, thread: int) -> str:
    """Give the folder that a thread asks for by looking at `path`; empty when it asks for none, or one that is not its to ask for.

    It must belong to the thread's user, or lie where everybody may make one: a job that drops its rights could else hide what
    the rest of it does.
    """
    folder = path.removeprefix(_PREFIX)
    if folder == path or folder[:1] != "/" or os.path.realpath(folder) != folder or folder == "/":
        return ""
    there = folder
    try:
        while not os.path.lexists(there):
            there = os.path.dirname(there)
        found = os.stat(there)
        theirs = found.st_uid == _user(thread)
    except (OSError, ValueError):
        return ""
    return folder if theirs or (there != folder and found.st_mode & stat.S_IWOTH) else ""


def _user(thread: int) -> int:
    """Give a thread's effective user, as this process sees it."""
    with open(f"/proc/{thread}/status", "rb") as file:
        data = file.read()
    start = data.index(b"\nUid:") + 5
    return int(data[start : data.index(b"\n", start)].split()[1])
