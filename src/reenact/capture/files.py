"""The file-state machine: from what a process tree asks of paths, what each path was before, and what became of it.

Pure but for the :class:`FileSystem` and :class:`Preimages` it is given: no kernel, no clock. It is told of every call, in
order, mutating ones before they happen. It keeps, for every canonical path, the state *before the first touch* (an entry) and
what that state is needed for, and whether the path exists now because of the run (made) or not any more (gone). Everything it
learns goes out as records (see :mod:`reenact.capture.journal`), from which the result is folded later, also after a crash.

Here is what each call means; paths are walked in :mod:`reenact.capture.walk`, the books kept in :mod:`reenact.capture.ledger`.
The rules, with their reasons, are in docs/explanation/how-capture-works.md.
"""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Callable, Iterable
from typing import Any, Final

from reenact.capture.interface import FileSystem, Preimages, Stat
from reenact.capture.ledger import Ledger
from reenact.capture.unsettled import Making, Removal, Rename, Truncation, Unsettled
from reenact.capture.walk import Walker

__all__ = ["CERTAIN", "LAST", "FileStates"]

CERTAIN: Final = -1
"""In place of a thread: the call is known to succeed."""
LAST: Final = -1
"""In place of a thread: no call follows."""
_SOMEBODY: Final = 0
"""In place of a thread: one that waits for no result."""

_O_ACCESS: Final = 3
_O_EXCLUSIVE_CREATE: Final = os.O_CREAT | os.O_EXCL
_O_CHANGES: Final = _O_ACCESS | os.O_CREAT | os.O_TRUNC
_O_TMPFILE: Final = 0o20200000
"""Also os.O_TMPFILE; includes O_DIRECTORY, so both bits must be compared."""

_RENAME_NOREPLACE: Final = 1
_RENAME_EXCHANGE: Final = 2
_STORE_SEEN: Final = (
    "the job looked into the store, which is no part of the record: keep it outside of what the job reads (--store)"
)
_DATA: Final = ("objects", "packs", "runs", "log")
"""Folders of a store that hold data."""
_UNNAMED: Final = " (deleted)"
"""The kernel's mark on a file without a name, which may be given one (O_TMPFILE)."""


