"""Walking a path as the kernel does: folder by folder, through every symbolic link, to the one name without any.

See: path_resolution(7). Everything met on the way is told to `note`, because a replay needs it too.
"""

from __future__ import annotations

import stat
from collections.abc import Callable, Iterable
from typing import Final, Literal

from reenact.capture.interface import FileSystem, Stat

__all__ = ["Walker", "is_special"]

_MAX_LINKS: Final = 40
"""Symbolic links on one path before the kernel gives up (ELOOP)."""
_SPECIAL: Final = ("/proc", "/dev")
"""Made by the kernel at every start, also in a replay's world: not recorded."""
_SHARED_MEMORY: Final = "/dev/shm"  # noqa: S108 - a path of the job's
"""Ordinary files, whatever folder they are in."""
_THROUGH: Final = {"/proc": ("..",), "/dev": ("..", "shm")}
"""Next names that lead out of a special folder again."""


def is_special(path: str) -> bool:
    """Tell whether an absolute path is one of the kernel's own, which are no files that could be recorded."""
    if path.startswith(("/dev/", "/proc/")):
        return not (path.startswith(_SHARED_MEMORY) and path[len(_SHARED_MEMORY) :][:1] in ("", "/"))
    return path in _SPECIAL


def _names(path: str) -> list[str]:
    """Give a path's names, the last first, without those that say nothing; a final ``.`` says: this must be a folder."""
    parts = path.split("/")
    names = [name for name in parts if name not in ("", ".")]
    if parts[-1] in ("", "."):
        names.append(".")
    return names[::-1]


class Walker:
    """Walks paths of one file tree. Its memory of folders must be told when names go: :meth:`forget`."""

    def __init__(self, files: FileSystem, note: Callable[[str, Stat], object], ignored: Iterable[str]) -> None:
        """Set up.

        Args:
            files: The tree.
            note: Told every path that is met and is there, with its lstat.
            ignored: Folders that are no part of the run.
        """
        self._lstat, self._readlink, self._note = files.lstat, files.readlink, note
        self.ignored: tuple[str, ...] = ()
        """Folders that are no part of the run, with all below them."""
        self._inside_ignored: tuple[str, ...] = ()
        self._folders: set[str] = set()
        """Paths known to be real folders: the fast way through a walk. The root is the empty text."""
        for folder in ignored:
            self.ignore(folder)

    def ignore(self, folder: str) -> None:
        """Leave a folder, given as a canonical path, and all below it out from now on."""
        if folder not in self.ignored:
            self.ignored += (folder,)
            self._inside_ignored += (f"{folder}/",)
            self._folders = {known for known in self._folders if not self.special(known)}

    def special(self, path: str) -> bool:
        """Tell whether a canonical path is none of the run's: the kernel's, or one to be ignored."""
        if path.startswith(("/dev", "/proc")) and is_special(path):
            return True
        return self.ignores(path)

    def ignores(self, path: str) -> bool:
        """Tell whether a canonical path is in an ignored folder, or one itself."""
        return path in self.ignored or path.startswith(self._inside_ignored)

    def forget(self, path: str) -> None:
        """What was at a path is there no more."""
        if path in self._folders:
            inside = path + "/"
            self._folders = {known for known in self._folders if known != path and not known.startswith(inside)}

    def walk(self, path: str, follow: bool = True) -> tuple[str, Stat | None]:
        """Find the canonical path and its lstat, None when it is not there or is special.

        Args:
            path: Absolute.
            follow: Whether a symbolic link in the last place is followed; one before a slash always is.

        Returns:
            What cannot be reached is named as far as it was followed, with the rest unresolved; where a file stands in the way
            of a folder, nothing can be made under that name.
        """
        head, _, last = path.rpartition("/")
        if head in self._folders and last and last not in (".", ".."):
            # The usual case: a plain name in a folder already known.
            try:
                state = self._lstat(path)
            except OSError:
                return path, None
            mode = state.st_mode
            if stat.S_ISDIR(mode):
                if self.special(path):
                    return path, None
                self._folders.add(path)
            elif follow and stat.S_ISLNK(mode):
                return self._walk_slowly(path, follow)
            self._note(path, state)
            return path, state
        return self._walk_slowly(path, follow)

    def glance(self, path: str) -> Stat | Literal[False] | None:
        """Look at a file in a folder already known, without a note of it: most paths need no more.

        Returns:
            The lstat of a regular file; None where nothing is there; False where it takes a walk.
        """
        head, _, last = path.rpartition("/")
        if head not in self._folders or last in ("", ".", ".."):
            return False
        try:
            state = self._lstat(path)
        except OSError:
            return None
        return state if stat.S_ISREG(state.st_mode) else False

    def _walk_slowly(self, path: str, follow: bool) -> tuple[str, Stat | None]:
        todo, current, links = _names(path), "", 0
        state: Stat | None = None
        if not self._folders:
            self._look("/")
            self._folders.add("")
        while todo:
            name = todo.pop()
            if name == ".":
                continue
            if name == "..":
                current, state = current.rpartition("/")[0], None
                continue
            there = f"{current}/{name}"
            if todo and (there in self._folders or todo[-1] in _THROUGH.get(there, ())):
                current, state = there, None
                continue
            state = None if self.special(there) else self._look(there)
            if state is None:
                return "/".join([there, *(rest for rest in reversed(todo) if rest != ".")]), None
            if stat.S_ISLNK(state.st_mode) and (follow or todo):
                links += 1
                target = self._readlink(there)
                if links > _MAX_LINKS:
                    return f"{there}/", None
                if target[:1] == "/":
                    current = ""
                todo += _names(target)
                state = None
                continue
            if todo and not stat.S_ISDIR(state.st_mode):
                return "/".join([there, *reversed(todo)]), None  # ENOTDIR
            current = there
        return self._arrive(current, state)

    def _look(self, path: str) -> Stat | None:
        """Give the lstat of a path and note it; None when it is not there."""
        try:
            state = self._lstat(path)
        except OSError:
            return None
        self._note(path, state)
        if (
            stat.S_ISDIR(state.st_mode) and path != "/"
        ):  # which is the empty text there: else "//x" would be a plain path
            self._folders.add(path)
        return state

    def _arrive(self, current: str, state: Stat | None) -> tuple[str, Stat | None]:
        """Look at a folder that was passed without looking, and is the last."""
        if state is not None:
            return current, state
        path = current or "/"
        if self.special(path):
            return path, None
        return path, self._look(path)
