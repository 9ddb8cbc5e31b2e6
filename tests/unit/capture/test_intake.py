"""Content goes into the store once, as it was when the run first touched it, or is lost for a reason that is told."""

from __future__ import annotations

import base64
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from reenact.capture.intake import Intake, user_attributes
from reenact.capture.observation import PathRecord
from reenact.digests import Digest, of_bytes
from reenact.ids import RunId
from reenact.store.opening import Store, open_store
from reenact.store.statcache import Remembered
from tests import journals
from tests.bundles import RUN_ID


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    found = open_store(str(tmp_path / "store"), create=True)
    yield found
    found.close()


@pytest.fixture
def intake(store: Store) -> Intake:
    return Intake(store.writer(RunId(RUN_ID)), store.stats)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    found = tmp_path / "in.csv"
    found.write_bytes(b"before")
    return found


def record_of(path: Path, *more: list[Any]) -> PathRecord:
    """What a journal tells of a path as it is now, and of what became of it."""
    return journals.observed(journals.entry(path), ["n", str(path)], *more).paths[str(path)]


def digest_of(intake: Intake, path: Path) -> Digest | None:
    content = intake.contents.get(str(path))
    return content.digest if content is not None else None


def read_back(store: Store, writer_intake: Intake, path: Path) -> bytes:
    content = writer_intake.contents[str(path)]
    return store.objects.read(content.digest)


# --- what was there before the run


def test_a_file_is_stored_with_its_first_bytes(store: Store, path: Path) -> None:
    path.write_bytes(b"head" * 1000)
    writer = store.writer(RunId(RUN_ID))
    intake = Intake(writer, store.stats)
    intake.take(record_of(path))
    writer.commit()
    content = intake.contents[str(path)]
    assert (content.digest, content.size_bytes) == (of_bytes(b"head" * 1000), 4000)
    assert content.head == (b"head" * 1000)[:512]
    assert store.objects.read(content.digest) == b"head" * 1000
    assert (intake.lost, intake.changed) == ({}, set())


def test_a_path_is_read_once(intake: Intake, path: Path) -> None:
    record = record_of(path)
    intake.take(record)
    path.write_bytes(b"after!")
    intake.take(record)
    assert digest_of(intake, path) == of_bytes(b"before")


@pytest.mark.parametrize("content", [b"longer than before", b"BEFORE"])
def test_a_file_changed_since_its_first_touch_is_lost_and_told(intake: Intake, path: Path, content: bytes) -> None:
    record = record_of(path)
    path.write_bytes(content)
    os.utime(path, ns=(1, record.mtime_ns + 1))
    intake.take(record)
    assert digest_of(intake, path) is None
    assert intake.lost == {str(path): "changed before it could be read"}
    assert intake.changed == {str(path)}


def test_times_the_run_has_set_itself_are_no_change(intake: Intake, path: Path) -> None:
    record = record_of(path, ["m", str(path), "x"])
    os.utime(path, (5, 5))
    intake.take(record)
    assert digest_of(intake, path) == of_bytes(b"before")


def test_a_file_the_run_has_moved_is_read_where_it_is(intake: Intake, path: Path) -> None:
    moved = path.with_name("moved.csv")
    record = record_of(path, ["m", str(path), "u"], ["v", str(path), str(moved)])
    path.rename(moved)
    intake.take(record)
    assert digest_of(intake, path) == of_bytes(b"before")


def test_kept_bytes_are_taken_instead_of_changed_ones(intake: Intake, path: Path) -> None:
    kept = path.with_name("kept")
    kept.write_bytes(b"before")
    record = record_of(path, ["p", str(path), str(kept), ""], ["m", str(path), "w"])
    path.write_bytes(b"after the run")
    intake.take(record)
    assert digest_of(intake, path) == of_bytes(b"before")


def test_bytes_kept_as_another_name_must_still_be_what_they_were(intake: Intake, path: Path) -> None:
    """A hard link shares its bytes with whoever has the file open, or under a third name."""
    kept = path.with_name("kept")
    os.link(path, kept)
    record = record_of(path, ["p", str(path), str(kept), ""], ["m", str(path), "u"])
    path.unlink()
    kept.write_bytes(b"written through another name")
    intake.take(record)
    assert digest_of(intake, path) is None
    assert intake.changed == {str(path)}


