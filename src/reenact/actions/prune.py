"""Prune: drop runs, each with a tombstone that says so, then sweep what nothing refers to any more.

A run is dropped in this order, so that it can be told from one that was lost wherever this is killed: its tombstone; a last
look whether it is held or referred to by now, which takes the tombstone back; the log's entry; its bundle; what is beside it.
The next prune finishes what was begun.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from msgspec.structs import replace

from reenact import canonical, clock
from reenact.actions.custody import baselines, held_runs
from reenact.actions.marking import Marks
from reenact.actions.opening import opened, peek_bundle, resolve
from reenact.actions.sealing import SealWith, check_signature, seal_tombstone, seal_with
from reenact.actions.sweeping import SweepRequest, Swept, sweep, would_sweep
from reenact.digests import EMPTY, Digest, of_bytes
from reenact.errors import IntegrityError, PolicyDenied, RunNotFound, StoreError
from reenact.govern.selection import Candidate, Choice, Selection, choose
from reenact.ids import RunId, is_run_id
from reenact.model.bundle import SCHEMA_VERSION
from reenact.model.custody import Tombstone
from reenact.seal.log import Log
from reenact.settings import Settings
from reenact.store.leases import Leases, is_gone
from reenact.store.opening import Store

__all__ = ["Line", "PruneRequest", "PruneResult", "prune"]

_PRUNING: Final = "pruning"


@dataclass(frozen=True, slots=True, kw_only=True)
class PruneRequest:
    """What to prune, and how."""

    runs: tuple[str, ...] = ()
    """References."""
    selection: Selection = field(default_factory=Selection)
    """Whatever else chooses; its `runs` are filled from the references."""
    reason: str = "pruned by hand"
    yes: bool = False
    """Do it; else only tell."""
    sweeping: SweepRequest = field(default_factory=SweepRequest)


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """A run that goes, or stays though it was chosen."""

    run_id: str
    job: str | None
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PruneResult:
    """What was done, or would be."""

    done: bool
    pruned: tuple[Line, ...]
    kept: tuple[Line, ...]
    records_bytes: int
    """Of bundles, views and verdicts, and of what killed processes left unfinished."""
    swept: Swept = field(default_factory=Swept)

    @property
    def freed_bytes(self) -> int:
        """What the store is, or would be, smaller by."""
        return self.records_bytes + self.swept.freed_bytes


def prune(settings: Settings, request: PruneRequest, say: Callable[[str], None] = lambda _: None) -> PruneResult:
    """Drop runs and sweep; or, without `yes`, tell what that would do.

    Raises:
        RunNotFound: a reference names none, or several.
        PolicyDenied: a run that was named is held, or a run that stays refers to it; nothing is done then.
        IntegrityError: a record that stays cannot be read, so that nobody knows what it refers to.
        StoreError: the store cannot be read or written; or another sweep is going on.
    """
    store = opened(settings, cached=False, looks_ahead=False)
    if not request.yes:
        return _rehearsed(store, request)
    with _alone(store):
        _finish(store)
        choice, jobs = _chosen(store, request)
        kept, freed = _Drop(store, jobs, request.reason, seal_with(settings), say).run(choice)
        freed += store.clear_leftovers()
        swept = sweep(store, Marks(store), request.sweeping, say)
    dropped = {run_id: why for run_id, why in choice.pruned.items() if run_id not in kept}
    return _result(request, jobs, dropped, choice.kept | kept, freed, swept)


def _rehearsed(store: Store, request: PruneRequest) -> PruneResult:
    choice, jobs = _chosen(store, request)
    freed = sum(_record_bytes(store, run_id) for run_id in choice.pruned)
    swept = would_sweep(store, Marks(store), request.sweeping, but_not=choice.pruned)
    return _result(request, jobs, choice.pruned, choice.kept, freed, swept)


def _result(
    request: PruneRequest,
    runs: Mapping[RunId, Candidate],
    pruned: Mapping[RunId, str],
    kept: Mapping[RunId, str],
    freed: int,
    swept: Swept,
) -> PruneResult:
    def lines(found: Mapping[RunId, str]) -> tuple[Line, ...]:
        return tuple(Line(run_id=run_id, job=runs[run_id].job, why=why) for run_id, why in sorted(found.items()))

    return PruneResult(done=request.yes, pruned=lines(pruned), kept=lines(kept), records_bytes=freed, swept=swept)


@contextlib.contextmanager
def _alone(store: Store) -> Iterator[None]:
    """Keep a second prune away, which would take what this one has begun for what was left behind."""
    leases = Leases(store.backend, _PRUNING)
    mine = leases.take("prune")
    try:
        others = [lease for lease in leases.all() if lease.key != mine.key]
        living = [lease for lease in others if not is_gone(lease.holder)]
        if living:
            host, since = living[0].holder.get("host", "an unknown host"), living[0].holder.get("time", "?")
            raise StoreError(
                f"another prune of this store is going on, on {host} since {since}",
                hint=f"wait for it to end; when it cannot be alive any more, delete {living[0].key} in the store",
            )
        yield
        for lease in others:
            store.backend.delete(lease.key)
    finally:
        store.backend.delete(mine.key)


def _chosen(store: Store, request: PruneRequest) -> tuple[Choice, dict[RunId, Candidate]]:
    named = frozenset(_resolved(store, name) for name in request.runs)
    runs = {run_id: _candidate(store, run_id) for run_id in store.runs.ids()}
    choice = choose([*runs.values()], replace(request.selection, runs=named), held_runs(store))
    refused = {run_id: why for run_id, why in choice.kept.items() if run_id in named}
    if refused:
        lines = "; ".join(f"run {run_id}: {why}" for run_id, why in refused.items())
        raise PolicyDenied(
            f"nothing is pruned: {lines}", hint="release the hold, or name the runs that refer to it, too"
        )
    return choice, runs


def _resolved(store: Store, name: str) -> RunId:
    # A run whose bundle cannot be read has no name but its whole id.
    if is_run_id(name) and store.runs.leftovers(RunId(name)):
        return RunId(name)
    return resolve(store, name)


def _candidate(store: Store, run_id: RunId) -> Candidate:
    try:
        bundle = peek_bundle(store, run_id)
        started = clock.parse(bundle.timestamp)
    except (IntegrityError, RunNotFound, ValueError):
        return Candidate(run_id=run_id)
    return Candidate(
        run_id=run_id,
        job=bundle.job,
        started=started,
        succeeded=bundle.status == "succeeded",
        parent_run_id=bundle.parent_run_id,
        replay_of=bundle.replay_of,
    )


def _record_bytes(store: Store, run_id: RunId) -> int:
    return sum(value.size_bytes for value in store.backend.listing(f"runs/{run_id}/"))


class _Drop:
    """Drops runs that were chosen, looking again at each."""

    def __init__(
        self,
        store: Store,
        runs: Mapping[RunId, Candidate],
        reason: str,
        how: SealWith,
        say: Callable[[str], None],
    ) -> None:
        self._store, self._reason, self._how, self._say = store, reason, how, say
        self._runs = dict(runs)
        self._holds = {(files.run_id, files.hold_id) for files in store.custody.holds()}
        self._new: list[Candidate] = []

    def run(self, choice: Choice) -> tuple[dict[RunId, str], int]:
        """Drop; give those that stay after all, with the reason, and the bytes that were freed."""
        kept: dict[RunId, str] = {}
        freed = 0
        # Later runs first: they are what refers to earlier ones, so a run that is gone is referred to at no moment.
        for run_id in sorted(choice.pruned, reverse=True):
            self._say(f"dropping run {run_id}")
            record = Tombstone(
                schema_version=SCHEMA_VERSION,
                run_id=run_id,
                statement=_statement(self._store, run_id),
                pruned_at=clock.timestamp(),
                reason=self._reason,
            )
            self._store.custody.put_tombstone(run_id, canonical.dumps_plain(record))
            why = self._must_stay_after_all(run_id, kept)
            if why:
                self._store.custody.withdraw_tombstone(run_id)
                kept[run_id] = why
                continue
            statement = record.statement or EMPTY
            seal_tombstone(self._store, run_id, statement, record.reason, self._how, record.pruned_at)
            freed += self._store.runs.drop(run_id)
        return kept, freed

    def _must_stay_after_all(self, run_id: RunId, kept: Mapping[RunId, str]) -> str:
        """Look whether a run came to be held, or referred to, since it was chosen."""
        if any((files.run_id, files.hold_id) not in self._holds for files in self._store.custody.holds(run_id)):
            return "it came to be held meanwhile"
        if run_id in baselines(self._store, run_id):
            return "it came to be a baseline meanwhile"
        for new in self._store.runs.ids(but_not=self._runs):
            self._runs[new] = _candidate(self._store, new)
            self._new.append(self._runs[new])
        for run in (*self._new, *(self._runs[stays] for stays in kept)):
            if run_id in (run.replay_of, run.parent_run_id):
                return f"run {run.run_id} refers to it, and stays"
        return ""


def _statement(store: Store, run_id: RunId) -> Digest | None:
    """Give what was signed of a run, from its bundle, or, where that cannot be read, from the log."""
    with contextlib.suppress(IntegrityError, RunNotFound):
        return of_bytes(check_signature(store, store.runs.envelope(run_id))[0])
    found = [entry.statement for entry in Log(store.backend).entries() if (entry.kind, entry.run_id) == ("run", run_id)]
    return found[0] if found else None


def _finish(store: Store) -> None:
    """Finish what a prune that was killed has begun."""
    logged = {entry.run_id for entry in Log(store.backend).entries() if entry.kind == "tombstone"}
    left = set(store.backend.names("runs"))
    for run_id in store.custody.tombstones():
        if run_id in logged:
            if run_id in left:
                store.runs.drop(run_id)
        else:
            # Nothing was deleted yet, and whoever still wants it will say so again.
            store.custody.withdraw_tombstone(run_id)
