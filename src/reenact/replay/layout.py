"""Lay recorded entries out as a folder tree: contents, placeholders, links, modes, owners, times, attributes.

Names are made one after the other in sorted order (on some file systems that order is the order of listing); bytes are
filled in by two threads; folders get their mode and time last, deepest first. A tree is closed: an entry whose path would
leave it, or would go through a link in it, is refused, whatever the record says.
"""

from __future__ import annotations

import base64
import ctypes
import os
import stat
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Final

from reenact.errors import MalformedBundle, ObjectMissing, SandboxError
from reenact.model.artifact import Entry
from reenact.model.paths import from_text
from reenact.replay.interface import ObjectSource
from reenact.replay.ownership import Ownership
from reenact.replay.pool import Pool, Pooled, matches

__all__ = ["KERNEL_FOLDERS", "is_laid_out", "lay_out"]

KERNEL_FOLDERS: Final = ("/dev", "/proc")
"""Made by the kernel or the sandbox at every start; never laid out, but for shared memory files."""

_SHARED_MEMORY: Final = "/dev/shm"  # noqa: S108 - a path inside the world
_THREADS: Final = 2
_PRIVATE_FILE: Final = 0o600
_PRIVATE_FOLDER: Final = 0o700
_IMPLIED_FOLDER: Final = 0o755
_BLOCK_BYTES: Final = 4096
_PUNCH_HOLE_KEEP_SIZE: Final = 0x02 | 0x01
_SPECIAL_FILE: Final = {"fifo": stat.S_IFIFO, "socket": stat.S_IFSOCK}

_libc = ctypes.CDLL(None, use_errno=True)


def is_laid_out(path: str) -> bool:
    """Tell whether a path belongs into a layer (as opposed to the kernel's own folders)."""
    if path == _SHARED_MEMORY or path.startswith(_SHARED_MEMORY + "/"):
        return True
    return not path.startswith(tuple(folder + "/" for folder in KERNEL_FOLDERS))


@dataclass(slots=True)
class _Layout:
    """One tree being made."""

    root: str
    source: ObjectSource
    ownership: Ownership
    pool: Pool | None
    folders: dict[str, Entry | None] = field(default_factory=dict)
    """Every folder made so far; None where no entry describes it."""
    others: set[str] = field(default_factory=set)
    """Every other name made so far."""
    groups: dict[str, str] = field(default_factory=dict)
    """First path laid out of each hard-link group."""
    copies: dict[tuple[object, ...], int] = field(default_factory=dict)
    """How many equal files this tree has already."""
    filled: list[tuple[Entry, str, Pooled | None, bool]] = field(default_factory=list)


def lay_out(
    entries: Iterable[Entry], root: str, *, source: ObjectSource, ownership: Ownership, pool: Pool | None = None
) -> list[str]:
    """Lay entries out below `root`, a folder that is there and empty.

    Args:
        entries: Each path once, in any order; folders on the way that no entry describes are made with mode 755.
        root: Becomes the tree's ``/``.
        source: Gives the contents.
        ownership: Decides owners and modes.
        pool: Shares files with other trees by hard links; None for a tree that will be written to.

    Returns:
        Every path made, relative to the root with a leading slash, folders before what is in them; ``/`` is the root.

    Raises:
        MalformedBundle: an entry's path leaves the tree, or leads through something that is no folder.
        ObjectMissing, ObjectDamaged: a content cannot be had.
        SandboxError: the file system refused (full, no attributes, ...).
    """
    layout = _Layout(root=root, source=source, ownership=ownership, pool=pool)
    ordered = sorted(((_checked_path(entry), entry) for entry in entries), key=lambda item: os.fsencode(item[0]))
    groups = _Groups(entry for _, entry in ordered)
    try:
        for path, entry in ordered:
            if is_laid_out(path):
                _place(layout, path, entry, groups)
        _fill_all(layout)
        _finish_folders(layout)
    except OSError as error:
        raise SandboxError(f"cannot lay out {root}: {error}", hint="is the disk full? see: df") from error
    return [*sorted({"/", *layout.folders}), *sorted(layout.others)]


