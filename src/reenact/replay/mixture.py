"""Two records side by side: what differs between them, and the record of one with some of that as it is in the other. Pure."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from functools import cached_property
from typing import Final

import msgspec

from reenact.model.artifact import Artifact, Entry
from reenact.model.bundle import Bundle
from reenact.replay.factors import Factor, Kind, Side, differs, plain_name, shown
from reenact.replay.ingredients import Ingredients, compiled_from, with_files

__all__ = ["Pair"]

_SEEDS: Final = re.compile(r"PYTHONHASHSEED|(?:.*_)?SEED")
_LOCALES: Final = re.compile(r"LANG|LANGUAGE|LC_.*|TZ")
_SESSION: Final = re.compile(
    r"_|OLDPWD|SHLVL|COLUMNS|LINES|WINDOWID|TERM.*|SSH_.*|XDG_.*|DBUS_.*|DISPLAY|GPG_.*|INVOCATION_ID|JOURNAL_STREAM|PPID"
)
_OURS: Final = "REENACT_"
_SITE: Final = re.compile(r"(?P<site>.*/(?:site|dist)-packages)/(?P<top>[^/]+)")
_LIBRARY: Final = re.compile(r".*/lib(?:64)?/(?P<python>python\d+\.\d+)/")
_SETTLED: Final = "/etc/"
_CONDITIONS: Final = ("cwd", "umask", "uid", "gid", "groups", "hostname", "limits", "affinity")


class Pair:
    """Two records, what differs between them, and every mixture of the two."""

    def __init__(
        self, first: Ingredients, second: Ingredients, *, may_appear: bool = False, may_vanish: bool = False
    ) -> None:
        """Take two records.

        Args:
            first: The one that mixtures start from.
            second: The one that they come nearer to.
            may_appear: Files of which the first says nothing may not have been there: each is a factor. Else they are part of
                every mixture, lest what the second does find nothing.
            may_vanish: Files of which the second says nothing may have been gone by then: likewise. Else they stay.
        """
        self.first, self.second = Side(first), Side(second)
        self._may_appear, self._may_vanish = may_appear, may_vanish

    @cached_property
    def factors(self) -> tuple[Factor, ...]:
        """Everything that differs and can be swapped, the likeliest first."""
        return tuple(sorted((*self._files(), *self._launch(), *self._variables()), key=lambda factor: factor.rank))

    def mixed(self, chosen: Collection[Factor]) -> Ingredients:
        """Give the first record with some of the factors as they are in the second, and all that only the second knows."""
        taken = {path for factor in chosen for path in factor.paths if factor.kind != "file-times"}
        timed = {path for factor in chosen for path in factor.paths if factor.kind == "file-times"}
        put, gone = [], []
        for path in taken:
            if path in self.second.entries:
                put.append(self.second.artifact(path))
            else:
                gone.append(path)
        put += [self.second.artifact(path) for path in self._only_known_there()]
        put += [self._fuller(path) for path in self._better_known_there() if path not in taken]
        put += [self._timed(path) for path in timed if path not in taken]
        mixed = with_files(self.first.ingredients, put, gone)
        absent = {
            path
            for path in self.second.ingredients.absent
            if path not in mixed.entries() and not self.first.knows(path)
        }
        bundle = self._launched(mixed.bundle, chosen)
        return Ingredients(bundle=bundle, manifest=mixed.manifest, absent=mixed.absent | absent)

    # --- files

    @cached_property
    def _streams(self) -> frozenset[str]:
        """The files that caught standard streams: what an earlier run left in a log is there before the next."""
        launches = [side.bundle.launch for side in (self.first, self.second)]
        return frozenset(s.path for launch in launches for s in (launch.stdout, launch.stderr) if s.path is not None)

    def _paths(self) -> Iterator[str]:
        for path in sorted(self.first.entries.keys() | self.second.entries.keys()):
            if compiled_from(path) is None and not path.endswith("/__pycache__"):
                yield path

    def _only_known_there(self) -> Iterator[str]:
        for path in self.second.entries:
            if not self.first.knows(path) and not (self._may_appear and _is_of_note(self.second, path)):
                yield path

    def _better_known_there(self) -> Iterator[str]:
        """Give the files that both know, alike as far as can be told, but of which only the second has the bytes."""
        for path, entry in self.second.entries.items():
            known = self.first.entries.get(path)
            if known is None or differs(known, entry):
                continue
            if (known.digest is None and entry.digest is not None) or (known.names is None and entry.names is not None):
                yield path

    def _fuller(self, path: str) -> Artifact:
        return self.second.artifact(path)

    def _timed(self, path: str) -> Artifact:
        known = self.first.artifact(path)
        entry = msgspec.structs.replace(known.entry, mtime_ns=self.second.entries[path].mtime_ns)
        return msgspec.structs.replace(known, entry=entry)

    def _files(self) -> Iterator[Factor]:
        groups: dict[tuple[Kind, str], set[str]] = {}
        timed = set()
        for path in self._paths():
            before, after = self.first.entries.get(path), self.second.entries.get(path)
            if before is not None and after is not None:
                if differs(before, after):
                    groups.setdefault(self._group(path), set()).add(path)
                elif before.type == "file" and before.mtime_ns != after.mtime_ns:
                    timed.add(path)
            elif self._lacking(path, before, after):
                groups.setdefault(self._group(path), set()).add(path)
        for (kind, name), paths in groups.items():
            yield self._file_factor(kind, name, frozenset(paths))
        if timed:
            number = f"of {len(timed)} file{'' if len(timed) == 1 else 's'}"
            yield Factor(kind="file-times", name="file times", before=number, after=number, paths=frozenset(timed))

    def _lacking(self, path: str, before: Entry | None, after: Entry | None) -> bool:
        """Tell whether one record has a file and the other says that it was not there, or nothing where that may mean the same.

        A folder comes with what is in it.
        """
        there, other = (before, self.second) if before is not None else (after, self.first)
        if there is None:
            return False
        if not other.knows(path):
            return (self._may_vanish if before is not None else self._may_appear) and _is_of_note(
                self.first if before is not None else self.second, path
            )
        return there.type != "directory" or there.need == "list"

    def _group(self, path: str) -> tuple[Kind, str]:
        side = self.first if path in self.first.entries else self.second
        kind = side.kind_of(path)
        if self.first.made(path) or self.second.made(path) or path in self._streams:
            return "leftover", side.artifact(path).name
        if kind == "code":
            return "code", side.artifact(path).name
        if kind == "data":
            return "input", side.artifact(path).name
        if found := _SITE.match(path):
            return "package", self._package(found["site"], found["top"])
        if found := _LIBRARY.match(path):
            return "environment", found["python"]
        return "environment", path if path.startswith(_SETTLED) else path.rpartition("/")[0] or "/"

    def _package(self, site: str, top: str) -> str:
        """Name the package that a name in a folder of packages belongs to, as far as names tell."""
        plain = plain_name(re.sub(r"-[^-]+\.(?:dist|egg)-info$", "", top).partition(".")[0])
        known = self.first.packages | self.second.packages
        if (site, plain) in known:
            return known[site, plain][0]
        changed = [
            name
            for (folder, name) in known
            if folder == site and self.first.packages.get((folder, name)) != self.second.packages.get((folder, name))
        ]
        # One package that changed, and files that are called otherwise than any: they are its (PyYAML installs `yaml`).
        return known[site, changed[0]][0] if len(changed) == 1 else top

    def _file_factor(self, kind: Kind, name: str, paths: frozenset[str]) -> Factor:
        if kind == "package":
            before, after = self._version(self.first, name), self._version(self.second, name)
            if before != after:
                return Factor(kind=kind, name=name, before=before, after=after, paths=paths)
        if len(paths) == 1:
            path = next(iter(paths))
            before, after = (shown(side.entries.get(path)) for side in (self.first, self.second))
            return Factor(kind=kind, name=name, before=before, after=after, paths=paths)
        number = f"{len(paths)} files"
        return Factor(kind=kind, name=name, before=number, after=f"{number}, not the same", paths=paths)

    @staticmethod
    def _version(side: Side, name: str) -> str:
        return ", ".join(sorted(version for known, version in side.packages.values() if known == name))

    # --- everything else

    def _launch(self) -> Iterator[Factor]:
        first, second = self.first.bundle.launch, self.second.bundle.launch
        if len(first.argv) == len(second.argv):
            for number, (before, after) in enumerate(zip(first.argv, second.argv, strict=True)):
                if before != after:
                    yield Factor(kind="command", name=f"word {number}", before=before, after=after)
        else:
            yield Factor(kind="command", name="words", before=" ".join(first.argv), after=" ".join(second.argv))
        for name in _CONDITIONS:
            before, after = getattr(first, name), getattr(second, name)
            if before != after:
                yield Factor(kind="conditions", name=name, before=str(before), after=str(after))
        if _content(first.stdin.pointer) != _content(second.stdin.pointer):
            before, after = _content(first.stdin.pointer), _content(second.stdin.pointer)
            yield Factor(kind="stdin", name="standard input", before=before, after=after)

    def _variables(self) -> Iterator[Factor]:
        first, second = self.first.bundle.environment, self.second.bundle.environment
        for name in sorted(first.variables.keys() | second.variables.keys()):
            before, after = first.variables.get(name), second.variables.get(name)
            if before != after and not name.startswith(_OURS):
                kind = _variable_kind(name)
                yield Factor(kind=kind, name=name, before=before or "", after=after or "")
        for name in sorted(first.redacted.keys() | second.redacted.keys()):
            if first.redacted.get(name) != second.redacted.get(name):
                before, after = first.redacted.get(name, ""), second.redacted.get(name, "")
                yield Factor(kind="secret", name=name, before=before, after=after)

    def _launched(self, bundle: Bundle, chosen: Collection[Factor]) -> Bundle:
        launch, environment = bundle.launch, bundle.environment
        theirs = self.second.bundle
        for factor in chosen:
            if factor.kind == "command":
                launch = msgspec.structs.replace(launch, argv=_argv(launch.argv, theirs.launch.argv, factor.name))
            elif factor.kind == "conditions":
                launch = msgspec.structs.replace(launch, **{factor.name: getattr(theirs.launch, factor.name)})
            elif factor.kind == "stdin":
                launch = msgspec.structs.replace(launch, stdin=theirs.launch.stdin)
            elif factor.kind == "secret":
                redacted = _swapped(environment.redacted, theirs.environment.redacted, factor.name)
                environment = msgspec.structs.replace(environment, redacted=redacted)
            elif factor.kind in {"seed", "locale", "variable", "session"}:
                variables = _swapped(environment.variables, theirs.environment.variables, factor.name)
                environment = msgspec.structs.replace(environment, variables=variables)
        return msgspec.structs.replace(bundle, launch=launch, environment=environment)


def _is_of_note(side: Side, path: str) -> bool:
    """Tell whether a file is one whose being there a job can have asked about: not one of its tools' own."""
    if side.entries[path].type == "directory":
        return False
    return side.kind_of(path) != "environment" or path.startswith(_SETTLED)


def _variable_kind(name: str) -> Kind:
    rules: tuple[tuple[re.Pattern[str], Kind], ...] = ((_SEEDS, "seed"), (_LOCALES, "locale"), (_SESSION, "session"))
    return next((kind for pattern, kind in rules if pattern.fullmatch(name)), "variable")


def _argv(ours: tuple[str, ...], theirs: tuple[str, ...], name: str) -> tuple[str, ...]:
    if name == "words":
        return theirs
    number = int(name.removeprefix("word "))
    return (*ours[:number], theirs[number], *ours[number + 1 :])


def _swapped(ours: dict[str, str], theirs: dict[str, str], name: str) -> dict[str, str]:
    kept = {key: value for key, value in ours.items() if key != name}
    return kept | {name: theirs[name]} if name in theirs else kept


def _content(pointer: object) -> str:
    return getattr(pointer, "digest", "")
