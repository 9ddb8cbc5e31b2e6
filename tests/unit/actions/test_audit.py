"""Audits: all that is wrong is found at once, to the end, and nothing is changed but for the report."""

from __future__ import annotations

import hashlib
import os
import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from reenact.actions.audit import AuditRequest, audit
from reenact.actions.checkpointing import make_checkpoint
from reenact.actions.keys import revoke, rotate
from reenact.actions.prune import PruneRequest, prune
from reenact.actions.sealing import SealWith, append, ensure_logged, seal_payload, signers
from reenact.actions.sealing_audits import audit_and_seal, statement_of
from reenact.actions.verify import verify
from reenact.digests import from_raw, of_bytes
from reenact.errors import RunNotFound, SettingsError, StoreError, UsageError
from reenact.ids import RunId
from reenact.model.audit import AuditReport
from reenact.model.statement import dump_bundle
from reenact.seal.checkpoint import Checkpoint, origin_of
from reenact.seal.entry import Entry, load
from reenact.seal.log import Log, entry_key
from reenact.seal.merkle import leaf_hash, root
from reenact.seal.tiles import TILES
from reenact.settings import Settings
from reenact.settings.model import Audit, Storage
from reenact.store.audits import Audits
from reenact.store.opening import Store
from reenact.store.pack_writer import SMALL_BYTES
from tests.bundles import artifact, bundle, run_id
from tests.records import add_run, add_verdict

LARGE = [os.urandom(SMALL_BYTES) for _ in range(3)]


