"""Variations: the record of a run with one thing in it changed, for a replay that answers "what if". Pure.

Files come as :class:`Offer`s, already digested; which of a folder's files count as code is decided here, from names alone, so
that nobody has to read the others.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import msgspec

from reenact.capture.host import locale_and_zone
from reenact.digests import Digest
from reenact.errors import UsageError
from reenact.model.artifact import Artifact, Entry, EntryType, Pointer
from reenact.model.bundle import Bundle
from reenact.model.environment import Environment
from reenact.model.paths import from_text, relative_name, to_text
from reenact.replay.ingredients import Ingredients, with_files

__all__ = [
    "Choice",
    "Offer",
    "choose_code",
    "folder_entries",
    "input_places",
    "offered",
    "with_code",
    "with_command",
    "with_parameter",
    "with_variable",
]

_FOLDER_MODE: Final = 0o755
_MOST_NAMED: Final = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """A file that is to take a recorded one's place, or to be there beside them."""

    type: EntryType
    mode: int
    mtime_ns: int
    size_bytes: int = 0
    digest: Digest | None = None
    target: str | None = None
    """Of a symbolic link; text form."""
    media_type: str = "application/octet-stream"


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """Which files of a folder take part as code."""

    taken: tuple[str, ...]
    """Names relative to the folder, sorted."""
    gone: tuple[str, ...]
    """Recorded paths that it does not have."""
    left: tuple[str, ...]
    """Names of files that were not taken: neither recorded as code, nor tracked, nor code by their names."""


def choose_code(
    base: Ingredients,
    folder: str,
    names: Collection[str],
    *,
    tracked: Collection[str],
    formerly: Collection[str],
    is_code: Collection[str],
) -> Choice:
    """Choose the files that are the code of a folder.

    What is under version control there is code, whatever it is, and so is what the record has as code; of files that the
    record does not know, those that are code by their names. Recorded data stays recorded, outputs are never laid out.

    Args:
        base: The record.
        folder: The recorded folder, in text form, that the other one stands for.
        names: All files of the other one, relative to it, text form.
        tracked: Those under version control.
        formerly: Those that were under version control when the run was recorded, as far as that is known.
        is_code: Those that are code by their names.
    """
    inputs = {artifact.entry.path: artifact for artifact in base.bundle.inputs}
    outputs = {artifact.entry.path for artifact in base.bundle.outputs} - inputs.keys()
    environment = {entry.path for entry in base.manifest.entries}
    taken: list[str] = []
    left: list[str] = []
    for name in sorted(names):
        path = f"{folder}/{name}"
        if path in outputs or path in environment:
            continue
        known = inputs.get(path)
        as_code = name in tracked or (known.kind == "code" if known is not None else name in is_code)
        (taken if as_code else left).append(name)
    gone = [
        path
        for path, artifact in inputs.items()
        if path.startswith(folder + "/")
        and artifact.entry.type in {"file", "symlink"}
        and (name := path[len(folder) + 1 :]) not in names
        and (artifact.kind == "code" or name in formerly)
    ]
    return Choice(taken=tuple(taken), gone=tuple(sorted(gone)), left=tuple(left))


def offered(base: Bundle, path: str, offer: Offer, *, kind: str) -> Artifact:
    """Make an artifact of an offer, owned by the job's user.

    Args:
        base: The record.
        path: Where it is to be, in text form.
        offer: What.
        kind: ``code`` or ``data``.
    """
    entry = Entry(
        path=path,
        type=offer.type,
        mode=offer.mode,
        mtime_ns=str(offer.mtime_ns),
        need="content",
        size_bytes=offer.size_bytes,
        uid=base.launch.uid,
        gid=base.launch.gid,
        digest=offer.digest,
        target=offer.target,
    )
    pointer = None
    if offer.digest is not None:
        pointer = Pointer(digest=offer.digest, size_bytes=offer.size_bytes, media_type=offer.media_type)
    name = to_text(relative_name(from_text(path), from_text(base.launch.root)))
    return Artifact(
        name=name, access=("read",), entry=entry, pointer=pointer, kind="code" if kind == "code" else "data"
    )


