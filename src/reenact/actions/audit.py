"""Audit a store: bundles, views, objects, the log, keys, trust, clocks, what nothing refers to, and drift. Changes nothing.

The hashing, and who needs what, is :mod:`reenact.actions.scrub`'s; records are :mod:`reenact.actions.verify`'s. Whatever is damaged,
the rest is looked at. Only the report may be put into the store, signed and logged: :mod:`reenact.actions.sealing_audits`.
"""

from __future__ import annotations

import contextlib
import getpass
import os
import socket
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal, NamedTuple

import reenact
from reenact import clock, ids
from reenact.actions.auditing import Selected, cut_off_runs, orphans, select
from reenact.actions.drifting import Drift
from reenact.actions.keeping import access
from reenact.actions.opening import payload_of, peek_bundle
from reenact.actions.present import Present
from reenact.actions.scrub import ScrubFinding, ScrubRequest, ScrubResult, scrub_store
from reenact.actions.trusting import load_trust, trust_path
from reenact.actions.verify import verify_records
from reenact.digests import Digest, from_raw, of_bytes
from reenact.errors import IntegrityError, KeyAbsent, ReenactError, StoreError
from reenact.govern.clocks import RunTimes, clock_findings, entry_clock_findings
from reenact.govern.findings import AUDIT_FINDINGS, make_finding, ordered
from reenact.ids import RunId
from reenact.model.audit import AuditFinding, AuditReport
from reenact.model.bundle import SCHEMA_VERSION
from reenact.model.statement import load_bundle
from reenact.seal.checkpoint import Checkpoint
from reenact.seal.entry import Entry, load
from reenact.seal.log import Log
from reenact.seal.tiles import Tree
from reenact.settings import Settings
from reenact.store.backends.throttle import Pace
from reenact.store.opening import Store, open_store
from reenact.store.sweep import GRACE_SECONDS

__all__ = ["AuditRequest", "audit", "open_for_audit"]

_PROBLEMS: Final = {"missing": "object-missing", "damaged": "object-damaged"}
"""What a scrub calls what is wrong with an object."""
_PASSING: Final = frozenset({"not-logged", "run-not-found"})
"""What is so for a moment, while a run is recorded or pruned."""
_SETTLE_SECONDS: Final = 0.5
_RECORD: Final = frozenset({"bundle", "record"})
"""Subjects of findings about what a run says, not about what it refers to."""

Remote = Literal["local", "all", "never"]


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditRequest:
    """What to audit, and how."""

    runs: tuple[str, ...] = ()
    """References of runs."""
    everything: bool = False
    """The whole store."""
    job: str | None = None
    """Runs of this job."""
    since: datetime | None = None
    """Runs that started then or later."""
    deep: bool = False
    sample: float = 1.0
    seed: str = ""
    max_bytes_per_second: float = 0.0
    restart: bool = False
    """These five: see :class:`reenact.actions.scrub.ScrubRequest`."""
    drift: Remote | None = None
    """None for what the settings say."""
    grace_seconds: float = GRACE_SECONDS
    """What is younger is not taken for something that nothing refers to."""
    rehash: bool = False
    """Hash every file of this machine, whatever its times say."""
    trust_file: str | None = None
    pinned: Checkpoint | None = None
    """A state of the log seen earlier, instead of the one the trust file pins."""


def open_for_audit(settings: Settings) -> Store:
    """Open the store so that nothing in it is changed: what was cut off is not finished, either.

    Raises:
        StoreError: there is none, or it cannot be read.
    """
    how = access(settings, cached=False)._replace(read_only=True)
    return open_store(settings.store, create=False, access=how)


def audit(settings: Settings, request: AuditRequest, say: Callable[[str], None] = lambda _: None) -> AuditReport:
    """Audit a store, to the end whatever is damaged.

    Raises:
        RunNotFound: a reference names none, or several.
        SettingsError: the trust file cannot be used.
        StoreError: the store cannot be opened or listed.
    """
    load_trust(settings, request.trust_file)
    store = open_for_audit(settings)
    try:
        selected = select(store, request.runs, request.job, request.since, everything=request.everything)
        return _Audit(store, settings, request, selected, say).run()
    finally:
        store.close()


class _Run(NamedTuple):
    times: RunTimes
    statement: Digest
    is_replay: bool


