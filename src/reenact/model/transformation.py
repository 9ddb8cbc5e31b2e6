"""The transformation map: the steps of a run, at least one per process that touched data."""

from __future__ import annotations

import msgspec

from reenact.digests import Digest

__all__ = ["Transformation"]


class Transformation(msgspec.Struct, frozen=True, kw_only=True):
    """One step: a process, or a step that was declared."""

    id: str
    """For a process its place in the process tree: ``1``, ``1.1``, ``1.2.1`` ..."""
    name: str
    kind: str
    """``process`` or ``declared``."""
    parent: str | None = None
    argv: tuple[str, ...] = ()
    """As executed, redacted; text form."""
    executable: str | None = None
    executable_digest: Digest | None = None
    code: tuple[str, ...] = ()
    """Names of the code artifacts it read."""
    cwd: str | None = None
    parameters: dict[str, str] = {}
    seed: str | None = None
    inputs: tuple[str, ...] = ()
    outputs: tuple[str, ...] = ()
    """Artifact names, sorted."""
    started_at: str | None = None
    ended_at: str | None = None
    exit_code: int | None = None
    """Negative: ended by that signal."""
    rows_in: int | None = None
    rows_out: int | None = None
