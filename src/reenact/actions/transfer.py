"""Push runs to another store, or pull them from one: records with everything they need, only what is missing there.

A record arrives as it was signed, with the public key of its signer; the target's log gets an entry of its own for it. In the
order of a recording: objects, key, bundle, entry. So what a kill leaves is a store that is whole, and the next attempt goes on.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from reenact.actions.keeping import access, delta_policy
from reenact.actions.logview import LogView
from reenact.actions.opening import opened, peek_bundle, resolve
from reenact.actions.sealing import SealWith, log_arrival, logged_statements, removed_runs, seal_with, signing_key
from reenact.actions.verify import Problem, RunCheck, needed_objects
from reenact.digests import Digest, of_bytes
from reenact.errors import IntegrityError, RunNotFound, UsageError
from reenact.ids import RunId
from reenact.model import statement
from reenact.model.bundle import Bundle
from reenact.settings import Settings
from reenact.store.interface import Finding
from reenact.store.opening import Store, open_store
from reenact.store.transfer import Mover
from reenact.store.workplace import workplace

__all__ = ["MovedRun", "Selection", "Transfer", "pull", "push", "transfer"]

Outcome = Literal["moved", "completed", "present", "refused"]
"""``completed``: it was there, but not all of it. ``refused``: the source's record or bytes are not good, or the target's log says that it was removed; it was not put."""

_MISSING = 3
_WRONG = 4
_DENIED = 5
_VERDICT = "verdict "
"""Begins the subjects of findings about verdicts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """Which runs."""

    names: Sequence[str] = ()
    everything: bool = False
    jobs: Sequence[str] = ()
    """All runs of these jobs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MovedRun:
    """What came of one run."""

    run_id: str
    job: str | None
    outcome: Outcome
    objects: int
    """Objects that were not at the target before."""
    content_bytes: int
    stored_bytes: int
    """What of the source was read for them."""
    verdicts: int
    """Verdicts that were not at the target before."""
    findings: tuple[Problem, ...]

    @property
    def exit_code(self) -> int:
        """0 when nothing is wrong, else the gravest of what is."""
        return max((finding.exit_code for finding in self.findings), default=0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Transfer:
    """What came of all."""

    source: str
    target: str
    runs: tuple[MovedRun, ...]


def push(settings: Settings, selection: Selection, *, to: str, say: Callable[[str], None] = lambda _: None) -> Transfer:
    """Copy runs of the settings' store to another, which is made when it is not there.

    Args:
        settings: Where the runs are.
        selection: Which.
        to: The other store.
        say: Told what is being done.

    Raises:
        RunNotFound: a name is none of a run.
        UsageError: both are one store.
        StoreError: a store cannot be read or written; runs that were moved stay moved.
    """
    source = opened(settings, cached=False)
    return transfer(source, _other(settings, to, create=True), selection, say, seal_with(settings))


def pull(
    settings: Settings, selection: Selection, *, source: str, say: Callable[[str], None] = lambda _: None
) -> Transfer:
    """Copy runs of another store to that of the settings, which is made when it is not there; see :func:`push`."""
    other = _other(settings, source, create=False)
    mine = open_store(settings.store, create=True, deltas=delta_policy(settings), access=access(settings, cached=False))
    return transfer(other, mine, selection, say, seal_with(settings))


def _other(settings: Settings, location: str, *, create: bool) -> Store:
    place = location if "://" in location else os.path.expanduser(location)
    # What this host kept of a store far away must not stand for what is there; and whether it may be written, it says itself.
    reached = access(settings, cached=False)._replace(read_only=not create)
    if not create:
        reached = reached._replace(encrypted_only=False)  # what is only read from need not be encrypted
    return open_store(place, create=create, deltas=delta_policy(settings), access=reached)


def transfer(
    source: Store,
    target: Store,
    selection: Selection,
    say: Callable[[str], None] = lambda _: None,
    how: SealWith = SealWith(),  # noqa: B008 - immutable
) -> Transfer:
    """Copy runs from one open store to another; see :func:`push`. `how` says who signs the entries of the target's log."""
    if source.id == target.id and os.path.realpath(source.location) == os.path.realpath(target.location):
        raise UsageError(f"{source.location} is the same store", hint="name another one")
    run_ids = _with_replays(source, _selected(source, selection))
    with workplace(target.staging()) as folder:
        task = _Task(source, target, run_ids, folder, how)
        try:
            moved = tuple(task.move(run_id, say) for run_id in run_ids)
        finally:
            task.close()
    return Transfer(source=source.location, target=target.location, runs=moved)


