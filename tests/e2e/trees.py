"""What lies in a folder, as a value that two runs can be compared by."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass

__all__ = ["Node", "Tree", "changes", "tree"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """One path: what it is and what it holds."""

    kind: str
    mode: int
    content: bytes = b""
    """Of a file its bytes, of a symbolic link its target."""


Tree = dict[str, Node]
"""Path inside the folder, with undecodable bytes as surrogates, to what is there."""


def tree(folder: str | os.PathLike[str]) -> Tree:
    """Read a folder whole; names sorted, times left out."""
    found: Tree = {}
    top = os.fspath(folder)
    for parent, folders, files in os.walk(top):
        for name in [*folders, *files]:
            path = os.path.join(parent, name)
            found[os.path.relpath(path, top)] = _node(path)
    return dict(sorted(found.items()))


def changes(before: Tree, after: Tree) -> dict[str, Node | None]:
    """Say what differs: the new state of what was made or changed, None for what was removed."""
    made = {name: node for name, node in after.items() if before.get(name) != node}
    return {**made, **{name: None for name in before if name not in after}}


def _node(path: str) -> Node:
    found = os.lstat(path)
    mode = stat.S_IMODE(found.st_mode)
    if stat.S_ISLNK(found.st_mode):
        return Node(kind="symlink", mode=0o777, content=os.fsencode(os.readlink(path)))
    if stat.S_ISDIR(found.st_mode):
        return Node(kind="directory", mode=mode)
    if stat.S_ISREG(found.st_mode):
        with open(path, "rb") as file:
            return Node(kind="file", mode=mode, content=file.read())
    return Node(kind="fifo" if stat.S_ISFIFO(found.st_mode) else "other", mode=mode)
