"""Which inputs of a run are kept as pointers, and where their bytes can be had again.

The journal's header says it, so that a run that is finished from its journal keeps the same. Nothing is looked at before a file
matches; then, once a run: Git, and, where the settings name a bucket, that.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from reenact.capture import git_folder
from reenact.model.artifact import Origin
from reenact.model.paths import relative_name, to_text
from reenact.store.elsewhere.interface import Unavailable, Wanted

if TYPE_CHECKING:
    from reenact.settings.inputs import InputRule

__all__ = ["Pointers", "header_of_replay", "header_of_rules", "location", "means"]

_BUCKETS: Final = ("s3", "gs", "az")


def header_of_rules(rules: Sequence[InputRule]) -> dict[str, Any]:
    """Give what a recording's header says; nothing where every input is kept."""
    if not any(rule.keep == "pointer" for rule in rules):
        return {}
    return {"pointers": {"rules": [[rule.pattern, rule.keep, rule.source] for rule in rules]}}


def header_of_replay(origins: Mapping[str, Origin]) -> dict[str, Any]:
    """Give what a replay's header says: it keeps as pointers, path by path, what its original did."""
    if not origins:
        return {}
    found = {path: [o.kind, o.location, o.version, o.repository] for path, o in origins.items()}
    return {"pointers": {"origins": found}}


def means(pattern: str, name: str, path: str) -> bool:
    """Tell whether a pattern means an input: by its name, or, when the pattern begins with a slash, by its whole path."""
    from reenact.compare.policy import fits  # noqa: PLC0415 - most runs have no rule to look at

    return fits(pattern, path if pattern.startswith("/") else name)


def location(source: str, name: str) -> str:
    """Put an input's name into where the settings say that its bytes are."""
    if "://" not in source:
        return source.replace("{name}", name)
    from urllib.parse import quote  # noqa: PLC0415 - few inputs are behind a URL

    return source.replace("{name}", quote(name, safe="/"))


class Pointers:
    """Answers for one run."""

    def __init__(self, header: Mapping[str, Any]) -> None:
        """Read what the header says."""
        said = header.get("pointers", {})
        self._rules: list[list[Any]] = said.get("rules", [])
        self._origins: dict[str, list[Any]] = said.get("origins", {})
        self._root: str = header.get("root", "/")
        self._heads: dict[str, tuple[git_folder.Repository, str | None, str | None] | None] = {}
        self.unobserved: dict[str, str] = {}
        """Name of an input, and why less is known of where its bytes are than could be."""

    def means(self, path: str) -> bool:
        """Tell whether an input is kept as a pointer, when nothing else speaks against it."""
        if path in self._origins:
            return True
        rule = self._rule(path)
        return rule is not None and rule[1] == "pointer"

    def origin(self, path: str, wanted: Wanted) -> Origin:
        """Say where the bytes of an input can be had again.

        Args:
            path: Where it was.
            wanted: What it held.
        """
        if path in self._origins:
            kind, where, version, repository = self._origins[path]
            return Origin(kind=kind, location=where, version=version, repository=repository)
        rule = self._rule(path)
        name = to_text(relative_name(path, self._root))
        if rule is not None and rule[2] is not None:
            return self._declared(location(rule[2], name), name)
        return self._committed(path, wanted) or Origin(kind="path", location=to_text(path))

    def _rule(self, path: str) -> list[Any] | None:
        name = relative_name(path, self._root)
        return next((rule for rule in self._rules if means(rule[0], name, path)), None)

    def _declared(self, where: str, name: str) -> Origin:
        scheme, separator, _ = where.partition("://")
        if not separator:
            return Origin(kind="path", location=where)
        if scheme not in _BUCKETS:
            return Origin(kind="http", location=where)
        from reenact.store.elsewhere.buckets import version_of  # noqa: PLC0415 - few inputs are in buckets

        try:
            return Origin(kind="object-store", location=where, version=version_of(where))
        except Unavailable as error:
            self.unobserved[name] = str(error)
            return Origin(kind="object-store", location=where)

    def _committed(self, path: str, wanted: Wanted) -> Origin | None:
        """Find the file in the commit its work tree is at; None unless just these bytes are there."""
        from reenact.store.elsewhere.git import git_place  # noqa: PLC0415 - few inputs are pointers
        from reenact.store.elsewhere.obtain import digest_at  # noqa: PLC0415 - same

        found = self._head(os.path.dirname(path))
        if found is None:
            return None
        repository, commit, branch = found
        if commit is None:
            return None
        inside = os.path.relpath(path, repository.work_tree)
        # What is committed can differ from what lies in the work tree also where Git calls it clean: line ends, large-file filters.
        if digest_at(git_place(repository.work_tree, commit, inside), wanted) != wanted.digest:
            return None
        remote = git_folder.remote_url(repository, branch)
        return Origin(kind="git", location=to_text(inside), version=commit, repository=remote)

    def _head(self, folder: str) -> tuple[git_folder.Repository, str | None, str | None] | None:
        if folder not in self._heads:
            repository = git_folder.find(folder)
            self._heads[folder] = None if repository is None else (repository, *git_folder.head(repository))
        return self._heads[folder]