def _checked_path(entry: Entry) -> str:
    path = from_text(entry.path)
    parts = path.split("/")
    if path == "/" and entry.type == "directory":
        return path
    if not path.startswith("/") or "" in parts[1:] or "\0" in path or not {".", ".."}.isdisjoint(parts):
        raise MalformedBundle(f"an entry's path is not canonical: {entry.path!r}")
    return path


class _Groups:
    """Hard-link groups: files that are one file under several names."""

    def __init__(self, entries: Iterable[Entry]) -> None:
        files = [entry for entry in entries if entry.type == "file"]
        leaders = {entry.link for entry in files if entry.link is not None}
        self._chosen: dict[str, Entry] = {}
        """Of each group the member that tells most: one with content where there is one."""
        for entry in files:
            name = entry.link or entry.path
            if name in leaders:
                known = self._chosen.setdefault(name, entry)
                if known.digest is None and entry.digest is not None:
                    self._chosen[name] = entry

    def of(self, entry: Entry) -> tuple[str | None, Entry]:
        """Give a file's group (None without one) and the entry that describes its one inode."""
        name = entry.link or entry.path
        chosen = self._chosen.get(name)
        return (None, entry) if chosen is None else (name, chosen)


def _ensure_folder(layout: _Layout, path: str) -> None:
    """Make the folders on the way to `path` and itself, all by this layout's own doing: no link is ever followed."""
    if not path or path in layout.folders:
        return
    if path in layout.others:
        raise MalformedBundle(f"a path of the record leads through {path!r}, which it says is no folder")
    _ensure_folder(layout, path.rpartition("/")[0])
    os.mkdir(layout.root + path, _PRIVATE_FOLDER)
    layout.folders[path] = None


def _place(layout: _Layout, path: str, entry: Entry, groups: _Groups) -> None:
    if path == "/":
        layout.folders[path] = entry
        return
    if entry.type == "directory":
        _ensure_folder(layout, path)
        layout.folders[path] = entry
        return
    if path in layout.folders or path in layout.others:
        raise MalformedBundle(f"the record has {path!r} twice, or as a folder and as something else")
    _ensure_folder(layout, path.rpartition("/")[0])
    here = layout.root + path
    if entry.type == "symlink":
        os.symlink(from_text(entry.target or ""), here)
        _set_owner_and_times(layout, here, entry)
    elif entry.type in _SPECIAL_FILE:
        os.mknod(here, _SPECIAL_FILE[entry.type] | _PRIVATE_FILE)
        os.chmod(here, layout.ownership.mode(entry))
        _set_owner_and_times(layout, here, entry)
    elif entry.type == "file":
        _place_file(layout, here, *groups.of(entry))
    else:
        return  # a device: the sandbox has those it may have
    layout.others.add(path)


def _set_owner_and_times(layout: _Layout, here: str, entry: Entry) -> None:
    uid, gid = layout.ownership.owner(entry)
    os.chown(here, uid, gid, follow_symlinks=False)
    mtime = int(entry.mtime_ns)
    os.utime(here, ns=(mtime, mtime), follow_symlinks=False)


def _place_file(layout: _Layout, here: str, group: str | None, entry: Entry) -> None:
    if group is not None:
        first = layout.groups.setdefault(group, here)
        if first != here:
            os.link(first, here, follow_symlinks=False)
            return
    pooled = _pooled(layout, entry) if group is None else None
    linked = pooled is not None and layout.pool is not None and layout.pool.link_to(pooled, here)
    if not linked:
        os.close(os.open(here, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, _PRIVATE_FILE))
    layout.filled.append((entry, here, pooled, linked))


