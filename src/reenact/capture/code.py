"""Which code a run ran: the commit, what differed from it, and the script the command named.

Two Git processes, started at the beginning so that they overlap with the job and see the files as they were before it. What
Git cannot tell is told from the repository's plain files where they hold it, else it is None with its cause.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Sequence
from typing import Final

import msgspec

from reenact.capture import git_folder
from reenact.capture.child import Child
from reenact.capture.git_folder import Repository
from reenact.compare.media import is_code
from reenact.model.code import Code
from reenact.model.paths import relative_name, to_text
from reenact.settings.job import script_of

__all__ = ["CodeObserver", "entry_point"]

_TIMEOUT_SECONDS: Final = 10.0
"""Waited for at the end of the run, at most; the processes have had the whole run before that."""

_KEPT_VARIABLES: Final = ("HOME", "PATH", "XDG_CONFIG_HOME", "SUDO_UID", "TMPDIR")
"""Git finds its settings and tools by them. GIT_DIR and the like would point it elsewhere and are not passed on."""

_GIT_OPTIONS: Final = (
    "-c",
    "core.fsmonitor=false",
    "-c",
    "core.quotePath=false",
    "--no-optional-locks",
    "--literal-pathspecs",
)
"""A file-system monitor is a program the repository names: it is not run for us."""

_FIELDS: Final = ("repository", "root", "commit", "tree", "branch", "dirty", "uncommitted", "untracked")


class _Status(msgspec.Struct, frozen=True, kw_only=True):
    """What ``git status`` told; paths are relative to the work tree."""

    commit: str | None
    branch: str | None
    changed: frozenset[str]
    untracked: frozenset[str]
    """With a slash at its end: a whole folder, which is a repository of its own."""


class CodeObserver:
    """Observes the code of one run: `start` it with the job, `finish` it in the same process at the end."""

    def __init__(self, root: str) -> None:
        """Look at the repository that holds `root`, the job's root folder."""
        self._root = root
        self._repository: Repository | None = None
        self._children: dict[str, Child | str] = {}

    def start(self) -> None:
        """Find the repository and start Git; returns at once and raises nothing."""
        self._repository = git_folder.find(self._root)
        if self._repository is None:
            return
        self._children = {
            "tree": self._git("rev-parse", "HEAD^{commit}", "HEAD^{tree}"),
            "status": self._git(
                "status",
                "--porcelain=v2",
                "--branch",
                "-z",
                "--untracked-files=all",
                "--ignore-submodules=dirty",
                "--no-renames",
            ),
        }

    def _git(self, *arguments: str) -> Child | str:
        assert self._repository is not None  # noqa: S101 - start found it
        environment = {name: os.environ[name] for name in _KEPT_VARIABLES if name in os.environ}
        environment.update(LC_ALL="C", GIT_OPTIONAL_LOCKS="0", GIT_TERMINAL_PROMPT="0", GIT_PAGER="cat")
        try:
            return Child(["git", "-C", self._repository.work_tree, *_GIT_OPTIONS, *arguments], environment)
        except FileNotFoundError:
            return "git is not installed"
        except OSError as error:
            return f"git cannot be executed: {error.strerror}"

    def finish(
        self, paths: Collection[str], argv: Sequence[str] = (), *, cwd: str | None = None, executable: str | None = None
    ) -> tuple[Code, dict[str, str]]:
        """Wait for Git and tell the code of the run.

        Args:
            paths: Files the run read that are no part of its environment: absolute, canonical.
            argv: The command, redacted or not.
            cwd: Where it was started; the root if not given.
            executable: The program that was executed, absolute.

        Returns:
            The code, and the cause of each field that is None or empty for want of an answer (``code.commit`` ...).
        """
        causes: dict[str, str] = {}
        paths = frozenset(paths)
        script = entry_point(argv, paths, (cwd or self._root, self._root), executable)
        if script is None:
            causes["code.entry_point"] = "the program is part of the environment, and no script it was given was read"
        name = to_text(relative_name(script, self._root)) if script else None
        if self._repository is None:
            cause = f"{to_text(self._root)} lies in no Git work tree"
            if git_folder.is_bare(self._root):
                cause = f"{to_text(self._root)} lies in a bare Git repository"
            causes.update((f"code.{field}", cause) for field in _FIELDS)
            return Code(entry_point=name), causes
        return self._described(self._repository, paths, name, causes), causes

    def _described(
        self, repository: Repository, paths: Collection[str], script: str | None, causes: dict[str, str]
    ) -> Code:
        tree_answer, tree_cause = self._answer("tree")
        status_answer, status_cause = self._answer("status")
        status = _parse(status_answer) if status_answer is not None else None
        commit, branch = git_folder.head(repository)
        tree = None
        if tree_answer is not None:
            commit, tree = os.fsdecode(tree_answer).split()[:2]
        elif status is not None and status.commit is None:
            commit, tree_cause = None, "the repository has no commit yet"
        branch = branch or (status.branch if status is not None else None)
        repository_url = git_folder.remote_url(repository, branch)
        _explain(causes, "commit", commit, tree_cause)
        _explain(causes, "tree", tree, tree_cause)
        _explain(causes, "branch", branch, "HEAD is detached" if commit else "HEAD names no branch")
        _explain(causes, "repository", repository_url, "no remote is set that could be told to be the one")
        uncommitted: tuple[str, ...] = ()
        untracked: tuple[str, ...] = ()
        if status is None:
            causes.update((f"code.{field}", status_cause) for field in ("dirty", "uncommitted", "untracked"))
        else:
            inside = {
                os.path.relpath(p, repository.work_tree): p for p in paths if p.startswith(repository.work_tree + "/")
            }
            uncommitted = self._names(inside[path] for path in inside if path in status.changed)
            untracked = self._names(inside[path] for path in inside if _holds(status.untracked, path))
            causes.update(_submodule_causes(repository, paths))
        return Code(
            repository=repository_url and to_text(repository_url),
            root=to_text(repository.work_tree),
            commit=commit,
            tree=tree,
            branch=branch and to_text(branch),
            dirty=None if status is None else bool(status.changed),
            uncommitted=uncommitted,
            untracked=untracked,
            entry_point=script,
        )

    def _names(self, paths: Iterator[str]) -> tuple[str, ...]:
        return tuple(sorted(to_text(relative_name(path, self._root)) for path in paths))

    def _answer(self, question: str) -> tuple[bytes | None, str]:
        """Give what a Git process said, or None and why it did not."""
        child = self._children.get(question, "git was not started")
        if isinstance(child, str):
            return None, child
        code, output, error = child.result(_TIMEOUT_SECONDS)
        if code == 0:
            return output, ""
        if code is None:
            return None, f"git took more than {_TIMEOUT_SECONDS:.0f} seconds"
        if "dubious ownership" in error:
            return None, "git refuses: the repository belongs to another user (see safe.directory in git help config)"
        lines = [line for line in error.splitlines() if line.startswith(("fatal:", "error:"))]
        return None, f"git failed with status {code}: {to_text(lines[0]) if lines else 'it gave no reason'}"


