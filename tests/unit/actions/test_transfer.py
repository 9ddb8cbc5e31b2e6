from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from reenact.actions.keys import revoke, rotate
from reenact.actions.recipients import first_recipients
from reenact.actions.sealing import seal_tombstone
from reenact.actions.transfer import Selection, Transfer, pull, push, transfer
from reenact.actions.verify import verify
from reenact.digests import Digest, of_bytes
from reenact.errors import RunNotFound, StoreError, UsageError
from reenact.ids import RunId
from reenact.model import manifest
from reenact.model.environment import Environment
from reenact.model.statement import dump_bundle
from reenact.seal.log import Log
from reenact.settings import Settings
from reenact.store.access import Access
from reenact.store.backends.memory import MemoryBackend
from reenact.store.objects import ObjectReader
from reenact.store.opening import Store, open_store
from reenact.store.pack_writer import SMALL_BYTES
from reenact.store.publishing import publish
from reenact.store.repacking import pack_of_file
from reenact.store.workplace import workplace
from tests.bundles import artifact, bundle, run_id
from tests.records import KEPT, add_run, add_verdict
from tests.shelf import Shelf, edited, table

ALL = Selection(everything=True)


@pytest.fixture
def away(tmp_path: Path) -> str:
    return str(tmp_path / "away")


def outcomes(done: Transfer) -> list[tuple[str, str, int]]:
    return [(run.run_id, run.outcome, run.objects) for run in done.runs]


def assert_whole(settings: Settings, location: str) -> list[str]:
    checked = verify(settings._replace(store=location), (), everything=True, deep=True)
    assert [(run.run_id, run.findings) for run in checked if run.findings] == []
    return [run.run_id for run in checked]


def put_version(store: Store, content: bytes, previous: Digest | None) -> Digest:
    writer = store.writer(RunId(run_id(1)))
    with tempfile.TemporaryFile() as file:
        file.write(content)
        file.flush()
        digest = writer.add_descriptor(file.fileno(), previous).digest
    writer.commit()
    return digest


@pytest.fixture
def chain(store: Store) -> list[bytes]:
    """Record four runs, each reading a table that is stored as a delta of the one before."""
    versions = [table(30_000)]
    while len(versions) < 4:
        versions.append(edited(versions[-1], len(versions)))
    previous = None
    for number, content in enumerate(versions, start=1):
        previous = put_version(store, content, previous)
        add_run(store, number, inputs=(artifact("in.csv", content),), kept=(b"out",))
    return versions


def test_a_run_arrives_as_it_was_with_what_belongs_to_it(settings: Settings, store: Store, away: str) -> None:
    made = add_run(store, 1)
    add_run(store, 2, replay_of=made.run_id)
    add_verdict(store, made, 2)
    add_run(store, 3, job="other")
    done = push(settings, Selection(names=("etl",)), to=away)
    assert [(run.run_id, run.outcome, run.verdicts) for run in done.runs] == [
        (run_id(1), "moved", 1),
        (run_id(2), "moved", 0),
    ]
    assert (done.source, done.target) == (store.location, away)
    assert assert_whole(settings, away) == [run_id(1), run_id(2)]
    target = open_store(away, create=False)
    for number in (1, 2):
        run = RunId(run_id(number))
        assert target.runs.envelope(run) == store.runs.envelope(run)
        assert target.runs.view(run, "inputs/pointers.jsonl") == store.runs.view(run, "inputs/pointers.jsonl")
    assert target.runs.verdicts(RunId(run_id(1))) == store.runs.verdicts(RunId(run_id(1)))
    assert [(e.kind, e.run_id) for e in Log(target.backend).entries() if e.kind != "key"] == [
        ("run", run_id(1)),
        ("verdict", run_id(1)),
        ("run", run_id(2)),
    ]


def test_a_second_time_there_is_nothing_to_do(settings: Settings, store: Store, away: str) -> None:
    add_verdict(store, add_run(store, 1), 9)
    push(settings, ALL, to=away)
    before = sorted(path for path in Path(away).rglob("*") if "cache" not in path.parts)
    assert outcomes(push(settings, ALL, to=away)) == [(run_id(1), "present", 0)]
    assert sorted(path for path in Path(away).rglob("*") if "cache" not in path.parts) == before


def test_what_comes_later_completes_it(settings: Settings, store: Store, away: str) -> None:
    made = add_run(store, 1)
    push(settings, ALL, to=away)
    add_verdict(store, made, 9)
    [run] = push(settings, ALL, to=away).runs
    assert (run.outcome, run.verdicts, run.objects) == ("completed", 1, 0)
    for pack in (Path(away) / "packs").iterdir():
        pack.unlink()
    [run] = push(settings, ALL, to=away).runs
    assert (run.outcome, run.objects) == ("completed", len(KEPT))
    assert_whole(settings, away)


