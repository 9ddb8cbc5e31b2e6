"""What differs between two records in what went into their runs, piece by piece, so that each piece can be swapped. Pure.

A record knows only what its run touched. A path that one run read and the other never asked about is no difference: nothing is
known of it there. It is one where the other record says that it was not there, or that it was something else.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property
from typing import Final, Literal, get_args

from reenact.model.artifact import Artifact, Entry
from reenact.model.bundle import Bundle
from reenact.replay.ingredients import Ingredients

__all__ = ["KINDS", "Factor", "Kind", "Side", "differs", "plain_name", "shown"]

Kind = Literal[
    "command",
    "code",
    "input",
    "stdin",
    "package",
    "seed",
    "locale",
    "variable",
    "secret",
    "environment",
    "conditions",
    "leftover",
    "file-times",
    "session",
]
KINDS: Final[tuple[Kind, ...]] = get_args(Kind)
"""The likeliest causes of a difference first. `leftover`: an output, or log, of one run that was there before the other; `session`:
variables that describe a terminal session."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Factor:
    """One piece that differs."""

    kind: Kind
    name: str
    """Of the file, package, variable, word ..."""
    before: str
    """What it is in the first run, for people; empty where it is not there."""
    after: str
    paths: frozenset[str] = frozenset()
    """The files it consists of; of both sides."""

    @property
    def rank(self) -> tuple[int, str]:
        """Sorts the likeliest first, always alike."""
        return KINDS.index(self.kind), self.name

    @property
    def title(self) -> str:
        """Name it in a word or two."""
        return self.name if self.kind in {"stdin", "file-times"} else f"{self.kind} {self.name}"


class Side:
    """What one record says of paths."""

    def __init__(self, ingredients: Ingredients) -> None:
        self.ingredients = ingredients
        self.bundle: Bundle = ingredients.bundle
        self.entries = ingredients.entries()
        self._artifacts = {artifact.entry.path: artifact for artifact in self.bundle.inputs}
        self._names = {path: frozenset(e.names) for path, e in self.entries.items() if e.names is not None}
        self._made = {a.entry.path for a in self.bundle.outputs} - self.entries.keys()

    def knows(self, path: str) -> bool:
        """Tell whether the record says what was there, or that nothing was."""
        return path in self.entries or self.lacked(path)

    def lacked(self, path: str) -> bool:
        """Tell whether the record says that nothing was there when the run began."""
        if path in self.entries:
            return False
        here = path
        while here:
            if here in self.ingredients.absent or here in self._made:
                return True
            folder, _, name = here.rpartition("/")
            if name not in self._names.get(folder or "/", {name}):
                return True
            here = folder
            if here in self.entries:
                return False
        return False

    def artifact(self, path: str) -> Artifact:
        """Give what was at a path, as an input."""
        if path in self._artifacts:
            return self._artifacts[path]
        return Artifact(name=path, access=("read",), entry=self.entries[path])

    def kind_of(self, path: str) -> Literal["code", "data", "environment"]:
        """Tell what a path is to the run."""
        return self._artifacts[path].kind if path in self._artifacts else "environment"

    def made(self, path: str) -> bool:
        """Tell whether it is an output of the run, and was not there before."""
        return path in self._made

    @cached_property
    def packages(self) -> dict[tuple[str, str], tuple[str, str]]:
        """Folder and plain name of each package to its name and version."""
        found = self.bundle.environment.distributions
        return {(d.location, plain_name(d.name)): (d.name, d.version) for d in found}


def differs(before: Entry, after: Entry) -> bool:
    """Compare what was at a path in two runs, but for times; what only one of them knows is no difference."""
    if before.type != after.type:
        return True
    if before.type == "directory":
        return False
    if before.type == "symlink":
        return before.target != after.target
    if before.mode != after.mode or before.size_bytes != after.size_bytes:
        return True
    if before.digest is None or after.digest is None:
        # Nobody read it there: of the same size and time it is taken for the same.
        return before.digest != after.digest and before.mtime_ns != after.mtime_ns
    return before.digest != after.digest


def shown(entry: Entry | None) -> str:
    """Say what was at a path in a word or a digest; empty where nothing was."""
    if entry is None:
        return ""
    if entry.type == "symlink":
        return f"link to {entry.target}"
    return entry.digest or (f"{entry.size_bytes} bytes" if entry.type == "file" else entry.type)


def plain_name(name: str) -> str:
    """Write the name of a package as PyPI compares them."""
    return re.sub(r"[-_.]+", "-", name).lower()
