"""A file tree in memory that behaves as Linux does, for tests of the file-state machine.

It is both sides: what :class:`reenact.capture.interface.FileSystem` looks at, and the kernel that does what programs ask
(:meth:`ModelTree.call`). Paths are absolute; there is one user, whom files and folders without the write bit refuse.
See: path_resolution(7), open(2), rename(2), link(2), unlink(2), rmdir(2).
"""

from __future__ import annotations

import errno
import os
import stat
from typing import Any

__all__ = ["ModelTree", "Node", "fault"]

MAX_LINKS = 40
NOREPLACE, EXCHANGE, WHITEOUT = 1, 2, 4


def fault(number: int) -> OSError:
    """Make the error a call fails with."""
    return OSError(number, os.strerror(number))


class Node:
    """A file, folder, link or other inode."""

    def __init__(self, ino: int, mode: int, now: int) -> None:
        self.ino, self.mode, self.mtime, self.ctime = ino, mode, now, now
        self.links = 1
        self.data = b""
        self.target = ""
        self.names: dict[str, Node] = {}

    @property
    def kind(self) -> int:
        return stat.S_IFMT(self.mode)

    @property
    def is_folder(self) -> bool:
        return stat.S_ISDIR(self.mode)

    @property
    def is_link(self) -> bool:
        return stat.S_ISLNK(self.mode)

    @property
    def writable(self) -> bool:
        return bool(self.mode & 0o200)

    @property
    def size(self) -> int:
        return len(os.fsencode(self.target)) if self.is_link else len(self.data)

    def stat(self) -> os.stat_result:
        times = (0, self.mtime, self.ctime)
        return os.stat_result(
            (self.mode, self.ino, 1, self.links, 0, 0, self.size, *times, *map(float, times), *times, 4096, 8, 0)
        )

    def seen(self) -> tuple[Any, ...]:
        """What a program sees of it that a replay has to give again."""
        return self.kind, stat.S_IMODE(self.mode), self.size, self.mtime


class _Place:
    """Where a path leads: a folder, a name in it, and what is there."""

    def __init__(self, folder: Node, name: str, node: Node | None, *, slash: bool) -> None:
        self.folder, self.name, self.node, self.slash = folder, name, node, slash

    def found(self) -> Node:
        if self.node is None:
            raise fault(errno.ENOENT)
        if self.slash and not self.node.is_folder:
            raise fault(errno.ENOTDIR)
        return self.node


