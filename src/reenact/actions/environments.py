"""Another environment for a varied replay: today's files at the recorded paths, a virtual environment, or one built from a lock."""

from __future__ import annotations

import dataclasses
import os
import re
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from typing import Final

import msgspec

from reenact.actions.supplies import Supplies, tree
from reenact.capture.python_packages import ECOSYSTEM
from reenact.errors import UnreplayableError, UsageError
from reenact.model.artifact import Artifact, Entry
from reenact.model.environment import Distribution
from reenact.model.paths import from_text, to_text
from reenact.replay import rebuild
from reenact.replay.ingredients import Ingredients
from reenact.replay.ownership import is_inside
from reenact.replay.recipe import Recipe, environments_of, python_of
from reenact.replay.today import rebuilt_variables
from reenact.replay.trees import remove_tree
from reenact.replay.vary import Offer, offered

__all__ = ["CURRENT", "with_environment_of"]

CURRENT: Final = "current"
_LIBRARY: Final = re.compile(r"(?P<folder>/.+?/lib(?:64)?/python\d+\.\d+)/")
_INSTALLED: Final = re.compile(r"(?P<name>[A-Za-z0-9._]+)-(?P<version>[^-/]+)\.dist-info/METADATA\Z")
_PACKAGE_FOLDERS: Final = frozenset({"site-packages", "dist-packages"})
_UNUSED: Final = _PACKAGE_FOLDERS | {"__pycache__", "test", "tests", "idlelib", "turtledemo", "ensurepip", "lib2to3"}
"""Folders of Python's own library that hardly a job reads, by far the most of it; what the run did read of them is there."""
_PYTHON: Final = re.compile(r"python[0-9.]*")
_NOT_KEPT: Final = "/sys/"
_BUILT: Final = "/reenact/environment"
"""Where an environment that was built from a lock lies in a world whose record has none."""


def with_environment_of(base: Ingredients, given: str, supplies: Supplies) -> tuple[Ingredients, list[str]]:
    """Give the record with another environment, and notes about what is not as sure as it may seem.

    Args:
        base: The record.
        given: ``current``; or a virtual environment's folder; or a requirements file with pinned versions.
        supplies: Takes the files.

    Raises:
        UsageError: it is none of these.
        UnreplayableError: the environment of a lock cannot be built.
    """
    if given == CURRENT:
        return _current(base, supplies)
    if os.path.isfile(f"{given}/pyvenv.cfg"):
        folder = os.path.realpath(given)
        return _virtual(base, folder, supplies, otherwise=folder)
    if os.path.isfile(given):
        return _locked(base, given, supplies)
    raise UsageError(
        f"{given!r} is no environment",
        hint="give 'current', the folder of a virtual environment (with its pyvenv.cfg), or a file of pinned requirements",
    )


# --- what is on this machine now


def _current(base: Ingredients, supplies: Supplies) -> tuple[Ingredients, list[str]]:
    """Read every recorded path of the environment again, and all of the libraries of the Pythons that were used."""
    entries: dict[str, Entry] = {}
    gone = []
    for recorded in base.manifest.entries:
        now = _again(recorded, supplies)
        if now is None:
            gone.append(recorded.path)
        else:
            entries[now.path] = now
    for folder in _libraries(base):
        entries |= {entry.path: entry for entry in _library(base, folder, supplies, entries)}
    _follow_links(base, entries, supplies)
    kept = _listed(entries.values())
    notes = ["of the environment, what neither the run read nor lies in the library of its Python is not in the world"]
    return _with_manifest(base, kept, absent=gone), notes


def _again(recorded: Entry, supplies: Supplies) -> Entry | None:
    """Describe what is at a recorded path now; None when nothing is."""
    path = from_text(recorded.path)
    if path.startswith(_NOT_KEPT):
        return recorded
    if recorded.type == "file" and recorded.need != "content" and recorded.digest is None:
        try:
            found = os.lstat(path)
        except OSError:
            return None
        return msgspec.structs.replace(recorded, mtime_ns=str(found.st_mtime_ns), size_bytes=found.st_size)
    try:
        offer = supplies.path(path)
    except PermissionError:
        return recorded
    if offer is None:
        return None
    names = recorded.names
    if offer.type == "directory" and names is not None:
        names = tuple(sorted(to_text(name) for name in os.listdir(path)))
    return msgspec.structs.replace(
        recorded,
        type=offer.type,
        mode=offer.mode,
        mtime_ns=str(offer.mtime_ns),
        size_bytes=offer.size_bytes,
        digest=offer.digest,
        target=offer.target,
        names=names if offer.type == "directory" else None,
        link=None,
    )


