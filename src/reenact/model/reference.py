"""Run references: the ways a person names a run (``RUN`` on the command line).

A whole id; a prefix or suffix of one, unique, of four characters or more; a job's name (its latest run); ``JOB~N`` (N before
the latest); ``latest``. Pure: the caller gives the known runs.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Final

from reenact.errors import RunNotFound
from reenact.ids import RunId, is_run_id

__all__ = ["LATEST", "resolve"]

LATEST: Final = "latest"
_MINIMUM: Final = 4
_BACK: Final = re.compile(r"(?P<job>.+)~(?P<back>\d+)")
_PART: Final = re.compile(r"[0-9a-f-]+")


def resolve(reference: str, run_ids: Sequence[RunId], job_of: Callable[[RunId], str]) -> RunId:
    """Find the run a reference names.

    Args:
        reference: What the person typed.
        run_ids: All known runs, oldest first.
        job_of: Gives a run's job name; asked only where the reference is not an id, so it may be slow.

    Raises:
        RunNotFound: it names none, or several.
    """
    if is_run_id(reference):
        if reference in run_ids:
            return RunId(reference)
        raise RunNotFound(reference)
    back = 0
    name = reference
    if match := _BACK.fullmatch(reference):
        name, back = match["job"], int(match["back"])
    of_job = [*run_ids] if name == LATEST else [run for run in run_ids if job_of(run) == name]
    if of_job:
        if back < len(of_job):
            return of_job[-1 - back]
        raise RunNotFound(
            reference, hint=f"{name!r} has {len(of_job)} runs, so the furthest back is {name}~{len(of_job) - 1}"
        )
    if len(reference) >= _MINIMUM and _PART.fullmatch(reference):
        found = [run for run in run_ids if run.startswith(reference) or run.endswith(reference)]
        if len(found) == 1:
            return found[0]
        if found:
            raise RunNotFound(reference, candidates=tuple(found), hint="give more characters of the id")
    raise RunNotFound(reference)
