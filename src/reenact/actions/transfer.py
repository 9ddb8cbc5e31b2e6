"""Push runs to another store, or pull them from one: records with everything they need, only what is missing there.

A record arrives as it was signed, with the public key of its signer; the target's log gets an entry of its own for it. In the
order of a recording: objects, key, bundle, entry. So what a kill leaves is a store that is whole, and the next attempt goes on.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from reenact.actions.keeping import access, delta_policy
from reenact.actions.opening import opened, peek_bundle, resolve
from reenact.actions.sealing import check_signature, log_arrival, logged_statements, removed_runs
from reenact.actions.verify import Problem, needed_objects
from reenact.digests import Digest, of_bytes
from reenact.errors import IntegrityError, ReenactError, UsageError
from reenact.ids import RunId
from reenact.model import statement
from reenact.model.bundle import Bundle
from reenact.settings import Settings
from reenact.store.opening import Store, open_store
from reenact.store.transfer import Mover
from reenact.store.workplace import workplace

__all__ = ["MovedRun", "Selection", "Transfer", "pull", "push", "transfer"]

Outcome = Literal["moved", "completed", "present", "refused"]
"""``completed``: it was there, but not all of it. ``refused``: the source's record or bytes are not good, or the target's log says that it was removed; it was not put."""

_MISSING = 3
_WRONG = 4
_DENIED = 5


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
    return transfer(source, _other(settings, to, create=True), selection, say)


def pull(
    settings: Settings, selection: Selection, *, source: str, say: Callable[[str], None] = lambda _: None
) -> Transfer:
    """Copy runs of another store to that of the settings, which is made when it is not there; see :func:`push`."""
    other = _other(settings, source, create=False)
    mine = open_store(settings.store, create=True, deltas=delta_policy(settings), access=access(settings, cached=False))
    return transfer(other, mine, selection, say)


def _other(settings: Settings, location: str, *, create: bool) -> Store:
    place = location if "://" in location else os.path.expanduser(location)
    # What this host kept of a store far away must not stand for what is there; and whether it may be written, it says itself.
    reached = access(settings, cached=False)._replace(read_only=not create)
    if not create:
        reached = reached._replace(encrypted_only=False)  # what is only read from need not be encrypted
    return open_store(place, create=create, deltas=delta_policy(settings), access=reached)


def transfer(
    source: Store, target: Store, selection: Selection, say: Callable[[str], None] = lambda _: None
) -> Transfer:
    """Copy runs from one open store to another; see :func:`push`."""
    if source.id == target.id and os.path.realpath(source.location) == os.path.realpath(target.location):
        raise UsageError(f"{source.location} is the same store", hint="name another one")
    run_ids = _with_replays(source, _selected(source, selection))
    with workplace(target.staging()) as folder:
        task = _Task(source, target, run_ids, folder)
        try:
            moved = tuple(task.move(run_id, say) for run_id in run_ids)
        finally:
            task.close()
    return Transfer(source=source.location, target=target.location, runs=moved)


def _selected(store: Store, selection: Selection) -> list[RunId]:
    found = [resolve(store, name) for name in selection.names]
    if selection.everything or selection.jobs:
        ids = store.runs.ids()
        found += ids if selection.everything else [run_id for run_id in ids if _job(store, run_id) in selection.jobs]
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
    key_id: str
    wanted: dict[Digest, str]


class _Task:
    """Moves runs, one after the other."""

    def __init__(self, source: Store, target: Store, run_ids: Sequence[RunId], folder: str) -> None:
        self._source, self._target = source, target
        self._manifests: dict[Digest, dict[Digest, str]] = {}
        self._source_log = logged_statements(source)
        self._target_log = set(logged_statements(target))
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
        if isinstance(record, Problem):
            return _refused(run_id, None, (record,))
        if run_id in self._removed:
            message = f"it was removed from the target on purpose: {self._removed[run_id]}"
            problem = Problem(code="removed-there", subject="run", message=message, exit_code=_DENIED)
            return _refused(run_id, record.bundle.job, (problem,))
        moved = self._mover.move(
            run_id, record.wanted, lambda done, total: say(f"{what}: {done:,} of {total:,} objects")
        )
        findings = tuple(
            Problem(
                code=f"object-{finding.problem}",
                subject=record.wanted.get(finding.digest, "base of a delta"),
                message=f"{finding.digest}: {finding.detail}",
                exit_code=_MISSING if finding.problem == "missing" else _WRONG,
            )
            for finding in moved.findings
        )
        if findings:
            return _refused(run_id, record.bundle.job, findings)
        new = self._put(run_id, record)
        verdicts, problems = self._verdicts(run_id, record.statement)
        outcome: Outcome = "moved" if new else "completed" if moved.objects or verdicts else "present"
        return MovedRun(
            run_id=run_id,
            job=record.bundle.job,
            outcome=outcome,
            objects=moved.objects,
            content_bytes=moved.content_bytes,
            stored_bytes=moved.stored_bytes,
            verdicts=verdicts,
            findings=problems,
        )

    def _read(self, run_id: RunId) -> _Record | Problem:
        """Read a record of the source; what nobody known signed, or is not in the log, is not passed on."""
        try:
            envelope = self._source.runs.envelope(run_id)
            payload, key_id = check_signature(self._source, envelope)
            bundle = statement.load_bundle(payload)
            if bundle.run_id != run_id:
                raise IntegrityError(f"it is the record of run {bundle.run_id}")
            if of_bytes(payload) not in self._source_log:
                raise IntegrityError("the source's log has no entry for what is signed")
            wanted = needed_objects(self._source, bundle, self._manifests)
        except ReenactError as error:
            exit_code = _MISSING if error.exit_code == _MISSING else _WRONG
            return Problem(code=error.code, subject="bundle", message=str(error), exit_code=exit_code)
        return _Record(bundle=bundle, envelope=envelope, statement=of_bytes(payload), key_id=key_id, wanted=wanted)

    def _put(self, run_id: RunId, record: _Record) -> bool:
        """Put key, bundle and entry; tell whether any was not there before."""
        self._put_key(record.key_id)
        new = self._target.runs.put_run(run_id, record.envelope, record.bundle)
        return self._log(run_id, record.statement) or new

    def _put_key(self, key_id: str) -> None:
        if not self._target.keys.exists(key_id):
            self._target.keys.put(key_id, self._source.keys.get(key_id))

    def _log(self, run_id: RunId, signed: Digest, replay: RunId | None = None) -> bool:
        if signed in self._target_log:
            return False
        log_arrival(self._target, run_id, signed, replay)
        self._target_log.add(signed)
        return True

    def _verdicts(self, run_id: RunId, bundle_digest: Digest) -> tuple[int, tuple[Problem, ...]]:
        """Put the verdicts about a run; give the number of new ones, and those that are not good."""
        new = 0
        problems = []
        for replay, envelope in self._source.runs.verdicts(run_id):
            try:
                signed, key_id = self._checked_verdict(envelope, (run_id, replay, bundle_digest))
            except IntegrityError as error:
                problem = Problem(code=error.code, subject=f"verdict {replay}", message=str(error), exit_code=_WRONG)
                problems.append(problem)
                continue
            self._put_key(key_id)
            put = self._target.runs.put_verdict(run_id, replay, envelope)
            new += self._log(run_id, signed, replay) or put
        return new, tuple(problems)

    def _checked_verdict(self, envelope: bytes, about: tuple[RunId, RunId, Digest]) -> tuple[Digest, str]:
        """Check a verdict of the source; give the digest of what is signed, and the id of the key.

        Args:
            envelope: The sealed verdict.
            about: Run, replay and digest of the run's record, which it has to name.

        Raises:
            IntegrityError: it is not good.
        """
        payload, key_id = check_signature(self._source, envelope)
        verdict = statement.load_verdict(payload)
        if (verdict.run_id, verdict.replay_run_id, verdict.bundle_digest) != about:
            raise IntegrityError(f"it is about run {verdict.run_id} with record {verdict.bundle_digest}")
        if of_bytes(payload) not in self._source_log:
            raise IntegrityError("the source's log has no entry for what is signed")
        return of_bytes(payload), key_id


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
