"""The ledger of the file-state machine: for every path what it was before the run, and what the run made of it.

It is told what calls do to canonical paths; which call does what, :mod:`reenact.capture.files` knows. Everything it learns goes
out as records (see :mod:`reenact.capture.journal`).
"""

from __future__ import annotations

import stat
from collections.abc import Callable
from typing import Any, Final

from reenact.capture.interface import FileSystem, Preimages, Stat

__all__ = ["CONTENT", "LIST", "STAT", "Ledger", "Seen"]

STAT: Final = 0
LIST: Final = 1
CONTENT: Final = 2
_ELSEWHERE: Final = "changed under another name of the file"


class Seen:
    """A path before the run first touched it."""

    __slots__ = ("by_name", "changed", "kept", "need", "needed_at", "state", "where")

    def __init__(self, state: Stat) -> None:
        self.state = state
        self.need = STAT
        self.needed_at = -1
        self.changed = False
        """Its bytes have been changed in place by the run: whoever reads them now does not read what was there before."""
        self.kept = False
        """Its bytes were kept before that, or deliberately not."""
        self.by_name = False
        """They were kept as another name of the same file, which a change in place would change too."""
        self.where = ("", "")
        """Where they were kept, or the reason why not."""


def _facts(state: Stat) -> tuple[int, ...]:
    """Give what a change of metadata changes."""
    return state.st_mode, state.st_uid, state.st_gid, state.st_mtime_ns


def _numbers(state: Stat) -> tuple[int, ...]:
    """Give what the kernel says of a path, as it does; folded into an Entry later."""
    return (state.st_mode, state.st_size, state.st_mtime_ns, state.st_uid, state.st_gid, state.st_dev, state.st_ino,
            state.st_nlink, state.st_ctime_ns, state.st_blocks, state.st_rdev)  # fmt: skip


