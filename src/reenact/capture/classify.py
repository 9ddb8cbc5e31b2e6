"""Telling the environment of a run from its code and data, by where things lie. Pure.

Environment is what lies under the system's own folders, under the prefix of an interpreter or toolchain the run executed, in
a virtual environment, or in a folder of installed packages. What lies in the job's root is code or data unless one of the
latter three says otherwise. A prefix that would swallow the job's root, its working folder or the home folder is no prefix.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

__all__ = ["Classifier", "is_by_product"]

_SYSTEM: Final = (
    "/usr",
    "/lib",
    "/lib32",
    "/lib64",
    "/libx32",
    "/bin",
    "/sbin",
    "/etc",
    "/nix/store",
    "/gnu/store",
    "/snap",
)
_PROGRAM_FOLDERS: Final = frozenset({"bin", "sbin", "libexec"})
_PACKAGE_FOLDERS: Final = ("/site-packages", "/dist-packages", "/node_modules")
_VENV_MARK: Final = "/pyvenv.cfg"
_SHALLOWEST: Final = 2
"""A prefix has at least two components: /opt alone is a shelf, not a toolchain."""


def _inside(path: str, folder: str) -> bool:
    return path == folder or path.startswith(folder + "/")


class Classifier:
    """Decides for one run."""

    def __init__(self, *, root: str, cwd: str, home: str, executed: Iterable[str], seen: Iterable[str]) -> None:
        """Find the prefixes.

        Args:
            root: The job's root folder.
            cwd: Where the job was started.
            home: The user's home folder, or ''.
            executed: Canonical paths of the programs that were executed.
            seen: Canonical paths the run touched and that are there.
        """
        self._root = root
        protected = [path for path in (root, cwd, home) if path]
        prefixes = set()
        for program in executed:
            folder, _, name = program.rpartition("/")[0].rpartition("/")
            if name in _PROGRAM_FOLDERS:
                prefixes.add(folder)
        prefixes |= {path[: -len(_VENV_MARK)] for path in seen if path.endswith(_VENV_MARK)}
        self._prefixes = tuple(
            sorted(
                p for p in prefixes if p.count("/") >= _SHALLOWEST and not any(_inside(kept, p) for kept in protected)
            )
        )
        self._landmarks = frozenset({*self._prefixes, *_SYSTEM, root, "/"})
        """Paths that may be judged otherwise than their neighbours."""
        self._within: dict[str, bool] = {}
        """What holds for everything else in a folder."""

    def is_environment(self, path: str) -> bool:
        """Tell whether a canonical path belongs to the environment. Cheap for many paths of few folders."""
        if path in self._landmarks or path.endswith(_PACKAGE_FOLDERS):
            return self._judge(path)
        folder = path.rpartition("/")[0]
        known = self._within.get(folder)
        if known is None:
            known = self._within[folder] = self._judge(path)
        return known

    def _judge(self, path: str) -> bool:
        if any(_inside(path, prefix) for prefix in self._prefixes):
            return True
        if any(f"{mark}/" in path or path.endswith(mark) for mark in _PACKAGE_FOLDERS):
            return True
        if path == "/":
            return True
        return any(_inside(path, folder) for folder in _SYSTEM) and not _inside(path, self._root)


def is_by_product(path: str) -> bool:
    """Tell whether a file a run left is a cache of its tools (compiled Python, JVM statistics): kept, but not judged."""
    if "__pycache__" not in path and "hsperfdata_" not in path:
        return False
    parts = path.split("/")
    return (
        parts[-2:-1] == ["__pycache__"]
        or parts[-1] == "__pycache__"
        or any(p.startswith("hsperfdata_") for p in parts[-2:])
    )
