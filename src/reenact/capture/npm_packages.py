"""Node packages that own paths a run read, from the ``package.json`` of each folder in ``node_modules``."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from typing import Any, Final

from reenact.capture.git_folder import without_credentials
from reenact.model.environment import Distribution
from reenact.model.paths import to_text

__all__ = ["ECOSYSTEM", "find", "folders", "version_of"]

ECOSYSTEM: Final = "npm"

# The last node_modules on the path: packages lie inside packages, and pnpm keeps each in one of its own.
_PACKAGE: Final = re.compile(r"(.*/node_modules)/((?:@[^/]+/)?[^/@.][^/]*)/.", re.DOTALL)
_INSTALLED: Final = ".package-lock.json"
"""npm (7 and later) notes here what it installed, beside the packages."""


def folders(paths: Iterable[str]) -> set[str]:
    """Give the outermost ``node_modules`` folders on some paths."""
    return {path.partition("/node_modules/")[0] + "/node_modules" for path in paths if "/node_modules/" in path}


def find(paths: Iterable[str]) -> Iterator[Distribution]:
    """Find the packages that own some of the paths. A folder whose ``package.json`` tells no version is none."""
    read: dict[tuple[str, str], int] = {}
    for path in paths:
        if match := _PACKAGE.match(path):
            place = (match[1], match[2])
            read[place] = read.get(place, 0) + 1
    notes: dict[str, dict[str, Any]] = {}
    for (modules, name), count in sorted(read.items()):
        facts = _json(f"{modules}/{name}/package.json")
        if not isinstance(facts.get("version"), str):
            continue
        outermost = modules.partition("/node_modules")[0] + "/node_modules"
        if outermost not in notes:
            packages = _json(f"{outermost}/{_INSTALLED}").get("packages")
            notes[outermost] = packages if isinstance(packages, dict) else {}
        inside = f"{modules}/{name}"[len(outermost) - len("node_modules") :]
        noted = notes[outermost].get(inside)
        yield Distribution(
            ecosystem=ECOSYSTEM,
            name=str(facts.get("name") or name),
            version=facts["version"],
            location=to_text(modules),
            source=_source(facts, noted if isinstance(noted, dict) else {}),
            files_read=count,
        )


def version_of(folder: str) -> str | None:
    """Give the version of the package in a folder; None where there is none, or it does not tell."""
    version = _json(f"{folder}/package.json").get("version")
    return version if isinstance(version, str) else None


def _json(path: str) -> dict[str, Any]:
    try:
        with open(path, "rb") as file:
            found = json.loads(file.read())
    except (OSError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _source(facts: dict[str, Any], noted: dict[str, Any]) -> str | None:
    """Tell where it came from when not from a registry: a repository, an archive, a folder."""
    resolved = noted.get("resolved") or facts.get("_resolved")
    if not isinstance(resolved, str) or re.search(r"/-/[^/]+\.tgz(?:#|\Z)", resolved):
        return None  # Registries serve archives under "/-/".
    commit = resolved.partition("#")[2]
    return without_credentials(resolved.partition("#")[0]) + (f"#{commit}" if commit else "")