def test_what_is_lost_at_first_can_be_found_later(intake: Intake, path: Path) -> None:
    """The recorder may meet a file the run has changed before it reads in the journal where its bytes were kept."""
    kept = path.with_name("kept")
    kept.write_bytes(b"before")
    early = record_of(path)
    late = record_of(path, ["p", str(path), str(kept), ""])
    path.write_bytes(b"after the run")
    intake.take(early)
    assert intake.lost.keys() == intake.changed == {str(path)}
    intake.take(late)
    assert digest_of(intake, path) == of_bytes(b"before")
    assert (intake.lost, intake.changed) == ({}, set())


def test_bytes_deliberately_not_kept_are_lost_by_the_run_itself(intake: Intake, path: Path) -> None:
    early = record_of(path)
    late = record_of(path, ["p", str(path), "", "larger than 5 bytes"])
    path.write_bytes(b"after the run")
    intake.take(early)
    intake.take(late)
    assert intake.lost == {str(path): "larger than 5 bytes"}
    assert intake.changed == set()


def test_bytes_another_recorder_has_stored_are_not_lost_by_word(intake: Intake, path: Path) -> None:
    intake.take(record_of(path, ["p", str(path), "", "stored"]))
    assert (intake.contents, intake.lost) == ({}, {})


def test_bytes_that_were_let_go_again_are_read_where_they_are(intake: Intake, path: Path) -> None:
    intake.take(record_of(path, ["p", str(path), "/gone", ""], ["p", str(path), "", ""]))
    assert digest_of(intake, path) == of_bytes(b"before")


@pytest.mark.parametrize(
    ("replace", "reason"),
    [
        (lambda path: path.unlink(), "cannot be read: No such file or directory"),
        (lambda path: (path.unlink(), path.mkdir()), "it is no file any more"),
        (lambda path: (path.unlink(), path.symlink_to("/dev/null")), "it is no file any more"),
    ],
    ids=["gone", "folder", "device"],
)
def test_what_is_no_file_any_more_is_lost(intake: Intake, path: Path, replace: Any, reason: str) -> None:
    record = record_of(path)
    replace(path)
    intake.take(record)
    assert intake.lost == {str(path): reason}
    assert intake.changed == set()


