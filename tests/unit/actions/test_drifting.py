"""Drift: each thing that is not as it was when a job ran last is named, and nothing else."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from reenact.actions.audit import AuditRequest, audit
from reenact.actions.present import Present, Unreadable
from reenact.capture import host
from reenact.digests import of_bytes
from reenact.model import manifest as manifests
from reenact.model.artifact import Artifact, Entry, Origin, Pointer
from reenact.model.audit import AuditFinding
from reenact.model.bundle import Stream
from reenact.model.code import Code
from reenact.model.environment import Distribution, Environment, Interpreter
from reenact.seal.log import Log, entry_key
from reenact.settings import Settings
from reenact.settings.model import Audit
from reenact.store.opening import Store
from reenact.store.statcache import StatCache
from tests.bundles import artifact, bundle
from tests.records import add_run


@pytest.fixture(autouse=True)
def no_disk_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make these tests quick; what a power cut leaves is not tried here."""
    monkeypatch.setattr(os, "fsync", lambda _: None)


class Job:
    """A job in a folder of its own, as it was recorded there."""

    def __init__(self, store: Store, settings: Settings, root: Path) -> None:
        self.store, self.settings, self.root = store, settings, root
        self.site = root / "lib" / "site-packages"
        self.number = 0
        self.file("raw.csv", b"in")
        self.file("etl.py", b"print()")
        self.file("bin/python3", b"an interpreter")
        self.file("lib/libm.so", b"a library")
        self.file("far.csv", b"far")
        self.file("lib/node_modules/left-pad/package.json", b'{"name": "left-pad", "version": "1.3.0"}')
        self.install("pandas", "2.2.3", "x,sha256=1,\n")

    def file(self, name: str, content: bytes) -> Path:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        return path

    def install(self, name: str, version: str, record: str) -> None:
        info = self.site / f"{name}-{version}.dist-info"
        info.mkdir(parents=True, exist_ok=True)
        (info / "METADATA").write_text(f"Name: {name}\nVersion: {version}\n\n")
        (info / "RECORD").write_text(record)

    def record(self, *, inputs: tuple[Artifact, ...] = (), **changes: Any) -> None:
        """Record a run that read all of it."""
        self.number += 1
        plain = bundle()
        library = Entry(
            path=str(self.root / "lib/libm.so"),
            type="file",
            mode=0o644,
            mtime_ns="1",
            need="content",
            size_bytes=9,
            digest=of_bytes(b"a library"),
        )
        listing = manifests.dump([library])
        environment = Environment(
            mode="sealed",
            manifest=of_bytes(listing),
            system=host.system(),
            cpu=host.cpu(),
            interpreters=(
                Interpreter(
                    name="python",
                    version="3.11.7",
                    path=str(self.root / "bin/python3"),
                    digest=of_bytes(b"an interpreter"),
                ),
            ),
            distributions=(
                self.distribution("pypi", "Pandas", "2.2.3", self.site, of_bytes(b"x,sha256=1,\n")),
                self.distribution("npm", "left-pad", "1.3.0", self.root / "lib/node_modules", None),
            ),
        )
        files = (
            artifact(str(self.root / "raw.csv"), b"in", "read"),
            artifact(str(self.root / "etl.py"), b"print()", "read", kind="code"),
        )
        add_run(
            self.store,
            self.number,
            kept=(b"in", b"print()", b"out", b"a library", listing),
            **{
                "launch": replace(plain.launch, root=str(self.root), cwd=str(self.root)),
                "environment": environment,
                "inputs": (*files, *inputs),
                **changes,
            },
        )

    @staticmethod
    def distribution(ecosystem: str, name: str, version: str, location: Path, record: Any) -> Distribution:
        return Distribution(
            ecosystem=ecosystem, name=name, version=version, location=str(location), record_digest=record
        )

    def audit(self, **options: Any) -> tuple[AuditFinding, ...]:
        quiet = self.settings._replace(audit=Audit(logged_within_seconds=0.0))
        report = audit(quiet, AuditRequest(everything=True, **options))
        self.not_checked = report.not_checked
        return report.findings

    def codes(self, **options: Any) -> list[tuple[str, str]]:
        return [(finding.code, Path(finding.subject).name) for finding in self.audit(**options)]


