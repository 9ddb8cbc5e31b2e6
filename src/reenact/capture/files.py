"""The file-state machine: from what a process tree asks of paths, what each path was before, and what became of it.

Pure but for the :class:`FileSystem` and :class:`Preimages` it is given: no kernel, no clock. It is told of every call, in
order, mutating ones before they happen. It keeps, for every canonical path, the state *before the first touch* (an entry) and
what that state is needed for, and whether the path exists now because of the run (made) or not any more (gone). Everything it
learns goes out as records (see :mod:`reenact.capture.journal`), from which the result is folded later, also after a crash.

Rules, with their reasons, in docs/explanation/capture.md.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterable
from typing import Any, Final, Protocol

__all__ = ["CONTENT", "LIST", "STAT", "FileStates", "FileSystem", "Preimages", "Seen", "Stat"]

Stat = os.stat_result

STAT: Final = 0
LIST: Final = 1
CONTENT: Final = 2

_LINKED: Final = 2
"""Names a file has from which on it may be met under another."""
_MAX_LINKS: Final = 40
"""Symbolic links on one path before the kernel gives up (ELOOP)."""

_O_ACCESS: Final = 3
_O_EXCLUSIVE_CREATE: Final = os.O_CREAT | os.O_EXCL
_O_CHANGES: Final = _O_ACCESS | os.O_CREAT | os.O_TRUNC
_O_TMPFILE: Final = 0o20200000
"""Also os.O_TMPFILE; includes O_DIRECTORY, so both bits must be compared."""

_RENAME_NOREPLACE: Final = 1
_RENAME_EXCHANGE: Final = 2

_SPECIAL: Final = ("/proc", "/dev")
"""Made by the kernel at every start, also in a replay's world: not recorded."""


class FileSystem(Protocol):
    """The file tree as the observed processes see it; every path is canonical (no link on the way)."""

    def lstat(self, path: str) -> Stat:
        """Stat without following a link; OSError when it is not there."""

    def readlink(self, path: str) -> str:
        """Give a link's text."""

    def scan(self, path: str) -> list[tuple[str, Stat]]:
        """List a folder with each name's lstat; names that vanish meanwhile are left out."""

    def writable(self, path: str) -> bool:
        """Tell whether the observed processes may write a file, or make and remove names in a folder."""


class Preimages(Protocol):
    """Keeps bytes that are about to be destroyed."""

    def keep(self, path: str, found: Stat, *, needed: int, name_only: bool) -> tuple[str, str]:
        """Keep the bytes now at `path`.

        Args:
            path: Where they are.
            found: What lstat says of it.
            needed: Position in the journal where a replay's need of them was noted, so that bytes stored since then are not
                kept twice; -1: not needed, kept only if that is cheap.
            name_only: Only the name goes (unlink, rename over it): a link to the bytes is enough.

        Returns:
            Where they are kept, or an empty string and the reason why they are not.
        """


class Seen:
    """A path before the run first touched it."""

    __slots__ = ("changed", "kept", "need", "needed_at", "state", "where")

    def __init__(self, state: Stat) -> None:
        self.state = state
        self.need = STAT
        self.needed_at = -1
        self.changed = False
        """Its content, or its being there, has been changed by the run."""
        self.kept = False
        """Its bytes were kept before that, or deliberately not."""
        self.where = ("", "")
        """Where they were kept, or the reason why not."""


class _Rename:
    """A rename that was let through and whose result has not been seen yet."""

    __slots__ = ("actor", "exchange", "new", "old", "source", "thread", "tree")

    def __init__(
        self, thread: int, actor: str, old: str, new: str, source: Stat, tree: list[str], exchange: bool
    ) -> None:
        self.thread, self.actor, self.old, self.new = thread, actor, old, new
        self.source, self.tree, self.exchange = source, tree, exchange


