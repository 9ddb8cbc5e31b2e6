"""Choose the runs to prune, and say of each why it goes or stays. Pure.

A run goes when it is named, or fits everything that is given otherwise; with it go its replays, which say nothing without it.
It stays in spite of that while it is held, or while a run that stays refers to it: a replay of it, or a run that was recorded
inside it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

import msgspec

from reenact.ids import RunId

__all__ = ["Candidate", "Choice", "Selection", "choose"]


class Candidate(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a run."""

    run_id: RunId
    job: str | None = None
    """None where its bundle cannot be read: such a run goes only when it is named."""
    started: datetime | None = None
    succeeded: bool = False
    parent_run_id: str | None = None
    replay_of: str | None = None


class Selection(msgspec.Struct, frozen=True, kw_only=True):
    """What a person asked for."""

    runs: frozenset[RunId] = frozenset()
    jobs: frozenset[str] = frozenset()
    before: datetime | None = None
    keep_last: int | None = None

    @property
    def filters(self) -> bool:
        """Whether runs are chosen by anything but their names."""
        return bool(self.jobs) or self.before is not None or self.keep_last is not None


class Choice(msgspec.Struct, frozen=True, kw_only=True):
    """Which runs go, and which stay though they were chosen; each with the reason."""

    pruned: dict[RunId, str]
    kept: dict[RunId, str]


def choose(candidates: Sequence[Candidate], selection: Selection, held: Mapping[RunId, str]) -> Choice:
    """Choose among runs.

    Args:
        candidates: All runs of the store, oldest first.
        selection: Which are to go.
        held: Runs that must stay, and why.
    """
    chosen = _chosen(candidates, selection)
    kept: dict[RunId, str] = {}
    while True:
        staying = {run.run_id: run for run in candidates if run.run_id not in chosen}
        new = {run_id: why for run_id in chosen if (why := _must_stay(run_id, held, staying.values()))}
        if not new:
            return Choice(pruned=chosen, kept=kept)
        kept |= new
        chosen = {run_id: why for run_id, why in chosen.items() if run_id not in new}
        # What would have gone only along with a run that stays, stays with it.
        chosen = {run_id: why for run_id, why in chosen.items() if not _goes_along_with(why, kept)}


_ALONG: str = "it is a replay of "


def _goes_along_with(why: str, kept: Mapping[RunId, str]) -> bool:
    return why.startswith(_ALONG) and RunId(why.removeprefix(_ALONG)) in kept


def _chosen(candidates: Sequence[Candidate], selection: Selection) -> dict[RunId, str]:
    found = {run.run_id: "it was named" for run in candidates if run.run_id in selection.runs}
    if selection.filters:
        there = {run.run_id for run in candidates}
        last = _last(candidates, selection.keep_last)
        for run in candidates:
            if run.run_id in found or run.job is None or run.replay_of in there or run.run_id in last:
                continue
            if _fits(run, selection):
                found[run.run_id] = _reason(selection)
    return found | {
        run.run_id: f"{_ALONG}{run.replay_of}"
        for run in candidates
        if run.replay_of in found and run.run_id not in found
    }


def _fits(run: Candidate, selection: Selection) -> bool:
    if selection.jobs and run.job not in selection.jobs:
        return False
    return selection.before is None or (run.started is not None and run.started < selection.before)


def _reason(selection: Selection) -> str:
    parts = []
    if selection.jobs:
        parts.append("it is of a job that was named")
    if selection.before is not None:
        parts.append(f"it began before {selection.before.isoformat(timespec='seconds')}")
    if selection.keep_last is not None:
        parts.append(f"it is older than the last {selection.keep_last} of its job that succeeded")
    return ", and ".join(parts)


def _last(candidates: Sequence[Candidate], count: int | None) -> set[RunId]:
    """Give the last runs of each job that succeeded, and all that came after the first of them."""
    if count is None:
        return set()
    left: dict[str, int] = {}
    found = set()
    for run in reversed(candidates):
        if run.job is None or run.replay_of is not None:
            continue
        still = left.setdefault(run.job, count)
        if still > 0:
            found.add(run.run_id)
            left[run.job] = still - run.succeeded
    return found


def _must_stay(run_id: RunId, held: Mapping[RunId, str], staying: Iterable[Candidate]) -> str:
    if run_id in held:
        return held[run_id]
    for run in staying:
        if run.replay_of == run_id:
            return f"its replay {run.run_id} stays"
        if run.parent_run_id == run_id:
            return f"run {run.run_id} was recorded inside it, and stays"
    return ""
