"""The baseline of a job: the run that others are compared with, until another one is.

Each choice is a small canonical JSON record, never changed; the one with the highest number holds. Its digest is logged.
"""

from __future__ import annotations

import msgspec

__all__ = ["Baseline"]


class Baseline(msgspec.Struct, frozen=True, kw_only=True):
    """From now on a job is compared with this run."""

    schema_version: str
    job: str
    number: int
    """Counted from 1 in each job."""
    run_id: str | None
    """None: with none any more."""
    set_at: str
    set_by: str
    """The user's name on the host where it was said."""
    reason: str = ""