@pytest.fixture
def job(store: Store, settings: Settings, tmp_path: Path) -> Job:
    return Job(store, settings, tmp_path / "job")


def test_a_machine_that_is_as_it_was(job: Job) -> None:
    job.record()
    assert job.audit() == ()
    assert job.not_checked == ()


def test_a_changed_input_and_changed_code(job: Job) -> None:
    job.record()
    job.file("raw.csv", b"other")
    job.file("etl.py", b"print(1)")
    found = job.audit()
    assert [(f.code, f.who, f.severity) for f in found] == [
        ("drift-code", "engineer", "minor"),
        ("drift-input", "data steward", "minor"),
    ]
    assert (found[1].expected, found[1].got, found[1].job) == (of_bytes(b"in"), of_bytes(b"other"), "etl")
    (job.root / "raw.csv").unlink()
    assert [f.got for f in job.audit() if f.code == "drift-input"] == ["not there"]
    assert job.codes(drift="never") == []


def test_a_file_that_changed_while_its_times_stayed_is_found_by_rehashing(job: Job) -> None:
    job.record()
    path = job.root / "raw.csv"
    os.utime(path, (1, 1))
    cache = StatCache(None)
    present = Present(cache)
    assert present.digest(str(path)) == of_bytes(b"in")
    path.write_bytes(b"ni")
    os.utime(path, (1, 1))
    assert job.codes(rehash=True) == [("drift-input", "raw.csv")]
    assert Present(None).digest(str(path)) == of_bytes(b"ni")


def test_a_changed_package(job: Job) -> None:
    job.record()
    (job.site / "pandas-2.2.3.dist-info").rename(job.site / "pandas-2.3.0.dist-info")
    job.install("pandas", "2.3.0", "y,sha256=2,\n")
    job.file("lib/node_modules/left-pad/package.json", b'{"name": "left-pad", "version": "1.4.0"}')
    found = job.audit()
    assert [(f.code, f.subject, f.expected, f.got) for f in found] == [
        ("drift-package", "Pandas", "2.2.3", "2.3.0"),
        ("drift-package", "left-pad", "1.3.0", "1.4.0"),
    ]


def test_a_package_built_anew_and_one_that_is_gone(job: Job) -> None:
    job.record()
    job.install("pandas", "2.2.3", "z,sha256=3,\n")
    (found,) = job.audit()
    assert found.got == f"2.2.3, files {of_bytes(b'z,sha256=3,' + bytes([10]))}"
    for path in (job.site / "pandas-2.2.3.dist-info").iterdir():
        path.unlink()
    (job.site / "pandas-2.2.3.dist-info").rmdir()
    (found,) = job.audit()
    assert (found.code, found.expected, found.got) == ("drift-package", "2.2.3", "not there")


def test_another_interpreter_and_a_changed_environment(job: Job) -> None:
    job.record()
    job.file("bin/python3", b"another interpreter")
    job.file("lib/libm.so", b"another library")
    found = {f.code: f for f in job.audit()}
    assert found.keys() == {"drift-interpreter", "drift-environment"}
    assert found["drift-interpreter"].expected == f"python 3.11.7 ({of_bytes(b'an interpreter')})"
    assert "libm.so" in found["drift-environment"].message


def pointer(job: Job, kind: str, location: str) -> Artifact:
    made = artifact(str(job.root / "far.csv"), b"far", "read", keep="pointer", digest=None)
    origin = Origin(kind=kind, location=location)
    return replace(made, pointer=Pointer(digest=of_bytes(b"far"), size_bytes=3, media_type="text/csv", origin=origin))


def test_a_changed_pointer(job: Job) -> None:
    job.record(inputs=(pointer(job, "path", str(job.root / "far.csv")),))
    assert job.audit() == ()
    job.file("far.csv", b"raf")
    assert job.codes() == [("drift-pointer", "far.csv")]


def test_a_pointer_whose_bytes_are_elsewhere(job: Job, tmp_path: Path) -> None:
    archive = tmp_path / "archive.csv"
    archive.write_bytes(b"far")
    job.record(inputs=(pointer(job, "path", str(archive)),))
    job.file("far.csv", b"raf")
    assert job.codes() == [("drift-input", "far.csv")]
    archive.write_bytes(b"other")
    assert job.codes() == [("drift-pointer", "far.csv")]


