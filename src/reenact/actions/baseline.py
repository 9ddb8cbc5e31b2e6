"""Choose the run that a job is compared with, and tell which it is."""

from __future__ import annotations

import getpass
import os

from reenact import canonical, clock
from reenact.actions.opening import opened, peek_bundle, read_bundle, resolve
from reenact.actions.sealing import log_record, seal_with
from reenact.digests import of_bytes
from reenact.errors import RunNotFound, StoreError, UsageError
from reenact.ids import RunId
from reenact.model.baseline import Baseline
from reenact.model.bundle import SCHEMA_VERSION
from reenact.model.custody import load_record
from reenact.settings import Settings
from reenact.store.baselines import Baselines
from reenact.store.opening import Store

__all__ = ["baseline_for", "baseline_of", "clear_baseline", "list_baselines", "set_baseline", "show_baseline"]

_ATTEMPTS = 100


def set_baseline(settings: Settings, job: str, reference: str | None, reason: str = "") -> Baseline:
    """Compare a job with a run from now on: with its latest where none is named.

    Raises:
        RunNotFound: no such run.
        UsageError: the run is a replay, or of another job.
        IntegrityError: its record is not what was signed.
        StoreError: the store cannot be written; or the run is just being pruned.
    """
    store = opened(settings)
    run_id = resolve(store, reference or job)
    bundle = read_bundle(store, run_id)
    if bundle.replay_of is not None:
        raise UsageError(f"run {run_id} is a replay of {bundle.replay_of}; a baseline is a run of the job itself")
    if bundle.job != job:
        raise UsageError(f"run {run_id} is of job {bundle.job!r}, not of {job!r}")
    made = _put(store, job, run_id, reason)
    # Whoever prunes puts a tombstone before it looks for baselines, and this looks for one after: so one of the two gives way.
    if store.custody.tombstone(run_id) is not None or not store.runs.exists(run_id):
        Baselines(store.backend).withdraw(job, made.number)
        raise StoreError(f"run {run_id} is just being pruned, and can be no baseline any more")
    log_record(store, "baseline", run_id, of_bytes(canonical.dumps_plain(made)), reason, seal_with(settings))
    return made


def clear_baseline(settings: Settings, job: str, reason: str = "") -> Baseline:
    """Compare a job with no run any more.

    Raises:
        UsageError: it has no baseline.
        StoreError: the store cannot be written.
    """
    store = opened(settings)
    present = baseline_of(store, job)
    if present is None or present.run_id is None:
        raise UsageError(f"job {job!r} has no baseline", hint="list all with: reenact baseline list")
    made = _put(store, job, None, reason)
    digest = of_bytes(canonical.dumps_plain(made))
    log_record(store, "baseline-cleared", RunId(present.run_id), digest, reason, seal_with(settings))
    return made


def show_baseline(settings: Settings, job: str) -> list[Baseline]:
    """Give all choices of a job, the one that holds first.

    Raises:
        UsageError: there never was one.
        MalformedBundle: a record is damaged.
    """
    store = opened(settings)
    kept = Baselines(store.backend)
    found = [load_record(kept.get(job, number), Baseline) for number in reversed(kept.numbers(job))]
    if not found:
        raise UsageError(f"job {job!r} has no baseline", hint=f"set one with: reenact baseline set {job}")
    return found


def list_baselines(settings: Settings) -> list[Baseline]:
    """Give the choice that holds of each job that has one, sorted by job."""
    kept = [load_record(data, Baseline) for data in Baselines(opened(settings).backend).latest()]
    return sorted((record for record in kept if record.run_id is not None), key=lambda record: record.job)


def baseline_of(store: Store, job: str) -> Baseline | None:
    """Give the choice that holds for a job; None when there is none, or it was cleared.

    Raises:
        MalformedBundle: the record is damaged.
    """
    kept = Baselines(store.backend)
    numbers = kept.numbers(job)
    found = load_record(kept.get(job, numbers[-1]), Baseline) if numbers else None
    return found if found is not None and found.run_id is not None else None


def baseline_for(store: Store, run_id: RunId) -> tuple[RunId, str]:
    """Find the baseline that a run is to be compared with; and say how it came to be it.

    Raises:
        UsageError: its job has none.
    """
    job = peek_bundle(store, run_id).job
    found = baseline_of(store, job)
    if found is None or found.run_id is None:
        raise UsageError(
            f"job {job!r} has no baseline", hint=f"name one with --baseline, or set it: reenact baseline set {job}"
        )
    if not store.runs.exists(RunId(found.run_id)):
        raise RunNotFound(found.run_id, hint=f"the baseline of {job} is not in the store any more")
    return RunId(found.run_id), f"set {found.set_at[:10]} by {found.set_by}"


def _put(store: Store, job: str, run_id: RunId | None, reason: str) -> Baseline:
    """Put the next choice of a job: of two at once, one takes the number after the other's."""
    kept = Baselines(store.backend)
    for _ in range(_ATTEMPTS):
        made = Baseline(
            schema_version=SCHEMA_VERSION,
            job=job,
            number=(kept.numbers(job) or [0])[-1] + 1,
            run_id=run_id,
            set_at=clock.timestamp(),
            set_by=_user(),
            reason=reason,
        )
        if kept.put(job, made.number, canonical.dumps_plain(made)):
            return made
    raise StoreError(f"the baseline of {job!r} is being changed by others all the time", hint="try again")


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return str(os.geteuid())