class Ledger:
    """See the module. `emit` takes a record (a list of JSON values, paths surrogate-escaped) and gives its position."""

    def __init__(self, files: FileSystem, preimages: Preimages, emit: Callable[[list[Any]], int]) -> None:
        self._files = files
        self._preimages = preimages
        self.emit = emit
        self.entries: dict[str, Seen] = {}
        self.made: set[str] = set()
        """Paths that exist because of the run."""
        self.gone: set[str] = set()
        """Paths that were there before, where now is nothing, or something the run has put there."""
        self._gone_names: dict[str, set[str]] = {}
        """The same, by folder."""
        self._absent: set[str] = set()
        self._looked_at: set[str] = set()
        self._backing: dict[str, str] = {}
        """Where bytes that were there before have moved (rename, hard link): present path to the entry's path."""
        self._inodes: dict[tuple[int, int], list[str]] = {}
        """Entries whose bytes have other names, the first met first."""
        self._attributed: set[tuple[str, str, str]] = set()

    # --- what was there before

    def note(self, path: str, state: Stat) -> None:
        """Enter a path that is there, unless it is because of the run."""
        if path in self.entries or path in self.made:
            return
        mode = state.st_mode
        if not stat.S_ISREG(mode):
            self.entries[path] = Seen(state)
            self._emit_entry(path, state, self._files.readlink(path) if stat.S_ISLNK(mode) else None)
            return
        inode = (state.st_dev, state.st_ino)
        if inode in self._inodes:
            self._note_again(path, state, self._inodes[inode])
            return
        if state.st_nlink > 1:
            self._inodes[inode] = [path]
        self.entries[path] = Seen(state)
        self._emit_entry(path, state, None)

    def read_first(self, actor: str, path: str, state: Stat) -> bool:
        """A plain file of one name is read for the first time: told as one record what else takes two or three.

        Returns:
            False when it is not as simple; nothing was told then.
        """
        if path in self.made or path in self._backing or state.st_nlink != 1:
            return False
        key = (actor, path, "r")
        entry = self.entries.get(path)
        if entry is not None:
            if (
                entry.need == CONTENT
                or entry.changed
                or key in self._attributed
                or not stat.S_ISREG(entry.state.st_mode)
            ):
                return False
            told: list[Any] = ["b", actor, path]
        elif (state.st_dev, state.st_ino) in self._inodes:
            return False
        else:
            entry = self.entries[path] = Seen(state)
            told = ["b", actor, path, *_numbers(state), None]
        self._attributed.add(key)
        entry.need = CONTENT
        entry.needed_at = self.emit(told)
        return True

    def _emit_entry(self, path: str, state: Stat, target: str | None) -> None:
        self.emit(["e", path, *_numbers(state), target])

    def _note_again(self, path: str, now: Stat, names: list[str]) -> None:
        """Enter another name of a file that is known already, and that the run may have changed since: it was what it was then."""
        siblings = [self.entries[name] for name in names]
        names.append(path)
        first = siblings[0].state
        entry = self.entries[path] = Seen(first)
        self._emit_entry(path, first, None)
        changed = next((sibling for sibling in siblings if sibling.changed), None)
        if changed is not None:
            self._share(path, entry, changed)
        elif _facts(now) != _facts(first):
            self.emit(["m", path, "x"])

    def _share(self, path: str, entry: Seen, changed: Seen) -> None:
        """Another name of a file that has changed: what was kept under the one is what was under the other.

        Bytes that were stored under the one are not stored under the other; but a replay gives the two one file.
        """
        entry.changed = entry.kept = True
        entry.where = changed.where if changed.where[0] else ("", _ELSEWHERE)
        self.emit(["m", path, "w"])
        self.emit(["p", path, *entry.where])

    def before(self, path: str) -> tuple[str, Seen] | None:
        """Give the entry whose file is now at `path`, and the entry's own path; None for a file of the run's."""
        origin = self._backing.get(path)
        if origin is None:
            if path in self.made or path not in self.entries:
                return None
            origin = path
        return origin, self.entries[origin]

    def original(self, path: str) -> Seen | None:
        """Give the entry of what has been at `path` since before the run."""
        return None if path in self.made else self.entries.get(path)

    # --- what is needed

    def need_content(self, path: str) -> None:
        """The bytes now at `path` are read; those the run wrote itself are not needed."""
        found = self.before(path)
        if found is not None and not found[1].changed:
            self.need(*found)

    def need(self, origin: str, entry: Seen) -> None:
        """The bytes an entry had before the run are needed."""
        if entry.need < CONTENT and stat.S_ISREG(entry.state.st_mode):
            entry.need = CONTENT
            entry.needed_at = self.emit(["n", origin])

    def need_names(self, folder: str, names: Callable[[], list[str]]) -> bool:
        """The names in a folder matter, as they were before the run.

        Args:
            folder: Where.
            names: Gives them, in their order; called only when they are not known yet.

        Returns:
            Whether they have been told now.
        """
        entry = self.original(folder)
        if entry is None or entry.need >= LIST:
            return False
        entry.need = LIST
        self.emit(["l", folder, names()])
        return True

    def gone_names(self, folder: str) -> set[str]:
        """Give the names in a folder that are gone because of the run."""
        return self._gone_names.get(folder, set())

    def missing(self, path: str) -> None:
        """Something was looked for that is not there, and not because of the run: so not in a folder the run made."""
        if path in self._absent or path in self.made or path in self.entries or self._is_in_made(path):
            return
        self._absent.add(path)
        self.emit(["o", path])

    def _is_in_made(self, path: str) -> bool:
        """Tell whether a path is in a folder of the run's: what is not there was not there before, under whatever name."""
        folder = path.rpartition("/")[0]
        while folder:
            if folder in self.made:
                return True
            folder = folder.rpartition("/")[0]
        return False

    def asked(self, path: str, state: Stat) -> None:
        """The state of a folder itself is looked at: its times matter, which those of a folder passed through do not."""
        if stat.S_ISDIR(state.st_mode) and path not in self._looked_at and path in self.entries:
            self._looked_at.add(path)
            self.emit(["s", path])

    def attribute(self, actor: str, path: str, how: str) -> None:
        """Say who: ``r`` read, ``w`` written, ``x`` executed, ``l`` listed, ``d`` deleted."""
        key = (actor, path, how)
        if key not in self._attributed:
            self._attributed.add(key)
            self.emit(["a", actor, path, how])

    # --- what is changed

    def keep_file(self, path: str, state: Stat) -> list[tuple[str, Seen]]:
        """Keep the bytes of the file at `path`, which may change in place: for every entry that has them.

        Returns:
            Those entries, for :meth:`change` or :meth:`release`; empty for a file of the run's.
        """
        found = self.before(path)
        files = [] if found is None or found[1].changed else [found]
        if state.st_nlink > 1:
            for name in self._inodes.get((state.st_dev, state.st_ino), ()):
                entry = self.entries[name]
                if not entry.changed and (found is None or name != found[0]):
                    files.append((name, entry))
        for origin, entry in files:
            self._keep(origin, entry, path, state, name_only=False)
        return files

    def keep_name(self, path: str, state: Stat) -> list[tuple[str, Seen]]:
        """Keep the bytes of the file at `path`, which may lose this name; give the entry that has them, if any."""
        found = self.before(path)
        if found is None or found[1].changed:
            return []
        self._keep(*found, path, state, name_only=True)
        return [found]

    def _keep(self, origin: str, entry: Seen, path: str, state: Stat, *, name_only: bool) -> None:
        if not stat.S_ISREG(state.st_mode) or (entry.kept and (name_only or not entry.by_name)):
            return
        earlier = entry.where[0] if entry.by_name else ""
        entry.kept = True
        entry.where = self._preimages.keep(path, state, needed=entry.needed_at, name_only=name_only)
        entry.by_name = name_only and bool(entry.where[0])
        if entry.by_name:
            names = self._inodes.setdefault((state.st_dev, state.st_ino), [])
            if origin not in names:
                names.append(origin)
        self.emit(["p", origin, *entry.where])
        if earlier:
            self._preimages.drop(earlier)

    def release(self, files: list[tuple[str, Seen]]) -> None:
        """What the bytes were kept for has not happened: they are where they were, and may have to be kept again."""
        for origin, entry in files:
            if entry.changed or not entry.kept or (entry.where[0] and not entry.by_name):
                continue
            where = entry.where[0]
            entry.kept = entry.by_name = False
            entry.where = ("", "")
            self.emit(["p", origin, "", ""])
            if where:
                self._preimages.drop(where)

    def change(self, files: list[tuple[str, Seen]], how: str) -> None:
        """The bytes of files are the run's from now on: ``w`` written, ``t`` replaced wholly, ``a`` appended."""
        for origin, entry in files:
            entry.changed = True
            self.emit(["m", origin, how])
            for name in self._inodes.get((entry.state.st_dev, entry.state.st_ino), ()):
                sibling = self.entries[name]
                if not sibling.changed and not any(sibling is known for _, known in files):
                    self._share(name, sibling, entry)  # met since the call was booked

    def change_metadata(self, path: str, state: Stat) -> None:
        """Mode, owner, times or attributes change, under every name of the file."""
        found = self.before(path)
        names = {found[0]} if found is not None else set()
        if state.st_nlink > 1 and stat.S_ISREG(state.st_mode):
            names.update(self._inodes.get((state.st_dev, state.st_ino), ()))
        for name in sorted(names):
            self.emit(["m", name, "x"])

    def make(self, actor: str, path: str) -> None:
        """A path comes to be."""
        self.made.add(path)
        self._backing.pop(path, None)
        self.emit(["c", path])
        self.attribute(actor, path, "w")

    def link(self, actor: str, source: str, path: str) -> None:
        """A path comes to be another name of the file at `source`."""
        found = self.before(source)
        self.make(actor, path)
        if found is not None and not found[1].changed:
            self._backing[path] = found[0]

    def remove(self, actor: str, path: str) -> None:
        """A path is there no more."""
        found = self.before(path)
        if found is not None:
            self.emit(["m", found[0], "u"])
        self._unname(path)
        self.attribute(actor, path, "d")

    def replace(self, path: str) -> None:
        """A path is about to be another file's: a rename over it."""
        found = self.before(path)
        if found is not None and not found[1].changed:
            self.emit(["m", found[0], "t"])
        if self.original(path) is not None:
            self._lose(path)

    def move(self, actor: str, moves: list[tuple[str, str]]) -> None:
        """Paths change their names, all at once."""
        origins = [found[0] if (found := self.before(old)) is not None else None for old, _ in moves]
        for old, _ in moves:
            if old not in self.made:
                self.emit(["m", old, "u"])
            self._unname(old)
        for (_, new), origin in zip(moves, origins, strict=True):
            self.make(actor, new)
            if origin is not None and not self.entries[origin].changed:
                self._backing[new] = origin
                self.emit(["v", origin, new])
        for old, _ in moves:
            self.attribute(actor, old, "d")

    def _unname(self, path: str) -> None:
        self._backing.pop(path, None)
        if path in self.made:
            self.made.discard(path)
        else:
            self._lose(path)
        self.emit(["g", path])

    def _lose(self, path: str) -> None:
        self.gone.add(path)
        folder, _, name = path.rpartition("/")
        self._gone_names.setdefault(folder or "/", set()).add(name)