def folder_entries(base: Ingredients, paths: Collection[str], *, below: str) -> Iterator[Artifact]:
    """Give the folders below one that are new with some new files, or whose names nobody has asked for yet, with their names.

    A folder of code is listed by whoever imports from it; all that the world has in it is what it is said to hold.
    """
    known = base.entries()
    everything = {path for path in (*known, *paths) if path.startswith(below + "/")}
    names: dict[str, set[str]] = {below: set()}
    for path in everything:
        here = path
        while here != below:
            folder, _, name = here.rpartition("/")
            names.setdefault(folder, set()).add(name)
            here = folder
    inputs = {artifact.entry.path: artifact for artifact in base.bundle.inputs}
    for folder, held in names.items():
        entry = known.get(folder)
        if entry is None:
            made = offered(base.bundle, folder, Offer(type="directory", mode=_FOLDER_MODE, mtime_ns=0), kind="data")
            entry = made.entry
            yield msgspec.structs.replace(
                made, access=("listed",), entry=msgspec.structs.replace(entry, need="list", names=tuple(sorted(held)))
            )
        elif entry.type == "directory" and entry.names is None and folder in inputs:
            listed = msgspec.structs.replace(entry, need="list", names=tuple(sorted(held)))
            yield msgspec.structs.replace(inputs[folder], entry=listed)


def with_code(base: Ingredients, folder: str, given: Mapping[str, Offer], gone: Collection[str]) -> Ingredients:
    """Give the record with other code.

    What is the same bytes, type and mode stays the recorded entry, with its time: compiled copies of it stay good.

    Args:
        base: The record.
        folder: The recorded folder they belong in, text form.
        given: Name relative to it to what is to be there.
        gone: Recorded paths that are not to be there.
    """
    known = base.entries()
    put = []
    for name, offer in given.items():
        path = f"{folder}/{name}"
        entry = known.get(path)
        if entry is not None and _is_same(entry, offer):
            continue
        put.append(offered(base.bundle, path, offer, kind="code"))
    changed = with_files(base, put, gone)
    return with_files(changed, folder_entries(changed, [a.entry.path for a in put], below=folder))


def _is_same(entry: Entry, offer: Offer) -> bool:
    if entry.type != offer.type:
        return False
    if entry.type == "symlink":
        return entry.target == offer.target
    return entry.digest == offer.digest and entry.mode == offer.mode


def input_places(base: Ingredients, name: str, *, may_be_new: bool = False) -> tuple[str, Entry | None]:
    """Find what a name means among the inputs: its path, and its entry where the record has one.

    A name the record does not have is good where its folder was listed, for the job would have found it.

    Args:
        base: The record.
        name: Of an input, or its path.
        may_be_new: Another name inside the job's root is good too: what runs is not what ran then, and may read it.

    Raises:
        UsageError: the run read no such thing.
    """
    known = base.entries()
    by_name = {artifact.name: artifact.entry for artifact in base.bundle.inputs}
    entry = by_name.get(name) or known.get(name)
    if entry is not None:
        return entry.path, entry
    path = name if name.startswith("/") else f"{base.bundle.launch.root.rstrip('/')}/{name}"
    folder = known.get(path.rpartition("/")[0] or "/")
    listed = folder is not None and folder.names is not None
    inside = may_be_new and path.startswith(base.bundle.launch.root.rstrip("/") + "/")
    if (listed or inside) and {"..", ".", ""}.isdisjoint(path.split("/")[1:]):
        return path, None
    read = [a.name for a in base.bundle.inputs if a.kind == "data" and a.entry.need == "content"]
    more = f" and {len(read) - _MOST_NAMED} more" if len(read) > _MOST_NAMED else ""
    raise UsageError(
        f"run {base.bundle.run_id} read no input {name!r}",
        hint=f"it read {', '.join(read[:_MOST_NAMED]) or 'no data'}{more}; see: reenact show",
    )


