"""What is made of the journal of a killed recording: a run marked incomplete, nothing where nothing began, or the reason."""

from __future__ import annotations

import fcntl
import os
import resource
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from reenact.actions.opening import opened, peek_bundle, unfinished
from reenact.actions.sealing import ensure_logged, logged_statements, seal_bundle
from reenact.actions.verify import verify
from reenact.capture import os_packages
from reenact.capture.journal import leave_reason
from reenact.capture.live import begin
from reenact.capture.recover import abandoned, recover
from reenact.digests import of_bytes
from reenact.errors import IntegrityError, ReenactError
from reenact.ids import RunId
from reenact.model.bundle import Bundle
from reenact.model.statement import dump_bundle
from reenact.settings import Settings
from reenact.store.opening import Store, open_store
from tests import journals
from tests.bundles import bundle, run_id
from tests.records import add_run


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return Settings(root=str(tmp_path), store=str(tmp_path / "store"))


@pytest.fixture(scope="module")
def owners(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The index of this machine's packages, which every store would make for itself, in half a second."""
    folder = tmp_path_factory.mktemp("owners")
    os_packages.find((), str(folder))
    return folder


@pytest.fixture
def store(settings: Settings, owners: Path) -> Iterator[Store]:
    found = open_store(settings.store, create=True)
    os.makedirs(found.cache)
    for index in owners.iterdir():
        os.link(index, f"{found.cache}/{index.name}")
    yield found
    found.close()


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "job"
    folder.mkdir()
    return folder


def left(store: Store, *records: list[Any], number: int = 1) -> str:
    """Leave a journal behind, with its lock file; give its folder."""
    folder = Path(store.journals, run_id(number))
    folder.mkdir(parents=True)
    (folder / "lock").touch()
    journals.write(folder / "events", *records)
    return str(folder)


def first(root: Path, number: int = 1, **changes: Any) -> list[Any]:
    return ["run", journals.header(root, run_id=run_id(number), **changes)]


def recovered(store: Store, folder: str, reason: str = "the recording was killed") -> Bundle | None:
    return recover(store, folder, seal_bundle, reason, ensure_logged)


def gaps(found: Bundle) -> dict[str, str]:
    return {gap.code: gap.message for gap in found.capture.gaps}


def limited(size: int) -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))


# --- what there is to recover


def test_a_run_of_which_only_the_header_is_left_is_a_run(store: Store, root: Path) -> None:
    folder = left(store, first(root))
    found = recovered(store, folder)
    assert found is not None
    assert (found.status, found.exit_code, found.ended_at) == ("incomplete", None, None)
    assert (found.inputs, found.outputs, gaps(found)) == ((), (), {"cut-off": "the recording was killed"})
    assert store.runs.ids() == [run_id(1)]
    assert not os.path.exists(folder)


def test_a_job_that_had_not_begun_leaves_nothing(store: Store, root: Path) -> None:
    journals.write(root / "whole", first(root))
    whole = (root / "whole").read_bytes()
    for number, content in enumerate((None, b"", whole[:7], whole[:-1]), start=1):
        folder = Path(store.journals, run_id(number))
        folder.mkdir(parents=True)
        if content is not None:
            (folder / "events").write_bytes(content)
        assert recovered(store, str(folder)) is None
        assert not folder.exists()
    assert store.runs.ids() == []


def test_a_live_recording_is_left_alone(store: Store, root: Path) -> None:
    journal = begin(store.journals, RunId(run_id(1)))
    try:
        journals.write(f"{journal.folder}/events", first(root))
        assert abandoned(store.journals) == []
        assert recovered(store, journal.folder) is None
        assert os.path.exists(f"{journal.folder}/events")
    finally:
        os.close(journal.lock)
        os.close(journal.events)
    assert abandoned(store.journals) == [journal.folder]


def test_what_is_no_journal_is_not_looked_at(store: Store) -> None:
    Path(store.journals, "notes").mkdir(parents=True)
    Path(store.journals, "lock").touch()
    assert abandoned(store.journals) == []
    assert abandoned(f"{store.journals}/missing") == []


