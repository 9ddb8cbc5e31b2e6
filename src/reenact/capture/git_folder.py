"""What a Git repository says of itself in plain files: where it lies, its HEAD, its remote. No process is started.

Handles work trees of :command:`git worktree`, submodules, packed refs and bare repositories. Does not read objects, the index,
or ref tables; those are Git's to read.
"""

from __future__ import annotations

import os
import re
from typing import Final

import msgspec

__all__ = ["Repository", "find", "head", "is_bare", "remote_url", "submodules", "without_credentials"]

_COMMIT: Final = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")
_SECTION: Final = re.compile(r'\s*\[\s*([A-Za-z0-9.-]+)(?:\s+"((?:[^"\\]|\\.)*)")?\s*\]')
_KEY: Final = re.compile(r"\s*([A-Za-z][A-Za-z0-9-]*)\s*=\s*(.*)")
_REFERENCE_DEPTH: Final = 5
"""Symbolic refs that point to symbolic refs, as Git follows them."""


class Repository(msgspec.Struct, frozen=True, kw_only=True):
    """Where a repository lies."""

    work_tree: str
    folder: str
    """The Git folder of this work tree: HEAD and index."""
    common: str
    """The folder all work trees share: config and refs; mostly the same."""


def _read(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as file:
            return file.read()
    except (OSError, ValueError):
        return ""


def find(folder: str) -> Repository | None:
    """Find the repository whose work tree holds a folder, going upwards from it."""
    at = os.path.realpath(folder)
    while True:
        found = _opened(at)
        if found is not None or at == "/":
            return found
        at = os.path.dirname(at)


def _opened(work_tree: str) -> Repository | None:
    git = os.path.join(work_tree, ".git")
    if os.path.isfile(git):
        # A work tree of `git worktree`, or a submodule: the file says where the folder is, relative to itself.
        text = _read(git)
        if not text.startswith("gitdir:"):
            return None
        git = os.path.normpath(os.path.join(work_tree, text[len("gitdir:") :].strip()))
    if not os.path.isdir(git):
        return None
    shared = _read(os.path.join(git, "commondir")).strip()
    common = os.path.normpath(os.path.join(git, shared)) if shared else git
    return Repository(work_tree=work_tree, folder=git, common=common)


def is_bare(folder: str) -> bool:
    """Tell whether a folder lies in a bare repository, which has no files to compare with."""
    at = os.path.realpath(folder)
    while at != "/":
        if os.path.isfile(f"{at}/HEAD") and os.path.isdir(f"{at}/objects") and os.path.isdir(f"{at}/refs"):
            return True
        at = os.path.dirname(at)
    return False


def head(repository: Repository) -> tuple[str | None, str | None]:
    """Read the commit and the branch HEAD names; either is None where files do not tell (no commit yet, ref tables)."""
    text = _read(f"{repository.folder}/HEAD").strip()
    branch = None
    for _ in range(_REFERENCE_DEPTH):
        if not text.startswith("ref:"):
            break
        reference = text[len("ref:") :].strip()
        if reference.startswith("refs/heads/") and branch is None:
            branch = reference.removeprefix("refs/heads/")
        text = _read(f"{repository.common}/{reference}").strip() or _packed(repository, reference)
    return (text if _COMMIT.fullmatch(text) else None), (None if branch == ".invalid" else branch)


def _packed(repository: Repository, reference: str) -> str:
    for line in _read(f"{repository.common}/packed-refs").splitlines():
        commit, _, name = line.partition(" ")
        if name == reference:
            return commit
    return ""


def _settings(text: str) -> dict[tuple[str, str, str], str]:
    """Read ``(section, subsection, key)`` to value; a later line overrides an earlier one."""
    found: dict[tuple[str, str, str], str] = {}
    section, subsection = "", ""
    for line in text.replace("\\\n", "").splitlines():
        if match := _SECTION.match(line):
            section, subsection = match[1].lower(), re.sub(r"\\(.)", r"\1", match[2] or "")
            line = line[match.end() :]  # noqa: PLW2901 - a key may follow on the same line
        if match := _KEY.match(line):
            found[section, subsection, match[1].lower()] = _value(match[2])
    return found


def _value(text: str) -> str:
    quoted = re.match(r'"((?:[^"\\]|\\.)*)"', text)
    if quoted:
        return re.sub(r"\\(.)", r"\1", quoted[1])
    return re.split(r"\s[#;]", text, maxsplit=1)[0].strip()


def remote_url(repository: Repository, branch: str | None) -> str | None:
    """Give the URL of the branch's remote, else of ``origin``, else of the only one; without credentials."""
    settings = _settings(_read(f"{repository.common}/config"))
    urls = {name: url for (section, name, key), url in settings.items() if section == "remote" and key == "url"}
    for name in (settings.get(("branch", branch or "", "remote"), ""), "origin"):
        if name in urls:
            return without_credentials(urls[name])
    return without_credentials(next(iter(urls.values()))) if len(urls) == 1 else None


def submodules(repository: Repository) -> tuple[str, ...]:
    """Give the folders of submodules, absolute, sorted; their files belong to other repositories."""
    settings = _settings(_read(f"{repository.work_tree}/.gitmodules"))
    paths = (value for (section, _, key), value in settings.items() if section == "submodule" and key == "path")
    return tuple(sorted(os.path.join(repository.work_tree, path) for path in paths))


def without_credentials(url: str) -> str:
    """Take user, password, query and fragment off a web URL, and the password off any other.

    The user of an SSH URL (``git@host``) is kept: it is part of the address, and no secret. That of a web URL may be a token.
    """
    if "://" not in url:
        return url  # host:path or a folder
    from urllib.parse import urlsplit, urlunsplit  # noqa: PLC0415 - not every run has a repository

    try:
        parts = urlsplit(url)
    except ValueError:
        return url.rpartition("@")[2]
    user, at, host = parts.netloc.rpartition("@")
    if parts.scheme.rpartition("+")[2] in ("http", "https", "ftp", "ftps"):
        return urlunsplit((parts.scheme, host, parts.path, "", ""))
    return urlunsplit(parts._replace(netloc=user.partition(":")[0] + at + host))