def with_variable(base: Ingredients, name: str, value: str | None) -> Ingredients:
    """Give the record with an environment variable of another value (text form), or without it."""
    environment = base.bundle.environment
    variables = {key: text for key, text in environment.variables.items() if key != name}
    if value is not None:
        variables[name] = value
    redacted = {key: text for key, text in environment.redacted.items() if key != name}
    return _with_environment(base, variables=dict(sorted(variables.items())), redacted=redacted)


def _with_environment(base: Ingredients, **changes: object) -> Ingredients:
    environment: Environment = msgspec.structs.replace(base.bundle.environment, **changes)
    told = {from_text(name): from_text(value) for name, value in environment.variables.items()}
    if any(name in {"LANG", "LC_ALL", "TZ"} or name.startswith("LC_") for name in told):
        locale, _ = locale_and_zone({**told, "TZ": told.get("TZ", "UTC")})
        zone = told["TZ"].removeprefix(":") if told.get("TZ") else environment.time_zone
        environment = msgspec.structs.replace(environment, locale=to_text(locale), time_zone=to_text(zone))
    return _with_bundle(base, environment=environment)


def _with_bundle(base: Ingredients, **changes: object) -> Ingredients:
    return Ingredients(
        bundle=msgspec.structs.replace(base.bundle, **changes), manifest=base.manifest, absent=base.absent
    )


def with_command(base: Ingredients, words: Sequence[str]) -> Ingredients:
    """Give the record with another command (text form), looked for on the recorded PATH."""
    launch = msgspec.structs.replace(base.bundle.launch, argv=tuple(words), executable=None)
    return _with_bundle(base, launch=launch)


def with_parameter(base: Ingredients, name: str, value: str) -> Ingredients:
    """Give the record with another value of a parameter, wherever the job was told the recorded one.

    A parameter is a note for people, so it has to be found in what the job was given: ``--name VALUE``, ``--name=VALUE`` or
    ``name=VALUE`` in the command, or a variable of its name, upper case too.

    Raises:
        UsageError: the run has no such parameter, or the job was not told its value in any of these ways.
    """
    bundle = base.bundle
    recorded = bundle.parameters.get(name)
    if recorded is None:
        known = ", ".join(sorted(bundle.parameters)) or "none"
        raise UsageError(f"run {bundle.run_id} has no parameter {name!r}", hint=f"its parameters are: {known}")
    argv = _told(bundle.launch.argv, name, recorded, value)
    names = {name, name.upper(), name.upper().replace("-", "_")}
    variables = [key for key, text in bundle.environment.variables.items() if key in names and text == recorded]
    if argv == bundle.launch.argv and not variables and value != recorded:
        raise UsageError(
            f"parameter {name} of run {bundle.run_id} is only a note: neither the command nor a variable tells the job its value",
            hint="change what the job is told, with --command or --var",
        )
    varied = _with_bundle(
        base,
        parameters={**bundle.parameters, name: value},
        launch=msgspec.structs.replace(bundle.launch, argv=argv),
    )
    for key in variables:
        varied = with_variable(varied, key, value)
    return varied


def _told(argv: Sequence[str], name: str, recorded: str, value: str) -> tuple[str, ...]:
    flag = re.compile(rf"-{{0,2}}{re.escape(name).replace('_', '[-_]').replace(re.escape('-'), '[-_]')}", re.IGNORECASE)
    words = list(argv)
    for place, word in enumerate(argv):
        key, equals, text = word.partition("=")
        if equals and text == recorded and flag.fullmatch(key):
            words[place] = f"{key}={value}"
        elif word == recorded and place and argv[place - 1].startswith("-") and flag.fullmatch(argv[place - 1]):
            words[place] = value
    return tuple(words)