def _pooled(layout: _Layout, entry: Entry) -> Pooled | None:
    """Give the pool's name for a file; None where it is not worth sharing."""
    if layout.pool is None or entry.digest is None or entry.size_bytes == 0:
        return None
    uid, gid = layout.ownership.owner(entry)
    mode, mtime = layout.ownership.mode(entry), int(entry.mtime_ns)
    same = (entry.digest, mode, mtime, uid, gid, tuple(sorted(entry.xattrs.items())), entry.sparse)
    copy = layout.copies[same] = layout.copies.get(same, -1) + 1
    return Pooled(
        digest=entry.digest,
        mode=mode,
        mtime_ns=mtime,
        uid=uid,
        gid=gid,
        xattrs=entry.xattrs,
        sparse=entry.sparse,
        copy=copy,
    )


def _fill_all(layout: _Layout) -> None:
    """Write contents; two threads, because hashing and decompressing leave the interpreter free."""
    with ThreadPoolExecutor(_THREADS) as executor:
        halves = [layout.filled[start::_THREADS] for start in range(_THREADS)]
        for future in [executor.submit(_fill_some, layout, half) for half in halves]:
            future.result()


def _fill_some(layout: _Layout, files: Sequence[tuple[Entry, str, Pooled | None, bool]]) -> None:
    for entry, here, pooled, linked in files:
        if linked and pooled is not None and layout.pool is not None:
            if _is_intact(pooled, here):
                continue
            layout.pool.expel(pooled)
            os.unlink(here)
            os.close(os.open(here, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, _PRIVATE_FILE))
        try:
            _fill(layout, entry, here)
        except ObjectMissing as error:
            raise ObjectMissing(error.digest, hint=f"it is the content of {entry.path}") from error
        if pooled is not None and layout.pool is not None:
            layout.pool.take_in(pooled, here)


def _is_intact(pooled: Pooled, here: str) -> bool:
    try:
        descriptor = os.open(here, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        return matches(pooled, descriptor)
    finally:
        os.close(descriptor)


def _fill(layout: _Layout, entry: Entry, here: str) -> None:
    descriptor = os.open(here, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        if entry.digest is not None:
            layout.source.copy_to(entry.digest, descriptor)
            if entry.sparse:
                _punch_holes(descriptor)
        else:
            os.ftruncate(descriptor, entry.size_bytes)  # only asked about: size and times are what counts
        _set_attributes(descriptor, entry)
        os.fchown(descriptor, *layout.ownership.owner(entry))
        os.fchmod(descriptor, layout.ownership.mode(entry))  # after the owner: chown clears set-user-id
        mtime = int(entry.mtime_ns)
        os.utime(descriptor, ns=(mtime, mtime))
    finally:
        os.close(descriptor)


def _set_attributes(target: int | str, entry: Entry) -> None:
    for name, value in entry.xattrs.items():
        os.setxattr(target, from_text(name), base64.b64decode(value))


def _punch_holes(descriptor: int) -> None:
    """Give back the space of blocks that hold only zeros, where the file system can (programs that seek holes see them)."""
    zeros = bytes(_BLOCK_BYTES)
    offset = 0
    while block := os.pread(descriptor, _BLOCK_BYTES, offset):
        if block == zeros:
            where, length = ctypes.c_longlong(offset), ctypes.c_longlong(_BLOCK_BYTES)
            if _libc.fallocate(descriptor, _PUNCH_HOLE_KEEP_SIZE, where, length) != 0:
                return
        offset += len(block)


def _finish_folders(layout: _Layout) -> None:
    """Set owner, mode and times of folders, deepest first, because work below changes them."""
    for path in sorted(layout.folders, key=lambda path: path.count("/") if path != "/" else 0, reverse=True):
        entry = layout.folders[path]
        here = layout.root + path
        if entry is None:
            entry = Entry(path=path, type="directory", mode=_IMPLIED_FOLDER, mtime_ns="0", need="stat")
        _set_attributes(here, entry)
        uid, gid = layout.ownership.owner(entry)
        os.chown(here, uid, gid)
        os.chmod(here, layout.ownership.mode(entry))
        mtime = int(entry.mtime_ns)
        os.utime(here, ns=(mtime, mtime))