def test_files_of_the_environment_go_along(settings: Settings, store: Store, away: str) -> None:
    data = manifest.dump([artifact("/usr/lib/x.so", b"elf").entry])
    plain = bundle().environment
    environment = Environment(mode="sealed", manifest=of_bytes(data), system=plain.system, cpu=plain.cpu)
    for number in (1, 2):
        add_run(store, number, kept=(*KEPT, data, b"elf"), environment=environment)
    assert [run.objects for run in push(settings, ALL, to=away).runs] == [5, 0]
    assert_whole(settings, away)


def test_nothing_else_of_a_pack_goes_along(settings: Settings, store: Store, away: str) -> None:
    add_run(store, 1, kept=(*KEPT, b"somebody else's"))
    push(settings, ALL, to=away)
    assert not open_store(away, create=False).objects.holds(of_bytes(b"somebody else's"))


def test_deltas_stay_deltas_when_what_they_are_made_against_goes_along(
    settings: Settings, store: Store, away: str, chain: list[bytes]
) -> None:
    done = push(settings, ALL, to=away)
    assert [run.outcome for run in done.runs] == ["moved"] * 4
    assert assert_whole(settings, away) == [run_id(number) for number in range(1, 5)]
    shelf = Shelf(away, store.deltas)
    for content in chain[1:]:
        assert shelf.form(of_bytes(content)) == "zstd delta"
        assert shelf.path(of_bytes(content)).read_bytes() == Path(store.location, *_parts(content)).read_bytes()
    assert sum(run.stored_bytes for run in done.runs) < 0.8 * len(chain[0])
    assert sum(run.content_bytes for run in done.runs) > 3.9 * len(chain[0])


def _parts(content: bytes) -> tuple[str, str, str]:
    name = of_bytes(content).removeprefix("sha256:")
    return "objects", name[:2], name[2:]


def test_one_version_alone_takes_no_other_along(
    settings: Settings, store: Store, away: str, chain: list[bytes]
) -> None:
    assert outcomes(push(settings, Selection(names=("latest",)), to=away)) == [(run_id(4), "moved", 2)]
    assert_whole(settings, away)
    shelf = Shelf(away, store.deltas)
    assert shelf.form(of_bytes(chain[3])) == "segments"
    assert shelf.store.objects.read(of_bytes(chain[3])) == chain[3]
    assert not any(shelf.store.objects.holds(of_bytes(content)) for content in chain[:3])


def test_a_version_is_a_delta_of_an_earlier_one_that_is_there(
    settings: Settings, store: Store, away: str, chain: list[bytes]
) -> None:
    push(settings, Selection(names=("etl~3",)), to=away)
    push(settings, Selection(names=("etl",)), to=away)
    assert Shelf(away, store.deltas).form(of_bytes(chain[3])) == "zstd delta"
    assert_whole(settings, away)


def test_damage_is_named_and_keeps_nobody_else(settings: Settings, store: Store, away: str, chain: list[bytes]) -> None:
    path = Path(store.location, *_parts(chain[1]))
    path.chmod(0o644)
    stored = path.read_bytes()
    path.write_bytes(stored[:300] + bytes([stored[300] ^ 1]) + stored[301:])
    done = push(settings, ALL, to=away)
    assert [run.outcome for run in done.runs] == ["moved", "refused", "refused", "refused"]
    for run in done.runs[1:]:
        assert [(f.code, f.subject, f.exit_code) for f in run.findings] == [("object-damaged", "input in.csv", 4)]
    assert of_bytes(chain[1]) in done.runs[3].findings[0].message
    assert assert_whole(settings, away) == [run_id(1)]
    assert not any(Path(away, *_parts(content)).exists() for content in chain[1:])


def test_a_missing_object_is_named(settings: Settings, store: Store, away: str) -> None:
    add_run(store, 1, kept=(b"in", b"print()"))
    [run] = push(settings, ALL, to=away).runs
    assert (run.outcome, run.exit_code) == ("refused", 3)
    assert [(f.code, f.subject) for f in run.findings] == [("object-missing", "output out.csv")]
    assert assert_whole(settings, away) == []