def _libraries(base: Ingredients) -> list[str]:
    """Give the folders of Python's own modules, and of packages."""
    found = {match["folder"] for e in base.manifest.entries if (match := _LIBRARY.match(e.path))}
    virtual = environments_of(base.bundle, base.manifest)
    found |= {f"{folder}/site-packages" for folder in found if any(is_inside(from_text(folder), v) for v in virtual)}
    found |= {d.location for d in base.bundle.environment.distributions if d.ecosystem == ECOSYSTEM}
    return sorted(found)


def _library(base: Ingredients, folder: str, supplies: Supplies, known: Mapping[str, Entry]) -> Iterator[Entry]:
    """Take what a folder of Python's own modules, or of packages, holds beside what is known already.

    Of packages that are installed for all, only those that the run used: others may be many, and not the job's.
    """
    top = from_text(folder)
    of_packages = top.rpartition("/")[2] in _PACKAGE_FOLDERS
    whole = of_packages and any(is_inside(top, place) for place in environments_of(base.bundle, base.manifest))
    read = (path for path, entry in known.items() if entry.digest is not None)
    used = {path[len(folder) + 1 :].partition("/")[0] for path in read if path.startswith(folder + "/")}
    for name in tree(top, whole=True):
        path = f"{folder}/{to_text(name)}"
        parts = name.split("/")
        wanted = whole or (parts[0] in used if of_packages else _UNUSED.isdisjoint(parts[:-1]))
        if path in known or not wanted:
            continue
        try:
            offer = supplies.path(f"{top}/{name}")
        except PermissionError:
            continue
        if offer is not None:
            yield _entry(base, path, offer)


def _whole(base: Ingredients, top: str, place: str, supplies: Supplies, *, written: str = "") -> Iterator[Entry]:
    """Take a folder with all that is in it.

    Args:
        base: The record.
        top: The folder.
        place: Where it is to be, text form.
        supplies: Takes the files.
        written: A path that scripts name in their first line, where they are to name the new place.
    """
    if not os.path.isdir(top):
        return
    shebang = (written, from_text(place)) if written not in {"", from_text(place)} else None
    for name in tree(top, whole=True):
        try:
            offer = supplies.path(f"{top}/{name}", shebang=shebang)
        except PermissionError:
            continue
        if offer is not None:
            yield _entry(base, f"{place}/{to_text(name)}", offer)


def _entry(base: Ingredients, path: str, offer: Offer) -> Entry:
    made: Artifact = offered(base.bundle, path, offer, kind="data")
    # Packages belong to whoever installed them; a world knows the job's user and root.
    return msgspec.structs.replace(made.entry, uid=0, gid=0) if os.geteuid() == 0 else made.entry


def _follow_links(base: Ingredients, entries: dict[str, Entry], supplies: Supplies) -> None:
    """Take what links lead to now where that is another file than before: a library of a newer version."""
    waiting = [entry for entry in entries.values() if entry.type == "symlink"]
    while waiting:
        link = waiting.pop()
        path = os.path.normpath(os.path.join(os.path.dirname(from_text(link.path)), from_text(link.target or "")))
        path = f"{os.path.realpath(os.path.dirname(path))}/{os.path.basename(path)}"
        if to_text(path) in entries or not (os.path.islink(path) or os.path.isfile(path)):
            continue
        offer = supplies.path(path)
        if offer is not None:
            entry = entries[to_text(path)] = _entry(base, to_text(path), offer)
            if entry.type == "symlink":
                waiting.append(entry)


def _listed(entries: Iterable[Entry]) -> list[Entry]:
    """Let every folder that came along whole say what is in it."""
    known = {entry.path: entry for entry in entries}
    names: dict[str, set[str]] = {}
    for path in known:
        here = path
        while here.count("/") > 1:
            folder, _, name = here.rpartition("/")
            names.setdefault(folder, set()).add(name)
            here = folder
    for folder, held in names.items():
        if not _LIBRARY.match(f"{folder}/"):
            continue
        entry = known.get(folder) or Entry(path=folder, type="directory", mode=0o755, mtime_ns="0", need="list")
        if entry.type == "directory":
            known[folder] = msgspec.structs.replace(entry, need="list", names=tuple(sorted(held)))
    return [known[path] for path in sorted(known)]


def _with_manifest(base: Ingredients, entries: list[Entry], *, absent: Iterable[str]) -> Ingredients:
    paths = {entry.path for entry in entries}
    ways = {folder for path in paths for folder in _ways(path)}
    bundle = base.bundle
    environment = msgspec.structs.replace(
        bundle.environment, distributions=tuple(_distributions(entries)), lock=None, os_packages=None
    )
    unobserved = {**bundle.unobserved, "environment.os_packages": "replayed in another environment"}
    return Ingredients(
        bundle=msgspec.structs.replace(bundle, environment=environment, unobserved=unobserved),
        manifest=msgspec.structs.replace(base.manifest, entries=tuple(entries)),
        absent=(base.absent | frozenset(absent)) - paths - ways,
    )


