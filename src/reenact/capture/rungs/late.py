"""Looking at the file tree after the fact: what a path was *before* a call that has already happened.

The state machine (:mod:`reenact.capture.files`) expects to look before a call goes on. Behind a tracer that only reports, it
looks a moment too late: what the call made is there already, what it removed is gone. Three things close most of that gap:

* a path not met before whose inode was born after the recording began (``statx`` birth time) was not there before;
* for the one call being booked, what its success proves is pretended (`Hindsight.pretend`, `Hindsight.moved`);
* bytes of a file modified since the recording began are never taken for what it held before: that would be a false record.

What still cannot be known is a gap, which the rung names.
"""

from __future__ import annotations

import ctypes
import errno
import mmap
import os
import stat
import struct
from collections import OrderedDict
from collections.abc import Callable
from typing import Any, Final

from reenact.capture.files import FileStates
from reenact.capture.interface import Stat

__all__ = ["Hindsight", "LateJournal", "LatePreimages", "birth_ns", "imagined"]

_AT_SYMLINK_NOFOLLOW: Final = 0x100
_AT_FDCWD: Final = -100
_STATX_BTIME: Final = 0x800
_STATX_BYTES: Final = 256
_BIRTH: Final = struct.Struct("=qI")
_BIRTH_AT: Final = 80
"""Offset of stx_btime in struct statx (linux/stat.h)."""
_NOT_YET: Final = 1 << 62
"""A journal position nobody has stored up to."""
_MOST_HELD: Final = 256
_CHANGE_TIME: Final = 10
"""Place of ctime_ns in an ``e`` record."""
_VOLATILE: Final = ("/sys/", "/proc/")

_libc = ctypes.CDLL(None, use_errno=True)


def birth_ns(path: str) -> int | None:
    """Give the time a file was created, in nanoseconds; None where the file system does not say."""
    buffer = ctypes.create_string_buffer(_STATX_BYTES)
    try:
        failed = _libc.statx(_AT_FDCWD, os.fsencode(path), _AT_SYMLINK_NOFOLLOW, _STATX_BTIME, buffer)
    except AttributeError:  # a C library older than statx
        return None
    (mask,) = struct.unpack_from("=I", buffer)
    if failed or not mask & _STATX_BTIME:
        return None
    seconds, nanoseconds = _BIRTH.unpack_from(buffer, _BIRTH_AT)
    return int(seconds) * 1_000_000_000 + int(nanoseconds)


def imagined(kind: int, modified_ns: int = 0) -> Stat:
    """Give a stand-in for the stat of something that was gone before it could be looked at."""
    times = {"st_atime_ns": modified_ns, "st_mtime_ns": modified_ns, "st_ctime_ns": modified_ns}
    facts = (kind | 0o700, 0, 0, 1, os.geteuid(), os.getegid(), 0, 0, 0, 0)
    return os.stat_result(facts, {**times, "st_blocks": 0, "st_rdev": 0})


class Hindsight:
    """The file tree as it was before the call that is being booked; see :class:`reenact.capture.interface.FileSystem`."""

    def __init__(self, since_ns: int) -> None:
        self.since_ns = since_ns
        """Whatever was born or modified from then on, was so during the run."""
        self.pretend: dict[str, Stat | None] = {}
        """For the call being booked: paths that were not there (None), or were and are gone."""
        self.moved: tuple[str, str] = ("", "")
        """For the rename being booked: where a path was, where it is now."""
        self.folders: set[str] = set()
        """Folders the run made: still there for what was made in them, when they are gone already."""
        self._states: FileStates | None = None

    def attach(self, states: FileStates) -> None:
        """Learn what is known of paths already."""
        self._states = states

    def _now(self, path: str) -> str:
        old, new = self.moved
        if old and (path == old or path.startswith(old + "/")):
            return new + path[len(old) :]
        if old and (path == new or path.startswith(new + "/")):
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path)
        return path

    def lstat(self, path: str) -> Stat:
        """Stat without following a link."""
        if path in self.pretend:
            found = self.pretend[path]
            if found is None:
                raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path)
            return found
        if self.moved[0]:
            return os.lstat(self._now(path))
        try:
            found = os.lstat(path)
        except FileNotFoundError:
            if path in self.folders:
                return imagined(stat.S_IFDIR)
            raise
        if self._is_new(path, found):
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path)
        return found

    def _is_new(self, path: str, found: Stat) -> bool:
        """Tell whether a path is there only because of something that has not been booked yet."""
        states = self._states
        if states is None or path in states.made or path in states.entries or found.st_ctime_ns < self.since_ns:
            return False
        born = birth_ns(path)
        if born is None:
            return not os.path.lexists(path)  # it has gone since it was looked at, and is looked for no better now
        return born >= self.since_ns

    def readlink(self, path: str) -> str:
        """Give a link's text."""
        return os.readlink(self._now(path))

    def scan(self, path: str) -> list[tuple[str, Stat]]:
        """List a folder with each name's lstat, without what is there only because of calls not booked yet."""
        found = []
        try:
            names = os.listdir(self._now(path))
        except OSError:
            return []
        base = path if path != "/" else ""
        for name in names:
            try:
                found.append((name, self.lstat(f"{base}/{name}")))
            except OSError:
                continue
        return found

    def names(self, path: str) -> list[str]:
        """List a folder's names, without what is there only because of calls not booked yet."""
        return [name for name, _ in self.scan(path)]

    @staticmethod
    def writable(path: str) -> bool:
        """It was: only calls that succeeded are booked."""
        del path
        return True