def test_a_pointer_to_a_server_is_followed_only_when_that_is_asked_for(job: Job) -> None:
    job.record(inputs=(pointer(job, "http", "http://127.0.0.1:1/far.csv"),))
    (job.root / "far.csv").unlink()
    assert job.audit() == ()
    assert "was not asked" in job.not_checked[0]
    assert job.codes(drift="all") == [("drift-pointer", "far.csv")]


def test_what_the_run_itself_changed_is_no_drift(job: Job) -> None:
    both = str(job.root / "raw.csv")
    gone = str(job.root / "gone.csv")
    job.record(
        inputs=(artifact(gone, b"gone", "read"),),
        outputs=(artifact(both, b"out", "updated"), artifact(gone, b"", "deleted")),
    )
    job.file("raw.csv", b"out")
    assert [f for f in job.audit() if f.code.startswith("drift")] == []
    log = str(job.root / "job.log")
    plain = bundle().launch
    job.record(
        inputs=(artifact(log, b"before", "appended"),),
        launch=replace(plain, root=str(job.root), stderr=Stream(kind="file", path=log)),
    )
    job.file("raw.csv", b"in")
    assert [f for f in job.audit() if f.code.startswith("drift")] == []


def test_only_the_latest_run_counts_and_replays_do_not(job: Job) -> None:
    job.record()
    job.file("raw.csv", b"out")
    both = artifact(str(job.root / "raw.csv"), b"out", "read")
    job.record(inputs=(both,), outputs=(both,))
    job.record(replay_of=bundle().run_id)
    assert job.audit() == ()


def test_nobody_is_sent_after_what_an_unsound_record_says(job: Job) -> None:
    job.record()
    job.file("raw.csv", b"other")
    run = next((Path(job.store.location) / "runs").iterdir())
    view = run / "outputs" / "pointers.jsonl"
    view.chmod(0o644)
    view.write_bytes(b"{}\n")
    assert {f.code for f in job.audit()} == {"view-differs", "drift-input"}
    (Path(job.store.location) / entry_key(Log(job.store.backend).size() - 1)).unlink()
    assert {f.code for f in job.audit()} == {"view-differs", "not-logged"}
    assert "is not sound" in job.not_checked[0]


def test_a_job_that_is_not_of_this_machine(job: Job) -> None:
    job.record(launch=replace(bundle().launch, root="/nowhere/at/all"))
    job.file("raw.csv", b"other")
    assert job.audit() == ()
    assert "is not on this machine" in job.not_checked[0]


def test_another_commit_and_another_kernel(job: Job) -> None:
    git = ["git", "-C", str(job.root), "-c", "user.name=x", "-c", "user.email=x@example.com"]
    for words in (["init", "-q"], ["add", "etl.py"], ["commit", "-qm", "one"]):
        subprocess.run([*git, *words], check=True, env={**os.environ, "GIT_CONFIG_NOSYSTEM": "1"})
    job.record(code=Code(commit="1" * 40, root=str(job.root)))
    (found,) = job.audit()
    assert (found.code, found.severity, found.expected) == ("drift-commit", "notice", "1" * 40)
    environment = Environment(
        mode="described", manifest=None, system=replace(host.system(), kernel="1.0"), cpu=host.cpu()
    )
    job.record(environment=environment)
    (found,) = job.audit()
    assert (found.code, found.subject) == ("drift-machine", "kernel")


def test_what_is_no_file_any_more_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    present = Present(None)
    assert present.digest(str(tmp_path / "pipe")) is None
    assert present.digest(str(tmp_path)) is None
    assert present.digest(str(tmp_path / "none")) is None
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(Unreadable):
        present.digest(str(tmp_path / "loop"))


def test_what_cannot_be_read_is_told(job: Job) -> None:
    job.record()
    (job.root / "raw.csv").unlink()
    (job.root / "raw.csv").symlink_to("raw.csv")
    (found,) = job.audit()
    assert (found.code, found.severity) == ("drift-unknown", "notice")


def test_files_that_did_not_change_are_hashed_once(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"content")
    os.utime(path, (1, 1))
    cache = StatCache(str(tmp_path / "cache.sqlite"))
    taken: list[int] = []
    first = Present(cache, taken.append)
    first.digest(str(path))
    first.digest(str(path))
    first.close()
    assert (taken, first.hashed_bytes) == ([7], 7)
