"""What a world is made from, and the same with other files. Pure.

A varied replay is an ordinary replay of a record that was changed in one thing. Changing a file is more than changing its
bytes: the folders that were listed must name it (or not), what was looked for in vain may be there now, and Python's compiled
copy of a source that is not the same any more must not be taken for it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

import msgspec

from reenact.model.artifact import Artifact, Entry
from reenact.model.bundle import Bundle
from reenact.model.environment import Manifest

__all__ = ["Ingredients", "compiled_from", "with_files"]

_COMPILED: Final = "__pycache__"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ingredients:
    """A record, or a variation of one, as far as it goes into a world."""

    bundle: Bundle
    manifest: Manifest
    """Its environment's files; where varied, no longer the object that the bundle names."""
    absent: frozenset[str]
    """Paths, in text form, that were opened or executed and were not there."""

    def entries(self) -> dict[str, Entry]:
        """Give every path that is known to have been there."""
        known = {entry.path: entry for entry in self.manifest.entries}
        return known | {artifact.entry.path: artifact.entry for artifact in self.bundle.inputs}


def compiled_from(path: str) -> str | None:
    """Give the source of a compiled Python file by its name; None for any other path."""
    folder, _, name = path.rpartition("/")
    above, _, last = folder.rpartition("/")
    if last != _COMPILED or not name.endswith(".pyc"):
        return None
    return f"{above}/{name.partition('.')[0]}.py"


def with_files(base: Ingredients, put: Iterable[Artifact], gone: Collection[str] = ()) -> Ingredients:
    """Give the same with some files put in place of, or beside, those that were there, and others gone.

    Args:
        base: The record.
        put: What is to be there instead; where the path is one of the environment's files it stays one. One that was an input
            keeps its name and how it was used.
        gone: Paths that are not to be there, and all below them.
    """
    new = {artifact.entry.path: artifact for artifact in put}
    known = base.entries()
    dropped = {path for path in known if path not in new and _is_dropped(path, new, gone)}
    inputs = {a.entry.path: a for a in base.bundle.inputs if a.entry.path not in dropped}
    environment = {e.path: e for e in base.manifest.entries if e.path not in dropped}
    for path, artifact in new.items():
        if path in environment and path not in inputs:
            environment[path] = artifact.entry
        else:
            inputs[path] = _as_used(inputs.get(path), artifact)
    _list_anew(inputs, environment, appeared=new.keys() - known.keys(), vanished=dropped)
    ways = {folder for path in new for folder in (path, *_folders_of(path))}
    uncompiled = {*_compiled_names(new, known.keys() | base.absent)} - inputs.keys() - environment.keys()
    return Ingredients(
        bundle=msgspec.structs.replace(base.bundle, inputs=tuple(inputs[path] for path in sorted(inputs))),
        manifest=msgspec.structs.replace(
            base.manifest, entries=tuple(environment[path] for path in sorted(environment))
        ),
        absent=frozenset((base.absent - ways) | dropped | uncompiled),
    )


def _compiled_names(new: Collection[str], seen: Collection[str]) -> Iterator[str]:
    """Give where a Python of the record looks for compiled copies of new sources: they are known not to be there."""
    endings = {path.rpartition("/")[2].partition(".")[2] for path in seen if compiled_from(path) is not None}
    for path in new:
        folder, _, name = path.rpartition("/")
        if name.endswith(".py"):
            yield from (f"{folder}/{_COMPILED}/{name[:-3]}.{ending}" for ending in endings)


def _is_dropped(path: str, new: Mapping[str, Artifact], gone: Collection[str]) -> bool:
    source = compiled_from(path)
    if source is not None and (source in new or source in gone):
        return True
    return path in gone or any(folder in gone for folder in _folders_of(path))


def _as_used(recorded: Artifact | None, given: Artifact) -> Artifact:
    """Keep what the record says of how a path was used; several names of one file are no longer that."""
    if recorded is None:
        return given
    names = recorded.entry.names if given.entry.names is None else given.entry.names
    entry = msgspec.structs.replace(given.entry, link=None, names=names)
    return msgspec.structs.replace(recorded, entry=entry, pointer=given.pointer, kind=given.kind)


def _list_anew(
    inputs: dict[str, Artifact], environment: dict[str, Entry], *, appeared: Collection[str], vanished: Collection[str]
) -> None:
    """Let folders whose names are known name what appeared, and no longer what vanished."""
    changes: dict[str, tuple[set[str], set[str]]] = {}
    for path in appeared:
        here = path
        for folder in _folders_of(path):
            changes.setdefault(folder, (set(), set()))[0].add(here.rpartition("/")[2])
            here = folder
    for path in vanished:
        folder, _, name = path.rpartition("/")
        changes.setdefault(folder or "/", (set(), set()))[1].add(name)
    for folder, (more, fewer) in changes.items():
        if folder in inputs:
            inputs[folder] = msgspec.structs.replace(inputs[folder], entry=_renamed(inputs[folder].entry, more, fewer))
        elif folder in environment:
            environment[folder] = _renamed(environment[folder], more, fewer)


def _renamed(entry: Entry, more: set[str], fewer: set[str]) -> Entry:
    if entry.names is None:
        return entry
    return msgspec.structs.replace(entry, names=tuple(sorted((set(entry.names) - fewer) | more)))


def _folders_of(path: str) -> Iterator[str]:
    """Give the folders on the way to a path, nearest first, the root last."""
    while path := path.rpartition("/")[0]:
        yield path
    yield "/"
