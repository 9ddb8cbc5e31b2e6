"""The packages of the operating system that own files a run read: dpkg, apk, or rpm; None with the cause where none is found."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Collection, Iterable, Iterator
from typing import TYPE_CHECKING, Final, Protocol

from reenact.capture import apk, dpkg
from reenact.capture.child import Child
from reenact.digests import PREFIX, of_bytes
from reenact.model.environment import OsPackage

__all__ = ["find", "prepare", "stamp"]


if TYPE_CHECKING:
    from reenact.capture.owner_index import OwnerIndex


class _Reader(Protocol):
    """What dpkg and apk have in common."""

    def stamp(self, root: str) -> str | None: ...
    def files(self, root: str) -> tuple[list[OsPackage], Iterator[tuple[str, int]]]: ...


_READERS: Final[tuple[tuple[str, _Reader], ...]] = (("dpkg", dpkg), ("apk", apk))
_FILE_PREFIX: Final = "os-packages-"

_RPM_DATABASES: Final = ("/usr/lib/sysimage/rpm", "/var/lib/rpm")
_RPM_FORMAT: Final = r"%{NAME}\t%|EPOCH?{%{EPOCH}:}|%{VERSION}-%{RELEASE}\t%{ARCH}\n"
_RPM_BATCH: Final = 2000
"""Paths for one rpm process: well below the limit on a command line's length."""
_RPM_SECONDS: Final = 30.0


def stamp(root: str = "") -> str:
    """Give a text that changes when an operating-system package is installed, upgraded or removed. Costs a few stats."""
    for name, reader in _READERS:
        if (found := reader.stamp(root)) is not None:
            return f"{name} {found}"
    database = _rpm_database(root)
    if database is None:
        return ""
    with contextlib.suppress(OSError):
        return "rpm " + " ".join(
            f"{e.name}:{e.stat().st_mtime_ns}" for e in sorted(os.scandir(database), key=lambda e: e.name)
        )
    return "rpm"


def find(paths: Collection[str], cache: str, root: str = "") -> tuple[tuple[OsPackage, ...] | None, str]:
    """Find the packages that own some paths; sorted by name and architecture.

    Args:
        paths: Absolute and canonical, surrogate-escaped.
        cache: A folder for the index of owners (a few megabytes, made anew when packages change).
        root: The folder the databases are looked for under.

    Returns:
        The packages, or None and the cause.
    """
    for name, reader in _READERS:
        key = reader.stamp(root)
        if key is None:
            continue
        try:
            index = _index(reader, f"{name} {root} {key}", cache, root)
        except OSError as error:
            return None, f"the {name} database cannot be read: {error.strerror}"
        return _sorted(index.owners(paths)), ""
    if _rpm_database(root) is not None:
        return _ask_rpm(sorted(paths))
    return None, "no dpkg, apk or rpm database is here"


def _sorted(packages: Iterable[OsPackage]) -> tuple[OsPackage, ...]:
    return tuple(sorted(packages, key=lambda package: (package.name, package.architecture, package.version)))


_preparing: Final[dict[str, threading.Thread]] = {}
"""Threads that make an index, by its path."""


def prepare(cache: str, root: str = "") -> None:
    """Begin, in a thread, to make the index of owners if there is none, so that :func:`find` has it; raises nothing."""
    for name, reader in _READERS:
        key = reader.stamp(root)
        if key is None:
            continue
        full_key = f"{name} {root} {key}"
        path = _index_path(full_key, cache)
        if not os.path.exists(path):
            thread = threading.Thread(target=_try_index, args=(reader, full_key, cache, root), daemon=True)
            with contextlib.suppress(RuntimeError):  # no thread can be had: `find` does it all
                thread.start()
                _preparing[path] = thread
        return


def _try_index(reader: _Reader, key: str, cache: str, root: str) -> None:
    with contextlib.suppress(OSError):  # `find` will meet it, too, and say so
        _make_index(reader, key, cache, root)


def _index_path(key: str, cache: str) -> str:
    return f"{cache}/{_FILE_PREFIX}{of_bytes(os.fsencode(key))[len(PREFIX) :][:16]}"


def _index(reader: _Reader, key: str, cache: str, root: str) -> OwnerIndex:
    thread = _preparing.pop(_index_path(key, cache), None)
    if thread is not None:
        thread.join()
    return _make_index(reader, key, cache, root)


def _make_index(reader: _Reader, key: str, cache: str, root: str) -> OwnerIndex:
    from reenact.capture import owner_index  # noqa: PLC0415 - a run in a known environment does not ask it

    path = _index_path(key, cache)
    index = owner_index.load(path)
    if index is None:
        table, files = reader.files(root)
        index, data = owner_index.build(table, files)
        owner_index.save(path, data)
        _remove_others(cache, path)
    return index


def _remove_others(cache: str, kept: str) -> None:
    """Delete the indexes of earlier states of this machine."""
    with contextlib.suppress(OSError):
        for name in os.listdir(cache):
            if name.startswith(_FILE_PREFIX) and f"{cache}/{name}" != kept:
                os.unlink(f"{cache}/{name}")


def _rpm_database(root: str) -> str | None:
    for place in _RPM_DATABASES:
        with contextlib.suppress(OSError):
            if os.listdir(f"{root}{place}"):
                return f"{root}{place}"
    return None


def _ask_rpm(paths: list[str]) -> tuple[tuple[OsPackage, ...] | None, str]:
    """Ask the rpm program: its database has no plain form."""
    found: set[OsPackage] = set()
    environment = {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C"}
    for start in range(0, len(paths), _RPM_BATCH):
        # The exit code counts the paths that no package owns.
        argv = ["rpm", "-qf", "--queryformat", _RPM_FORMAT, "--", *paths[start : start + _RPM_BATCH]]
        try:
            code, output, _ = Child(argv, environment).result(_RPM_SECONDS)
        except OSError:
            return None, "an rpm database is here, but rpm is not installed"
        if code is None:
            return None, f"rpm took more than {_RPM_SECONDS:.0f} seconds"
        for line in output.decode("utf-8", "replace").splitlines():
            fields = line.split("\t")
            # "file /a is not owned by any package" stands among the answers, and a path may hold tabs; names hold no space.
            if len(fields) == 3 and " " not in fields[0]:  # noqa: PLR2004 - those of the format
                found.add(OsPackage(name=fields[0], version=fields[1], architecture=fields[2]))
    return _sorted(found), ""