class FileStates:
    """See the module. `emit` takes a record (a list of JSON values, paths surrogate-escaped) and gives its position."""

    def __init__(
        self, files: FileSystem, preimages: Preimages, emit: Callable[[list[Any]], int], *, ignored: Iterable[str] = ()
    ) -> None:
        self._files = files
        self._preimages = preimages
        self._emit = emit
        self._ignored = tuple(ignored)
        self.entries: dict[str, Seen] = {}
        self.made: set[str] = set()
        self.gone: set[str] = set()
        self._folders: set[str] = set()
        """Paths known to be real folders: the fast way through a walk."""
        self._absent: set[str] = set()
        self._looked_at: set[str] = set()
        self._backing: dict[str, str] = {}
        """Where bytes that were there before have moved (rename, hard link): present path to the entry's path."""
        self._inodes: dict[tuple[int, int], set[str]] = {}
        """Entries that share their bytes with other names."""
        self._done: set[tuple[Any, ...]] = set()
        """Calls that would teach nothing new; forgotten whenever names change."""
        self._attributed: set[tuple[str, str, str]] = set()
        self._renames: list[_Rename] = []

    # --- resolving paths

    def ignore(self, folder: str) -> None:
        """Ignore a folder, given as a canonical path, and all below it from now on."""
        if folder not in self._ignored:
            self._ignored += (folder,)
            self._folders = {path for path in self._folders if not self.ignores(path)}

    @property
    def ignored(self) -> tuple[str, ...]:
        """The folders that are ignored."""
        return self._ignored

    def ignores(self, path: str) -> bool:
        """Tell whether a canonical path is ignored."""
        return any(path == root or path.startswith(root + "/") for root in self._ignored)

    def _special(self, path: str) -> bool:
        return path.startswith(("/proc/", "/dev/")) or path in _SPECIAL or (bool(self._ignored) and self.ignores(path))

    def _note(self, path: str, state: Stat) -> Seen | None:
        """Enter a path that is there; None when it is there because of the run."""
        entry = self.entries.get(path)
        if path in self.made:
            return None
        if entry is None:
            sibling = self._changed_sibling(state)
            if sibling is not None:
                return self._note_as(path, sibling)
            entry = self.entries[path] = Seen(state)
            mode = state.st_mode
            target = self._files.readlink(path) if stat.S_ISLNK(mode) else None
            self._emit_entry(path, state, target)
            if state.st_nlink > 1 and stat.S_ISREG(mode):
                self._inodes.setdefault((state.st_dev, state.st_ino), set()).add(path)
        return entry

    def _emit_entry(self, path: str, state: Stat, target: str | None) -> None:
        # Numbers as the kernel gives them; folded into an Entry later.
        self._emit(["e", path, state.st_mode, state.st_size, state.st_mtime_ns, state.st_uid, state.st_gid, state.st_dev,
                    state.st_ino, state.st_nlink, state.st_ctime_ns, state.st_blocks, state.st_rdev, target])  # fmt: skip

    def _changed_sibling(self, state: Stat) -> Seen | None:
        """Find an entry for another name of the same file, if the run has changed the file through that name."""
        if state.st_nlink < _LINKED or not stat.S_ISREG(state.st_mode):
            return None
        names = self._inodes.get((state.st_dev, state.st_ino), ())
        return next((self.entries[name] for name in names if self.entries[name].changed), None)

    def _note_as(self, path: str, sibling: Seen) -> Seen:
        """Enter a name whose file was changed before the name was met: it was what its sibling was."""
        entry = self.entries[path] = Seen(sibling.state)
        entry.changed = entry.kept = True
        entry.need, entry.where = sibling.need, sibling.where
        self._emit_entry(path, sibling.state, None)
        if entry.need == CONTENT:
            entry.needed_at = self._emit(["n", path])
        self._emit(["m", path, "w"])
        self._emit(["p", path, *sibling.where])
        self._inodes[sibling.state.st_dev, sibling.state.st_ino].add(path)
        return entry

    def walk(self, path: str, follow: bool = True) -> tuple[str, Stat | None]:
        """Find the canonical path and its lstat (None when it is not there), entering everything met on the way."""
        head, _, last = path.rpartition("/")
        if head in self._folders and last and last not in (".", ".."):
            # The usual case: a plain name in a folder already known.
            try:
                state = self._files.lstat(path)
            except OSError:
                return path, None
            if not (follow and stat.S_ISLNK(state.st_mode)):
                self._note(path, state)
                if stat.S_ISDIR(state.st_mode) and not self.ignores(path):
                    self._folders.add(path)
                return path, state
        return self._walk_slowly(path, follow)

    def _walk_slowly(self, path: str, follow: bool) -> tuple[str, Stat | None]:  # noqa: C901 - the kernel's walk, one case each
        todo = path.split("/")[::-1]
        current, links = "", 0
        state: Stat | None = None
        while todo:
            name = todo.pop()
            if name in ("", "."):
                continue
            if name == "..":
                current, state = current.rpartition("/")[0], None
                continue
            there = f"{current}/{name}"
            last = not any(rest not in ("", ".") for rest in todo)
            if not last and there in self._folders:
                current, state = there, None
                continue
            if self._special(there):
                return "/".join([there, *reversed(todo)]) if todo else there, None
            try:
                state = self._files.lstat(there)
            except OSError:
                return "/".join([there, *(rest for rest in reversed(todo) if rest not in ("", "."))]), None
            if stat.S_ISLNK(state.st_mode) and (follow or not last or (todo and todo[0] == "")):
                self._note(there, state)
                links += 1
                if links > _MAX_LINKS:
                    return there, None
                target = self._files.readlink(there)
                if target[:1] == "/":
                    current = ""
                todo += target.split("/")[::-1]
                state = None
                continue
            self._note(there, state)
            if stat.S_ISDIR(state.st_mode):
                self._folders.add(there)
            current = there
        if state is None:
            try:
                state = self._files.lstat(current or "/")
            except OSError:
                return current or "/", None
            if not self._special(current or "/"):
                self._note(current or "/", state)
                self._folders.add(current)
        return current or "/", state

    # --- what is learnt

    def _before(self, path: str) -> tuple[str, Seen] | None:
        """Give the entry whose bytes are now at `path`, if they were there before the run."""
        origin = self._backing.get(path)
        if origin is None:
            if path in self.made or path not in self.entries:
                return None
            origin = path
        return origin, self.entries[origin]

    def _attribute(self, actor: str, path: str, how: str) -> None:
        key = (actor, path, how)
        if key not in self._attributed:
            self._attributed.add(key)
            self._emit(["a", actor, path, how])

    def _need_content(self, path: str) -> None:
        found = self._before(path)
        if found is None:
            return
        origin, entry = found
        if entry.need < CONTENT and not entry.changed and stat.S_ISREG(entry.state.st_mode):
            entry.need = CONTENT
            entry.needed_at = self._emit(["n", origin])

    def _destroy(self, path: str, state: Stat, how: str, *, name_only: bool = False) -> None:
        """Note that the bytes at `path` are about to be changed or lose this name, and keep them first where needed.

        Args:
            path: Canonical.
            state: Its lstat now.
            how: ``w`` written, ``t`` replaced wholly, ``a`` appended, ``u`` removed, ``x`` metadata only.
            name_only: The bytes themselves stay as they are.
        """
        found = self._before(path)
        if found is not None:
            origin, entry = found
            if not entry.changed:
                self._emit(["m", origin, how])
                if how != "x":
                    self._keep(origin, entry, path, state, name_only)
                    entry.changed = True
            elif how in ("u", "t"):
                self._emit(["m", origin, how])
        if not name_only and how != "x" and state.st_nlink > 1:
            for other in self._inodes.get((state.st_dev, state.st_ino), ()):
                sibling = self.entries[other]
                if not sibling.changed:
                    self._emit(["m", other, how])
                    self._keep(other, sibling, path, state, name_only)
                    sibling.changed = True

    def _keep(self, origin: str, entry: Seen, path: str, state: Stat, name_only: bool) -> None:
        if entry.kept or not stat.S_ISREG(state.st_mode):
            return
        entry.kept = True
        entry.where = self._preimages.keep(path, state, needed=entry.needed_at, name_only=name_only)
        self._emit(["p", origin, *entry.where])

    def _make(self, actor: str, path: str) -> None:
        self.made.add(path)
        self._backing.pop(path, None)
        self._emit(["c", path])
        self._attribute(actor, path, "w")

    # --- the calls

    def opened(self, actor: str, path: str, flags: int) -> None:
        """A file is opened; for writing before it happens, for reading (no write flag at all) at any time after."""
        if flags & _O_TMPFILE == _O_TMPFILE:
            self.walk(path)
            return
        if not flags & _O_CHANGES:
            self._opened_for_reading(actor, path, flags)
            return
        follow = not flags & os.O_NOFOLLOW and flags & _O_EXCLUSIVE_CREATE != _O_EXCLUSIVE_CREATE
        where, state = self.walk(path, follow)
        if self._special(where):
            return
        if state is None:
            if flags & os.O_CREAT and self._parent_writable(where):
                self._make(actor, where)
            elif not flags & os.O_CREAT:
                self._missing(where)
            return
        if not stat.S_ISREG(state.st_mode) or flags & _O_EXCLUSIVE_CREATE == _O_EXCLUSIVE_CREATE:
            return
        writes = flags & _O_ACCESS
        if not writes and not flags & os.O_TRUNC:
            self._need_content(where)  # O_RDONLY | O_CREAT on a file that is there
            self._attribute(actor, where, "r")
            return
        if not self._files.writable(where):
            return
        if not flags & os.O_TRUNC:
            self._need_content(where)
            if writes == os.O_RDWR:
                self._attribute(actor, where, "r")
        how = "t" if flags & os.O_TRUNC else "a" if flags & os.O_APPEND else "w"
        self._destroy(where, state, how)
        self._attribute(actor, where, "w")

    def _opened_for_reading(self, actor: str, path: str, flags: int) -> None:
        key = (actor, path, flags & (os.O_NOFOLLOW | os.O_PATH))
        if key in self._done:
            return
        where, state = self.walk(path, not flags & os.O_NOFOLLOW)
        if state is None:
            if not self._special(where):
                self._missing(where)
            return
        self._done.add(key)
        if flags & os.O_PATH or not stat.S_ISREG(state.st_mode) or self._special(where):
            self._asked(where, state)
            return
        self._need_content(where)
        self._attribute(actor, where, "r")

    def _missing(self, path: str) -> None:
        if path not in self._absent and path not in self.made and path not in self.entries:
            self._absent.add(path)
            self._emit(["o", path])

    def _parent_writable(self, path: str) -> bool:
        folder = path.rpartition("/")[0] or "/"
        try:
            if not stat.S_ISDIR(self._files.lstat(folder).st_mode):
                return False
        except OSError:
            return False
        return self._files.writable(folder)

    def executed(self, actor: str, path: str) -> str | None:
        """A program, an interpreter of a script or the ELF loader is about to run; give its canonical path if it is there."""
        where, state = self.walk(path)
        if state is None or self._special(where):
            if state is None and not self._special(where):
                self._missing(where)
            return None
        self._need_content(where)
        self._attribute(actor, where, "x")
        return where

    def probed(self, path: str, follow: bool) -> None:
        """Something is asked about a path."""
        key = (path, follow)
        if key not in self._done:
            self._done.add(key)
            where, state = self.walk(path, follow)
            if state is not None:
                self._asked(where, state)

    def _asked(self, path: str, state: Stat) -> None:
        """The state of a folder itself is looked at: its times matter, which those of a folder passed through do not."""
        if stat.S_ISDIR(state.st_mode) and path not in self._looked_at and path in self.entries:
            self._looked_at.add(path)
            self._emit(["s", path])

    def listed(self, actor: str, path: str) -> None:
        """A folder's names are read. Names that the run made itself do not count."""
        where, state = self.walk(path, follow=False)
        if state is None or not stat.S_ISDIR(state.st_mode) or self._special(where):
            return
        entry = self._note(where, state)
        if entry is None:
            return
        self._attribute(actor, where, "l")
        if entry.need < LIST:
            entry.need = LIST
            self._emit(["l", where, self._names(where)])

    def _names(self, folder: str) -> list[str]:
        base = folder if folder != "/" else ""
        names = []
        for name, state in self._files.scan(folder):
            path = f"{base}/{name}"
            if path in self.made and path not in self.gone:
                continue
            names.append(name)
            if path not in self.made and not self._special(path):
                self._note(path, state)
        prefix = base + "/"
        names += [p[len(prefix) :] for p in self.gone if p.startswith(prefix) and "/" not in p[len(prefix) :]]
        return sorted(set(names))

    def changed_metadata(self, actor: str, path: str, follow: bool) -> None:
        """Mode, owner, times or attributes are about to change; the bytes stay."""
        where, state = self.walk(path, follow)
        if state is None or self._special(where):
            return
        self._need_content(where)
        self._destroy(where, state, "x")
        self._attribute(actor, where, "w")

    def truncated(self, actor: str, path: str) -> None:
        """A file is about to be cut or extended by name: an update, its other bytes stay."""
        self.opened(actor, path, os.O_WRONLY)

    def removed(self, actor: str, path: str) -> None:
        """A name is about to be removed (file, link or empty folder)."""
        where, state = self.walk(path, follow=False)
        if state is None or self._special(where) or not self._files.writable(where.rpartition("/")[0] or "/"):
            return
        if stat.S_ISDIR(state.st_mode) and self._files.scan(where):
            return  # ENOTEMPTY: programs try to remove folders that are still in use, and go on
        self._destroy(where, state, "u", name_only=True)
        if where in self.made:
            self.made.discard(where)
            self._backing.pop(where, None)
            self._emit(["g", where])
        else:
            self.gone.add(where)
            self._emit(["g", where])
        self._attribute(actor, where, "d")
        self._names_changed(where)

    def _names_changed(self, path: str) -> None:
        self._done.clear()
        if path in self._folders:
            prefix = path + "/"
            self._folders = {p for p in self._folders if p != path and not p.startswith(prefix)}

    def made_node(self, actor: str, path: str) -> None:
        """A folder, a link, a fifo or a socket is about to be made."""
        where, state = self.walk(path, follow=False)
        if state is None and not self._special(where) and self._parent_writable(where):
            self._make(actor, where)
            self._done.clear()

    def linked(self, actor: str, old: str, new: str, follow: bool) -> None:
        """A second name for a file is about to be made."""
        source, found = self.walk(old, follow)
        where, there = self.walk(new, follow=False)
        if there is not None or self._special(where) or not self._parent_writable(where):
            return
        if found is None and not self._special(source):
            return
        before = None if self._special(source) else self._before(source)
        self._need_content(source)
        self._make(actor, where)
        if before is not None and not before[1].changed:
            self._backing[where] = before[0]
        self._done.clear()

    def renaming(self, thread: int, actor: str, old: str, new: str, flags: int) -> None:
        """A rename is about to be tried; what came of it is seen later, in :meth:`settle`.

        The kernel refuses a rename in many ways (another file system, a folder that is not empty ...), and programs such as
        mv try first and copy then, so that booking it unseen would corrupt the picture.
        """
        source, found = self.walk(old, follow=False)
        target, there = self.walk(new, follow=False)
        if found is None or self._special(source) or self._special(target):
            if found is not None and not self._special(source):
                self._destroy(source, found, "u", name_only=True)
            return
        if there is not None and (
            (flags & _RENAME_NOREPLACE) or (there.st_dev, there.st_ino) == (found.st_dev, found.st_ino)
        ):
            return
        exchange = bool(flags & _RENAME_EXCHANGE)
        tree = self._take(source, found)
        if there is not None:
            if exchange:
                tree += self._take(target, there)
            elif self._files.writable(target.rpartition("/")[0] or "/"):
                self._keep_before_overwrite(target, there)
        self._renames.append(_Rename(thread, actor, source, target, found, tree, exchange))

    def _keep_before_overwrite(self, path: str, state: Stat) -> None:
        """Keep what a rename may replace; whether it is replaced is seen later."""
        found = self._before(path)
        if found is not None and not found[1].changed:
            self._keep(found[0], found[1], path, state, name_only=True)

    def _take(self, path: str, state: Stat) -> list[str]:
        """Enter a path that moves, and all below it; their bytes move along, so nothing needs copying."""
        self._need_content(path)
        if not stat.S_ISDIR(state.st_mode):
            return []
        entry = self._note(path, state)
        if entry is not None and entry.need < LIST:
            entry.need = LIST
            self._emit(["l", path, self._names(path)])
        tree = []
        for name, child in self._files.scan(path):
            below = f"{path}/{name}"
            self._note(below, child)
            tree.append(below)
            tree += self._take(below, child)
        return tree

    def settle(self, thread: int = -1) -> None:
        """See which renames have happened. Call before anything else is told; `thread` is who calls now."""
        if not self._renames:
            return
        waiting = []
        for rename in self._renames:
            if self._has_happened(rename):
                self._apply(rename)
            elif thread not in (-1, rename.thread):
                waiting.append(rename)  # its thread may still be in the kernel
        self._renames = waiting

    def _has_happened(self, rename: _Rename) -> bool:
        try:
            now = self._files.lstat(rename.new)
        except OSError:
            return False
        if (now.st_dev, now.st_ino) == (rename.source.st_dev, rename.source.st_ino):
            return True
        # Overlay file systems give a folder a new inode when it is copied up: judge by the old name being gone.
        if stat.S_ISDIR(rename.source.st_mode) and stat.S_ISDIR(now.st_mode):
            try:
                self._files.lstat(rename.old)
            except OSError:
                return True
        return False

    def _apply(self, rename: _Rename) -> None:
        old, new = rename.old, rename.new
        moves = [(old, new)]
        moves += [(path, new + path[len(old) :]) for path in rename.tree if path.startswith(old + "/")]
        if rename.exchange:
            moves.append((new, old))
            moves += [(path, old + path[len(new) :]) for path in rename.tree if path.startswith(new + "/")]
        else:
            replaced = self._before(new)
            if replaced is not None and not replaced[1].changed:
                self._emit(["m", replaced[0], "t"])
                replaced[1].changed = True
        self._move(rename.actor, moves)
        self._emit(["r", old, new, rename.actor, rename.exchange])
        for path in (old, new):
            self._names_changed(path)

    def _move(self, actor: str, moves: list[tuple[str, str]]) -> None:
        origins = [
            self._backing.pop(old, old if old in self.entries and old not in self.made else None) for old, _ in moves
        ]
        for old, _ in moves:
            if old in self.made:
                self.made.discard(old)
            else:
                self.gone.add(old)
                self._emit(["m", old, "u"])
            self._emit(["g", old])
        for (_, new), origin in zip(moves, origins, strict=True):
            self.made.add(new)
            self._backing.pop(new, None)
            self._emit(["c", new])
            self._attribute(actor, new, "w")
            if origin is not None and not self.entries[origin].changed:
                self._backing[new] = origin
                self._emit(["v", origin, new])
        for old, _ in moves:
            self._attribute(actor, old, "d")