@pytest.fixture(autouse=True)
def no_disk_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make these tests quick; what a power cut leaves is not tried here."""
    monkeypatch.setattr(os, "fsync", lambda _: None)


@pytest.fixture
def records(store: Store) -> Store:
    """Record runs with large outputs, and a replay with its verdict."""
    made = add_run(store, 1, kept=(b"in", b"print()", LARGE[0]), outputs=(artifact("out", LARGE[0], "created"),))
    add_run(store, 2, kept=(b"in", b"print()", LARGE[1]), outputs=(artifact("out", LARGE[1], "created"),))
    add_run(store, 3, replay_of=run_id(1))
    add_verdict(store, made, 3)
    return store


def run(settings: Settings, **options: Any) -> AuditReport:
    chosen = {"everything": True, "drift": "never", **options}
    quiet = settings._replace(audit=Audit(logged_within_seconds=0.0)) if settings.audit == Audit() else settings
    return audit(quiet, AuditRequest(**chosen))


def codes(report: AuditReport) -> set[str]:
    return {finding.code for finding in report.findings}


def tree_digest(folder: str) -> str:
    """Digest every name, mode, time and byte below a folder, but for what is derived."""
    state = hashlib.sha256()
    for path in sorted(Path(folder).rglob("*")):
        if path.relative_to(folder).parts[0] == "cache":
            continue
        about = path.lstat()
        state.update(f"{path} {about.st_mode} {about.st_mtime_ns}".encode())
        state.update(path.read_bytes() if path.is_file() else b"")
    return state.hexdigest()


def harm(path: Path, place: int = -1) -> None:
    data = bytearray(path.read_bytes())
    data[place] ^= 0xFF
    path.chmod(0o644)
    path.write_bytes(data)


def object_file(store: Store, content: bytes) -> Path:
    digest = of_bytes(content)
    return Path(store.location, "objects", digest[7:9], digest[9:])


def put_unlogged(store: Store, number: int, **changes: Any) -> None:
    made = bundle(run_id=run_id(number), **changes)
    store.runs.put_run(RunId(made.run_id), seal_payload(dump_bundle(made), signers(store)), made)


def log_at(store: Store, time: str) -> None:
    by = signers(store)[0]
    append(store, Entry(kind="other", statement=of_bytes(b"x"), key_id=by.public.key_id, time=time), by)


def leave_orphan(store: Store, content: bytes) -> Path:
    writer = store.writer(RunId(run_id(99)))
    writer.add_bytes(content)
    writer.commit()
    store.leases.release(RunId(run_id(99)))
    return object_file(store, content)


def damage_in_many_ways(store: Store) -> set[str]:
    """Do what hands, disks and clocks do; give the codes of what is wrong then."""
    root = Path(store.location)
    add_run(store, 4)
    add_run(store, 5)
    add_run(store, 6, ended_at="2026-01-30T06:00:00.000000Z")
    add_run(store, 7)
    put_unlogged(store, 8)
    log_at(store, "2020-01-01T00:00:00.000000Z")
    make_checkpoint(store, SealWith())
    leave_orphan(store, LARGE[2])
    (root / entry_key(Log(store.backend).size() - 1)).unlink()
    log_at(store, "2020-01-01T00:00:00.000000Z")
    harm(object_file(store, LARGE[0]))
    object_file(store, LARGE[1]).unlink()
    harm(root / "runs" / run_id(4) / "bundle.dsse.json.zst", 40)
    shutil.rmtree(root / "runs" / run_id(5))
    harm(root / "runs" / run_id(7) / "outputs" / "pointers.jsonl", 5)
    next((root / "runs" / run_id(1) / "verdicts").iterdir()).unlink()
    (root / "notes.txt").write_text("what I think of this store")
    harm(next(path for path in sorted((root / TILES).rglob("*")) if path.is_file()), 3)
    return {
        *("object-damaged", "object-missing", "integrity", "run-missing", "view-differs", "verdict-missing"),
        *("clock-run", "not-logged", "back-dated", "orphan-object", "stray", "tile-differs"),
    }


def test_a_sound_store_has_no_findings(settings: Settings, records: Store) -> None:
    report = run(settings, deep=True)
    assert (report.findings, report.exit_code, report.not_checked) == ((), 0, ())
    assert (report.runs, report.log_size, report.selection) == (3, 5, "the whole store")
    assert report.values >= 3
    assert report.stored_bytes > 2 * SMALL_BYTES
    assert report.log_root is not None
    assert report.store_id == records.id


def test_all_that_is_wrong_is_found_at_once_and_nothing_is_changed(settings: Settings, records: Store) -> None:
    expected = damage_in_many_ways(records)
    assert len(expected) >= 10
    before = tree_digest(records.location)
    report = run(settings, grace_seconds=0.0)
    assert expected <= codes(report)
    assert report.exit_code == 4
    leaves = [leaf_hash(Log(records.backend).leaf(index)) for index in range(report.log_size)]
    assert report.log_root == from_raw(root(leaves))  # whatever the tiles say
    assert tree_digest(records.location) == before
    damaged = next(f for f in report.findings if f.code == "object-damaged")
    assert (damaged.run_id, damaged.job, damaged.subject) == (run_id(1), "etl", "output out")
    assert (damaged.who, damaged.how) == ("store admin", "reenact scrub --repair-from COPY")
    assert damaged.expected == of_bytes(LARGE[0])
    ranks = [["critical", "major", "minor", "notice"].index(f.severity) for f in report.findings]
    assert ranks == sorted(ranks)


def test_it_goes_on_where_the_store_is_cut_off_while_it_is_read(
    settings: Settings, records: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object) -> None:
        raise StoreError("the disk is gone")

    harm(Path(records.location, "runs", run_id(2), "outputs", "pointers.jsonl"), 5)
    monkeypatch.setattr("reenact.store.scrub.Scrubber.keys", fails)
    report = run(settings)
    assert codes(report) >= {"not-checked", "view-differs"}


def test_the_report_is_sealed_and_logged(settings: Settings, records: Store) -> None:
    quiet = settings._replace(audit=Audit(logged_within_seconds=0.0))
    audited = audit_and_seal(quiet, AuditRequest(everything=True, drift="never"), seal=None)
    assert audited.entry == 5
    assert Audits(records.backend).ids() == [audited.report.audit_id]
    entry = load(Log(records.backend).leaf(5), 5)
    assert (entry.kind, entry.subject) == ("audit", audited.report.audit_id)
    assert entry.statement == of_bytes(statement_of(audited.report))
    assert entry.reason == "the whole store: no findings"
    again = run(settings)
    assert (again.findings, again.log_size) == ((), 6)
    assert again.log_root != audited.report.log_root
    assert all(not checked.findings for checked in verify(settings, (), everything=True))


def test_a_report_that_was_changed_or_taken_away_is_missed(settings: Settings, records: Store) -> None:
    audited = audit_and_seal(settings, AuditRequest(everything=True, drift="never"), seal=True)
    path = Path(records.location, "audits", f"{audited.report.audit_id}.dsse.json")
    data = path.read_bytes()
    harm(path, data.index(b'"payload":"') + 40)
    assert codes(run(settings)) == {"audit-differs"}
    path.unlink()
    assert codes(run(settings)) == {"audit-missing"}
    path.write_bytes(data)
    entry = Path(records.location, entry_key(Log(records.backend).size() - 1))
    logged = entry.read_bytes()
    entry.unlink()  # as when it is killed between the two
    assert codes(run(settings)) == set()
    entry.write_bytes(logged)
    path.rename(path.with_name(f"{run_id(77)}.dsse.json"))
    assert codes(run(settings)) == {"audit-differs", "audit-missing"}


def test_a_report_counts_as_its_key_did_when_it_was_logged(settings: Settings, records: Store) -> None:
    audited = audit_and_seal(settings, AuditRequest(everything=True, drift="never"), seal=True)
    old = signers(records)[0].public.key_id
    rotate(settings, "a year is over", None)
    assert codes(run(settings)) == set()
    revoke(settings, old, "it was lost", audited.entry)
    found = [f for f in run(settings).findings if f.subject == f"audit {audited.report.audit_id}"]
    assert [f.code for f in found] == ["key-revoked"]


def test_it_is_not_sealed_where_the_store_is_only_to_be_read(settings: Settings, records: Store) -> None:
    before = tree_digest(records.location)
    read_only = settings._replace(storage=Storage(read_only=True))
    audited = audit_and_seal(read_only, AuditRequest(everything=True, drift="never"), seal=None)
    assert audited.entry is None
    assert "read" in audited.not_sealed
    with pytest.raises(StoreError):
        audit_and_seal(read_only, AuditRequest(everything=True, drift="never"), seal=True)
    chosen = audit_and_seal(settings, AuditRequest(runs=(run_id(1),), drift="never"), seal=None)
    assert (chosen.entry, chosen.not_sealed) == (None, "not asked for")
    assert audit_and_seal(settings, AuditRequest(everything=True), seal=False).entry is None
    assert tree_digest(records.location) == before


def test_a_selection_looks_at_its_runs_alone(settings: Settings, records: Store) -> None:
    harm(object_file(records, LARGE[0]))
    harm(Path(records.location, "runs", run_id(2), "outputs", "pointers.jsonl"), 5)
    first = run(settings, everything=False, runs=(run_id(1),))
    assert (codes(first), first.runs) == ({"object-damaged"}, 1)
    assert first.values < run(settings).values
    assert codes(run(settings, everything=False, runs=(run_id(2),))) == {"view-differs"}
    add_run(records, 10, job="other", timestamp="2026-06-01T00:00:00.000000Z", ended_at="2026-06-01T00:00:01.000000Z")
    assert run(settings, everything=False, job="other").runs == 1
    assert run(settings, everything=False, since=datetime(2026, 5, 1, tzinfo=UTC)).runs == 1
    for nothing in ({"job": "etl", "since": datetime(2026, 5, 1, tzinfo=UTC)}, {"job": "etll"}):
        with pytest.raises(UsageError, match="no run fits"):
            run(settings, everything=False, **nothing)
    harm(Path(records.location, "runs", run_id(2), "bundle.dsse.json.zst"), 40)
    assert "integrity" in codes(run(settings, everything=False, job="other"))
    with pytest.raises(RunNotFound):
        run(settings, everything=False, runs=("nobody",))


def test_a_damaged_log_is_found_by_a_selection_too(settings: Settings, records: Store) -> None:
    make_checkpoint(records, SealWith())
    Path(records.location, entry_key(4)).unlink()
    assert "log-truncated" in codes(run(settings, everything=False, runs=(run_id(1),)))


def test_a_log_that_forked_or_went_back_is_seen_against_a_pinned_state(settings: Settings, records: Store) -> None:
    report = run(settings)
    assert report.log_root is not None
    origin = origin_of(records.id)
    root = bytes.fromhex(report.log_root.removeprefix("sha256:"))
    assert codes(run(settings, pinned=Checkpoint(origin, 5, root))) == set()
    assert codes(run(settings, pinned=Checkpoint(origin, 5, b"\0" * 32))) == {"log-forked"}
    assert codes(run(settings, pinned=Checkpoint(origin, 9, root))) == {"log-rewound"}
    add_run(records, 20)
    assert codes(run(settings, pinned=Checkpoint(origin, 5, root))) == set()


def test_a_trust_file_that_cannot_be_used_stops_it(settings: Settings, records: Store) -> None:
    path = Path(settings.root, "reenact.trust.toml")
    path.write_text("nonsense = [")
    with pytest.raises(SettingsError):
        run(settings)
    path.unlink()
    assert run(settings).trusted_by is None
    assert records.runs.ids()


def test_orphans_wait_for_recordings_and_for_an_hour(settings: Settings, records: Store) -> None:
    path = leave_orphan(records, LARGE[2])
    assert (run(settings).findings, run(settings).not_checked) == ((), ())
    (found,) = run(settings, grace_seconds=0.0).findings
    assert (found.code, found.severity, found.subject) == (
        "orphan-object",
        "minor",
        f"objects/{path.parent.name}/{path.name}",
    )
    assert found.got == f"1 files with {path.stat().st_size} bytes"
    records.leases.take(run_id(98))
    report = run(settings, grace_seconds=0.0)
    assert report.findings == ()
    assert "is going on" in report.not_checked[0]


def test_a_recording_that_was_cut_off_is_named_and_left_as_it_is(settings: Settings, records: Store) -> None:
    folder = Path(records.journals, run_id(50))
    folder.mkdir(parents=True)
    before = tree_digest(records.location)
    (found,) = run(settings).findings
    assert (found.code, found.run_id) == ("run-unfinished", run_id(50))
    assert tree_digest(records.location) == before


def test_times_that_cannot_be(settings: Settings, records: Store) -> None:
    add_run(records, 30, timestamp="2199-01-01T00:00:00.000000Z", ended_at="2199-01-01T00:00:01.000000Z")
    found = [f for f in run(settings).findings if f.code == "clock-future"]
    assert [f.run_id for f in found] == [run_id(30)]
    late = run(settings._replace(audit=Audit(logged_within_seconds=1.0)))
    assert {f.run_id for f in late.findings if f.code == "logged-late"} == {run_id(n) for n in (1, 2, 3)}
    log_at(records, "2199-01-01T00:00:00.000000Z")
    assert any(f.code == "clock-future" and f.subject == "entry 6" for f in run(settings).findings)


def test_one_that_is_cut_off_is_gone_on_with(
    settings: Settings, records: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    harm(object_file(records, LARGE[0]))
    from reenact.store import scrub

    keys: list[str] = []
    check = scrub.Scrubber.check

    def cut_off(self: scrub.Scrubber, key: str) -> Any:
        keys.append(key)
        if len(keys) == 4:
            raise KeyboardInterrupt
        return check(self, key)

    monkeypatch.setattr(scrub.Scrubber, "check", cut_off)
    monkeypatch.setattr(scrub, "THREADS", 1)
    with pytest.raises(KeyboardInterrupt):
        run(settings)
    report = run(settings)
    assert report.resumed
    assert codes(report) == {"object-damaged"}
    assert not run(settings).resumed


def test_a_sample_hashes_less_and_finds_records_all_the_same(settings: Settings, records: Store) -> None:
    harm(Path(records.location, "runs", run_id(2), "outputs", "pointers.jsonl"), 5)
    report = run(settings, sample=0.01, seed="s")
    assert report.values < run(settings).values
    assert codes(report) == {"view-differs"}


def test_a_run_that_is_logged_while_it_is_looked_at_is_no_finding(
    settings: Settings, records: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_unlogged(records, 40)
    assert codes(run(settings)) == {"not-logged"}
    slept: list[float] = []

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        ensure_logged(records, RunId(run_id(40)))

    monkeypatch.setattr("reenact.actions.audit.time.sleep", sleep)
    assert codes(run(settings)) == set()
    assert len(slept) == 1


def test_a_run_that_is_pruned_while_it_is_looked_at_is_no_finding(
    settings: Settings, records: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    from reenact.actions import verify as verifying

    check = verifying.RunCheck.run

    def pruned_meanwhile(self: verifying.RunCheck, run_id_: RunId) -> Any:
        if run_id_ == run_id(2) and records.runs.exists(run_id_):
            prune(settings, PruneRequest(runs=(run_id_,), yes=True))
        return check(self, run_id_)

    monkeypatch.setattr(verifying.RunCheck, "run", pruned_meanwhile)
    assert codes(run(settings)) == set()
    assert records.runs.ids() == [run_id(1), run_id(3)]
