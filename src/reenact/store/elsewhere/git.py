"""Bytes that are committed in a Git repository of this host, read from its objects: no work tree is looked at or changed.

No network is used: a commit that is not in the repository is not fetched for anybody.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from typing import Final

from reenact.store.elsewhere.interface import BLOCK_BYTES, Place, Unavailable

__all__ = ["git_place"]

_KEPT_VARIABLES: Final = ("HOME", "PATH", "XDG_CONFIG_HOME", "SUDO_UID")
"""Git finds its settings and tools by them. GIT_DIR and the like would point it elsewhere and are not passed on."""
_MESSAGE_BYTES: Final = 300


def git_place(folder: str, commit: str, name: str) -> Place:
    """Give the place of a committed file.

    Args:
        folder: Anywhere in the repository.
        commit: Its commit, in full.
        name: Path of the file in the repository.
    """
    what = f"{name} in commit {commit[:12]} of the Git repository at {folder}"
    return Place(what=what, blocks=lambda: _blocks(folder, commit, name, what))


def _blocks(folder: str, commit: str, name: str, what: str) -> Iterator[bytes]:
    environment = {key: os.environ[key] for key in _KEPT_VARIABLES if key in os.environ}
    environment.update(LC_ALL="C", GIT_OPTIONAL_LOCKS="0", GIT_TERMINAL_PROMPT="0", GIT_NO_LAZY_FETCH="1")
    # What a repository's settings may name as a program is not run for us: `cat-file` without --textconv or --filters runs none.
    command = ["git", "--no-replace-objects", "-C", folder, "cat-file", "blob", f"{commit}:{name}"]
    try:
        process = subprocess.Popen(
            [os.fsencode(word) for word in command],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
    except OSError as error:
        raise Unavailable(f"{what}: git cannot be executed: {error.strerror}") from error
    with process:
        assert process.stdout is not None  # noqa: S101 - a pipe was asked for
        assert process.stderr is not None  # noqa: S101 - same
        try:
            while block := process.stdout.read(BLOCK_BYTES):
                yield block
        except GeneratorExit:
            process.kill()
            raise
        said = process.stderr.read(_MESSAGE_BYTES).decode("utf-8", "replace").strip()
    if process.returncode:
        raise Unavailable(f"{what} cannot be read: {said.splitlines()[0] if said else 'git says nothing'}")
