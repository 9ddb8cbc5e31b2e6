"""The code of a run: where it is kept under version control, and what differed from it."""

from __future__ import annotations

import msgspec

__all__ = ["Code"]


class Code(msgspec.Struct, frozen=True, kw_only=True):
    """Version-control facts. The code files themselves are artifacts by digest, committed or not."""

    repository: str | None = None
    """URL of the remote, credentials stripped."""
    root: str | None = None
    """Work tree folder, text form."""
    commit: str | None = None
    tree: str | None = None
    branch: str | None = None
    dirty: bool | None = None
    """Whether any tracked file in the work tree differs from the commit."""
    uncommitted: tuple[str, ...] = ()
    """Tracked files the run read that differ from the commit; names like artifacts'."""
    untracked: tuple[str, ...] = ()
    """Files the run read that the repository does not track and does not ignore."""
    entry_point: str | None = None
    """Artifact name of the first script the run was given, or of the program itself."""
