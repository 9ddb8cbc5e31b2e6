"""What a Git repository holds: its names now, and its files as they were at a revision. Runs Git; changes nothing."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from reenact.errors import UsageError

__all__ = ["Blob", "Revision", "commit_of", "files_at", "named", "read_blobs", "top_of"]

_KEPT: Final = ("HOME", "PATH", "XDG_CONFIG_HOME", "SUDO_UID", "TMPDIR")
"""GIT_DIR and the like would point Git elsewhere."""
_OPTIONS: Final = (
    "-c",
    "core.fsmonitor=false",
    "-c",
    "core.quotePath=false",
    "--no-optional-locks",
    "--literal-pathspecs",
)
_LINK: Final = "120000"
_EXECUTABLE: Final = "100755"
_FILES: Final = frozenset({"100644", "100664", _EXECUTABLE, _LINK})


@dataclass(frozen=True, slots=True, kw_only=True)
class Blob:
    """One file of a commit."""

    name: str
    """Relative to the work tree; surrogate-escaped."""
    object_id: str
    mode: int
    """Permission bits a checkout gives it under a umask of 022."""
    is_link: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Revision:
    """A commit."""

    repository: str
    commit: str
    tree: str
    seconds: int
    """When it was committed."""


def _git(folder: str, *words: str, stdin: bytes | None = None) -> subprocess.CompletedProcess[bytes]:
    variables = {name: os.environ[name] for name in _KEPT if name in os.environ}
    variables |= {"LC_ALL": "C", "GIT_OPTIONAL_LOCKS": "0", "GIT_TERMINAL_PROMPT": "0", "GIT_PAGER": "cat"}
    try:
        return subprocess.run(
            ["git", "-C", folder, *_OPTIONS, *words],
            env=variables,
            input=stdin or b"",
            capture_output=True,
            check=False,
        )
    except FileNotFoundError:
        return subprocess.CompletedProcess(words, 127, b"", b"fatal: git is not installed")


def top_of(folder: str) -> str | None:
    """Give the work tree that holds a folder; None where Git knows none."""
    done = _git(folder, "rev-parse", "--show-toplevel")
    return os.fsdecode(done.stdout.rstrip(b"\n")) if done.returncode == 0 and done.stdout.strip() else None


def named(folder: str) -> tuple[frozenset[str], frozenset[str]]:
    """Give the names below a folder that Git tracks, and those that it neither tracks nor ignores; relative to the folder."""
    tracked = _git(folder, "ls-files", "-z")
    others = _git(folder, "ls-files", "-z", "--others", "--exclude-standard")
    return _names(tracked.stdout), _names(others.stdout)


def _names(output: bytes) -> frozenset[str]:
    return frozenset(os.fsdecode(name) for name in output.split(b"\0") if name)


def commit_of(folder: str, revision: str) -> Revision:
    """Find a commit.

    Raises:
        UsageError: the repository has none of that name.
    """
    done = _git(folder, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}")
    commit = done.stdout.decode("ascii", "replace").strip()
    if done.returncode != 0 or not commit:
        raise UsageError(
            f"{revision!r} is neither a folder nor a revision of the repository at {folder}",
            hint="name a folder, or a commit, tag or branch of the recorded repository",
        )
    told = _git(folder, "show", "-s", "--format=%T %ct", commit).stdout.split()
    return Revision(repository=folder, commit=commit, tree=told[0].decode(), seconds=int(told[1]))


def files_at(folder: str, commit: str) -> dict[str, Blob]:
    """Give the files and links of a commit by name; none where the repository does not have it. Submodules are left out."""
    done = _git(folder, "ls-tree", "-r", "-z", "--full-tree", commit)
    found = {}
    for record in done.stdout.split(b"\0") if done.returncode == 0 else ():
        facts, tab, name = record.partition(b"\t")
        if not tab:
            continue
        mode, _, object_id = facts.decode("ascii").split()
        if mode in _FILES:
            text = os.fsdecode(name)
            permissions = 0o755 if mode == _EXECUTABLE else 0o644
            found[text] = Blob(name=text, object_id=object_id, mode=permissions, is_link=mode == _LINK)
    return found


def read_blobs(folder: str, blobs: Sequence[Blob]) -> Iterator[tuple[Blob, bytes]]:
    """Give the content of files of a commit, one after the other.

    Raises:
        UsageError: the repository has not all of them (a partial clone).
    """
    wanted = "".join(f"{blob.object_id}\n" for blob in blobs).encode("ascii")
    output = _git(folder, "cat-file", "--batch", stdin=wanted).stdout
    at = 0
    for blob in blobs:
        end = output.find(b"\n", at)
        words = output[at:end].split()
        if len(words) != 3:  # noqa: PLR2004 - id, type, size; two where it is missing
            raise UsageError(f"the repository at {folder} does not have the content of {blob.name!r}")
        size = int(words[2])
        yield blob, output[end + 1 : end + 1 + size]
        at = end + 1 + size + 1