def _selected(store: Store, selection: Selection) -> list[RunId]:
    found = [resolve(store, name) for name in selection.names]
    if selection.everything or selection.jobs:
        ids = store.runs.ids()
        jobs = {run_id: _job(store, run_id) for run_id in ids} if selection.jobs else {}
        for job in selection.jobs:
            if job not in jobs.values():
                raise RunNotFound(job)
        found += ids if selection.everything else [run_id for run_id in ids if jobs[run_id] in selection.jobs]
    return list(dict.fromkeys(found))


def _job(store: Store, run_id: RunId) -> str | None:
    try:
        return peek_bundle(store, run_id).job
    except IntegrityError:
        return None


def _with_replays(store: Store, run_ids: list[RunId]) -> list[RunId]:
    """Add the replays that were judged, oldest first: an older run's bytes are what a newer one's are deltas against."""
    found: set[RunId] = set()
    waiting = list(run_ids)
    while waiting:
        run_id = waiting.pop()
        if run_id not in found:
            found.add(run_id)
            waiting += [replay for replay, _ in store.runs.verdicts(run_id) if store.runs.exists(replay)]
    return sorted(found)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Record:
    """A record that was read and is good."""

    bundle: Bundle
    envelope: bytes
    statement: Digest
    signers: tuple[str, ...]
    wanted: dict[Digest, str]
    doubtful: tuple[Problem, ...]
    """What is wrong with verdicts about it."""


class _Evidence(RunCheck):
    """Checks all of a record but its objects, which are checked when they arrive."""

    def _objects(self, wanted: dict[Digest, str]) -> Iterator[Problem]:  # noqa: ARG002 - see the class
        yield from ()