class FileStates:
    """See the module. `emit` takes a record (a list of JSON values, paths surrogate-escaped) and gives its position."""

    def __init__(
        self, files: FileSystem, preimages: Preimages, emit: Callable[[list[Any]], int], *, ignored: Iterable[str] = ()
    ) -> None:
        self._files = files
        self._ledger = Ledger(files, preimages, emit)
        self.entries = self._ledger.entries
        """Every path that was there before, as it was."""
        self.made = self._ledger.made
        """Paths that exist because of the run."""
        self.gone = self._ledger.gone
        """Paths that were there before, where now is nothing, or something the run has put there."""
        self._walker = Walker(files, self._ledger.note, ignored)
        self._walk, self._special = self._walker.walk, self._walker.special
        self._done: set[tuple[Any, ...]] = set()
        """Calls that would teach nothing new; forgotten whenever names change."""
        self._unsettled: list[Unsettled] = []
        self._listed: dict[str, tuple[int, int]] = {}
        """Inode and modification time of each folder the order of whose names was told, when it was."""
        self._met: set[str] = set()
        """Ignored folders that were come across."""
        self._seen: set[str] = set()
        """Those of them that were looked into."""
        self._mixed: set[str] = set()
        """Folders with names of the run's beside others."""

    def ignore(self, folder: str) -> None:
        """Ignore a folder, given as a canonical path, and all below it from now on."""
        self._walker.ignore(folder)

    @property
    def ignored(self) -> tuple[str, ...]:
        """The folders that are ignored."""
        return self._walker.ignored

    def ignores(self, path: str) -> bool:
        """Tell whether a canonical path is ignored."""
        return self._walker.ignores(path)

    def walk(self, path: str, follow: bool = True) -> tuple[str, Stat | None]:
        """Find the canonical path and its lstat (None when it is not there), entering everything met on the way."""
        self._look_again()
        return self._walk(path, follow)

    # --- results

    @property
    def unsettled(self) -> bool:
        """Whether the outcome of some call is not known yet."""
        return bool(self._unsettled)

    def settle(self, thread: int = LAST) -> None:
        """See which removals, renames and truncations have happened. Call before anything else is told.

        Args:
            thread: Who calls now: what it called before has happened, or has not.
        """
        if not self._unsettled:
            return
        waiting = []
        for call in self._unsettled:
            if call.has_happened(self._files):
                call.apply(self._ledger)
                for name in call.names:
                    self._done.clear()
                    self._walker.forget(name)
            elif thread in (LAST, call.thread):
                call.refuse(self._ledger)
            else:
                waiting.append(call)  # its thread may still be in the kernel
        self._unsettled = waiting

    def _look_again(self) -> None:
        """What is booked after its call was let through must see what other calls have done meanwhile."""
        if self._unsettled:
            self.settle(_SOMEBODY)

    def _need_lost(self, unsettled: list[Unsettled], path: str) -> None:
        """Need what was at a path that was being removed, replaced or emptied: it may have been read just before."""
        for call in unsettled:
            if call.path == path:
                for origin, entry in call.losses:
                    self._ledger.need(origin, entry)

    # --- reading

    def opened(self, actor: str, path: str, flags: int, thread: int = CERTAIN) -> None:
        """A file is opened; for writing before it happens, for reading (no write flag at all) at any time after.

        Args:
            actor: Who.
            path: Absolute.
            flags: As open(2) has them.
            thread: Which of its threads, where the result is not known.
        """
        if not flags & _O_CHANGES or flags & os.O_PATH:
            self._opened_for_reading(actor, path, flags)
        elif flags & _O_TMPFILE == _O_TMPFILE:
            self._walk(path)
        else:
            self._opened_for_writing(thread, actor, path, flags)

    def _opened_for_reading(self, actor: str, path: str, flags: int) -> None:
        key = (actor, path, flags & (os.O_NOFOLLOW | os.O_PATH))
        if key in self._done:
            return
        unsettled = self._unsettled
        self._look_again()
        ledger = self._ledger
        state = self._walker.glance(path)
        if state is False:
            where, state = self._walk(path, not flags & os.O_NOFOLLOW)
        elif state is not None and not unsettled and not flags & os.O_PATH and ledger.read_first(actor, path, state):
            self._done.add(key)
            return
        else:
            where = path
            if state is not None:
                ledger.note(path, state)
        if unsettled:
            self._need_lost(unsettled, where)
        if state is None and not self._special(where):
            ledger.missing(where)
            return
        self._done.add(key)
        if state is None:
            self._meet(where)
            return
        if flags & os.O_PATH or not stat.S_ISREG(state.st_mode):
            ledger.asked(where, state)
            return
        ledger.need_content(where)
        ledger.attribute(actor, where, "r")

    def executed(self, actor: str, path: str) -> str | None:
        """A program, an interpreter of a script or the ELF loader is about to run; give its canonical path if it is there."""
        self._look_again()
        where, state = self._walk(path)
        if state is None:
            if not self._special(where):
                self._ledger.missing(where)
            return None
        self._ledger.need_content(where)
        self._ledger.attribute(actor, where, "x")
        return where

    def probed(self, path: str, follow: bool) -> None:
        """Something is asked about a path."""
        key = (path, follow)
        if key not in self._done:
            self._done.add(key)
            if self._unsettled:
                self._look_again()
            where, state = self._walk(path, follow)
            if state is not None:
                self._ledger.asked(where, state)
            else:
                self._meet(where)

    def listed(self, actor: str, path: str) -> None:
        """A folder's names are read. Names that the run made itself do not count."""
        key = (actor, path, "l", len(self.made))
        if key in self._done:
            return  # a folder is read until nothing more comes; what is made meanwhile may be listed
        self._done.add(key)
        self._look_again()
        where, state = self._walk(path, follow=False)
        if state is None:
            self._meet(where)
        if state is None or not stat.S_ISDIR(state.st_mode):
            return
        seen = (state.st_ino, state.st_mtime_ns)
        if self._ledger.original(where) is not None:
            self._ledger.attribute(actor, where, "l")
            if self._ledger.need_names(where, lambda: self._names(where)) and where not in self._mixed:
                self._listed[where] = seen
        if self._listed.get(where) != seen:
            self._listed[where] = seen
            self._ledger.emit(["d", where, self._files.names(where)])

    def _names(self, folder: str) -> list[str]:
        """Give the names that were in a folder before the run, in their order, entering what is there."""
        base = folder if folder != "/" else ""
        gone = self._ledger.gone_names(folder)
        names = []
        for name, state in self._files.scan(folder):
            path = f"{base}/{name}"
            if path in self.made:
                self._mixed.add(folder)
                continue
            names.append(name)
            if not self._special(path):
                self._ledger.note(path, state)
        return [*names, *sorted(gone.difference(names))]

    def _meet(self, path: str) -> None:
        """A path is asked about that is not there or not recorded: when it is in an ignored folder, say so, each thing once.

        That such a folder is there, and what git looks for in each (it is told to pass over this one), tells a job nothing; and
        recordings in this one read what is not data.
        """
        if not self._walker.ignores(path):
            return
        folder = next(top for top in self._walker.ignored if path == top or path.startswith(f"{top}/"))
        if folder not in self._met:
            self._met.add(folder)
            self._ledger.emit(["i", folder])
        if path[len(folder) + 1 :].partition("/")[0] not in _DATA or folder in self._seen:
            return
        with contextlib.suppress(OSError):
            self._files.lstat(path)
            self._seen.add(folder)
            self._ledger.emit(["h", "store-seen", _STORE_SEEN, folder])

    # --- changing what is there

    def _opened_for_writing(self, thread: int, actor: str, path: str, flags: int) -> None:
        exclusive = flags & _O_EXCLUSIVE_CREATE == _O_EXCLUSIVE_CREATE
        where, state = self._walk(path, not flags & os.O_NOFOLLOW and not exclusive)
        ledger = self._ledger
        if state is None:
            if self._special(where):
                return
            if not flags & os.O_CREAT:
                ledger.missing(where)
            else:
                self._make(thread, actor, where)
            return
        if exclusive or not stat.S_ISREG(state.st_mode):
            return  # EEXIST, EISDIR, or a pipe
        writes = flags & _O_ACCESS
        if not writes and not flags & os.O_TRUNC:
            ledger.need_content(where)  # O_RDONLY | O_CREAT on a file that is there
            ledger.attribute(actor, where, "r")
            return
        if not self._files.writable(where):
            return
        if flags & os.O_TRUNC:
            self._truncate(thread, where, state)
        else:
            ledger.need_content(where)
            if writes == os.O_RDWR:
                ledger.attribute(actor, where, "r")
            files = ledger.keep_file(where, state)
            ledger.change(files, "a" if flags & os.O_APPEND else "w")
        ledger.attribute(actor, where, "w")

    def _truncate(self, thread: int, path: str, state: Stat) -> None:
        files = self._ledger.keep_file(path, state)
        if not files:
            found = self._ledger.before(path)
            self._ledger.change([] if found is None else [found], "t")
            return
        if thread == CERTAIN:
            self._ledger.change(files, "t")
        else:
            self._unsettled.append(Truncation(thread, path, state, files))

    def truncated(self, actor: str, path: str) -> None:
        """A file is about to be cut or extended by name: an update, its other bytes stay."""
        self.opened(actor, path, os.O_WRONLY)

    def changed_metadata(self, actor: str, path: str, follow: bool) -> None:
        """Mode, owner, times or attributes are about to change; the bytes stay."""
        where, state = self._walk(path, follow)
        if state is None:
            return
        self._ledger.need_content(where)
        self._ledger.change_metadata(where, state)
        self._ledger.attribute(actor, where, "w")

    # --- making names

    def _takes_names(self, folder: str) -> bool | None:
        """Tell whether names can be made in a folder; None when it is not there."""
        try:
            if not stat.S_ISDIR(self._files.lstat(folder).st_mode):
                return False
        except OSError:
            return True if self._is_coming(folder) else None
        return self._files.writable(folder)

    def _is_coming(self, folder: str) -> bool:
        """Tell whether a folder that is not there may be so when the kernel looks: another thread's call was let through."""
        return folder in self.made or any(
            folder == name or folder.startswith(f"{name}/") for call in self._unsettled for name in call.arrivals
        )

    def _make(self, thread: int, actor: str, path: str) -> None:
        """A name is about to be made, where nothing is."""
        possible = self._takes_names(path.rpartition("/")[0] or "/")
        if possible:
            self._ledger.make(actor, path)
        elif possible is None and thread != CERTAIN:
            self._unsettled.append(Making(thread, actor, path))

    def made_node(self, actor: str, path: str, thread: int = CERTAIN) -> None:
        """A folder, a link, a fifo or a socket is about to be made."""
        where, state = self._walk(path.rstrip("/"), follow=False)
        if state is None and not self._special(where):
            self._make(thread, actor, where)
            self._done.clear()

    def linked(self, actor: str, old: str, new: str, follow: bool, thread: int = CERTAIN) -> None:
        """A second name for a file is about to be made."""
        source, found = self._walk(old, follow)
        where, there = self._walk(new, follow=False)
        possible = self._takes_names(where.rpartition("/")[0] or "/")
        if there is not None or self._special(where) or possible is False:
            return
        if found is None and not self._special(source) and not source.endswith(_UNNAMED):
            return
        if found is not None and stat.S_ISDIR(found.st_mode):
            return
        self._ledger.need_content(source)
        if possible:
            self._ledger.link(actor, source, where)
        else:
            self._make(thread, actor, where)
        self._done.clear()

    # --- removing and moving names

    def removed(self, thread: int, actor: str, path: str) -> None:
        """A name is about to be removed (file, link or empty folder); what came of it is seen later, in :meth:`settle`."""
        where, state = self._walk(path, follow=False)
        if state is None or not self._files.writable(where.rpartition("/")[0] or "/"):
            return
        if not self._hinders(where, state):
            self._remove(thread, actor, where, state)

    def _remove(self, thread: int, actor: str, path: str, state: Stat) -> None:
        losses = self._ledger.keep_name(path, state)
        self._unsettled.append(Removal(thread, actor, path, state, losses))

    def _hinders(self, path: str, state: Stat) -> bool:
        """Tell whether a folder stays because of what is in it (ENOTEMPTY), and remember the names: they decide."""
        if not stat.S_ISDIR(state.st_mode) or not self._files.scan(path):
            return False
        self._ledger.need_names(path, lambda: self._names(path))
        return True

    def renaming(self, thread: int, actor: str, old: str, new: str, flags: int) -> None:
        """A rename is about to be tried; what came of it is seen later, in :meth:`settle`."""
        source, found = self._walk(old, follow=False)
        target, there = self._walk(new.rstrip("/"), follow=False)
        if found is None or "/" in (source, target) or target.startswith(source + "/"):
            return
        if self._special(target):
            self._remove(thread, actor, source, found)
            return
        if there is not None and (
            (flags & _RENAME_NOREPLACE) or (there.st_dev, there.st_ino) == (found.st_dev, found.st_ino)
        ):
            return
        rename = Rename(thread, actor, source, target, found, self._take(source, found), flags)
        if there is not None:
            if flags & _RENAME_EXCHANGE:
                rename.tree += self._take(target, there)
            elif self._hinders(target, there):
                return
            elif self._files.writable(target.rpartition("/")[0] or "/"):
                rename.losses = self._ledger.keep_name(target, there)
        self._unsettled.append(rename)

    def _take(self, path: str, state: Stat) -> list[str]:
        """Enter a path that moves, and all below it; their bytes move along, so nothing needs copying."""
        self._ledger.need_content(path)
        if not stat.S_ISDIR(state.st_mode):
            return []
        self._ledger.need_names(path, lambda: self._names(path))
        tree = []
        for name, child in self._files.scan(path):
            below = f"{path}/{name}"
            if self._special(below):
                continue
            self._ledger.note(below, child)
            tree.append(below)
            tree += self._take(below, child)
        return tree