def test_bytes_under_a_false_name_do_not_arrive(
    settings: Settings, store: Store, away: str, chain: list[bytes]
) -> None:
    """Each stored form is sound, so a look at its sums finds nothing."""
    false = Path(store.location, *_parts(chain[0]))
    false.unlink()
    other = put_version(store, table(30_000, seed=5), None)
    os.link(Path(store.location, *_parts(table(30_000, seed=5))), false)
    assert store.objects.verify([of_bytes(chain[0])], content=False) == []
    run = push(settings, Selection(names=("etl~3",)), to=away).runs[0]
    assert [(f.code, f.subject) for f in run.findings] == [("object-damaged", "input in.csv")]
    assert other in run.findings[0].message
    assert not Path(away, *_parts(chain[0])).exists()


def test_a_record_nobody_signed_or_logged_is_refused(settings: Settings, store: Store, away: str) -> None:
    add_run(store, 1)
    add_run(store, 2)
    for entry in sorted((Path(store.location) / "log/entries").iterdir())[2:]:
        entry.unlink()
    first, second = push(settings, ALL, to=away).runs
    assert (first.outcome, second.outcome, second.exit_code) == ("moved", "refused", 4)
    for folder in ("keys", "log/keys"):
        for key in (Path(store.location) / folder).iterdir():
            key.unlink()
    assert [run.findings[0].code for run in push(settings, ALL, to=away).runs] == ["signature-invalid"] * 2


def test_what_was_removed_there_does_not_come_back(settings: Settings, store: Store, away: str) -> None:
    made = add_run(store, 1)
    push(settings, ALL, to=away)
    seal_tombstone(open_store(away, create=False), RunId(made.run_id), of_bytes(dump_bundle(made)), "asked to forget")
    [run] = push(settings, ALL, to=away).runs
    assert (run.outcome, run.exit_code, run.findings[0].code) == ("refused", 5, "removed-there")
    assert "asked to forget" in run.findings[0].message


def test_what_a_revoked_key_signed_does_not_go_along(settings: Settings, store: Store, away: str) -> None:
    add_run(store, 1)
    [stolen] = store.keys.ids()
    rotate(settings, "suspected", None)
    revoke(settings, stolen, "stolen", 0)
    [run] = push(settings, ALL, to=away).runs
    assert (run.outcome, run.exit_code) == ("refused", 4)
    assert "key-revoked" in {finding.code for finding in run.findings}
    assert assert_whole(settings, away) == []


def test_a_verdict_that_is_not_good_stays_behind(settings: Settings, store: Store, away: str) -> None:
    made = add_run(store, 1)
    for number in (8, 9):
        add_verdict(store, made, number)
    [path] = (Path(store.location) / "runs" / made.run_id / "verdicts").glob(f"{run_id(8)}*")
    path.chmod(0o644)
    path.write_bytes(path.read_bytes()[:-20])
    [run] = push(settings, ALL, to=away).runs
    assert (run.outcome, run.verdicts, run.exit_code) == ("moved", 1, 4)
    assert [finding.subject for finding in run.findings] == [f"verdict {run_id(8)}"]
    target = open_store(away, create=False)
    assert [replay for replay, _ in target.runs.verdicts(RunId(made.run_id))] == [run_id(9)]
    assert target.runs.summary(RunId(made.run_id), RunId(run_id(9))) is not None


def test_a_complete_target_need_not_be_writable(settings: Settings, store: Store, away: str) -> None:
    add_run(store, 1)
    push(settings, ALL, to=away)
    read_only = open_store(away, create=False, access=Access(read_only=True))
    assert outcomes(transfer(store, read_only, ALL)) == [(run_id(1), "present", 0)]


