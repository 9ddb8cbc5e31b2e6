"""Pruning, holds, and what is left of a prune that was cut off."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from reenact.actions import prune as module
from reenact.actions.custody import held_runs, hold, release
from reenact.actions.prune import PruneRequest, PruneResult, prune
from reenact.actions.sweeping import SweepRequest
from reenact.actions.unsealed import keep
from reenact.actions.verify import verify
from reenact.digests import of_bytes
from reenact.errors import IntegrityError, PolicyDenied, RunNotFound, StoreError, UsageError
from reenact.govern.selection import Selection
from reenact.ids import RunId
from reenact.model import manifest
from reenact.model.custody import Tombstone, load_record
from reenact.model.statement import dump_bundle
from reenact.seal.log import Log
from reenact.settings import Settings
from reenact.settings.model import Signing
from reenact.store.opening import Store, open_store
from reenact.store.pack_writer import SMALL_BYTES
from tests.bundles import artifact, bundle, run_id
from tests.records import add_run, add_verdict

NOW = SweepRequest(grace_seconds=0, wait_seconds=0)


@pytest.fixture(autouse=True)
def no_disk_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make these tests quick; what a power cut leaves is not tried here."""
    monkeypatch.setattr(os, "fsync", lambda _: None)


def go(settings: Settings, *runs: str, yes: bool = True, sweeping: SweepRequest = NOW, **selection: Any) -> PruneResult:
    return prune(settings, PruneRequest(runs=runs, selection=Selection(**selection), yes=yes, sweeping=sweeping))


def add(store: Store, number: int, *contents: bytes, **changes: Any) -> None:
    """Record a run whose outputs have contents."""
    outputs = tuple(artifact(f"out{place}", content, "created") for place, content in enumerate(contents))
    add_run(store, number, kept=(b"in", b"print()", *contents), outputs=outputs, **changes)


def is_there(store: Store, content: bytes) -> bool:
    """Tell whether a process that begins now finds an object."""
    fresh = open_store(store.location, create=False)
    try:
        return fresh.objects.holds(of_bytes(content))
    finally:
        fresh.close()


def is_sound(settings: Settings) -> bool:
    return all(not run.findings for run in verify(settings, (), everything=True, deep=True))


def test_a_run_goes_and_with_it_what_only_it_needs(settings: Settings, store: Store) -> None:
    shared, alone = os.urandom(SMALL_BYTES), os.urandom(SMALL_BYTES)
    add(store, 1, shared, alone)
    add(store, 2, shared)
    told = go(settings, run_id(1), yes=False)
    assert store.runs.exists(RunId(run_id(1)))
    result = go(settings, run_id(1))
    assert (told.pruned, told.swept.objects) == (result.pruned, 1)
    assert told.freed_bytes == result.freed_bytes > SMALL_BYTES
    assert not store.runs.exists(RunId(run_id(1)))
    assert not is_there(store, alone)
    assert store.objects.read(of_bytes(shared)) == shared
    assert is_sound(settings)


def test_it_leaves_a_tombstone_that_is_logged(settings: Settings, store: Store) -> None:
    add(store, 1, b"out")
    statement = next(entry.statement for entry in Log(store.backend).entries() if entry.kind == "run")
    prune(settings, PruneRequest(runs=(run_id(1),), yes=True, reason="no room", sweeping=NOW))
    record = load_record(store.custody.tombstone(RunId(run_id(1))) or b"", Tombstone)
    assert (record.run_id, record.statement, record.reason) == (run_id(1), statement, "no room")
    with pytest.raises(RunNotFound) as raised:
        verify(settings, (run_id(1),))
    assert raised.value.hint() == f"it was pruned at {record.pruned_at}: no room"
    (entry,) = (entry for entry in Log(store.backend).entries() if entry.kind == "tombstone")
    assert (entry.run_id, entry.statement, entry.reason) == (run_id(1), statement, "no room")


def test_an_environment_stays_while_a_run_needs_its_manifest(settings: Settings, store: Store) -> None:
    library = b"library" * 20
    data = manifest.dump([artifact("/usr/lib/a", library).entry])
    plain = bundle().environment

    def with_manifest(number: int) -> None:
        environment = msgspec.structs.replace(plain, manifest=of_bytes(data))
        add_run(store, number, kept=(b"in", b"print()", b"out", library, data), environment=environment)

    with_manifest(1)
    with_manifest(2)
    go(settings, run_id(1))
    assert store.objects.read(of_bytes(library)) == library
    go(settings, run_id(2))
    assert not is_there(store, library)


