"""What a scrub finds, who needs it, and what is done about it."""

from __future__ import annotations

import contextlib
import os
import shutil
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from reenact.actions.scrub import Need, ScrubFinding, ScrubRequest, ScrubResult, description_flaw, scrub
from reenact.actions.verify import verify
from reenact.digests import BLOCK_BYTES, of_bytes
from reenact.errors import StoreError
from reenact.ids import RunId
from reenact.settings import Settings
from reenact.store.backends.folder import FolderBackend
from reenact.store.opening import Store, open_store
from reenact.store.pack_writer import SMALL_BYTES
from tests.bundles import artifact, run_id
from tests.records import add_run, add_verdict
from tests.shelf import edited, table

LARGE = os.urandom(SMALL_BYTES)


@pytest.fixture(autouse=True)
def no_disk_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make these tests quick; what a power cut leaves is not tried here."""
    monkeypatch.setattr(os, "fsync", lambda _: None)


@pytest.fixture
def records(store: Store) -> Store:
    """Record two runs that share an input, one with a large output, and a verdict."""
    made = add_run(store, 1, kept=(b"in", b"print()", LARGE), outputs=(artifact("out", LARGE, "created"),))
    add_run(store, 2, kept=(b"in", b"print()", b"second"), outputs=(artifact("out", b"second", "created"),))
    add_run(store, 3, replay_of=run_id(1))
    add_verdict(store, made, 3)
    return store


@pytest.fixture
def copy(records: Store, tmp_path: Path) -> Path:
    """Give a copy of the store, as a backup has it."""
    target = tmp_path / "copy"
    records.close()
    shutil.copytree(records.location, target)
    return target


def run(settings: Settings, **options: object) -> ScrubResult:
    return scrub(settings, ScrubRequest(**options))  # type: ignore[arg-type]


def file_of(store: Store, pattern: str, holding: bytes = b"") -> Path:
    return next(path for path in sorted(Path(store.location).glob(pattern)) if holding in path.read_bytes())


def harm(path: Path, place: int = -1) -> None:
    data = bytearray(path.read_bytes())
    data[place] ^= 0xFF
    path.chmod(0o644)
    path.write_bytes(data)


def harm_content(store: Store, content: bytes) -> Path:
    """Change a packed object."""
    path = file_of(store, "packs/*.pack", content)
    harm(path, path.read_bytes().index(content))
    return path


def only(result: ScrubResult) -> ScrubFinding:
    (finding,) = result.findings
    return finding


def is_sound(settings: Settings) -> bool:
    return all(not checked.findings for checked in verify(settings, (), everything=True, deep=True))


def test_a_whole_store(settings: Settings, records: Store) -> None:
    for deep in (False, True):
        result = run(settings, deep=deep)
        assert (result.findings, result.exit_code, result.skipped, result.resumed) == ((), 0, 0, False)
        assert (
            result.values == len(list(records.backend.list("objects/"))) + len(list(records.backend.list("packs/"))) / 2
        )
        assert result.stored_bytes > SMALL_BYTES


@pytest.mark.usefixtures("records")
def test_a_damaged_object_is_named_with_those_who_need_it(settings: Settings, store: Store) -> None:
    harm(file_of(store, "objects/*/*"))
    finding = only(run(settings))
    digest = of_bytes(LARGE)
    assert (finding.problem, finding.object, finding.exit_code) == ("damaged", digest, 4)
    assert finding.subject == f"objects/{digest[7:9]}/{digest[9:]}"
    assert finding.needed_by == (Need(run_id=run_id(1), job="etl", artifact="output out"),)


@pytest.mark.usefixtures("records")
def test_of_a_pack_only_what_is_damaged_is_named(settings: Settings, store: Store) -> None:
    path = harm_content(store, b"second")
    finding = only(run(settings))
    assert (finding.subject, finding.object) == (f"packs/{path.name}", of_bytes(b"second"))
    assert [need.run_id for need in finding.needed_by] == [run_id(2)]


@pytest.mark.usefixtures("records")
def test_a_pack_harmed_where_no_object_is(settings: Settings, store: Store) -> None:
    path = file_of(store, "packs/*.pack")
    harm(path, 0)
    finding = only(run(settings))
    assert (finding.subject, finding.object, finding.problem) == (f"packs/{path.name}", None, "damaged")


@pytest.mark.usefixtures("records")
def test_a_missing_object_a_missing_pack_and_a_missing_index(settings: Settings, store: Store) -> None:
    file_of(store, "objects/*/*").unlink()
    finding = only(run(settings))
    assert (finding.subject, finding.problem, finding.exit_code) == (of_bytes(LARGE), "missing", 3)
    pack = file_of(store, "packs/*.pack", b"second")
    data = pack.read_bytes()
    pack.unlink()
    missing = [found for found in run(settings).findings if found.object == of_bytes(b"second")]
    assert [(found.subject, found.problem) for found in missing] == [(f"packs/{pack.name}", "missing")]
    pack.write_bytes(data)
    pack.with_suffix(".idx").unlink()
    (found,) = (found for found in run(settings).findings if found.object == of_bytes(b"second"))
    assert (found.subject, found.problem) == (f"packs/{pack.name}", "stray")
    assert "without its index" in found.detail


def test_who_needs_a_base_is_named(settings: Settings, store: Store) -> None:
    from reenact.store.delta_policy import DeltaPolicy

    deltas = open_store(store.location, create=False, deltas=DeltaPolicy(from_bytes=1))
    old = table(8000)
    new = edited(old, 1, share=0.001)
    writer = deltas.writer(RunId(run_id(9)))
    for content, previous in ((old, None), (new, of_bytes(old))):
        path = Path(store.location, "cache", "file")
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content)
        with path.open("rb") as file:
            writer.add_descriptor(file.fileno(), previous)
        writer.commit()
    deltas.close()
    add_run(store, 1, kept=(b"in", b"print()"), outputs=(artifact("new", new, "created"),))
    digest = of_bytes(old)
    harm(Path(store.location, "objects", digest[7:9], digest[9:]))
    finding = only(run(settings))
    assert finding.object == digest
    assert finding.needed_by == (Need(run_id=run_id(1), job="etl", artifact="output new", base_of=of_bytes(new)),)


@pytest.mark.usefixtures("records")
def test_files_that_are_no_part_of_a_store(settings: Settings, store: Store) -> None:
    for name in ("notes.txt", "runs/README", "objects/ab/x", "packs/x", "elsewhere/x", f"runs/{run_id(1)}/inputs/more"):
        path = Path(store.location, name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")
        finding = only(run(settings))
        assert (finding.subject, finding.problem) == (name, "stray")
        path.unlink()


def test_a_lost_run_is_not_a_pruned_one(settings: Settings, records: Store) -> None:
    shutil.rmtree(Path(records.location, "runs", run_id(2)))
    finding = only(run(settings))
    assert (finding.subject, finding.problem) == (f"run {run_id(2)}: bundle", "run-missing")


# --- going on, samples, rates


@pytest.mark.usefixtures("records")
def test_a_scrub_that_was_cut_off_goes_on(settings: Settings, monkeypatch: pytest.MonkeyPatch, store: Store) -> None:
    from reenact.store.scrub import Scrubber

    harm_content(store, b"second")
    whole = run(settings)
    check = Scrubber.check
    calls: list[str] = []

    def cut_off(self: Scrubber, key: str) -> object:
        calls.append(key)
        if len(calls) == 3:
            raise StoreError("the power is gone")
        return check(self, key)

    def noted(self: Scrubber, key: str) -> object:
        calls.append(key)
        return check(self, key)

    monkeypatch.setattr("reenact.store.scrub.THREADS", 1)
    with monkeypatch.context() as patch:
        patch.setattr(Scrubber, "check", cut_off)
        with pytest.raises(StoreError, match="power"):
            run(settings)
    seen = len(calls)
    with monkeypatch.context() as patch:
        patch.setattr(Scrubber, "check", noted)
        result = run(settings)
    assert result.resumed
    assert result.findings == whole.findings
    assert len(calls) - seen < result.values
    assert set(calls) == {*calls[:seen], *calls[seen:]}
    assert not run(settings).resumed
    assert list(Path(store.cache).glob("scrub*")) == []


@pytest.mark.usefixtures("records")
def test_another_task_does_not_go_on_with_it(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    from reenact.store.checklist import Checklist

    with monkeypatch.context() as patch:
        patch.setattr(Checklist, "finish", Checklist.close)
        run(settings)
    assert not run(settings, deep=True).resumed
    with monkeypatch.context() as patch:
        patch.setattr(Checklist, "finish", Checklist.close)
        run(settings)
    assert not run(settings, restart=True).resumed


def test_a_sample_is_chosen_by_its_seed(settings: Settings, store: Store) -> None:
    for number in range(30):
        add_run(store, number + 1, kept=(b"in", b"print()", b"%d" % number), outputs=(artifact("o", b"%d" % number),))
    first, again, other = (run(settings, sample=0.5, seed=seed) for seed in ("a", "a", "b"))
    assert 3 < first.values < 27
    assert (first.values, first.skipped) == (again.values, again.skipped)
    assert (first.values, first.stored_bytes) != (other.values, other.stored_bytes)
    assert first.values + first.skipped == run(settings).values


@pytest.mark.usefixtures("records")
def test_the_rate_is_kept(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    from reenact.actions import scrub as module
    from reenact.store.backends.throttle import Pace

    slept: list[float] = []
    monkeypatch.setattr(module, "Pace", lambda rate: Pace(rate, clock=lambda: 0.0, sleep=slept.append))
    result = run(settings, max_bytes_per_second=1000.0)
    assert max(slept) * 1000 > SMALL_BYTES * 0.9
    assert result.stored_bytes > SMALL_BYTES


# --- putting aside, and repairing


@pytest.mark.usefixtures("records")
def test_what_is_damaged_is_put_aside_and_nothing_is_deleted(settings: Settings, store: Store) -> None:
    path = file_of(store, "objects/*/*")
    harm(path)
    data = path.read_bytes()
    finding = only(run(settings, quarantine=True))
    assert finding.outcome == "quarantined"
    assert not path.exists()
    assert file_of(store, "quarantine/objects/*/*").read_bytes() == data
    assert only(run(settings)).problem == "missing"


@pytest.mark.usefixtures("records")
def test_what_is_good_of_a_damaged_pack_is_kept(settings: Settings, store: Store) -> None:
    path = harm_content(store, b"second")
    finding = only(run(settings, quarantine=True))
    assert (finding.object, finding.outcome) == (of_bytes(b"second"), "quarantined")
    assert not path.exists()
    again = only(run(settings))
    assert (again.object, again.problem) == (of_bytes(b"second"), "missing")


@pytest.mark.parametrize("how", ["damaged", "deleted"])
@pytest.mark.usefixtures("records")
def test_an_index_is_made_anew_from_its_pack(settings: Settings, store: Store, how: str) -> None:
    path = file_of(store, "packs/*.idx")
    if how == "damaged":
        harm(path, 70)
    else:
        path.unlink()
    result = run(settings, quarantine=True)
    assert result.findings
    assert {finding.outcome for finding in result.findings} == {"repaired"}
    assert run(settings).findings == ()
    assert is_sound(settings)


@pytest.mark.usefixtures("records")
def test_views_are_made_anew_from_their_bundle(settings: Settings, store: Store) -> None:
    harm(file_of(store, f"runs/{run_id(1)}/inputs/*"))
    file_of(store, f"runs/{run_id(1)}/outputs/*").unlink()
    result = run(settings, quarantine=True)
    assert [finding.outcome for finding in result.findings] == ["repaired", "repaired"]
    assert (result.exit_code, run(settings).findings) == (0, ())


@pytest.mark.usefixtures("records")
def test_everything_is_repaired_from_a_copy(settings: Settings, store: Store, copy: Path) -> None:
    harm(file_of(store, "objects/*/*"))
    harm_content(store, b"second")
    harm(file_of(store, f"runs/{run_id(1)}/bundle*"))
    file_of(store, f"runs/{run_id(2)}/bundle*").unlink()
    file_of(store, f"runs/{run_id(1)}/verdicts/*").unlink()
    assert run(settings).exit_code == 4
    result = run(settings, repair_from=str(copy))
    assert len(result.findings) >= 5
    assert [finding for finding in result.findings if finding.outcome != "repaired"] == []
    assert (result.exit_code, run(settings, deep=True).findings) == (0, ())
    assert is_sound(settings)


@pytest.mark.usefixtures("records")
def test_a_pack_harmed_where_no_object_is_is_written_anew(settings: Settings, store: Store) -> None:
    path = file_of(store, "packs/*.pack", b"second")
    harm(path, 0)
    finding = only(run(settings, quarantine=True))
    assert (finding.object, finding.outcome) == (None, "repaired")
    assert not path.exists()
    assert run(settings).findings == ()
    assert is_sound(settings)


@pytest.mark.slow
@pytest.mark.parametrize("at", range(1, 12))
@pytest.mark.usefixtures("records")
def test_a_repair_that_was_cut_off_loses_nothing_and_is_finished(
    settings: Settings, store: Store, copy: Path, monkeypatch: pytest.MonkeyPatch, at: int
) -> None:
    """It is cut off before each of its writes and deletions."""
    from reenact.store.backends.folder import FolderBackend

    harm(file_of(store, "objects/*/*"))
    harm_content(store, b"second")
    harm(file_of(store, "packs/*.pack", LARGE[:0]), 0)
    harm(file_of(store, f"runs/{run_id(1)}/bundle*"))
    calls = 0
    with monkeypatch.context() as patch:
        for name in ("put_if_absent", "put_file_if_absent", "delete"):
            done = getattr(FolderBackend, name)

            def cut(*args: object, done: Any = done) -> object:
                nonlocal calls
                calls += 1
                if calls == at:
                    raise KeyboardInterrupt
                return done(*args)

            patch.setattr(FolderBackend, name, cut)
        with contextlib.suppress(KeyboardInterrupt):
            run(settings, repair_from=str(copy))
    assert calls >= at
    fresh = open_store(store.location, create=False)
    good = [of_bytes(content) for content in (b"in", b"print()")]
    assert fresh.objects.verify(good, content=True) == []
    fresh.close()
    run(settings, repair_from=str(copy))
    result = run(settings, deep=True)
    assert [finding for finding in result.findings if finding.problem != "stray"] == []
    assert is_sound(settings)


@pytest.mark.usefixtures("records")
def test_what_the_copy_lacks_or_has_damaged_is_left(settings: Settings, store: Store, copy: Path) -> None:
    for location in (Path(store.location), copy):
        path = next(iter(location.glob("objects/*/*")))
        harm(path, 5000)
    finding = only(run(settings, repair_from=str(copy)))
    assert (finding.outcome, finding.object) == ("quarantined", of_bytes(LARGE))
    assert only(run(settings)).problem == "missing"


@pytest.mark.usefixtures("records")
def test_a_record_that_the_log_does_not_know_is_not_taken(settings: Settings, store: Store, tmp_path: Path) -> None:
    other = open_store(str(tmp_path / "other"), create=True)
    add_run(other, 2, job="forged")
    other.close()
    file_of(store, f"runs/{run_id(2)}/bundle*").unlink()
    finding = only(run(settings, repair_from=str(tmp_path / "other")))
    assert (finding.problem, finding.outcome) == ("run-missing", "reported")


def test_the_description_of_a_store() -> None:
    good = (
        b'{"check":"sha256:2a2ba8a6bd3b4d5d41fa6fdc1c6fd3ba9c6dd5a5b4a9b8e8b2e3e9a9b0a2c1d0","digest_names":"plain",'
        b'"encryption":null,"format":1,"id":"x"}\n'
    )
    assert "check sum" in description_flaw(good)
    old = b'{"digest_names":"plain","encryption":null,"format":1,"id":"x"}\n'
    assert description_flaw(old) == ""
    assert "canonical" in description_flaw(old + b" ")
    assert "does not know: chfck" in description_flaw(good.replace(b'"check"', b'"chfck"'))
    for data in (b"", b"[]", b"{", b"[" * 100_000):
        assert "cannot be read" in description_flaw(data)


def test_a_new_store_carries_its_check_sum(store: Store) -> None:
    data = Path(store.location, "store.json").read_bytes()
    assert b'"check":"sha256:' in data
    assert description_flaw(data) == ""


def test_nobody_waits_for_the_end_of_a_large_file_when_it_is_cut_off(
    settings: Settings, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(2):
        content = os.urandom(8 * BLOCK_BYTES)
        add_run(store, number + 1, kept=(content,), outputs=(artifact("out", content, "created"),))
    both = threading.Barrier(2)
    blocks: list[int] = []

    def read(self: FolderBackend, key: str, offset: int, length: int) -> bytes:
        if length == BLOCK_BYTES:
            blocks.append(offset)
            if len(blocks) <= 2:
                both.wait(timeout=30)  # each thread is in the midst of a file
            if threading.current_thread() is threading.main_thread():
                raise KeyboardInterrupt
            time.sleep(0.2)
        return got(self, key, offset, length)

    got = FolderBackend.get_range
    monkeypatch.setattr(FolderBackend, "get_range", read)
    with pytest.raises(KeyboardInterrupt):
        run(settings)
    assert len(blocks) < 8
