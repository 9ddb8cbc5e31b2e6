from __future__ import annotations

import mmap
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from reenact.capture import hazards
from reenact.capture.intake import Intake
from reenact.capture.observation import PathRecord
from reenact.capture.pointers import Pointers, header_of_replay, header_of_rules, location
from reenact.capture.preimage import PreimageKeeper
from reenact.digests import of_bytes
from reenact.ids import RunId
from reenact.model.artifact import Origin
from reenact.settings.inputs import InputRule
from reenact.store.elsewhere.interface import Wanted
from reenact.store.opening import Store, open_store
from tests import journals
from tests.bundles import RUN_ID, artifact

POINTER = InputRule("**", keep="pointer")


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    found = open_store(str(tmp_path / "store"), create=True)
    yield found
    found.close()


@pytest.fixture
def intake(store: Store) -> Intake:
    return Intake(store.writer(RunId(RUN_ID)), store.stats, pointers=lambda _: True)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    found = tmp_path / "in.csv"
    found.write_bytes(b"before")
    return found


def record_of(path: Path, *more: list[Any]) -> PathRecord:
    return journals.observed(journals.entry(path), ["n", str(path)], *more).paths[str(path)]


def held(store: Store, content: bytes) -> bool:
    return store.writer(RunId(RUN_ID)).holds(of_bytes(content))


def of_rules(root: Path, *rules: InputRule) -> Pointers:
    return Pointers({"root": str(root), **header_of_rules(rules)})


def test_the_first_rule_that_fits_counts() -> None:
    found = of_rules(
        Path("/job"),
        InputRule("raw/small/**"),
        InputRule("raw/**", keep="pointer"),
        InputRule("/mnt/*", keep="pointer"),
    )
    asked = {"/job/raw/a.csv", "/job/raw/small/b.csv", "/job/c.csv", "/mnt/d.csv", "/job/mnt/e.csv"}
    assert {path for path in asked if found.means(path)} == {"/job/raw/a.csv", "/mnt/d.csv"}
    assert header_of_rules((InputRule("raw/**"),)) == {}
    assert not Pointers({"root": "/job"}).means("/job/raw/a.csv")


def test_a_pointer_is_hashed_and_not_stored(store: Store, intake: Intake, path: Path) -> None:
    intake.take(record_of(path))
    found = intake.contents[str(path)]
    assert (found.digest, found.size_bytes, found.head, found.elsewhere) == (of_bytes(b"before"), 6, b"before", True)
    assert not held(store, b"before")


@pytest.mark.parametrize("what", [["m", "PATH", "w"], ["m", "PATH", "a"], ["m", "PATH", "u"]])
def test_what_the_run_destroys_is_stored_after_all(store: Store, intake: Intake, path: Path, what: list[str]) -> None:
    intake.take(record_of(path))
    kept = path.with_name("kept")
    kept.write_bytes(b"before")
    path.write_bytes(b"after the run")
    done = [str(path) if word == "PATH" else word for word in what]
    intake.take(record_of(path, ["p", str(path), str(kept), ""], done))
    found = intake.contents[str(path)]
    assert (found.digest, found.elsewhere) == (of_bytes(b"before"), False)
    intake._writer.commit()  # type: ignore[attr-defined]
    assert store.objects.read(of_bytes(b"before")) == b"before"


def test_what_nobody_kept_before_it_was_destroyed_is_lost_by_word(intake: Intake, path: Path) -> None:
    intake.take(record_of(path))
    path.write_bytes(b"after the run")
    intake.take(record_of(path, ["p", str(path), "", "stored"], ["m", str(path), "w"]))
    assert str(path) not in intake.contents
    assert intake.lost == {str(path): "it was kept as a pointer, and the run changed it"}


def test_a_change_of_mode_destroys_nothing(intake: Intake, path: Path) -> None:
    intake.take(record_of(path, ["m", str(path), "x"]))
    assert intake.contents[str(path)].elsewhere


def test_the_environment_is_stored_though_a_rule_fits(store: Store, intake: Intake, path: Path) -> None:
    record = record_of(path)
    intake.take(record)
    found = intake.keep_bytes(record)
    assert found is not None
    assert not found.elsewhere
    assert held(store, b"before") or intake._writer.holds(of_bytes(b"before"))
    intake.take(record_of(path.rename(path.with_name("other.csv"))))
    assert intake.contents[str(path.with_name("other.csv"))].elsewhere