def test_a_large_object_in_a_pack_is_not_read_into_memory(
    settings: Settings, store: Store, away: str, chain: list[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A sweep beside a writer, and repacking, put large objects into packs."""
    digest = of_bytes(chain[0])
    path = Path(store.location, *_parts(chain[0]))
    pack = pack_of_file(str(path), digest, f"{store.staging()}/x.pack", store.backend, lambda _: iter(()))
    publish(store.backend, pack)
    path.unlink()
    monkeypatch.setattr(ObjectReader, "read", _refuse_large(ObjectReader.read))
    assert outcomes(push(settings, Selection(names=("etl~3",)), to=away)) == [(run_id(1), "moved", 2)]
    assert open_store(away, create=False).objects.holds(digest)


def _refuse_large(read: Callable[[ObjectReader, Digest], bytes]) -> Callable[[ObjectReader, Digest], bytes]:
    def small(reader: ObjectReader, digest: Digest) -> bytes:
        assert reader.size(digest) < SMALL_BYTES
        return read(reader, digest)

    return small


def test_pulling_names_runs_of_the_other_store(settings: Settings, store: Store, tmp_path: Path) -> None:
    add_run(store, 1)
    add_run(store, 2, job="other")
    mine = settings._replace(store=str(tmp_path / "mine"))
    assert outcomes(pull(mine, Selection(jobs=("other",)), source=store.location)) == [(run_id(2), "moved", 3)]
    assert assert_whole(mine, mine.store) == [run_id(2)]
    with pytest.raises(RunNotFound):
        pull(mine, Selection(names=("nobody",)), source=store.location)
    with pytest.raises(RunNotFound, match="nothing"):
        pull(mine, Selection(jobs=("other", "nothing")), source=store.location)
    with pytest.raises(StoreError, match="no store"):
        pull(mine, ALL, source=str(tmp_path / "nowhere"))


def test_a_store_is_not_moved_into_itself(settings: Settings, store: Store, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(store.location)
    with pytest.raises(UsageError, match="the same store"):
        push(settings, ALL, to=str(tmp_path / "link"))


@pytest.fixture
def locked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    """Make an encrypted store."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return open_store(str(tmp_path / "locked"), create=True, encrypt_to=first_recipients([], os.environ))


def test_into_an_encrypted_store_and_out_of_it(
    settings: Settings, store: Store, away: str, chain: list[bytes], locked: Store
) -> None:
    assert [run.outcome for run in transfer(store, locked, ALL).runs] == ["moved"] * 4
    assert [run.findings for run in verify(settings._replace(store=locked.location), (), everything=True)] == [()] * 4
    assert not any(digest in str(path) for path in Path(locked.location).rglob("*") for digest in _names(chain))
    assert [run.outcome for run in push(settings._replace(store=locked.location), ALL, to=away).runs] == ["moved"] * 4
    assert assert_whole(settings, away) == [run_id(number) for number in range(1, 5)]
    assert [Shelf(away, store.deltas).form(of_bytes(content)) for content in chain[1:]] == ["zstd delta"] * 3


def _names(chain: list[bytes]) -> list[str]:
    return [of_bytes(content)[len("sha256:") + 2 :] for content in chain]


class FailingBackend(MemoryBackend):
    """Refuses to write after a number of writes; leases, of which each attempt puts its own, are not counted."""

    left = 0

    def put_if_absent(self, key: str, data: bytes) -> bool:
        self.left -= not self.exists(key) and not key.startswith("writers/")
        if self.left < 0:
            raise StoreError("the disk is full")
        return super().put_if_absent(key, data)


@pytest.fixture
def failing(tmp_path: Path) -> Iterator[tuple[FailingBackend, Store]]:
    backend = FailingBackend()
    cache = str(tmp_path / "failing")
    opened = Store(backend=backend, store_id="0" * 8, journals=f"{cache}/journals", cache=cache)
    yield backend, opened
    opened.close()


def test_after_a_failure_at_any_write_another_attempt_goes_on(
    store: Store, chain: list[bytes], failing: tuple[FailingBackend, Store]
) -> None:
    backend, target = failing
    add_verdict(store, bundle(run_id=run_id(4)), 9)
    attempts = 0
    while attempts < 50:
        backend.left = 1  # one write an attempt: each possible state in between is met
        attempts += 1
        try:
            transfer(store, target, Selection(names=(run_id(1), run_id(2))))
        except StoreError:
            complete = [number for number in (1, 2) if target.runs.exists(RunId(run_id(number)))]
            for number in complete:
                assert target.objects.verify([of_bytes(chain[number - 1]), of_bytes(b"out")], content=True) == []
            continue
        break
    assert attempts > 10
    assert {run: target.runs.envelope(run) for run in target.runs.ids()} == {
        RunId(run_id(number)): store.runs.envelope(RunId(run_id(number))) for number in (1, 2)
    }
    assert [entry.run_id for entry in Log(backend).entries() if entry.kind != "key"] == [run_id(1), run_id(2)]


def test_what_a_killed_process_left_is_cleared(tmp_path: Path) -> None:
    with workplace(str(tmp_path)) as mine:
        left = tmp_path / ".tmp-work-left"
        left.mkdir()
        (left / "1.copy").write_bytes(b"x")
        (tmp_path / ".tmp-other").write_bytes(b"x")
        with workplace(str(tmp_path)) as other:
            assert sorted(os.listdir(tmp_path)) == sorted([".tmp-other", Path(mine).name, Path(other).name])
    assert os.listdir(tmp_path) == [".tmp-other"]
