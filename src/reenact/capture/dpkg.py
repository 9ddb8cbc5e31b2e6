"""Which Debian package owns which file, from dpkg's plain files (``/var/lib/dpkg``); dpkg itself is not run."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from typing import Final

from reenact.model.environment import OsPackage

__all__ = ["FOLDER", "canonical", "files", "installed", "stamp"]

FOLDER: Final = "/var/lib/dpkg"

_ALIASES: Final = ("/bin", "/lib", "/lib32", "/lib64", "/libo32", "/libx32", "/sbin")
"""Since Debian and Ubuntu merged /usr these are links into it, while many packages still list files below them."""


def stamp(root: str) -> str | None:
    """Give a text that changes when what is installed does; None where there is no dpkg."""
    try:
        facts = [os.stat(f"{root}{FOLDER}/{name}") for name in ("status", "info")]
    except OSError:
        return None
    with contextlib.suppress(FileNotFoundError):
        facts.append(os.stat(f"{root}{FOLDER}/diversions"))
    return " ".join(f"{fact.st_ino}:{fact.st_size}:{fact.st_mtime_ns}" for fact in facts)


def _aliases(root: str) -> dict[str, str]:
    found = {}
    for alias in _ALIASES:
        path = f"{root}{alias}"
        if os.path.islink(path):
            found[alias] = os.path.normpath(os.path.join("/", os.readlink(path)))
    return found


def canonical(path: str, aliases: dict[str, str]) -> str:
    """Write a listed path as the kernel sees it: through the links of a merged /usr."""
    if path.startswith("/usr/"):
        return path
    slash = path.find("/", 1)
    top = path[:slash]
    return aliases[top] + path[slash:] if slash > 0 and top in aliases else path


def installed(root: str) -> dict[str, OsPackage]:
    """Read the packages whose files are there, by the name their file list has: ``NAME`` or ``NAME:ARCHITECTURE``."""
    found: dict[str, OsPackage] = {}
    with open(f"{root}{FOLDER}/status", encoding="utf-8", errors="replace") as file:
        for stanza in file.read().split("\n\n"):
            fields = dict(line.split(": ", 1) for line in stanza.splitlines() if ": " in line and line[:1] != " ")
            # Of the three words the last is the state: "config-files" has been removed.
            if fields.get("Status", "").rpartition(" ")[2] in ("", "config-files", "not-installed"):
                continue
            package = OsPackage(
                name=fields.get("Package", ""),
                version=fields.get("Version", ""),
                architecture=fields.get("Architecture", ""),
            )
            found.setdefault(package.name, package)
            found[f"{package.name}:{package.architecture}"] = package
    return found


def _diversions(root: str, aliases: dict[str, str]) -> dict[str, tuple[str, str]]:
    """Read which files were moved aside: path to (where it is now, the package that may keep the name)."""
    try:
        with open(f"{root}{FOLDER}/diversions", encoding="utf-8", errors="surrogateescape") as file:
            lines = file.read().splitlines()
    except OSError:
        return {}
    triples = zip(lines[0::3], lines[1::3], lines[2::3], strict=False)
    return {canonical(path, aliases): (canonical(aside, aliases), package) for path, aside, package in triples}


def files(root: str) -> tuple[list[OsPackage], Iterator[tuple[str, int]]]:
    """Read every installed file: the packages, and (canonical path, place of its package).

    Raises:
        OSError: the status file cannot be read.
    """
    packages = installed(root)
    aliases = _aliases(root)
    diversions = _diversions(root, aliases)
    table = sorted(set(packages.values()), key=lambda package: (package.name, package.architecture))
    places = {package: place for place, package in enumerate(table)}

    def listed() -> Iterator[tuple[str, int]]:
        folder = f"{root}{FOLDER}/info"
        for name in sorted(os.listdir(folder)):
            package = packages.get(name.removesuffix(".list")) if name.endswith(".list") else None
            if package is None:
                continue
            place = places[package]
            leaves = {
                path if path.startswith("/usr/") else canonical(path, aliases) for path in _leaves(f"{folder}/{name}")
            }
            for path in diversions.keys() & leaves:
                aside, keeper = diversions[path]
                if keeper != package.name:
                    leaves.discard(path)
                    leaves.add(aside)
            for path in leaves:
                yield path, place

    return table, listed()


def _leaves(path: str) -> set[str]:
    """Give the listed paths that are no folder of another listed one: packages share folders, and own files."""
    with open(path, encoding="utf-8", errors="surrogateescape") as file:
        listed = set(file.read().split("\n"))
    listed.discard("")
    # Of a listed file every folder is listed, too.
    return listed.difference({path[: path.rfind("/")] for path in listed})
