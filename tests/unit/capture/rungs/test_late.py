"""Looking after the fact: on real files, with calls told after they were made."""

from __future__ import annotations

import mmap
import os
import stat
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from reenact.capture.files import FileStates
from reenact.capture.rungs.late import Hindsight, LateJournal, LatePreimages, birth_ns, imagined

OLD = 1_600_000_000


class Late:
    """A state machine that is told late, and what it wrote."""

    def __init__(self, stored: mmap.mmap) -> None:
        self.records: list[list[Any]] = []
        self.stored = stored
        since = time.time_ns() - 10_000_000
        self.files = Hindsight(since)
        self.preimages = LatePreimages(stored)
        self.journal = LateJournal(self._write, self.preimages, since)
        self.states = FileStates(self.files, self.preimages, self.journal.emit)
        self.files.attach(self.states)

    def _write(self, record: list[Any]) -> int:
        self.records.append(record)
        return len(self.records)

    def told(self, path: Path, flags: int) -> None:
        self.states.opened("1", str(path), flags)
        self.journal.settle(self.states)

    def of(self, path: Path) -> list[str]:
        return [record[0] for record in self.records if str(path) in record[1:3]]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "old").write_text("before")
    os.utime(tmp_path / "old", (OLD, OLD))
    time.sleep(0.05)  # the recording begins clearly after these were made: file times are coarse
    return tmp_path


@pytest.fixture
def late(folder: Path) -> Iterator[Late]:
    if birth_ns(str(folder)) is None:
        pytest.skip("this file system does not tell when a file was created")
    stored = mmap.mmap(-1, 8)
    found = Late(stored)
    yield found
    stored.close()


def test_birth_is_now_whatever_the_other_times_say(folder: Path) -> None:
    born = birth_ns(str(folder / "old"))
    assert born is None or abs(born - time.time_ns()) < 60 * 1_000_000_000
    assert birth_ns(str(folder / "nothing")) is None


def test_what_was_made_by_the_call_was_not_there_before(folder: Path, late: Late) -> None:
    new = folder / "new"
    new.write_text("x")
    late.told(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    assert str(new) in late.states.made
    assert "e" not in late.of(new)


def test_a_probe_of_something_not_made_yet_does_not_make_it_an_input(folder: Path, late: Late) -> None:
    new = folder / "new"
    new.write_text("x")
    late.states.probed(str(new), follow=True)
    late.told(new, os.O_WRONLY | os.O_CREAT)
    assert str(new) in late.states.made
    assert str(new) not in late.states.entries


def test_a_listing_leaves_out_what_came_later(folder: Path, late: Late) -> None:
    (folder / "new").write_text("x")
    late.states.listed("1", str(folder))
    assert [record[2] for record in late.records if record[0] == "l"] == [["old"]]


def test_an_unchanged_file_is_needed_and_not_kept(folder: Path, late: Late) -> None:
    late.told(folder / "old", os.O_RDONLY)
    assert late.of(folder / "old") == ["e", "a", "n"]


def test_bytes_written_by_the_run_are_never_taken_for_those_before(folder: Path, late: Late) -> None:
    (folder / "old").write_text("after")
    late.told(folder / "old", os.O_RDONLY)
    late.told(folder / "old", os.O_WRONLY)
    kinds = late.of(folder / "old")
    assert kinds.index("p") < kinds.index("n")
    assert [record[2:] for record in late.records if record[0] == "p"] == [["", "changed before it could be read"]]


def test_a_change_in_place_shows_though_it_was_seen_late(folder: Path, late: Late) -> None:
    (folder / "old").write_text("after")
    late.told(folder / "old", os.O_WRONLY | os.O_TRUNC)
    entry = next(record for record in late.records if record[0] == "e" and record[1] == str(folder / "old"))
    assert entry[10] == 0
    assert "m" in late.of(folder / "old")


def test_what_is_replaced_after_it_was_read_is_kept(folder: Path, late: Late) -> None:
    late.told(folder / "old", os.O_RDONLY)
    (folder / "other").write_text("other")
    (folder / "other").rename(folder / "old")
    found = late.states.entries[str(folder / "old")]
    where, reason = late.preimages.keep(str(folder / "old"), found.state, needed=found.needed_at, name_only=True)
    assert reason == ""
    assert Path(where).read_text() == "before"
    assert late.preimages.holding
    os.close(int(where.rpartition("/")[2]))


def test_what_is_stored_needs_no_keeping(folder: Path, late: Late) -> None:
    late.told(folder / "old", os.O_RDONLY)
    found = late.states.entries[str(folder / "old")]
    late.stored[:8] = found.needed_at.to_bytes(8, "little")
    assert late.preimages.keep("x", found.state, needed=found.needed_at, name_only=False) == ("", "stored")
    late.preimages.hold(str(folder / "nothing"), found.state, 10)  # lets go of what is stored


def test_what_is_pretended_counts_for_one_call(folder: Path) -> None:
    files = Hindsight(0)
    files.pretend[str(folder / "old")] = None
    with pytest.raises(FileNotFoundError):
        files.lstat(str(folder / "old"))
    files.pretend[str(folder / "gone")] = imagined(stat.S_IFREG)
    assert stat.S_ISREG(files.lstat(str(folder / "gone")).st_mode)
    files.pretend.clear()
    assert files.lstat(str(folder / "old")).st_size == len("before")


def test_a_folder_that_moved_is_seen_under_its_old_name(folder: Path) -> None:
    (folder / "d").mkdir()
    (folder / "d" / "x").write_text("x")
    files = Hindsight(1 << 62)
    (folder / "d").rename(folder / "e")
    files.moved = (str(folder / "d"), str(folder / "e"))
    assert [name for name, _ in files.scan(str(folder / "d"))] == ["x"]
    with pytest.raises(FileNotFoundError):
        files.lstat(str(folder / "e"))