def _explain(causes: dict[str, str], field: str, value: str | None, cause: str) -> None:
    if value is None:
        causes[f"code.{field}"] = cause or "git did not say"


def _holds(untracked: frozenset[str], path: str) -> bool:
    if path in untracked:
        return True
    at = path.find("/")
    while at >= 0:
        if path[: at + 1] in untracked:
            return True
        at = path.find("/", at + 1)
    return False


def _submodule_causes(repository: Repository, paths: Collection[str]) -> Iterator[tuple[str, str]]:
    for folder in git_folder.submodules(repository):
        if any(path.startswith(folder + "/") for path in paths):
            name = to_text(os.path.relpath(folder, repository.work_tree))
            yield f"code.uncommitted[{name}]", "a submodule: its files were not compared with its commit"


def _parse(output: bytes) -> _Status:
    """Read ``git status --porcelain=v2 --branch -z``. See: git help status, Porcelain Format Version 2."""
    commit = branch = None
    changed: set[str] = set()
    untracked: set[str] = set()
    # Fields before the path: an ordinary change has eight, an unmerged one ten. Renames are switched off.
    fields_before_path = {"1": 8, "u": 10}
    for record in os.fsdecode(output).split("\0"):
        kind, _, rest = record.partition(" ")
        if kind == "#":
            name, _, value = rest.partition(" ")
            if name == "branch.oid" and value != "(initial)":
                commit = value
            elif name == "branch.head" and value != "(detached)":
                branch = value
        elif kind == "?":
            untracked.add(rest)
        elif kind in fields_before_path:
            changed.add(record.split(" ", fields_before_path[kind])[-1])
    return _Status(commit=commit, branch=branch, changed=frozenset(changed), untracked=frozenset(untracked))


def entry_point(
    argv: Sequence[str], paths: Collection[str], folders: Sequence[str], executable: str | None = None
) -> str | None:
    """Find the file a command starts from, among those the run read; absolute.

    An interpreter's script or module, else the first word that names a file of code the run read (``uv run etl.py``), else
    the program itself if it was read (``./load.sh``), else `executable`.

    Args:
        argv: The command.
        paths: Files the run read that are no part of its environment: absolute, canonical.
        folders: What relative words may be relative to, the likeliest first.
        executable: The program that was executed, absolute.
    """
    found = script_of(argv)
    if found is not None:
        word, is_module = found
        path = _module(word, paths) if is_module else _resolved(word, paths, folders)
        if path is not None:
            return path
    for word in argv[1:]:
        path = None if word.startswith("-") else _resolved(word, paths, folders)
        if path is not None and is_code(path):
            return path
    program = _resolved(argv[0], paths, folders) if argv and "/" in argv[0] else None
    return program or executable


def _resolved(word: str, paths: Collection[str], folders: Sequence[str]) -> str | None:
    for folder in folders:
        path = os.path.normpath(os.path.join(folder, word))
        if path in paths:
            return path
        real = os.path.realpath(path)  # Paths are canonical; the word may go through a link.
        if real in paths:
            return real
    return None


def _module(name: str, paths: Collection[str]) -> str | None:
    tail = "/" + name.replace(".", "/")
    ends = (f"{tail}/__main__.py", f"{tail}.py")
    return next((path for end in ends for path in sorted(paths, key=len) if path.endswith(end)), None)