def test_a_journal_removed_by_another_process_before_it_was_locked_is_begun_again(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever looks for abandoned journals may take the lock of one that has just been made, and find nothing in it."""
    real = fcntl.flock
    met: list[int] = []

    def flock(descriptor: int, operation: int) -> None:
        if not met:
            met.append(descriptor)
            folder = Path(store.journals, run_id(1))
            (folder / "lock").unlink()
            folder.rmdir()
        real(descriptor, operation)

    monkeypatch.setattr(fcntl, "flock", flock)
    journal = begin(store.journals, RunId(run_id(1)))
    os.close(journal.events)
    assert abandoned(store.journals) == []
    os.close(journal.lock)
    assert abandoned(store.journals) == [journal.folder]


def test_a_replay_that_was_cut_off_is_dropped(store: Store, root: Path) -> None:
    folder = left(store, first(root, replay_of=run_id(9)))
    assert recovered(store, folder) is None
    assert not os.path.exists(folder)
    assert store.runs.ids() == []


def test_a_run_put_but_not_logged_is_logged(settings: Settings, store: Store, root: Path) -> None:
    made = bundle()
    folder = left(store, first(root))

    def put_only(store: Store, bundle: Bundle) -> None:
        from reenact.actions.sealing import signing_key
        from reenact.model.statement import PAYLOAD_TYPE
        from reenact.seal.verify import seal

        payload = dump_bundle(bundle)
        store.runs.put_run(RunId(bundle.run_id), seal(payload, PAYLOAD_TYPE, signing_key(store)), bundle)

    put_only(store, made)
    assert of_bytes(dump_bundle(made)) not in logged_statements(store)
    opened(settings).close()
    assert of_bytes(dump_bundle(made)) in logged_statements(store)
    assert not os.path.exists(folder)
    assert store.runs.ids() == [made.run_id]


# --- what the bundle says


def test_the_reason_left_beside_the_journal_is_the_reason(store: Store, root: Path) -> None:
    folder = left(store, first(root))
    leave_reason(folder, "No space left on device")
    found = recovered(store, folder)
    assert found is not None
    assert gaps(found) == {"cut-off": "No space left on device"}


def test_a_journal_damaged_in_the_middle_says_so(store: Store, root: Path) -> None:
    folder = left(store, first(root), ["o", "/missing/one"], ["o", "/missing/two"], ["o", "/missing/three"])
    path = Path(folder, "events")
    path.write_bytes(path.read_bytes().replace(b"two", b"tow"))
    found = recovered(store, folder)
    assert found is not None
    assert gaps(found) == {"cut-off": "the journal is damaged behind record 2"}
    assert found.capture.absent == of_bytes(b"/missing/one\n")


def test_a_job_whose_end_was_seen_keeps_its_exit_status(store: Store, root: Path) -> None:
    """Killed between the end of the job and the seal."""
    folder = left(store, first(root), ["q", "1", 3, journals.STARTED_NS + 5], ["end", journals.STARTED_NS + 9, 7])
    found = recovered(store, folder)
    assert found is not None
    assert (found.status, found.exit_code, found.capture.calls) == ("incomplete", 3, 7)
    assert found.ended_at is not None


def test_what_was_changed_after_the_end_of_the_journal_is_not_said_to_be_the_runs(store: Store, root: Path) -> None:
    out, later, used = root / "out.csv", root / "later.csv", root / "used.csv"
    for path in (out, later, used):
        path.write_bytes(b"first")
    used_entry = journals.entry(used)
    os.utime(used, (5, 5))
    folder = left(store, first(root), used_entry, ["n", str(used)], ["c", str(out)], ["c", str(later)])
    last = os.stat(out).st_ctime_ns
    os.utime(f"{folder}/events", ns=(last, last))
    while later.stat().st_ctime_ns <= last:
        later.write_bytes(b"by somebody else")
    found = recovered(store, folder)
    assert found is not None
    assert [(g.code, g.subject) for g in found.capture.gaps] == [("changed-later", "later.csv"), ("cut-off", "")]
    hazards = {h.subject: h.message for h in found.determinism.hazards if h.code == "input-changed"}
    assert hazards == {
        str(used): f"{used} was changed after the run had used it, perhaps by the run",
    }


def test_a_file_that_is_gone_is_not_said_to_be_deleted_by_the_run(store: Store, root: Path) -> None:
    for name in ("deleted", "vanished"):
        (root / name).write_bytes(b"x")
    told = [
        record
        for name in ("deleted", "vanished")
        for record in (journals.entry(root / name), ["m", str(root / name), "w"])
    ]
    told += [["m", f"{root}/deleted", "u"], ["g", f"{root}/deleted"], ["a", "1", f"{root}/deleted", "d"]]
    folder = left(store, first(root), *told)
    for name in ("deleted", "vanished"):
        (root / name).unlink()
    found = recovered(store, folder)
    assert found is not None
    assert [(a.name, a.access) for a in found.outputs] == [("deleted", ("deleted",))]
    [hazard] = [h for h in found.determinism.hazards if h.code == "input-lost"]
    assert (hazard.subject, hazard.exact) == ("vanished", False)


def test_bytes_held_open_by_a_process_that_is_gone_are_lost(store: Store, root: Path) -> None:
    """Its number may be another process's by now: here, our own, with another file."""
    path = root / "in.csv"
    path.write_bytes(b"what the run read")
    told = journals.entry(path)
    path.unlink()
    other = root / "other"
    other.write_bytes(b"nothing of the run")
    with other.open("rb") as file:
        held = f"/proc/{os.getpid()}/fd/{file.fileno()}"
        removed = [["m", str(path), "u"], ["g", str(path)], ["a", "1", str(path), "d"]]
        folder = left(store, first(root), told, ["n", str(path)], ["p", str(path), held, ""], *removed)
        found = recovered(store, folder)
    assert found is not None
    assert found.input_checksums == {}
    [lost] = [h.message for h in found.determinism.hazards if h.code == "input-lost" and h.subject == "in.csv"]
    assert "held open by a process that was killed" in lost


def test_bytes_kept_beside_the_journal_are_the_inputs(store: Store, root: Path) -> None:
    path = root / "in.csv"
    path.write_bytes(b"before")
    told = journals.entry(path)
    folder = left(store, first(root))
    kept = Path(folder, "before")
    kept.mkdir()
    (kept / "0").write_bytes(b"before")
    path.write_bytes(b"after")
    journals.write(f"{folder}/events", told, ["n", str(path)], ["p", str(path), f"{kept}/0", ""], ["m", str(path), "t"])
    found = recovered(store, folder)
    assert found is not None
    assert found.input_checksums == {"in.csv": of_bytes(b"before")}
    assert [(a.name, a.pointer and a.pointer.digest) for a in found.outputs] == [("in.csv", of_bytes(b"after"))]


def test_a_run_finished_on_another_host_says_so(store: Store, root: Path) -> None:
    found = recovered(store, left(store, first(root, hostname="elsewhere")))
    assert found is not None
    assert found.launch.hostname == "elsewhere"
    assert "recovered-elsewhere" in gaps(found)


# --- what cannot be recovered


def test_a_damaged_header_is_told_and_its_folder_kept(settings: Settings, store: Store, root: Path) -> None:
    add_run(store, 1)
    good = left(store, first(root, 2), number=2)
    bad = left(store, first(root, 3), ["o", "/missing"], number=3)
    path = Path(bad, "events")
    path.write_bytes(b"#" + path.read_bytes()[1:])
    with pytest.raises(IntegrityError, match="first record"):
        recovered(store, bad)
    results = {run.run_id: run for run in verify(settings, (), everything=True)}
    assert not os.path.exists(good)
    assert os.path.exists(bad)
    assert results.keys() == {run_id(1), run_id(2), run_id(3)}
    assert {number: results[run_id(number)].exit_code for number in (1, 2, 3)} == {1: 0, 2: 0, 3: 4}
    [problem] = results[run_id(3)].findings
    assert (problem.code, problem.subject) == ("not-finished", "journal")
    assert "first record" in problem.message


@pytest.mark.parametrize(
    "record",
    [["n", "/never/entered"], ["e", "/too/few"], ["x", "1"], ["a", "1", ["/no/path"], "r"], ["l", "/", 1, 2]],
    ids=str,
)
def test_a_record_of_another_shape_is_told_and_the_journal_kept(store: Store, root: Path, record: list[Any]) -> None:
    folder = left(store, first(root), record)
    with pytest.raises(IntegrityError, match=r"record 2 of .* cannot be understood"):
        recovered(store, folder)
    assert os.path.exists(f"{folder}/events")


def test_a_record_of_an_unknown_kind_is_passed_over(store: Store, root: Path) -> None:
    found = recovered(store, left(store, first(root), ["z", "from a newer version"], ["o", "/missing"]))
    assert found is not None
    assert found.capture.absent == of_bytes(b"/missing\n")


@pytest.mark.parametrize("header", [{}, {"run_id": 5}, [], "x"], ids=str)
def test_a_header_of_another_version_keeps_nobody_from_the_other_runs(
    settings: Settings, store: Store, root: Path, header: object
) -> None:
    add_run(store, 1)
    left(store, ["run", header], ["o", "/missing"], number=2)
    left(store, first(root, 3), number=3)
    opened(settings).close()
    assert run_id(1) in store.runs.ids()
    assert run_id(3) in store.runs.ids()
    assert peek_bundle(store, RunId(run_id(3))).status == "incomplete"


def test_a_full_disk_leaves_the_journal_to_the_next_command(settings: Settings, store: Store, root: Path) -> None:
    path = root / "in.csv"
    path.write_bytes(b"x" * 5000)
    folder = left(store, first(root), journals.entry(path), ["n", str(path)])
    add_run(store, 2)
    try:
        limited(300)
        reasons = unfinished(store, Settings(root=store.location, store=store.location))
    finally:
        limited(-1)
    assert reasons.keys() == {run_id(1)}
    assert os.path.exists(f"{folder}/events")
    assert store.runs.ids() == [run_id(2)]
    assert unfinished(store, Settings(root=store.location, store=store.location)) == {}
    assert peek_bundle(store, RunId(run_id(1))).input_checksums == {"in.csv": of_bytes(b"x" * 5000)}
    assert [run.findings for run in verify(settings, (), everything=True, deep=True)] == [(), ()]


def test_a_seal_that_fails_leaves_the_journal(store: Store, root: Path) -> None:
    folder = left(store, first(root))

    def refuse(_: Store, __: Bundle) -> None:
        raise ReenactError("no key")

    with pytest.raises(ReenactError, match="no key"):
        recover(store, folder, refuse, "killed", ensure_logged)
    assert recovered(store, folder) is not None
