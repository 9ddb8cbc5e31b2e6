"""A cache file that is damaged, locked, of another version or not to be had: made anew or done without, never wrong."""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from reenact.store.cachefile import CacheFile

TABLES = ("CREATE TABLE words (word TEXT PRIMARY KEY)",)


class Words:
    """A cache of words that can always be found again: those in `truth`."""

    def __init__(self, path: Path | None, *, version: int = 1, tables: tuple[str, ...] = TABLES) -> None:
        self.truth = ["one", "two"]
        self.fills = 0
        self.file = CacheFile(None if path is None else str(path), version=version, tables=tables, fill=self._fill)

    def _fill(self, db: sqlite3.Connection) -> None:
        self.fills += 1
        db.executemany("INSERT INTO words (word) VALUES (?)", [(word,) for word in self.truth])

    def all(self) -> list[str]:
        return self.file.read(lambda db: [word for (word,) in db.execute("SELECT word FROM words ORDER BY word")])

    def add(self, word: str) -> bool:
        return self.file.write(lambda db: _insert(db, word))


def _insert(db: sqlite3.Connection, word: str) -> None:
    db.execute("INSERT OR IGNORE INTO words (word) VALUES (?)", (word,))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "deep" / "cache.sqlite"


@pytest.fixture
def words(path: Path) -> Iterator[Words]:
    made = Words(path)
    yield made
    made.file.close()


def on_disk(path: Path) -> list[str]:
    other = Words(path)
    other.truth = ["the file was made anew"]
    found = other.all()
    other.file.close()
    return found


def test_a_new_file_is_filled_once_and_kept(words: Words, path: Path) -> None:
    assert words.all() == ["one", "two"]
    assert words.add("three")
    words.file.close()
    assert words.all() == ["one", "three", "two"]
    assert words.fills == 1
    assert on_disk(path) == ["one", "three", "two"]


def test_in_memory_nothing_is_left(tmp_path: Path) -> None:
    words = Words(None)
    assert words.add("three")
    assert words.all() == ["one", "three", "two"]
    words.file.close()
    assert os.listdir(tmp_path) == []


def test_a_file_of_another_version_is_made_anew(words: Words, path: Path) -> None:
    words.add("three")
    words.file.close()
    newer = Words(path, version=2, tables=("CREATE TABLE words (word TEXT PRIMARY KEY, more TEXT DEFAULT '')",))
    newer.truth = []
    newer.file.read(lambda db: db.execute("SELECT more FROM words").fetchall())
    newer.file.close()
    assert words.all() == ["one", "two"]


@pytest.mark.parametrize("damage", ["tables", "pages", "header"])
def test_a_file_damaged_between_two_uses_is_made_anew(words: Words, path: Path, damage: str) -> None:
    for number in range(500):
        words.add(f"word {number}" * 20)
    words.file.close()
    if damage == "tables":
        # Of the right version, but without what it should hold.
        with sqlite3.connect(path) as db:
            db.execute("DROP TABLE words")
        db.close()
    else:
        data = bytearray(path.read_bytes())
        start = 0 if damage == "header" else 4096
        data[start:] = os.urandom(len(data) - start)
        path.write_bytes(data)
    assert words.all() == ["one", "two"]
    words.file.close()
    assert on_disk(path) == ["one", "two"], "the file itself must be whole again"


def test_a_damaged_file_takes_nothing_and_the_next_use_makes_it_anew(words: Words, path: Path) -> None:
    path.parent.mkdir()
    path.write_bytes(os.urandom(5000))
    assert not words.add("three")
    assert words.all() == ["one", "two"]
    assert words.add("three")


def test_a_change_that_fails_leaves_all_as_it_was(words: Words) -> None:
    def half(db: sqlite3.Connection) -> None:
        _insert(db, "half")
        raise KeyError

    words.all()
    with pytest.raises(KeyError):
        words.file.write(half)
    assert words.all() == ["one", "two"]
    assert words.add("three")


def test_a_wrong_statement_is_no_reason_to_hang(words: Words) -> None:
    words.all()
    assert not words.file.write(lambda db: db.execute("INSERT INTO nothing VALUES (1)"))  # type: ignore[arg-type]
    assert words.all() == ["one", "two"]


def test_a_renewed_file_is_filled_with_what_is_true_now(words: Words, path: Path) -> None:
    words.all()
    words.truth = ["now"]
    words.file.renew()
    assert words.all() == ["now"]
    words.file.close()
    assert on_disk(path) == ["now"]


def test_a_forsaken_file_stays_as_it_is(words: Words, path: Path) -> None:
    words.all()
    words.truth = ["now"]
    words.file.forsake()
    assert words.all() == ["now"]
    words.file.close()
    assert on_disk(path) == ["one", "two"]


@pytest.mark.parametrize("obstacle", ["file in the place of the folder", "folder in the place of the file"])
def test_where_there_can_be_no_file_memory_does(path: Path, obstacle: str) -> None:
    if obstacle.startswith("file"):
        path.parent.write_bytes(b"")
    else:
        path.mkdir(parents=True)
    words = Words(path)
    assert words.all() == ["one", "two"]
    assert words.add("three")
    assert words.all() == ["one", "three", "two"]
    words.file.close()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_read_only_file_is_read_and_not_written(words: Words, path: Path) -> None:
    words.add("three")
    words.file.close()
    path.chmod(0o444)
    path.parent.chmod(0o555)
    try:
        again = Words(path)
        assert set(again.all()) >= {"one", "two"}
        again.add("four")
        again.file.close()
    finally:
        path.parent.chmod(0o755)
    assert on_disk(path) == ["one", "three", "two"]


def test_a_file_another_process_holds_for_long_is_done_without(
    words: Words, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("reenact.store.cachefile._BUSY_SECONDS", 0.05)
    words.all()
    words.file.close()
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    try:
        assert not words.add("three")
        assert words.all() == ["one", "two"]
    finally:
        other.execute("ROLLBACK")
        other.close()


def test_a_child_opens_the_file_for_itself(words: Words) -> None:
    words.add("parent")
    child = os.fork()
    if not child:
        fine = words.all() == ["one", "parent", "two"] and words.add("child")
        words.file.close()
        os._exit(0 if fine else 1)
    assert os.waitpid(child, 0)[1] == 0
    assert words.add("after")
    assert words.all() == ["after", "child", "one", "parent", "two"]


def test_threads_take_turns(words: Words) -> None:
    def add(start: int) -> None:
        for number in range(start, start + 30):
            assert words.add(str(number))

    threads = [threading.Thread(target=add, args=(start,)) for start in (100, 200, 300)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(words.all()) == 92