class LatePreimages:
    """Holds files open from when they were read until they are stored: removing or replacing them then loses nothing.

    Copies nothing: when a change is reported it has happened.
    """

    def __init__(self, stored: mmap.mmap) -> None:
        self._stored = stored
        self._held: OrderedDict[str, tuple[int, int]] = OrderedDict()
        """Path to the position of its need in the journal, and a descriptor."""
        self._given: list[int] = []

    @property
    def holding(self) -> bool:
        """Whether any bytes are kept in open descriptors of this process alone."""
        return bool(self._given)

    def _stored_to(self) -> int:
        return int.from_bytes(self._stored[:8], "little")

    def hold(self, path: str, expected: Stat, needed: int) -> None:
        """Hold on to a file whose bytes are needed."""
        done = self._stored_to()
        while self._held and (next(iter(self._held.values()))[0] <= done or len(self._held) >= _MOST_HELD):
            os.close(self._held.popitem(last=False)[1][1])
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError:
            return
        found = os.fstat(descriptor)
        if (found.st_dev, found.st_ino, found.st_mtime_ns) == (expected.st_dev, expected.st_ino, expected.st_mtime_ns):
            self._held[path] = (needed, descriptor)
        else:
            os.close(descriptor)

    def keep(self, path: str, found: Stat, *, needed: int, name_only: bool) -> tuple[str, str]:
        """See :class:`reenact.capture.interface.Preimages`."""
        del found
        if 0 <= needed <= self._stored_to():
            return "", "stored"
        if name_only and path in self._held:
            _, descriptor = self._held.pop(path)
            self._given.append(descriptor)
            return f"/proc/{os.getpid()}/fd/{descriptor}", ""
        return "", "changed before it could be kept"

    def drop(self, where: str) -> None:
        """See :class:`reenact.capture.interface.Preimages`; never asked for, as only calls that succeeded are booked."""


class LateJournal:
    """Passes the state machine's records on, in an order that is true after the fact.

    The need of a file's bytes goes out last, when it is known whether they are still the bytes from before the run.
    """

    def __init__(self, write: Callable[[list[Any]], int], preimages: LatePreimages, since_ns: int) -> None:
        self._write, self._preimages = write, preimages
        self._since_ns = since_ns
        self._needs: list[str] = []

    def emit(self, record: list[Any]) -> int:
        """Take a record of :class:`FileStates`."""
        if record[0] == "b":
            _, actor, path, *fields = record
            if fields:
                self.emit(["e", path, *fields])
            self._write(["a", actor, path, "r"])
            record = ["n", path]
        if record[0] == "n":
            self._needs.append(record[1])
            return _NOT_YET
        if record[0] == "e" and record[_CHANGE_TIME] >= self._since_ns:
            record[_CHANGE_TIME] = 0  # the change time it had before is not known
        return self._write(record)

    def settle(self, states: FileStates) -> None:
        """Write the needs of the call that was just booked."""
        for path in self._needs:
            entry = states.entries[path]
            modified = entry.state.st_mtime_ns >= self._since_ns and not path.startswith(_VOLATILE)
            if modified and not entry.kept:
                entry.kept = True
                self._write(["p", path, "", "changed before it could be read"])
            entry.needed_at = self._write(["n", path])
            if not entry.kept:
                self._preimages.hold(path, entry.state, entry.needed_at)
        self._needs.clear()
