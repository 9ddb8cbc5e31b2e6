"""Calls that were let through and whose results are not known yet.

The kernel refuses removals and renames in many ways (a sticky folder, a mount point, another file system, a folder that is not
empty ...), and programs try and go on: ``rm -f``, mv that copies when it cannot rename. Booking such a call unseen would take a
file for gone that is still read. So what it may destroy is kept before, and whether it has happened is looked at afterwards.
"""

from __future__ import annotations

import stat
from typing import Final, Protocol

from reenact.capture.interface import FileSystem, Stat
from reenact.capture.ledger import Ledger, Seen

__all__ = ["Making", "Removal", "Rename", "Truncation", "Unsettled"]

_WHITEOUT: Final = 4
"""RENAME_WHITEOUT: a device file takes the old name."""


class Unsettled(Protocol):
    """A call whose result is not known yet."""

    thread: int
    """Who called: has it called again, then the result is there to be seen."""
    names: tuple[str, ...]
    """Canonical names that lead elsewhere, or nowhere, if it happens."""
    arrivals: tuple[str, ...]
    """Those of them that lead to something, if it happens."""
    path: str
    """The canonical path at which it destroys bytes."""
    losses: list[tuple[str, Seen]]
    """The entries whose bytes it destroys; they have been kept."""

    def has_happened(self, files: FileSystem) -> bool:
        """Look whether the call did what it was for."""

    def apply(self, ledger: Ledger) -> None:
        """Book that it has happened."""

    def refuse(self, ledger: Ledger) -> None:
        """Book that it has not, and will not any more."""


def _now(files: FileSystem, path: str) -> Stat | None:
    try:
        return files.lstat(path)
    except OSError:
        return None


def _same_file(first: Stat, second: Stat) -> bool:
    return (first.st_ino, first.st_dev) == (second.st_ino, second.st_dev)


class Making:
    """A name that is to be made in a folder that was not there: another thread may make that first."""

    __slots__ = ("actor", "arrivals", "losses", "names", "path", "thread")

    def __init__(self, thread: int, actor: str, path: str) -> None:
        self.thread, self.actor, self.path = thread, actor, path
        self.names: tuple[str, ...] = (path,)
        self.arrivals: tuple[str, ...] = (path,)
        self.losses: list[tuple[str, Seen]] = []

    def has_happened(self, files: FileSystem) -> bool:
        """The name is there."""
        return _now(files, self.path) is not None

    def apply(self, ledger: Ledger) -> None:
        """It is the run's, unless it came there in another way that is known."""
        if self.path not in ledger.made and self.path not in ledger.entries:
            ledger.make(self.actor, self.path)

    def refuse(self, ledger: Ledger) -> None:
        """Nothing was made, and nothing is known of what would have been there."""


class Removal:
    """unlink, rmdir, or a move to where nothing is recorded."""

    __slots__ = ("actor", "arrivals", "losses", "names", "path", "source", "thread")

    def __init__(self, thread: int, actor: str, path: str, source: Stat, losses: list[tuple[str, Seen]]) -> None:
        self.thread, self.actor, self.path, self.source, self.losses = thread, actor, path, source, losses
        self.names: tuple[str, ...] = (path,)
        self.arrivals: tuple[str, ...] = ()

    def has_happened(self, files: FileSystem) -> bool:
        """The name is gone, or another file's by now."""
        now = _now(files, self.path)
        if now is None:
            return True
        # Overlay file systems give a folder another inode when it is copied up.
        return not _same_file(now, self.source) and not stat.S_ISDIR(now.st_mode)

    def apply(self, ledger: Ledger) -> None:
        """The path is gone."""
        ledger.remove(self.actor, self.path)

    def refuse(self, ledger: Ledger) -> None:
        """All is as it was."""
        ledger.release(self.losses)


class Truncation:
    """An open that empties a file: it may still be refused (a running program, too many open files)."""

    __slots__ = ("arrivals", "losses", "names", "path", "source", "thread")

    def __init__(self, thread: int, path: str, source: Stat, losses: list[tuple[str, Seen]]) -> None:
        self.thread, self.path, self.source, self.losses = thread, path, source, losses
        self.names: tuple[str, ...] = ()
        self.arrivals: tuple[str, ...] = ()

    def has_happened(self, files: FileSystem) -> bool:
        """Emptying a file, even an empty one, sets its times."""
        now = _now(files, self.path)
        if now is None or not _same_file(now, self.source):
            return True
        then = self.source
        return (now.st_size, now.st_mtime_ns, now.st_ctime_ns) != (then.st_size, then.st_mtime_ns, then.st_ctime_ns)

    def apply(self, ledger: Ledger) -> None:
        """What is read from now on is the run's."""
        ledger.change(self.losses, "t")

    def refuse(self, ledger: Ledger) -> None:
        """All is as it was."""
        ledger.release(self.losses)


class Rename:
    """A rename, or an exchange, of a file or of a folder with all that is in it."""

    __slots__ = ("actor", "arrivals", "flags", "losses", "names", "old", "path", "source", "thread", "tree")

    def __init__(self, thread: int, actor: str, old: str, new: str, source: Stat, tree: list[str], flags: int) -> None:
        self.thread, self.actor, self.old, self.path = thread, actor, old, new
        self.source, self.tree, self.flags = source, tree, flags
        self.names: tuple[str, ...] = (old, new)
        self.arrivals: tuple[str, ...] = (new,)
        self.losses: list[tuple[str, Seen]] = []

    @property
    def exchange(self) -> bool:
        """Whether both names stay."""
        return bool(self.flags & 2)

    def has_happened(self, files: FileSystem) -> bool:
        """The new name leads to what had the old one."""
        now = _now(files, self.path)
        if now is None:
            return False
        if _same_file(now, self.source):
            return True
        # Overlay file systems give a folder another inode when it is copied up: judge by the old name being gone.
        both = stat.S_ISDIR(self.source.st_mode) and stat.S_ISDIR(now.st_mode)
        return both and _now(files, self.old) is None

    def apply(self, ledger: Ledger) -> None:
        """All that moved has its new name."""
        old, new = self.old, self.path
        moves = [(old, new), *((path, new + path[len(old) :]) for path in self.tree if path.startswith(old + "/"))]
        if self.exchange:
            moves += [(new, old), *((path, old + path[len(new) :]) for path in self.tree if path.startswith(new + "/"))]
        else:
            ledger.replace(new)
        ledger.move(self.actor, moves)
        ledger.emit(["r", old, new, self.actor, self.exchange])
        if self.flags & _WHITEOUT:
            ledger.make(self.actor, old)

    def refuse(self, ledger: Ledger) -> None:
        """All is as it was."""
        ledger.release(self.losses)
