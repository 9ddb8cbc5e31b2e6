from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from msgspec.structs import replace

from reenact.actions.fetching import Checked, fetch_pointers
from reenact.actions.restore import restore
from reenact.actions.verify import verify
from reenact.digests import of_bytes
from reenact.errors import ObjectDamaged, ObjectMissing, UnreplayableError
from reenact.model.artifact import Artifact, Origin, Pointer
from reenact.model.bundle import Bundle
from reenact.settings import Settings
from reenact.settings.inputs import InputRule
from reenact.store.opening import Store
from tests.bundles import artifact
from tests.records import add_run

CONTENT = b"elsewhere\n" * 200_000


def pointer(path: Path, origin: Origin | None = None, content: bytes = CONTENT) -> Artifact:
    plain = artifact("raw/a.csv", content)
    kept = Pointer(
        digest=of_bytes(content),
        size_bytes=len(content),
        media_type="text/csv",
        origin=origin or Origin(kind="path", location=str(path)),
    )
    return replace(plain, entry=replace(plain.entry, path=str(path), digest=None), pointer=kept, keep="pointer")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    found = tmp_path / "data" / "a.csv"
    found.parent.mkdir()
    found.write_bytes(CONTENT)
    return found


def record(store: Store, found: Artifact) -> Bundle:
    return add_run(store, inputs=(found,), kept=(b"out",))


def test_the_record_is_whole_without_the_bytes(settings: Settings, store: Store, path: Path) -> None:
    record(store, pointer(path))
    path.unlink()
    assert [run.findings for run in verify(settings, (), everything=True, deep=True)] == [()]
    view = store.runs.view(store.runs.ids()[0], "inputs/pointers.jsonl")
    assert b'"keep":"pointer"' in view


def test_bytes_at_their_path_are_like_stored_ones(settings: Settings, store: Store, path: Path, tmp_path: Path) -> None:
    made = record(store, pointer(path))
    filled, missing = fetch_pointers(store, made, settings)
    assert missing == {}
    digest = of_bytes(CONTENT)
    assert filled.inputs[0].entry.digest == digest
    assert store.objects.read(digest) == CONTENT
    assert store.objects.size(digest) == len(CONTENT)
    assert store.objects.holds(digest)
    assert store.objects.verify([digest], content=True) == []
    with (tmp_path / "copy").open("wb") as file:
        assert store.objects.copy_to(digest, file.fileno()) == len(CONTENT)
    assert (tmp_path / "copy").read_bytes() == CONTENT
    assert not Path(store.cache, "fetched").exists()


def test_what_changes_after_it_was_checked_is_not_given_out(settings: Settings, store: Store, path: Path) -> None:
    fetch_pointers(store, record(store, pointer(path)), settings)
    path.write_bytes(b"changed")
    with pytest.raises(ObjectDamaged):
        store.objects.read(of_bytes(CONTENT))
    path.unlink()
    with pytest.raises(ObjectMissing):
        store.objects.read(of_bytes(CONTENT))


def test_a_store_that_keeps_them_for_another_run_is_enough(settings: Settings, store: Store, path: Path) -> None:
    made = add_run(store, inputs=(pointer(path, content=b"small"),), kept=(b"out", b"small"))
    path.unlink()
    assert fetch_pointers(store, made, settings)[1] == {}


def test_what_is_gone_or_changed_is_named(settings: Settings, store: Store, path: Path) -> None:
    made = record(store, pointer(path))
    path.write_bytes(b"changed")
    filled, missing = fetch_pointers(store, made, settings)
    digest = of_bytes(CONTENT)
    [finding] = Checked(store, missing).verify([digest, of_bytes(b"out")], content=True)
    assert (finding.digest, finding.problem) == (digest, "missing")
    assert f"the file at {path} has digest {of_bytes(b'changed')}, recorded {digest}" in finding.detail
    assert filled.inputs[0].entry.digest == digest


def test_where_the_settings_say_now_is_looked_at_too(
    settings: Settings, store: Store, path: Path, tmp_path: Path
) -> None:
    made = record(store, pointer(path))
    moved = tmp_path / "new" / "raw" / "a.csv"
    moved.parent.mkdir(parents=True)
    path.rename(moved)
    rule = InputRule("raw/**", keep="pointer", source=f"{tmp_path}/new/{{name}}")
    assert fetch_pointers(store, made, settings._replace(inputs=(rule,)))[1] == {}
    assert store.objects.read(of_bytes(CONTENT)) == CONTENT


def test_a_commit_is_looked_for_where_the_file_was_and_in_a_named_repository(
    settings: Settings, store: Store, path: Path, tmp_path: Path
) -> None:
    def git(*words: str) -> str:
        command = ["git", "-C", str(path.parent), "-c", "user.name=n", "-c", "user.email=e@example.com", *words]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    git("init", "-q")
    git("add", ".")
    git("commit", "-qm", "x")
    origin = Origin(kind="git", location="a.csv", version=git("rev-parse", "HEAD"))
    made = record(store, pointer(path, origin))
    path.write_bytes(b"a later version")
    assert fetch_pointers(store, made, settings)[1] == {}
    assert store.objects.read(of_bytes(CONTENT)) == CONTENT
    shutil.rmtree(Path(store.cache, "fetched"))
    clone = tmp_path / "clone"
    path.parent.rename(clone)
    store.objects._lent.clear()
    [reason] = fetch_pointers(store, made, settings)[1].values()
    assert f"there is no file at {path}" in reason
    assert "in commit" in reason
    rule = InputRule("raw/**", keep="pointer", repository=str(clone))
    assert fetch_pointers(store, made, settings._replace(inputs=(rule,)))[1] == {}


def test_a_kind_that_this_version_does_not_know_is_no_error(settings: Settings, store: Store, path: Path) -> None:
    made = record(store, pointer(path, Origin(kind="query", location="SELECT 1")))
    path.unlink()
    assert list(fetch_pointers(store, made, settings)[1].values()) == [f"there is no file at {path}"]


def test_restoring_fetches_too_and_says_what_it_cannot(
    settings: Settings, store: Store, path: Path, tmp_path: Path
) -> None:
    record(store, pointer(path))
    restore(settings, "latest", (), to=tmp_path / "in", inputs=True)
    [restored] = [Path(folder, name) for folder, _, names in os.walk(tmp_path / "in") for name in names]
    assert restored.read_bytes() == CONTENT
    path.unlink()
    with pytest.raises(UnreplayableError, match=r"input raw/a\.csv: there is no file at"):
        restore(settings, "latest", (), to=tmp_path / "again", inputs=True)
    assert not (tmp_path / "again").exists()
