"""Hold the log against what a store keeps: runs, verdicts, holds, releases and tombstones that are logged and not there.

And the other way: records of those that the log does not know, or that were changed. Whether the log itself is whole is
:mod:`reenact.actions.logview`'s.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from reenact.actions.logview import LogView
from reenact.actions.opening import payload_of
from reenact.digests import EMPTY, Digest, of_bytes
from reenact.errors import IntegrityError, KeyAbsent, RunNotFound, StoreError
from reenact.ids import RunId, is_run_id
from reenact.model.bundle import SCHEMA_VERSION
from reenact.model.custody import Tombstone, load_record
from reenact.seal.entry import Entry, load
from reenact.seal.flaws import Flaw
from reenact.seal.log import Log
from reenact.store.audits import Audits
from reenact.store.baselines import BASELINES
from reenact.store.custody import HOLDS, TOMBSTONES, HoldFiles

if TYPE_CHECKING:
    from reenact.store.opening import Store

__all__ = ["record_flaws"]


def record_flaws(store: Store) -> Iterator[tuple[str, str, Flaw]]:
    """Give what is missing, or there and not logged: the run it is of, the part, and what is wrong.

    Costs a read of each entry, and of each record that is not a bundle.

    Raises:
        StoreError: the store cannot be read.
    """
    check = _Completeness(store)
    yield from check.runs()
    yield from check.custody()


class _Completeness:
    def __init__(self, store: Store) -> None:
        self._store = store
        self._entries = list(_entries(store))
        self._pruned = {entry.run_id: entry for entry in self._entries if entry.kind == "tombstone"}

    def runs(self) -> Iterator[tuple[str, str, Flaw]]:
        """Look for each run and verdict that was logged."""
        verdicts: dict[str, set[Digest]] = {}
        for entry in self._entries:
            run_id = entry.run_id
            if entry.kind not in {"run", "verdict"} or run_id in self._pruned or not is_run_id(run_id):
                continue
            if not self._store.runs.exists(RunId(run_id)):
                if entry.kind == "run":
                    message = f"the log has it as entry {entry.index}, no tombstone says that it was pruned, and it is not there"
                    yield run_id, "bundle", Flaw("run-missing", message)
            elif entry.kind == "verdict":
                if run_id not in verdicts:
                    verdicts[run_id] = set(self._verdicts(RunId(run_id)))
                if entry.statement not in verdicts[run_id]:
                    subject = f"verdict {entry.replay_run_id}"
                    yield run_id, subject, Flaw("verdict-missing", f"the log has it as entry {entry.index}")

    def _verdicts(self, run_id: RunId) -> Iterator[Digest]:
        for _, envelope in self._store.runs.verdicts(run_id):
            try:
                yield of_bytes(payload_of(envelope))
            except IntegrityError:
                continue  # told of where its signature is checked

    def custody(self) -> Iterator[tuple[str, str, Flaw]]:
        """Look at holds, releases and tombstones."""
        logged = {kind: self._statements(kind) for kind in ("hold", "release")}
        found: set[Digest] = set()
        for files in self._store.custody.holds():
            yield from self._hold(files, logged, found)
        for kind, statements in logged.items():
            for statement, entry in statements.items():
                if statement not in found:
                    message = f"the log has it as entry {entry.index}, and its record, {statement}, is not there"
                    yield entry.run_id, kind, Flaw(f"{kind}-missing", message)
        yield from self._baselines()
        yield from self._audits()
        yield from self._tombstones()

    def _baselines(self) -> Iterator[tuple[str, str, Flaw]]:
        logged = {**self._statements("baseline"), **self._statements("baseline-cleared")}
        there = set()
        for key in [*self._store.backend.list(f"{BASELINES}/")]:
            digest = of_bytes(self._store.backend.get(key))
            there.add(digest)
            if digest not in logged:
                message = f"{key} was changed, or its choice was cut off: the log does not know {digest}"
                yield "", "baseline", Flaw("custody-not-logged", message)
        for digest, entry in logged.items():
            if digest not in there:
                message = f"the log has it as entry {entry.index}, and its record, {digest}, is not there"
                yield entry.run_id, "baseline", Flaw("baseline-missing", message)

    def _audits(self) -> Iterator[tuple[str, str, Flaw]]:
        logged = self._statements("audit")
        audits = Audits(self._store.backend)
        view = LogView(self._store)
        there = audits.ids()
        for audit_id in there:
            try:
                flaws = self._report(audit_id, audits.envelope(audit_id), logged, view)
                yield from (("", f"audit {audit_id}", flaw) for flaw in flaws)
            except (IntegrityError, StoreError) as error:
                yield "", f"audit {audit_id}", Flaw("audit-differs", str(error))
        for entry in logged.values():
            if entry.subject not in there:
                message = f"the log has it as entry {entry.index}, and its record is not there"
                yield "", f"audit {entry.subject}", Flaw("audit-missing", message)

    @staticmethod
    def _report(audit_id: str, envelope: bytes, logged: dict[Digest, Entry], view: LogView) -> list[Flaw]:
        entry = logged.get(of_bytes(payload_of(envelope)))
        # Its keys are judged as they were when it was logged. One that the log does not know was cut off before, and counts for nothing.
        signed = view.open(envelope, entry.index if entry is not None else None)
        if signed.payload is None:
            return [Flaw("audit-differs", flaw.message) for flaw in signed.flaws]
        if entry is None:
            return []
        if entry.subject != audit_id:
            return [Flaw("audit-differs", f"entry {entry.index} has it as {entry.subject}")]
        return list(signed.flaws)

    def _statements(self, kind: str) -> dict[Digest, Entry]:
        return {entry.statement: entry for entry in self._entries if entry.kind == kind}

    @staticmethod
    def _hold(
        files: HoldFiles, logged: dict[str, dict[Digest, Entry]], found: set[Digest]
    ) -> Iterator[tuple[str, str, Flaw]]:
        for kind, data in (("hold", files.hold), ("release", files.release)):
            if data is None:
                continue
            digest = of_bytes(data)
            found.add(digest)
            entry = logged[kind].get(digest)
            where = f"{HOLDS}/{files.run_id}/{files.hold_id}"
            # One that the log does not know was cut off before it was logged; a changed one is missed under its digest.
            if entry is not None and entry.run_id != files.run_id:
                yield files.run_id, kind, Flaw("custody-not-logged", f"{where}: it is of run {entry.run_id}")

    def _tombstones(self) -> Iterator[tuple[str, str, Flaw]]:
        there = set()
        for run_id in self._store.custody.tombstones():
            there.add(str(run_id))
            flaw = self._tombstone(run_id)
            if flaw:
                yield run_id, "tombstone", Flaw("tombstone-differs", f"{TOMBSTONES}/{run_id}.json: {flaw}")
        for pruned, entry in self._pruned.items():
            if pruned not in there:
                message = f"entry {entry.index} says that the run was removed; {TOMBSTONES}/{pruned}.json is not there"
                yield pruned, "tombstone", Flaw("tombstone-missing", message)

    def _tombstone(self, run_id: RunId) -> str:
        """Say what is wrong with a tombstone; empty when nothing is."""
        entry = self._pruned.get(run_id)
        if entry is None:
            # A prune was cut off before anything was done; the next takes it back.
            return "" if self._store.runs.exists(run_id) else "the log does not know of it, and the run is not there"
        data = self._store.custody.tombstone(run_id)
        try:
            record = load_record(data or b"", Tombstone)
        except IntegrityError as error:
            return str(error)
        said = record.run_id, record.statement or EMPTY, record.pruned_at, record.reason[: len(entry.reason or "")]
        logged = run_id, entry.statement, entry.time, entry.reason or ""
        if said != logged:
            return f"it says {said}, and entry {entry.index} {logged}"
        if record.schema_version != SCHEMA_VERSION:
            return f"it is of version {record.schema_version}, which this program cannot hold against the log"
        if of_bytes(data or b"") != _written(record):
            return "its bytes are not in their canonical form"
        return ""


def _written(record: Tombstone) -> Digest:
    from reenact import canonical  # noqa: PLC0415 - rare

    return of_bytes(canonical.dumps_plain(record))


def _entries(store: Store) -> Iterator[Entry]:
    """Give the entries that can be read, in order; what is wrong with the others is told elsewhere."""
    log = Log(store.backend)
    for index in range(log.size()):
        try:
            yield load(log.leaf(index), index)
        except (IntegrityError, KeyAbsent, StoreError, RunNotFound):
            continue