class _Task:
    """Moves runs, one after the other."""

    def __init__(self, source: Store, target: Store, run_ids: Sequence[RunId], folder: str, how: SealWith) -> None:
        self._source, self._target, self._how = source, target, how
        self._manifests: dict[Digest, dict[Digest, str]] = {}
        self._view = LogView(source)
        self._evidence = _Evidence(source, self._view, deep=False)
        self._logged = set(logged_statements(target))
        self._removed = removed_runs(target)
        going: set[Digest] = set()
        for run_id in run_ids:
            record = self._read(run_id)
            going.update(record.wanted if isinstance(record, _Record) else ())
        self._mover = Mover(source, target, going, folder)
        self._place = 0
        self._count = len(run_ids)

    def close(self) -> None:
        """Stop."""
        self._mover.close()

    def move(self, run_id: RunId, say: Callable[[str], None]) -> MovedRun:
        """Move one."""
        self._place += 1
        what = f"run {self._place} of {self._count}"
        say(what)
        record = self._read(run_id)
        if not isinstance(record, _Record):
            return _refused(run_id, None, record)
        if run_id in self._removed:
            message = f"it was removed from the target on purpose: {self._removed[run_id]}"
            problem = Problem(code="removed-there", subject="run", message=message, exit_code=_DENIED)
            return _refused(run_id, record.bundle.job, (problem,))
        moved = self._mover.move(
            run_id,
            record.wanted,
            lambda done, total: say(f"{what}: {done:,} of {total:,} objects"),
            referred=self._target.runs.exists(run_id),
        )
        if moved.findings:
            return _refused(run_id, record.bundle.job, _problems(moved.findings, record.wanted))
        new = self._put(run_id, record)
        verdicts = self._verdicts(run_id, {problem.subject for problem in record.doubtful})
        outcome: Outcome = "moved" if new else "completed" if moved.objects or verdicts else "present"
        return MovedRun(
            run_id=run_id,
            job=record.bundle.job,
            outcome=outcome,
            objects=moved.objects,
            content_bytes=moved.content_bytes,
            stored_bytes=moved.stored_bytes,
            verdicts=verdicts,
            findings=record.doubtful,
        )

    def _read(self, run_id: RunId) -> _Record | tuple[Problem, ...]:
        """Read a record of the source; one that does not verify there is not passed on."""
        found = self._evidence.run(run_id).findings
        doubtful = tuple(problem for problem in found if problem.subject.startswith(_VERDICT))
        # The views are written anew from the record.
        bad = tuple(p for p in found if p not in doubtful and not p.code.startswith("view-"))
        if bad:
            return bad
        envelope = self._source.runs.envelope(run_id)
        signed = self._view.open(envelope, None)
        if signed.payload is None:
            return tuple(Problem.of(flaw, "bundle") for flaw in signed.flaws)
        bundle = statement.load_bundle(signed.payload)
        return _Record(
            bundle=bundle,
            envelope=envelope,
            statement=of_bytes(signed.payload),
            signers=signed.signers,
            wanted=needed_objects(self._source, bundle, self._manifests),
            doubtful=doubtful,
        )

    def _put(self, run_id: RunId, record: _Record) -> bool:
        """Put keys, bundle and entry; tell whether bundle or entry was not there before."""
        # First, so that whoever signs here is announced by the log, also where the record is by the same key.
        signing_key(self._target, self._how)
        self._put_keys(record.signers)
        new = self._target.runs.put_run(run_id, record.envelope, record.bundle)
        return self._log(run_id, record.statement) or new

    def _put_keys(self, key_ids: Sequence[str]) -> None:
        for key_id in key_ids:
            # Out of the ring, as a key may be known from the log alone.
            key = self._view.keyring.public(key_id)
            if key is not None and not self._target.keys.exists(key_id):
                self._target.keys.put(key_id, key.record())

    def _log(self, run_id: RunId, signed: Digest, replay: RunId | None = None) -> bool:
        if signed in self._logged:
            return False
        log_arrival(self._target, run_id, signed, replay, self._how)
        self._logged.add(signed)
        return True

    def _verdicts(self, run_id: RunId, doubtful: Collection[str]) -> int:
        """Put the verdicts about a run that are good, with their summaries; give the number of new ones."""
        new = 0
        for replay, envelope in self._source.runs.verdicts(run_id):
            signed = self._view.open(envelope, None)
            if f"{_VERDICT}{replay}" in doubtful or signed.payload is None:
                continue
            self._put_keys(signed.signers)
            summary = self._source.runs.summary(run_id, replay)
            if summary is not None and self._target.runs.summary(run_id, replay) is None:
                self._target.runs.put_summary(run_id, replay, summary)
            put = self._target.runs.put_verdict(run_id, replay, envelope)
            new += self._log(run_id, of_bytes(signed.payload), replay) or put
        return new


def _problems(findings: Sequence[Finding], wanted: Mapping[Digest, str]) -> tuple[Problem, ...]:
    return tuple(
        Problem(
            code=f"object-{finding.problem}",
            subject=wanted.get(finding.digest, "base of a delta"),
            message=f"{finding.digest}: {finding.detail}",
            exit_code=_MISSING if finding.problem == "missing" else _WRONG,
        )
        for finding in findings
    )


def _refused(run_id: RunId, job: str | None, findings: tuple[Problem, ...]) -> MovedRun:
    return MovedRun(
        run_id=run_id,
        job=job,
        outcome="refused",
        objects=0,
        content_bytes=0,
        stored_bytes=0,
        verdicts=0,
        findings=findings,
    )
