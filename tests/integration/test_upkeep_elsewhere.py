"""Pruning, repacking, scrubbing and adding up on an encrypted store, on one in a bucket of a real server, and as several users."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import settings as hypothesis_settings
from hypothesis.stateful import run_state_machine_as_test

from reenact.actions.audit import AuditRequest
from reenact.actions.custody import hold
from reenact.actions.prune import PruneRequest, prune
from reenact.actions.scrub import ScrubRequest, scrub
from reenact.actions.sealing_audits import audit_and_seal
from reenact.actions.sweeping import SweepRequest
from reenact.actions.usage import usage
from reenact.actions.verify import verify
from reenact.digests import of_bytes
from reenact.errors import ReenactError
from reenact.govern.selection import Selection
from reenact.ids import RunId
from reenact.settings import Settings
from reenact.settings.model import Audit
from reenact.store.backends.object_store import ObjectStoreBackend
from reenact.store.crypt.identities import own_recipient
from reenact.store.interface import Backend
from reenact.store.opening import Store, open_store
from reenact.store.pack_writer import SMALL_BYTES
from tests.bundles import artifact, run_id
from tests.property.test_sweep import SweptStore
from tests.records import add_run, add_verdict
from tests.servers.gateway import Bucket

pytestmark = pytest.mark.slow

NOW = SweepRequest(grace_seconds=-60, wait_seconds=0, repack=True)
"""A bucket's clock may be ahead of ours."""


@pytest.fixture(params=["encrypted", "bucket"])
def place(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    for name in ("XDG_CONFIG_HOME", "XDG_CACHE_HOME", "XDG_STATE_HOME"):
        monkeypatch.setenv(name, str(tmp_path / name))
    if request.param == "bucket":
        bucket: Bucket = request.getfixturevalue("bucket")
        for name, value in bucket.environment.items():
            monkeypatch.setenv(name, value)
        location = bucket.url(f"upkeep-{os.getpid()}-{os.urandom(4).hex()}")
        open_store(location, create=True).close()
    else:
        pytest.importorskip("pyrage")
        location = str(tmp_path / "store")
        open_store(location, create=True, encrypt_to=[own_recipient(os.environ)]).close()
    return Settings(root=str(tmp_path), store=location)


def add(store: Store, number: int, *contents: bytes) -> None:
    outputs = tuple(artifact(f"out{which}", content, "created") for which, content in enumerate(contents))
    add_run(store, number, kept=(b"in", b"print()", *contents), outputs=outputs)


def is_well(settings: Settings) -> bool:
    sound = all(not run.findings for run in verify(settings, (), everything=True, deep=True))
    return sound and scrub(settings, ScrubRequest(deep=True)).findings == ()


def test_what_only_dropped_runs_need_goes_and_all_else_stays(place: Settings) -> None:
    store = open_store(place.store, create=False)
    large = [os.urandom(SMALL_BYTES + number) for number in range(3)]
    for number in range(1, 6):
        add(store, number, b"%d" % number * 400, large[number % 3])
    hold(place, [run_id(1)], "audit")
    before = usage(place)
    result = prune(place, PruneRequest(selection=Selection(keep_last=2), yes=True, sweeping=NOW))
    assert [line.run_id for line in result.pruned] == [run_id(2), run_id(3)]
    assert [line.run_id for line in result.kept] == [run_id(1)]
    assert result.swept.repacked >= 2
    after = usage(place)
    assert (after.unreferenced_bytes, len(after.runs)) == (0, 3)
    assert after.stored_bytes < before.stored_bytes - SMALL_BYTES
    assert is_well(place)
    fresh = open_store(place.store, create=False)
    assert [fresh.objects.holds(of_bytes(content)) for content in large] == [False, True, True]
    assert [*fresh.backend.list("writers/"), *fresh.backend.list("condemned/")] == []
    fresh.close()
    store.close()


def test_every_value_that_is_lost_is_found(place: Settings) -> None:
    """Each value in turn is taken away from below, and put back.

    The log does not end with the hold: one that is not logged is taken for one that was cut off, so that entry would not be missed.
    """
    store = open_store(place.store, create=False)
    add(store, 1, os.urandom(SMALL_BYTES))
    hold(place, [run_id(1)], "audit")
    add_verdict(store, _bundle_of(store, 1), 9)
    inner = store.sealed.inner if store.sealed is not None else store.backend
    assert is_well(place)
    for key in [*inner.list("")]:
        data = inner.get(key)
        inner.delete(key)
        try:
            found = bool(scrub(place, ScrubRequest(restart=True)).findings)
        except ReenactError:
            found = True
        inner.put_if_absent(key, data)
        plain = store.sealed is None
        needed = not key.startswith(("log/keys/", "log/tiles/", "cache/", "staging/")) and "/summaries/" not in key
        assert found or not (plain and needed), key
    assert is_well(place)
    store.close()


def test_any_sequence_in_a_bucket(bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    """The state machine of tests/property/test_sweep.py, on a real server."""
    for name, value in bucket.environment.items():
        monkeypatch.setenv(name, value)

    class SweptBucket(SweptStore):
        def make_backend(self) -> Backend:
            url = bucket.url(f"swept-{os.getpid()}-{os.urandom(4).hex()}")
            return ObjectStoreBackend(url, os.environ, patience_seconds=10, pace=None)

    run_state_machine_as_test(
        SweptBucket, settings=hypothesis_settings(max_examples=6, stateful_step_count=15, deadline=None)
    )


def _bundle_of(store: Store, number: int):  # type: ignore[no-untyped-def]  # noqa: ANN202 - a test's own
    from reenact.actions.opening import peek_bundle

    return peek_bundle(store, RunId(run_id(number)))


def test_an_audit_finds_what_is_gone_and_seals_its_report(place: Settings) -> None:
    quiet = place._replace(audit=Audit(logged_within_seconds=0.0))
    store = open_store(place.store, create=False)
    large = os.urandom(SMALL_BYTES)
    add(store, 1, b"one", large)
    whole = AuditRequest(everything=True, drift="never")
    first = audit_and_seal(quiet, whole, seal=None)
    assert (first.report.findings, first.report.not_checked) == ((), ())
    assert first.entry == first.report.log_size
    found = store.objects.place_of(of_bytes(large))
    assert found is not None
    store.backend.delete(found.key)
    second = audit_and_seal(quiet, whole, seal=None)
    assert [f.code for f in second.report.findings] == ["object-missing"]
    assert second.entry == first.report.log_size + 1
    selected = audit_and_seal(quiet, AuditRequest(runs=(run_id(1),), drift="never"), seal=False)
    assert [f.code for f in selected.report.findings] == ["object-missing"]