def test_verdicts_and_replays_go_with_their_run(settings: Settings, store: Store) -> None:
    made = add_run(store, 1)
    add_run(store, 2, replay_of=run_id(1))
    add_verdict(store, made, 2)
    result = go(settings, run_id(1))
    assert [line.run_id for line in result.pruned] == [run_id(1), run_id(2)]
    assert store.runs.ids() == []
    assert not any(store.backend.list("runs/"))
    assert is_sound(settings)


def test_a_held_run_cannot_be_named_and_stays_among_others(settings: Settings, store: Store) -> None:
    add(store, 1, b"one")
    add(store, 2, b"two")
    hold(settings, [run_id(1)], "audit", "matter-7")
    with pytest.raises(PolicyDenied, match="held for matter-7: audit"):
        go(settings, run_id(1), run_id(2))
    assert len(store.runs.ids()) == 2
    result = go(settings, jobs=frozenset({"etl"}))
    assert [(line.run_id, line.why) for line in result.kept] == [(run_id(1), "it is held for matter-7: audit")]
    assert store.runs.ids() == [run_id(1)]
    assert is_sound(settings)


def test_every_hold_must_be_released(settings: Settings, store: Store) -> None:
    add(store, 1, b"one")
    hold(settings, [run_id(1)], "audit", "a")
    hold(settings, [run_id(1)], "law suit", "b")
    assert [held.matter for held in release(settings, [run_id(1)], "over", "a")] == ["a"]
    with pytest.raises(UsageError, match="not held for the matter 'a'"):
        release(settings, [run_id(1)], "over", "a")
    assert held_runs(store) == {run_id(1): "it is held for b: law suit"}
    release(settings, [run_id(1)], "over")
    assert held_runs(store) == {}
    with pytest.raises(UsageError, match="not held at all"):
        release(settings, [run_id(1)], "over")
    assert [line.run_id for line in go(settings, run_id(1)).pruned] == [run_id(1)]


def files(store: Store, pattern: str) -> list[Path]:
    return sorted(Path(store.location).glob(pattern))


@pytest.mark.parametrize("harm", ["deleted", "damaged", "release damaged", "release deleted", "release forged"])
def test_a_hold_in_doubt_holds(settings: Settings, store: Store, harm: str) -> None:
    add(store, 1, b"one")
    hold(settings, [run_id(1)], "audit")
    if harm.startswith("release "):
        release(settings, [run_id(1)], "over")
    pattern = "holds/*/*.release.json" if harm.startswith("release") else "holds/*/*.hold.json"
    (path,) = files(store, pattern)
    data = path.read_bytes()
    path.unlink()
    if harm.endswith("damaged"):
        path.write_bytes(data[:10])
    if harm.endswith("forged"):
        path.write_bytes(data.replace(b"over", b"done"))
    assert list(held_runs(store)) == [run_id(1)]
    with pytest.raises(PolicyDenied):
        go(settings, run_id(1))


def test_a_release_of_a_hold_whose_record_is_gone_ends_it(settings: Settings, store: Store) -> None:
    add(store, 1, b"one")
    hold(settings, [run_id(1)], "audit")
    release(settings, [run_id(1)], "over")
    (path,) = files(store, "holds/*/*.hold.json")
    path.unlink()
    assert held_runs(store) == {}


