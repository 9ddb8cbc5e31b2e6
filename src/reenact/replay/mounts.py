"""The mounts of a closed world: overlay, /proc, /dev, and the change of root.

Runs in the first process of new namespaces; nothing of it is visible outside. The order and the flags matter more than they
seem to:

- Folders named in overlay options are opened *after* the mount namespace was unshared (the kernel refuses mounts of another
  namespace) and given as ``/proc/self/fd/N``, so no path needs escaping, and no path is too long for the option page.
- A fresh proc is mounted rather than the host's bound: its process ids are those of the new namespace.
- As root the job keeps its capabilities, so the ways in which a job reaches past its namespaces without meaning to are
  closed: device files it makes do not work (nodev), and /proc/sys is read-only. That keeps a replay from changing the
  machine; it is no wall against a hostile job of root's.
"""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from reenact.replay import kernel

__all__ = ["View", "build"]

_DEVICES: Final = ("null", "zero", "full", "random", "urandom", "tty")
_LINKS: Final = (
    ("fd", "/proc/self/fd"),
    ("stdin", "/proc/self/fd/0"),
    ("stdout", "/proc/self/fd/1"),
    ("stderr", "/proc/self/fd/2"),
    ("ptmx", "pts/ptmx"),
)
_READ_ONLY_AS_ROOT: Final = ("sys", "sysrq-trigger")
_DEV_BYTES: Final = "1m"


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """What is to be mounted; all paths absolute on the host."""

    lowers: tuple[str, ...]
    """Read-only layers, the one that wins first."""
    upper: str
    work: str
    """Empty, on the same file system as `upper`."""
    mount_point: str
    user_namespace: bool
    read_only: tuple[str, ...] = ()
    """Folders of the world in which nothing can be changed."""
    shared_memory: bool = False
    """Shared memory (/dev/shm) is the world's own folder of that name, because the record has files in it."""


@contextlib.contextmanager
def _opened(*paths: str) -> Iterator[list[str]]:
    descriptors: list[int] = []
    try:
        for path in paths:
            descriptors.append(os.open(path, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC))  # noqa: PERF401 - closed below
        yield [f"/proc/self/fd/{descriptor}" for descriptor in descriptors]
    finally:
        for descriptor in descriptors:
            os.close(descriptor)


def _overlay(view: View) -> None:
    with _opened(view.upper, view.work, *view.lowers) as (upper, work, *lowers):
        options = f"lowerdir={':'.join(lowers)},upperdir={upper},workdir={work}"
        if view.user_namespace:
            options += ",userxattr"
        else:
            # Distributions compile some of these in; a replay must not depend on that.
            options += ",index=off,metacopy=off,redirect_dir=off"
        try:
            # The upper is thrown away, so nothing in it needs to reach the disk (Linux 5.10).
            kernel.mount("overlay", view.mount_point, "overlay", kernel.MS_NODEV, options + ",volatile")
        except OSError:
            kernel.mount("overlay", view.mount_point, "overlay", kernel.MS_NODEV, options)


def _close(root: str, folders: tuple[str, ...]) -> None:
    for folder in folders:
        path = root + folder
        kernel.mount(path, path, None, kernel.MS_BIND)
        flags = kernel.MS_BIND | kernel.MS_REMOUNT | kernel.MS_RDONLY | kernel.MS_NODEV
        kernel.mount("none", path, None, flags)


def _proc(root: str, *, user_namespace: bool) -> None:
    flags = kernel.MS_NOSUID | kernel.MS_NODEV | kernel.MS_NOEXEC
    kernel.mount("proc", f"{root}/proc", "proc", flags)
    if user_namespace:
        return
    for name in _READ_ONLY_AS_ROOT:
        path = f"{root}/proc/{name}"
        if os.path.lexists(path):
            kernel.mount(path, path, None, kernel.MS_BIND)
            kernel.mount("none", path, None, kernel.MS_BIND | kernel.MS_REMOUNT | kernel.MS_RDONLY | flags)


def _shm(dev: str, recorded: str | None) -> None:
    os.mkdir(f"{dev}/shm")
    if recorded is not None:
        kernel.mount(recorded, f"{dev}/shm", None, kernel.MS_BIND)
    else:
        kernel.mount("tmpfs", f"{dev}/shm", "tmpfs", kernel.MS_NOSUID | kernel.MS_NODEV, "mode=1777")


def _dev(root: str, recorded_shm: str | None) -> None:
    dev = f"{root}/dev"
    kernel.mount(
        "tmpfs", dev, "tmpfs", kernel.MS_NOSUID | kernel.MS_NODEV | kernel.MS_NOEXEC, f"mode=755,size={_DEV_BYTES}"
    )
    for name in _DEVICES:
        source = f"/dev/{name}"
        if os.path.exists(source) and stat.S_ISCHR(os.stat(source).st_mode):
            os.close(os.open(f"{dev}/{name}", os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o666))
            kernel.mount(source, f"{dev}/{name}", None, kernel.MS_BIND)
    os.mkdir(f"{dev}/pts")
    flags = kernel.MS_NOSUID | kernel.MS_NOEXEC
    kernel.mount("devpts", f"{dev}/pts", "devpts", flags, "newinstance,ptmxmode=0666,mode=620")
    _shm(dev, recorded_shm)
    for name, target in _LINKS:
        os.symlink(target, f"{dev}/{name}")


def build(view: View) -> None:
    """Mount everything and make it the root; the working directory is then ``/``.

    Raises:
        OSError: the kernel refused a step; the message names it.
    """
    root = view.mount_point
    kernel.mount("none", "/", None, kernel.MS_REC | kernel.MS_PRIVATE)
    _overlay(view)
    _close(root, view.read_only)
    _proc(root, user_namespace=view.user_namespace)
    previous = os.umask(0)
    try:
        if view.shared_memory:
            with _opened(f"{root}/dev/shm") as (recorded,):  # noqa: S108 - inside the world
                _dev(root, recorded)
        else:
            _dev(root, None)
    finally:
        os.umask(previous)
    os.chdir(root)
    kernel.pivot_root(".", ".")
    # Both roots are now at the same place, the old one on top: this detaches the old one. See: pivot_root(2).
    kernel.unmount(".", kernel.MNT_DETACH)
    os.chdir("/")