class ModelTree:
    """See the module."""

    def __init__(self) -> None:
        self.now = 100
        """The clock: tests move it."""
        self._inodes = 0
        self.root = self._node(stat.S_IFDIR | 0o755)
        self.slots: dict[Any, tuple[Node, int]] = {}
        """Open files: node and flags."""

    def _node(self, mode: int) -> Node:
        self._inodes += 1
        return Node(self._inodes, mode, self.now)

    # --- as the file-state machine sees it: canonical paths

    def at(self, path: str) -> Node:
        """Give what is at a canonical path."""
        node = self.root
        for name in path.split("/")[1:]:
            if not node.is_folder:
                raise fault(errno.ENOTDIR)
            if name in ("", "."):
                continue
            if name not in node.names:
                raise fault(errno.ENOENT)
            node = node.names[name]
        return node

    def lstat(self, path: str) -> os.stat_result:
        """See FileSystem."""
        return self.at(path).stat()

    def readlink(self, path: str) -> str:
        """See FileSystem."""
        return self.at(path).target

    def scan(self, path: str) -> list[tuple[str, os.stat_result]]:
        """See FileSystem."""
        return [(name, node.stat()) for name, node in self.at(path).names.items()]

    def names(self, path: str) -> list[str]:
        """See FileSystem."""
        return [name for name, _ in self.scan(path)]

    def writable(self, path: str) -> bool:
        """See FileSystem."""
        return self.at(path).writable

    def all(self) -> dict[str, Node]:
        """Give every path and what is there."""
        found = {"/": self.root}
        todo = [("", self.root)]
        while todo:
            base, folder = todo.pop()
            for name, node in folder.names.items():
                found[f"{base}/{name}"] = node
                if node.is_folder:
                    todo.append((f"{base}/{name}", node))
        return found

    def canonical(self, node: Node) -> str:
        """Give the path of a folder, as /proc/PID/fd shows it."""
        return next(path for path, there in self.all().items() if there is node)

    # --- as the kernel resolves paths

    def _resolve(self, path: str, *, follow: bool, parent: bool = False) -> _Place:
        """Follow a path.

        Args:
            path: Absolute.
            follow: Whether a link in the last place is followed.
            parent: The call wants the name itself: a link is not followed, even before a slash.
        """
        stack, todo, links = [self.root], self._components(path), 0
        slash = bool(todo) and todo[0] == ""
        while todo:
            name = todo.pop()
            if not stack[-1].is_folder:
                raise fault(errno.ENOTDIR)
            if name in ("", ".", ".."):
                if name == ".." and len(stack) > 1:
                    stack.pop()
                if not todo or todo == [""]:
                    return _Place(stack[-1], name or ".", stack[-1], slash=False)
                continue
            folder, final = stack[-1], not todo or todo == [""]
            node = folder.names.get(name)
            if node is None and not final:
                raise fault(errno.ENOENT)
            if node is None or (final and parent) or not (todo or (node.is_link and follow)):
                return _Place(folder, name, node, slash=bool(todo) and (parent or node is None))
            if not node.is_link:
                if todo == [""]:
                    return _Place(folder, name, node, slash=True)
                stack.append(node)
                continue
            links += 1
            if links > MAX_LINKS:
                raise fault(errno.ELOOP)
            if node.target.startswith("/"):
                stack = [self.root]
            todo += self._components(node.target)
        return _Place(self.root, ".", self.root, slash=slash)

    @staticmethod
    def _components(path: str) -> list[str]:
        names = [name for name in path.split("/") if name]
        return ([""] if path.endswith("/") and names else []) + names[::-1]

    def _free(self, path: str, *, folder: bool = False) -> _Place:
        """Find a name that something can be made under."""
        place = self._resolve(path, follow=False, parent=True)
        if place.node is not None or place.name in (".", ".."):
            raise fault(errno.EEXIST)
        if place.slash and not folder:
            raise fault(errno.ENOENT)
        self._check_folder(place.folder)
        return place

    def _check_folder(self, folder: Node) -> None:
        if not folder.writable:
            raise fault(errno.EACCES)
        if folder is not self.root and not folder.links:
            raise fault(errno.ENOENT)

    def _put(self, place: _Place, node: Node) -> None:
        place.folder.names[place.name] = node
        place.folder.mtime = place.folder.ctime = node.ctime = self.now

    def _drop(self, place: _Place) -> None:
        node = place.folder.names.pop(place.name)
        node.links -= 1
        place.folder.mtime = place.folder.ctime = node.ctime = self.now

    # --- calls: each by its name, giving what the program sees

    def call(self, name: str, *arguments: Any) -> Any:
        """Do what a program asks; give what it sees: a value, or the name of the error."""
        try:
            return getattr(self, f"do_{name}")(*arguments)
        except OSError as error:
            return errno.errorcode[error.errno or 0]

    def _open(self, path: str, flags: int) -> Node:
        exclusive = flags & os.O_CREAT and flags & os.O_EXCL
        follow = not flags & os.O_NOFOLLOW and not exclusive
        place = self._resolve(path, follow=follow)
        node = place.node
        if node is None:
            if not flags & os.O_CREAT:
                raise fault(errno.ENOENT)
            if place.slash:
                raise fault(errno.EISDIR)
            self._check_folder(place.folder)
            node = self._node(stat.S_IFREG | 0o644)
            self._put(place, node)
            return node
        if exclusive:
            raise fault(errno.EEXIST)
        if node.is_link:
            raise fault(errno.ELOOP)
        self._check_open(place, node, flags)
        if flags & os.O_TRUNC:
            node.data = b""
            node.mtime = node.ctime = self.now
        return node

    @staticmethod
    def _check_open(place: _Place, node: Node, flags: int) -> None:
        changes = flags & (os.O_WRONLY | os.O_RDWR | os.O_TRUNC)
        if node.is_folder and (changes or flags & os.O_CREAT):
            raise fault(errno.EISDIR)
        if place.slash and not node.is_folder:
            raise fault(errno.EISDIR if flags & os.O_CREAT else errno.ENOTDIR)
        if flags & os.O_DIRECTORY and not node.is_folder:
            raise fault(errno.ENOTDIR)
        if changes and not node.writable:
            raise fault(errno.EACCES)
        if not stat.S_ISREG(node.mode) and not node.is_folder:
            raise fault(errno.ENXIO)

    def do_open(self, path: str, flags: int, data: bytes = b"") -> Any:
        """Open, read what is there, write, and close."""
        node = self._open(path, flags)
        return self._transfer(node, flags, data)

    def _transfer(self, node: Node, flags: int, data: bytes) -> Any:
        if node.is_folder:
            return "folder"
        seen = node.data if flags & os.O_RDWR or not flags & os.O_WRONLY else None
        if data and flags & (os.O_WRONLY | os.O_RDWR):
            node.data = node.data + data if flags & os.O_APPEND else data + node.data[len(data) :]
            node.mtime = node.ctime = self.now
        return seen

    def do_hold(self, slot: Any, path: str, flags: int) -> Any:
        """Open, and keep open."""
        self.slots.pop(slot, None)
        self.slots[slot] = (self._open(path, flags), flags)
        return "open"

    def do_use(self, slot: Any, data: bytes) -> Any:
        """Read and write through what was kept open."""
        if slot not in self.slots:
            return "EBADF"
        return self._transfer(*self.slots[slot], data)

    def do_truncate(self, path: str, size: int) -> Any:
        """Cut or extend a file by name."""
        node = self._resolve(path, follow=True).found()
        if node.is_folder:
            raise fault(errno.EISDIR)
        if not stat.S_ISREG(node.mode):
            raise fault(errno.EINVAL)
        if not node.writable:
            raise fault(errno.EACCES)
        node.data = node.data[:size].ljust(size, b"\0")
        node.mtime = node.ctime = self.now
        return None

    def do_unlink(self, path: str) -> Any:
        """Remove a name of anything but a folder."""
        place = self._resolve(path, follow=False, parent=True)
        if place.name in (".", ".."):
            raise fault(errno.EISDIR)
        node = place.node
        if node is None:
            raise fault(errno.ENOENT)
        if node.is_folder or place.slash:
            raise fault(errno.EISDIR if node.is_folder else errno.ENOTDIR)
        self._check_folder(place.folder)
        self._drop(place)
        return None

    def do_rmdir(self, path: str) -> Any:
        """Remove an empty folder."""
        place = self._resolve(path, follow=False, parent=True)
        if place.name in (".", ".."):
            raise fault(errno.EINVAL)
        node = place.node
        if node is None:
            raise fault(errno.ENOENT)
        if not node.is_folder:
            raise fault(errno.ENOTDIR)
        self._check_folder(place.folder)
        if node.names:
            raise fault(errno.ENOTEMPTY)
        self._drop(place)
        return None

    def do_rename(self, old: str, new: str, flags: int = 0) -> Any:
        """Rename, or exchange two names."""
        source = self._resolve(old, follow=False, parent=True)
        target = self._resolve(new, follow=False, parent=True)
        if "." in (source.name, target.name) or ".." in (source.name, target.name):
            raise fault(errno.EBUSY)
        node, there = source.node, target.node
        if node is None or (flags & EXCHANGE and there is None):
            raise fault(errno.ENOENT)
        if there is not None and flags & NOREPLACE:
            raise fault(errno.EEXIST)
        self._check_move(source, target, exchange=bool(flags & EXCHANGE))
        if node is there:
            return None
        self._check_folder(source.folder)
        self._check_folder(target.folder)
        if node.is_folder and source.folder is not target.folder and not node.writable:
            raise fault(errno.EACCES)
        if flags & EXCHANGE:
            self._exchange(source, target)
            return None
        if there is not None:
            self._check_replace(node, there)
            self._drop(target)
        del source.folder.names[source.name]
        source.folder.mtime = source.folder.ctime = self.now
        self._put(target, node)
        if flags & WHITEOUT:
            self._put(source, self._node(stat.S_IFCHR))
        return None

    def _check_move(self, source: _Place, target: _Place, *, exchange: bool) -> None:
        node, there = source.node, target.node
        assert node is not None
        if (source.slash and not node.is_folder) or (target.slash and not (there or node).is_folder):
            raise fault(errno.ENOTDIR)
        if target.slash and not exchange and not node.is_folder:
            raise fault(errno.ENOTDIR)
        if node.is_folder and self._is_inside(target.folder, node):
            raise fault(errno.EINVAL)
        if there is not None and there.is_folder and self._is_inside(source.folder, there):
            raise fault(errno.EINVAL if exchange else errno.ENOTEMPTY)

    @staticmethod
    def _check_replace(node: Node, there: Node) -> None:
        if node.is_folder and not there.is_folder:
            raise fault(errno.ENOTDIR)
        if there.is_folder and not node.is_folder:
            raise fault(errno.EISDIR)
        if there.names:
            raise fault(errno.ENOTEMPTY)

    def _exchange(self, source: _Place, target: _Place) -> None:
        node, there = source.node, target.node
        assert node is not None
        assert there is not None
        if there.is_folder and source.folder is not target.folder and not there.writable:
            raise fault(errno.EACCES)
        self._put(source, there)
        self._put(target, node)

    @staticmethod
    def _is_inside(folder: Node, top: Node) -> bool:
        todo = [top]
        while todo:
            node = todo.pop()
            if node is folder:
                return True
            todo += [child for child in node.names.values() if child.is_folder]
        return False

    def do_link(self, old: str, new: str, follow: bool = False) -> Any:
        """Give a file a second name."""
        node = self._resolve(old, follow=follow).found()
        place = self._free(new)
        if node.is_folder:
            raise fault(errno.EPERM)
        node.links += 1
        self._put(place, node)
        return None

    def do_symlink(self, target: str, new: str) -> Any:
        """Make a symbolic link."""
        place = self._free(new)
        node = self._node(stat.S_IFLNK | 0o777)
        node.target = target
        self._put(place, node)
        return None

    def do_mkdir(self, path: str) -> Any:
        """Make a folder."""
        self._put(self._free(path, folder=True), self._node(stat.S_IFDIR | 0o755))
        return None

    def do_mknod(self, path: str) -> Any:
        """Make a socket."""
        self._put(self._free(path), self._node(stat.S_IFSOCK | 0o755))
        return None

    def do_chmod(self, path: str, mode: int) -> Any:
        """Change the mode."""
        node = self._resolve(path, follow=True).found()
        node.mode = node.kind | mode
        node.ctime = self.now
        return None

    def do_stat(self, path: str, follow: bool = True) -> Any:
        """Ask about a path."""
        return self._resolve(path, follow=follow).found().seen()

    def do_readlink(self, path: str) -> Any:
        """Read a link."""
        node = self._resolve(path, follow=False).found()
        if not node.is_link:
            raise fault(errno.EINVAL)
        return node.target

    def do_list(self, path: str) -> Any:
        """List a folder."""
        node = self._resolve(path, follow=True).found()
        if not node.is_folder:
            raise fault(errno.ENOTDIR)
        return sorted(node.names)