def test_a_release_that_was_cut_off_is_finished(
    settings: Settings, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    add(store, 1, b"one")
    hold(settings, [run_id(1)], "audit")
    with monkeypatch.context() as patch:
        patch.setattr("reenact.actions.custody.log_record", _fails)
        with pytest.raises(KeyboardInterrupt):
            release(settings, [run_id(1)], "over")
    assert list(held_runs(store)) == [run_id(1)]
    release(settings, [run_id(1)], "over, again")
    assert held_runs(store) == {}


def _fails(*_: object, **__: object) -> None:
    raise KeyboardInterrupt


def test_a_hold_that_was_cut_off_holds_and_is_logged_by_the_next(
    settings: Settings, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    add(store, 1, b"one")
    with monkeypatch.context() as patch:
        patch.setattr("reenact.actions.custody.log_record", _fails)
        with pytest.raises(KeyboardInterrupt):
            hold(settings, [run_id(1)], "audit")
    assert held_runs(store) == {run_id(1): "it is held: audit"}
    assert is_sound(settings)
    hold(settings, [run_id(1)], "again")
    logged = {entry.statement for entry in Log(store.backend).entries() if entry.kind == "hold"}
    assert logged == {of_bytes(path.read_bytes()) for path in files(store, "holds/*/*.hold.json")}


def test_all_are_held_or_none(settings: Settings, store: Store) -> None:
    add(store, 1, b"one")
    with pytest.raises(RunNotFound):
        hold(settings, [run_id(1), "nothing"], "audit")
    assert held_runs(store) == {}


def test_a_hold_that_comes_while_its_run_is_dropped_is_refused_or_wins(
    settings: Settings, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    add(store, 1, b"one")
    add(store, 2, b"two")
    put = store.custody.put_tombstone.__func__  # type: ignore[attr-defined]

    def before(self: Any, run: RunId, data: bytes) -> bool:
        if run == run_id(1):
            hold(settings, [run], "just in time")
        done: bool = put(self, run, data)
        if run == run_id(2):
            with pytest.raises(StoreError, match="is just being pruned"):
                hold(settings, [run], "too late")
        return done

    monkeypatch.setattr("reenact.store.custody.Custody.put_tombstone", before)
    result = go(settings, jobs=frozenset({"etl"}))
    assert [(line.run_id, line.why) for line in result.kept] == [(run_id(1), "it came to be held meanwhile")]
    assert store.runs.ids() == [run_id(1)]
    assert store.custody.tombstones() == [run_id(2)]
    assert held_runs(store) == {run_id(1): "it is held: just in time"}


def test_a_run_that_comes_to_be_referred_to_stays(
    settings: Settings, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    add(store, 1, b"one")
    put = store.custody.put_tombstone.__func__  # type: ignore[attr-defined]

    def before(self: Any, run: RunId, data: bytes) -> bool:
        add(store, 2, b"one", replay_of=run_id(1))
        return bool(put(self, run, data))

    monkeypatch.setattr("reenact.store.custody.Custody.put_tombstone", before)
    result = go(settings, run_id(1))
    assert [line.why for line in result.kept] == [f"run {run_id(2)} refers to it, and stays"]
    assert len(store.runs.ids()) == 2


def test_a_record_that_cannot_be_read_keeps_everything(settings: Settings, store: Store) -> None:
    add(store, 1, b"one")
    add(store, 2, b"two")
    (path,) = files(store, f"runs/{run_id(1)}/bundle*")
    path.chmod(0o644)
    path.write_bytes(b"damaged")
    for yes in (False, True):
        with pytest.raises(IntegrityError, match=f"{run_id(1)} cannot be read") as raised:
            go(settings, yes=yes)
        assert f"--run {run_id(1)}" in raised.value.hint()
    assert is_there(store, b"one")
    result = go(settings, run_id(1))
    assert [line.run_id for line in result.pruned] == [run_id(1)]
    assert store.runs.ids() == [run_id(2)]
    assert is_sound(settings)


def test_what_is_young_is_left(settings: Settings, store: Store) -> None:
    content = os.urandom(SMALL_BYTES)
    add(store, 1, content)
    result = go(settings, run_id(1), sweeping=SweepRequest(wait_seconds=0))
    assert result.swept.young_bytes > SMALL_BYTES
    assert is_there(store, content)


def test_what_killed_processes_left_goes_when_it_is_old(settings: Settings, store: Store) -> None:
    add(store, 1, b"one")
    store.writer(RunId(run_id(5)))
    root = Path(store.location)
    old, young = root / "log" / "entries" / ".tmp-1-x", root / "packs" / ".tmp-2-x"
    live = Path(store.staging()) / f".tmp-{run_id(5)}-3-x.pack"
    of_a_job = root / "cache" / "worlds" / ".tmp-4-x"
    of_a_job.parent.mkdir(parents=True)
    for path in (old, young, live, of_a_job):
        path.write_bytes(b"x" * 100)
    for path in (old, live, of_a_job):
        os.utime(path, (1e9, 1e9))
    assert go(settings).records_bytes == 100
    assert [path.exists() for path in (old, young, live, of_a_job)] == [False, True, True, True]


def test_while_a_run_is_recorded_nothing_is_freed(settings: Settings, store: Store) -> None:
    add(store, 1, b"one")
    store.writer(RunId(run_id(5)))
    result = go(settings, run_id(1))
    assert result.swept.waiting_for == (run_id(5),)
    assert is_there(store, b"one")
    assert [*store.backend.list("condemned/")] == []
    store.leases.release(run_id(5))
    assert go(settings).swept.packs == 1


def test_repacking_keeps_what_is_needed_and_frees_the_rest(settings: Settings, store: Store) -> None:
    for number in range(1, 5):
        add(store, number, b"%d" % number * 500, os.urandom(3000))
    before = len(files(store, "packs/*.pack"))
    sweeping = SweepRequest(grace_seconds=0, repack=True)
    told = go(settings, run_id(1), run_id(3), yes=False, sweeping=sweeping)
    result = go(settings, run_id(1), run_id(3), sweeping=sweeping)
    assert (before, len(files(store, "packs/*.pack"))) == (4, 1)
    assert abs(told.freed_bytes - result.freed_bytes) < 2000
    assert result.swept.repacked > 0
    assert is_sound(settings)
    assert not is_there(store, b"1" * 500)
    again = go(settings, sweeping=sweeping)
    assert (again.swept.repacked, again.freed_bytes) == (0, 0)


@pytest.mark.parametrize("at", ["seal_tombstone", "drop", "sweep"])
def test_a_prune_that_was_cut_off_is_finished_by_the_next(
    settings: Settings, store: Store, monkeypatch: pytest.MonkeyPatch, at: str
) -> None:
    one = os.urandom(SMALL_BYTES)
    add(store, 1, one)
    add(store, 2, b"two")
    with monkeypatch.context() as patch:
        where: dict[str, Callable[[], None]] = {
            "seal_tombstone": lambda: patch.setattr(module, "seal_tombstone", _fails),
            "drop": lambda: patch.setattr("reenact.store.runs.Runs.drop", _fails),
            "sweep": lambda: patch.setattr(module, "sweep", _fails),
        }
        where[at]()
        with pytest.raises(KeyboardInterrupt):
            go(settings, run_id(1))
    assert is_sound(settings)
    go(settings)
    if at == "seal_tombstone":
        assert len(store.runs.ids()) == 2
        assert store.custody.tombstones() == []
        go(settings, run_id(1))
    assert store.runs.ids() == [run_id(2)]
    assert store.custody.tombstones() == [run_id(1)]
    assert not is_there(store, one)
    assert is_sound(settings)


def test_a_second_prune_is_refused(settings: Settings, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    add(store, 1, b"one")

    def another(*_: object, **__: object) -> None:
        with pytest.raises(StoreError, match="another prune"):
            go(settings, run_id(1))
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(module, "sweep", another)
        with pytest.raises(KeyboardInterrupt):
            go(settings)
    assert [*store.backend.list("pruning/")] == []
    go(settings, run_id(1))


def test_a_tombstone_for_what_nobody_knows_says_so(settings: Settings, store: Store) -> None:
    add(store, 1, b"one")
    for path in files(store, f"runs/{run_id(1)}/bundle*") + files(store, "log/entries/*"):
        path.chmod(0o644)
        path.unlink() if "entries" in str(path) else path.write_bytes(b"")
    go(settings, run_id(1))
    record = load_record(store.custody.tombstone(RunId(run_id(1))) or b"", Tombstone)
    assert record.statement is None


def test_what_a_run_refers_to_that_waits_for_its_signature_stays(settings: Settings, store: Store) -> None:
    content = os.urandom(SMALL_BYTES)
    made = bundle(run_id=run_id(7), outputs=(artifact("out", content, "created"),))
    writer = store.writer(RunId(run_id(7)))
    for part in (b"in", b"print()", content):
        writer.add_bytes(part)
    writer.commit()
    store.leases.release(run_id(7))
    keep(store, RunId(run_id(7)), dump_bundle(made), "no signer")
    request = SweepRequest(grace_seconds=0, wait_seconds=0)
    unsigned = Settings(root=settings.root, store=settings.store, signing=Signing(signer="cmd:false"))
    result = prune(unsigned, PruneRequest(yes=True, sweeping=request))
    assert (result.swept.objects, result.swept.waiting_for) == (0, ())
    assert is_there(store, content)
    shutil.rmtree(store.journals)
    # Another host, where it is kept, is waited for.
    assert go(settings).swept.waiting_for == (run_id(7),)
    assert is_there(store, content)