def _distributions(entries: Iterable[Entry]) -> Iterator[Distribution]:
    for entry in entries:
        folder, _, rest = entry.path.rpartition("/")
        if found := _INSTALLED.search(f"{folder.rpartition('/')[2]}/{rest}"):
            location = folder.rpartition("/")[0]
            yield Distribution(ecosystem=ECOSYSTEM, name=found["name"], version=found["version"], location=location)


def _ways(path: str) -> Iterator[str]:
    while path := path.rpartition("/")[0]:
        yield path


# --- a virtual environment


def _virtual(base: Ingredients, folder: str, supplies: Supplies, *, otherwise: str) -> tuple[Ingredients, list[str]]:
    """Lay a virtual environment where the recorded one was; without one, at a path of its own, first on PATH.

    Args:
        base: The record.
        folder: The environment.
        supplies: Takes the files.
        otherwise: Where it is to be when the record has none.
    """
    recorded = environments_of(base.bundle, base.manifest)
    if len(recorded) > 1:
        raise UsageError(
            f"the run used {len(recorded)} virtual environments: {', '.join(recorded)}; one cannot replace them"
        )
    place = recorded[0] if recorded else otherwise
    prefix = to_text(place)
    kept = {e.path: e for e in base.manifest.entries if not (recorded and is_inside(e.path, prefix))}
    laid = {entry.path: entry for entry in _whole(base, folder, prefix, supplies, written=folder)}
    entries = kept | laid
    python = os.path.realpath(f"{folder}/bin/python")
    for library in _library_of(python):
        entries |= {entry.path: entry for entry in _library(base, to_text(library), supplies, entries)}
    _follow_links(base, entries, supplies)
    gone = [e.path for e in base.manifest.entries if e.path not in entries]
    made = _with_manifest(base, _listed(entries.values()), absent=gone)
    notes = []
    if to_text(python) not in {e.path for e in base.manifest.entries}:
        notes.append(
            f"the libraries that {python} itself is linked with are those of the record, as far as it has them"
        )
    if recorded:
        return made, notes
    variables = {to_text(n): to_text(v) for n, v in rebuilt_variables(base.bundle, place).items()}
    environment = msgspec.structs.replace(made.bundle.environment, variables=variables)
    bundle = msgspec.structs.replace(made.bundle, environment=environment)
    first = bundle.launch.argv[0]
    if first.startswith("/") and _PYTHON.fullmatch(first.rpartition("/")[2]):
        argv = (f"{prefix}/bin/python", *bundle.launch.argv[1:])
        bundle = msgspec.structs.replace(
            bundle, launch=msgspec.structs.replace(bundle.launch, argv=argv, executable=None)
        )
    return dataclasses.replace(made, bundle=bundle), notes


def _library_of(python: str) -> list[str]:
    """Find the standard library of an interpreter by where it lies."""
    lib = os.path.join(os.path.dirname(os.path.dirname(python)), "lib")
    name = os.path.basename(python)
    return [f"{lib}/{name}"] if re.fullmatch(r"python\d+\.\d+", name) and os.path.isdir(f"{lib}/{name}") else []


# --- a lock


def _locked(base: Ingredients, path: str, supplies: Supplies) -> tuple[Ingredients, list[str]]:
    """Build the environment of a lock with the recorded Python, as the rung ``rebuilt`` does, and lay that out."""
    interpreter = python_of(base.bundle)
    if interpreter is None:
        raise UnreplayableError("the run executed no Python, so no packages can be built for it")
    uv = rebuild.find_uv(os.environ)
    if uv is None:
        raise UnreplayableError(
            "uv is not installed: it is looked for on PATH and beside the Python that reenact runs with"
        )
    version = (interpreter.version or "").partition("+")[0]
    python = rebuild.find_python(uv, version, os.environ)
    if python is None:
        raise UnreplayableError(
            f"Python {version} is not on this machine", hint=f"get it with: uv python install {version}"
        )
    try:
        with open(path, encoding="utf-8") as file:
            requirements = file.read()
    except UnicodeDecodeError as error:
        raise UsageError(f"{path} is no file of requirements: {error}") from error
    recipe = Recipe(
        python=version,
        requirements=requirements,
        hashed="--hash=" in requirements,
        unhashed=(),
        environments=(),
        instead_of=frozenset(),
        sites=(),
    )
    above = os.path.realpath(tempfile.mkdtemp(prefix="reenact-lock-"))
    try:
        rebuild.build(recipe, f"{above}/environment", uv=uv, python=python, variables=os.environ)
        return _virtual(base, f"{above}/environment", supplies, otherwise=_BUILT)
    finally:
        remove_tree(above)
