"""Which Alpine package owns which file, from apk's plain database; apk itself is not run. See: apk-installed(5)."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Final

from reenact.model.environment import OsPackage

__all__ = ["files", "stamp"]

_PLACES: Final = ("/lib/apk/db/installed", "/usr/lib/apk/db/installed")


def _database(root: str) -> str | None:
    return next((f"{root}{place}" for place in _PLACES if os.path.isfile(f"{root}{place}")), None)


def stamp(root: str) -> str | None:
    """Give a text that changes when what is installed does; None where there is no apk."""
    path = _database(root)
    if path is None:
        return None
    facts = os.stat(path)
    return f"{facts.st_ino}:{facts.st_size}:{facts.st_mtime_ns}"


def files(root: str) -> tuple[list[OsPackage], Iterator[tuple[str, int]]]:
    """Read every installed file: the packages, and (path, place of its package).

    Raises:
        OSError: the database cannot be read.
    """
    path = _database(root)
    if path is None:
        raise FileNotFoundError(f"{root}{_PLACES[0]}")
    with open(path, encoding="utf-8", errors="surrogateescape") as file:
        stanzas = [stanza.splitlines() for stanza in file.read().split("\n\n") if stanza.strip()]
    table = []
    for lines in stanzas:
        fields = {line[:1]: line[2:] for line in reversed(lines) if line[1:2] == ":"}
        table.append(OsPackage(name=fields.get("P", ""), version=fields.get("V", ""), architecture=fields.get("A", "")))

    def listed() -> Iterator[tuple[str, int]]:
        for place, lines in enumerate(stanzas):
            folder = ""
            for line in lines:
                if line.startswith("F:"):
                    folder = f"/{line[2:]}".rstrip("/")
                elif line.startswith("R:"):
                    yield f"{folder}/{line[2:]}", place

    return table, listed()