def test_bytes_of_pointers_are_kept_though_the_recorder_came_past_them(tmp_path: Path, path: Path) -> None:
    stored = mmap.mmap(-1, 8)
    stored[:8] = (1000).to_bytes(8, "little")
    for pointer in (False, True):
        folder = str(tmp_path / f"before-{pointer}")
        keeper = PreimageKeeper(
            folder, 1 << 20, stored, pointers={str(path)}.__contains__ if pointer else set().__contains__
        )
        where, reason = keeper.keep(str(path), os.stat(path), needed=10, name_only=False)
        if pointer:
            assert Path(where).read_bytes() == b"before"
        else:
            assert (where, reason) == ("", "stored")


# --- where the bytes are


def test_where_the_settings_say() -> None:
    root = Path("/job")
    for source, kind, where in (
        ("https://example.com/d/{name}?v=1", "http", "https://example.com/d/raw/a%20b.csv?v=1"),
        ("/mnt/raw/{name}", "path", "/mnt/raw/raw/a b.csv"),
    ):
        pointers = of_rules(root, POINTER._replace(source=source))
        found = pointers.origin("/job/raw/a b.csv", Wanted(of_bytes(b""), 0))
        assert (found.kind, found.location, found.version) == (kind, where, None)
    assert location("/x/fixed.csv", "a") == "/x/fixed.csv"


def test_an_object_whose_store_does_not_answer_has_no_version(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("AWS_ENDPOINT_URL", "http://127.0.0.1:9"), ("AWS_REGION", "us-east-1")):
        monkeypatch.setenv(name, value)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "x")
    pointers = of_rules(Path("/job"), POINTER._replace(source="s3://bucket/{name}"))
    found = pointers.origin("/job/a.csv", Wanted(of_bytes(b""), 0))
    assert (found.kind, found.location, found.version) == ("object-store", "s3://bucket/a.csv", None)
    assert "s3://bucket/a.csv" in pointers.unobserved["a.csv"]


def git(folder: Path, *words: str) -> str:
    identity = ["-c", "user.name=n", "-c", "user.email=e@example.com"]
    done = subprocess.run(["git", "-C", str(folder), *identity, *words], check=True, capture_output=True, text=True)
    return done.stdout.strip()


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    found = tmp_path / "repo"
    (found / "data").mkdir(parents=True)
    git(found, "init", "-q")
    git(found, "remote", "add", "origin", "https://me:secret@git.example.com/r.git")
    (found / "data/a.csv").write_bytes(b"committed")
    git(found, "add", ".")
    git(found, "commit", "-qm", "x")
    return found


def test_a_committed_file_is_had_from_its_commit(repository: Path) -> None:
    pointers = of_rules(repository, POINTER)
    path = str(repository / "data/a.csv")
    assert pointers.origin(path, Wanted(of_bytes(b"committed"), 9)) == Origin(
        kind="git",
        location="data/a.csv",
        version=git(repository, "rev-parse", "HEAD"),
        repository="https://git.example.com/r.git",
    )


def test_a_file_that_differs_from_what_is_committed_is_at_its_path(repository: Path, tmp_path: Path) -> None:
    (repository / "data/new.csv").write_bytes(b"untracked")
    pointers = of_rules(repository, POINTER)
    for name, content in (
        ("data/a.csv", b"changed"),
        ("data/a.csv", b"committed, and more"),
        ("data/new.csv", b"untracked"),
    ):
        path = str(repository / name)
        assert pointers.origin(path, Wanted(of_bytes(content), len(content))) == Origin(kind="path", location=path)
    outside = str(tmp_path / "x")
    assert pointers.origin(outside, Wanted(of_bytes(b""), 0)).kind == "path"


def test_a_replay_says_what_its_original_said() -> None:
    origin = Origin(kind="git", location="a", version="c", repository="r")
    pointers = Pointers({"root": "/job", **header_of_replay({"/job/a": origin})})
    assert pointers.means("/job/a")
    assert not pointers.means("/job/b")
    assert pointers.origin("/job/a", Wanted(of_bytes(b""), 0)) == origin
    assert header_of_replay({}) == {}


def test_pointers_are_named_and_do_not_make_a_replay_less_exact() -> None:
    kept = artifact("a.csv", b"a")
    elsewhere = artifact("b.csv", b"b", keep="pointer")
    assert hazards.from_pointers([kept]) == []
    [found] = hazards.from_pointers([kept, elsewhere, artifact("c.csv", b"c", keep="pointer")])
    assert (found.code, found.exact) == ("kept-elsewhere", True)
    assert found.message.endswith("b.csv and 1 more")