def test_what_never_was_a_file_is_lost(intake: Intake, tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    intake.take(record_of(fifo))
    assert intake.lost == {str(fifo): "it is no file"}


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_what_may_not_be_read_is_lost(intake: Intake, path: Path) -> None:
    path.chmod(0)
    intake.take(record_of(path))
    assert intake.lost == {str(path): "cannot be read: Permission denied"}


def test_known_content_is_not_read(store: Store, path: Path) -> None:
    writer = store.writer(RunId(RUN_ID))
    told = writer.add_bytes(b"told")
    known = {str(path): (told, 4)}
    intake = Intake(writer, store.stats, known=known.get)
    intake.take(record_of(path))
    assert digest_of(intake, path) == told


def test_known_content_that_the_store_has_no_more_is_read(store: Store, path: Path) -> None:
    known = {str(path): (of_bytes(b"swept"), 5)}
    intake = Intake(store.writer(RunId(RUN_ID)), store.stats, known=known.get)
    intake.take(record_of(path))
    assert digest_of(intake, path) == of_bytes(path.read_bytes())


def test_a_prefix_is_put_before_the_jobs_paths_alone(store: Store, tmp_path: Path) -> None:
    below = tmp_path / "world"
    (below / "data").mkdir(parents=True)
    (below / "data/in.csv").write_bytes(b"in the world")
    kept = tmp_path / "kept"
    kept.write_bytes(b"kept outside")
    intake = Intake(store.writer(RunId(RUN_ID)), store.stats, prefix=str(below))
    told = journals.entry(below / "data/in.csv")
    for path, more in (("/data/in.csv", []), ("/data/kept", [["p", "/data/kept", str(kept), ""]])):
        told[1] = path
        intake.take(journals.observed(told, ["n", path], *more).paths[path])
    assert intake.contents["/data/in.csv"].digest == of_bytes(b"in the world")
    assert intake.contents["/data/kept"].digest == of_bytes(b"kept outside")
    assert intake.take_file("/data/in.csv")[1] == intake.contents["/data/in.csv"].__class__(
        of_bytes(b"in the world"), 12, b"in the world", None
    )


def test_files_of_the_kernel_are_taken_whatever_their_times_say(intake: Intake) -> None:
    path = Path("/sys/kernel/notes")
    if not path.exists():
        pytest.skip("no /sys here")
    record = record_of(path)
    record.mtime_ns += 5
    record.size += 1
    intake.take(record)
    assert digest_of(intake, path) == of_bytes(path.read_bytes())
    assert intake.contents[str(path)].attributes == {}


# --- the cache


def remember(store: Store, intake: Intake) -> None:
    store.stats.remember_many([Remembered(*item) for item in intake.fresh])


def test_an_unchanged_file_is_not_read_again(store: Store, path: Path) -> None:
    os.utime(path, (1, 1))
    old = os.stat(path)
    writer = store.writer(RunId(RUN_ID))
    first = Intake(writer, store.stats)
    first.take(record_of(path))
    writer.commit()
    [(found, digest, begun)] = first.fresh
    assert (found.st_ino, digest) == (old.st_ino, of_bytes(b"before"))
    # A file that was read in the moment it changed may have changed after; one read a minute later has not.
    first.fresh = [(found, digest, begun + 60_000_000_000)]
    remember(store, first)
    second = Intake(store.writer(RunId(RUN_ID)), store.stats)
    second.take(record_of(path))
    assert second.fresh == []
    assert digest_of(second, path) == of_bytes(b"before")
    assert second.contents[str(path)].head == b"before"


def test_a_cached_digest_whose_bytes_are_not_stored_is_read_again(store: Store, path: Path) -> None:
    os.utime(path, (1, 1))
    store.stats.remember_many([Remembered(os.stat(path), of_bytes(b"before"), os.stat(path).st_ctime_ns + 10**11)])
    intake = Intake(store.writer(RunId(RUN_ID)), store.stats)
    intake.take(record_of(path))
    assert len(intake.fresh) == 1


# --- what is there now


def test_an_output_is_stored_as_it_is_now(intake: Intake, path: Path) -> None:
    found, content = intake.take_file(str(path))
    assert content is not None
    assert (found.st_size, content.digest, content.attributes) == (6, of_bytes(b"before"), None)


def test_what_is_no_file_has_no_content(intake: Intake, tmp_path: Path, path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(path)
    assert stat.S_ISLNK(intake.take_file(str(link))[0].st_mode)
    assert intake.take_file(str(link))[1] is None
    assert intake.take_file(str(tmp_path))[1] is None
    with pytest.raises(FileNotFoundError):
        intake.take_file(str(tmp_path / "missing"))


class Restless:
    """A writer to whom a file grows whenever it is read."""

    def __init__(self, path: Path, times: int) -> None:
        self.path, self.times = path, times

    def add_descriptor(self, descriptor: int, *_: object, likely_held: bool = False) -> Any:  # noqa: ARG002
        class Added:
            size_bytes = os.fstat(descriptor).st_size
            digest = of_bytes(self.path.read_bytes())

        if self.times:
            self.times -= 1
            with self.path.open("ab") as file:
                file.write(b"x")
        return Added

    def holds(self, _: Digest, /) -> bool:
        return False


class NoCache:
    def lookup(self, _: os.stat_result, /) -> Digest | None:
        return None


def test_an_output_that_still_grows_is_read_until_it_rests(path: Path) -> None:
    found, content = Intake(Restless(path, 2), NoCache()).take_file(str(path))
    assert content is not None
    assert (found.st_size, content.digest) == (8, of_bytes(b"beforexx"))


def test_an_output_that_never_rests_is_an_error(path: Path) -> None:
    with pytest.raises(OSError, match="keeps changing"):
        Intake(Restless(path, 100), NoCache()).take_file(str(path))


def test_an_input_that_changes_while_it_is_read_is_lost(path: Path) -> None:
    intake = Intake(Restless(path, 1), NoCache())
    intake.take(record_of(path))
    assert intake.changed == {str(path)}


# --- extended attributes


def test_user_attributes_are_kept_in_base64_of_files_and_links(path: Path) -> None:
    try:
        os.setxattr(path, "user.note", b"\xff\x00")
    except OSError:
        pytest.skip("no extended attributes on this file system")
    expected = {"user.note": base64.b64encode(b"\xff\x00").decode()}
    assert user_attributes(str(path)) == expected
    with path.open("rb") as file:
        assert user_attributes(file.fileno()) == expected
    link = path.with_name("link")
    link.symlink_to(path)
    assert user_attributes(str(link)) == {}
    assert user_attributes(str(path.with_name("missing"))) == {}


def test_attributes_are_read_with_the_bytes(intake: Intake, path: Path) -> None:
    try:
        os.setxattr(path, "user.note", b"x")
    except OSError:
        pytest.skip("no extended attributes on this file system")
    intake.take(record_of(path))
    assert intake.contents[str(path)].attributes == {"user.note": "eA=="}