class _Audit:
    def __init__(
        self, store: Store, settings: Settings, request: AuditRequest, selected: Selected, say: Callable[[str], None]
    ) -> None:
        self._store, self._settings, self._request = store, settings, request
        self._selected, self._say = selected, say
        self._findings: list[AuditFinding] = []
        self._not_checked: list[str] = []
        self._runs: dict[str, _Run] = {}
        """Those whose records can be read; not the records, as a store may hold more of them than there is memory."""
        self._needed: frozenset[Digest] = frozenset()

    def run(self) -> AuditReport:
        began, begun = clock.timestamp(), time.monotonic()
        self._read_bundles()
        result = self._stored()
        log = list(self._entries())
        self._clocks(log)
        if self._request.everything:
            self._left_over()
        jobs, drift_bytes = self._drift()
        size, root = self._log_state()
        return AuditReport(
            schema_version=SCHEMA_VERSION,
            audit_id=ids.new_run_id(clock.now_ns()),
            store_id=self._store.id,
            began_at=began,
            ended_at=clock.timestamp(),
            seconds=round(time.monotonic() - begun, 3),
            audited_by=f"{_user()}@{socket.gethostname()}",
            tool_version=reenact.__version__,
            selection=self._selected.words,
            sample=self._request.sample,
            seed=self._request.seed,
            deep=self._request.deep,
            resumed=result is not None and result.resumed,
            runs=len(self._selected.runs),
            jobs=jobs,
            values=result.values if result is not None else 0,
            stored_bytes=result.stored_bytes if result is not None else 0,
            drift_bytes=drift_bytes,
            log_size=size,
            log_root=root,
            trusted_by=self._trust_name(),
            findings=ordered(self._findings),
            not_checked=tuple(self._not_checked),
        )

    def _trust_name(self) -> str | None:
        path = trust_path(self._settings, self._request.trust_file)
        return path if os.path.exists(path) else None

    def _read_bundles(self) -> None:
        """Read what can be read; what is wrong with the others is told with the records."""
        self._say("reading records")
        for run_id in self._selected.runs:
            try:
                payload = payload_of(self._store.runs.envelope(run_id))
                bundle = load_bundle(payload)
            except ReenactError:
                continue
            if bundle.run_id == run_id:
                times = RunTimes(run_id, bundle.job, bundle.timestamp, bundle.ended_at)
                self._runs[run_id] = _Run(times, of_bytes(payload), bundle.replay_of is not None)

    # --- what is stored

    def _stored(self) -> ScrubResult | None:
        request = self._request
        scrubbing = ScrubRequest(
            deep=request.deep,
            sample=request.sample,
            seed=request.seed,
            max_bytes_per_second=request.max_bytes_per_second,
            restart=request.restart,
            runs=None if request.everything else self._selected.runs,
            trust_file=request.trust_file,
            since=request.pinned,
            purpose="audit",
        )
        try:
            result, self._needed = scrub_store(self._store, self._settings, scrubbing, self._say)
        except (StoreError, IntegrityError) as error:
            self._findings.append(make_finding("not-checked", "objects", str(error)))
            self._records_alone()
            return None
        self._findings += self._still_so([self._of_scrub(finding) for finding in result.findings])
        return result

    def _still_so(self, findings: list[AuditFinding]) -> list[AuditFinding]:
        """Look again at runs that came or went while they were looked at: between a run and its entry are some milliseconds."""
        runs = sorted({RunId(f.run_id) for f in findings if f.code in _PASSING and f.run_id})
        if not runs:
            return findings
        time.sleep(_SETTLE_SECONDS)
        try:
            there = [run_id for run_id in runs if self._store.custody.tombstone(run_id) is None]
            checked = verify_records(self._store, self._settings, self._say, self._request.trust_file, runs=there)
            again = {(run.run_id, problem.code) for run in checked for problem in run.findings}
        except (StoreError, IntegrityError):
            return findings
        return [f for f in findings if f.code not in _PASSING or not f.run_id or (f.run_id, f.code) in again]

    def _records_alone(self) -> None:
        request = self._request
        runs = None if request.everything else self._selected.runs
        checked = verify_records(
            self._store, self._settings, self._say, request.trust_file, since=request.pinned, runs=runs
        )
        for run in checked:
            for problem in run.findings:
                about = {"run_id": run.run_id, "job": self._job(run.run_id)}
                self._findings.append(make_finding(problem.code, problem.subject, problem.message, **about))

    def _of_scrub(self, finding: ScrubFinding) -> AuditFinding:
        code = _PROBLEMS.get(finding.problem, finding.problem)
        runs = tuple(dict.fromkeys(need.run_id for need in finding.needed_by))
        run_id = finding.run_id or (runs[0] if runs else "")
        subject, message = finding.subject, finding.detail
        if finding.run_id:
            subject = subject.removeprefix(f"run {finding.run_id}: ")
        if finding.needed_by:
            need = finding.needed_by[0]
            subject, message = need.artifact, f"{finding.subject}: {message}"
        return make_finding(
            code if code in AUDIT_FINDINGS else "not-checked",
            subject,
            message,
            run_id=run_id,
            job=self._job(run_id) or (finding.needed_by[0].job if finding.needed_by else ""),
            runs=runs,
            expected=finding.object,
            got=finding.problem if finding.object is not None else None,
        )

    def _job(self, run_id: str) -> str:
        return self._runs[run_id].times.job if run_id in self._runs else ""

    # --- the log and clocks

    def _entries(self) -> Iterator[tuple[int, Entry]]:
        log = Log(self._store.backend)
        with contextlib.suppress(StoreError):
            for index in range(log.size()):
                with contextlib.suppress(IntegrityError, KeyAbsent):
                    yield index, load(log.leaf(index), index)

    def _clocks(self, log: list[tuple[int, Entry]]) -> None:
        self._say("looking at clocks")
        now = clock.parse(clock.timestamp())
        logged = {entry.statement: entry.time for _, entry in log if entry.kind == "run"}
        limit = self._settings.audit.logged_within_seconds
        for run in self._runs.values():
            self._findings += clock_findings(run.times, logged.get(run.statement), now, limit)
        self._findings += entry_clock_findings(((index, entry.time) for index, entry in log), now)

    def _log_state(self) -> tuple[int, Digest | None]:
        try:
            size = Log(self._store.backend).size()
            # Tiles are believed only where the log was not read as a whole.
            tree = Tree(self._store.backend, size, from_entries=self._request.everything)
            return size, from_raw(tree.root()) if size else None
        except (StoreError, IntegrityError):
            return 0, None

    # --- what nothing refers to, and what is not there yet

    def _left_over(self) -> None:
        self._say("looking for what nothing refers to")
        self._findings += cut_off_runs(self._store)
        unreadable = [run_id for run_id in self._selected.runs if run_id not in self._runs]
        try:
            found, reason = orphans(self._store, self._needed, unreadable, self._request.grace_seconds)
        except (StoreError, IntegrityError, OSError) as error:
            found, reason = None, str(error)
        if found is not None:
            self._findings.append(found)
        if reason:
            self._not_checked.append(f"objects that nothing refers to: {reason}")

    # --- drift

    def _drift(self) -> tuple[int, int]:
        """Hold each job's latest run against this machine; give the number of jobs, and of bytes that were hashed."""
        mode = self._request.drift or self._settings.audit.drift
        if mode == "never":
            return 0, 0
        rate = self._request.max_bytes_per_second
        files = Present(
            None if self._request.rehash else self._store.stats, Pace(rate).take if rate else lambda _: None
        )
        looking = Drift(self._store, self._settings, files, remote=mode == "all")
        latest = self._latest()
        for place, (job, run_id) in enumerate(latest.items(), start=1):
            self._say(f"looking for drift: job {place} of {len(latest)}")
            try:
                self._findings += looking.look(peek_bundle(self._store, run_id))
            except (ReenactError, OSError, ValueError) as error:
                self._not_checked.append(f"drift of job {job}: {error}")
        files.close()
        self._not_checked += looking.not_checked
        return len(latest), files.hashed_bytes

    def _latest(self) -> dict[str, RunId]:
        """Give the latest run of each job, but for replays and records that nobody may believe."""
        unsound = {f.run_id for f in self._findings if f.severity == "critical" and f.subject in _RECORD}
        latest: dict[str, RunId] = {}
        for run_id, run in sorted(self._runs.items()):
            if not run.is_replay:
                latest[run.times.job] = RunId(run_id)
        for job, run_id in list(latest.items()):
            if run_id in unsound:
                self._not_checked.append(f"drift of job {job}: the record of its latest run, {run_id}, is not sound")
                del latest[job]
        return dict(sorted(latest.items()))


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return str(os.geteuid())
