"""The contract of :class:`reenact.store.interface.Backend` as tests.

Subclass :class:`BackendContract` in a test module and give it a fixture `backend`, an empty backend::

    class TestMine(BackendContract):
        @pytest.fixture
        def backend(self):
            return MyBackend()
"""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path

import pytest

from reenact.errors import KeyAbsent
from reenact.store.interface import Backend, Listed

__all__ = ["BackendContract"]

_CLOCKS_APART_SECONDS = 60.0
"""How far the clock of the place may be from ours."""

_MALFORMED = ("", "/a", "a/", "a//b", ".", "..", "a/../b", ".tmp-a", "a/.tmp-b", "a b", "ä", "a\n", "a\0b")


class BackendContract:
    """What every backend does."""

    def test_gives_back_what_was_put(self, backend: Backend) -> None:
        """Any bytes, also none."""
        for key, data in {"a": b"", "b/c": b"\0\xff" * 1000, "b/d-e_f.g": b"x"}.items():
            assert backend.put_if_absent(key, data)
            assert backend.get(key) == data
            assert backend.size(key) == len(data)
            assert backend.exists(key)

    def test_never_replaces(self, backend: Backend) -> None:
        """The first value stays, also against an equal one."""
        assert backend.put_if_absent("k", b"first")
        assert not backend.put_if_absent("k", b"second")
        assert not backend.put_if_absent("k", b"first")
        assert backend.get("k") == b"first"

    def test_ranges_end_where_the_value_ends(self, backend: Backend) -> None:
        """Fewer bytes than asked for only at the end."""
        backend.put_if_absent("k", b"0123456789")
        assert backend.get_range("k", 2, 3) == b"234"
        assert backend.get_range("k", 8, 100) == b"89"
        assert backend.get_range("k", 10, 1) == b""
        assert backend.get_range("k", 99, 1) == b""
        assert backend.get_range("k", 0, 0) == b""

    def test_absent_keys(self, backend: Backend) -> None:
        """Also one below a value and the name of a folder."""
        backend.put_if_absent("folder/value", b"")
        for key in ("nothing", "folder", "folder/other", "folder/value/below"):
            assert not backend.exists(key)
            for ask in (backend.get, backend.size, backend.modified):
                with pytest.raises(KeyAbsent):
                    ask(key)
            with pytest.raises(KeyAbsent):
                backend.get_range(key, 0, 1)

    @pytest.mark.parametrize("key", _MALFORMED)
    def test_refuses_malformed_keys(self, backend: Backend, key: str) -> None:
        """Before it touches anything."""
        with pytest.raises(ValueError, match="not a key"):
            backend.put_if_absent(key, b"")
        with pytest.raises(ValueError, match="not a key"):
            backend.get(key)
        with pytest.raises(ValueError, match="not a key"):
            backend.exists(key)
        with pytest.raises(ValueError, match="not a key"):
            backend.delete(key)

    def test_lists_by_prefix_in_the_order_of_bytes(self, backend: Backend) -> None:
        """A prefix is text, not a folder; "-" and "." sort before "/", "0" behind it."""
        keys = ["a", "b-c/d", "b.c", "b/c/d", "b/c/e", "b/cc", "b0/c", "bb", "c"]
        for key in reversed(keys):
            backend.put_if_absent(key, b"")
        assert list(backend.list("")) == keys
        assert list(backend.list("b/")) == ["b/c/d", "b/c/e", "b/cc"]
        assert list(backend.list("b/c")) == ["b/c/d", "b/c/e", "b/cc"]
        assert list(backend.list("b")) == keys[1:-1]
        assert list(backend.list("b/c/d")) == ["b/c/d"]
        assert list(backend.list("nothing/at/all")) == []

    def test_tells_when_a_value_was_put(self, backend: Backend, tmp_path: Path) -> None:
        """Not when the file was written that became it."""
        path = Path(backend.staging() or tmp_path, ".tmp-file")
        path.write_bytes(b"old")
        os.utime(path, (1, 1))
        before = time.time() - _CLOCKS_APART_SECONDS
        backend.put_if_absent("k", b"")
        backend.put_file_if_absent("f", path)
        for key in ("k", "f"):
            assert before <= backend.modified(key) <= time.time() + _CLOCKS_APART_SECONDS

    def test_lists_with_sizes_and_times(self, backend: Backend) -> None:
        """What is asked for one by one, for all at once."""
        for key, data in {"b/c": b"123", "b/d": b"", "b-": b"1", "a": b"1234"}.items():
            backend.put_if_absent(key, data)
        found = list(backend.listing("b"))
        assert [(item.key, item.size_bytes) for item in found] == [("b-", 1), ("b/c", 3), ("b/d", 0)]
        assert all(abs(item.modified - backend.modified(item.key)) < 1 for item in found)
        assert isinstance(found[0], Listed)
        assert list(backend.listing("c")) == []

    def test_names_are_the_next_level(self, backend: Backend) -> None:
        """Values and folders alike."""
        for key in ("f/b/x", "f/a", "f/b/y", "g/h", "f/c.d"):
            backend.put_if_absent(key, b"")
        assert list(backend.names("f")) == ["a", "b", "c.d"]
        assert list(backend.names("nothing")) == []
        assert list(backend.names("f/a")) == []

    def test_deletes(self, backend: Backend) -> None:
        """What is not there is not missed, and the key is free again."""
        backend.put_if_absent("f/k", b"old")
        backend.delete("f/k")
        backend.delete("f/k")
        backend.delete("f/k/below")
        assert not backend.exists("f/k")
        assert backend.put_if_absent("f/k", b"new")
        assert backend.get("f/k") == b"new"

    def test_puts_a_group(self, backend: Backend) -> None:
        """The value that counts once, and with it what belongs to it; what a failed attempt left is replaced."""
        backend.put_if_absent("g/one/a", b"left behind")
        before = {"g/one/a": b"a", "g/two/b": b"", "g/c": b"c"}
        assert backend.put_group(before, "g/last", b"counts")
        assert {key: backend.get(key) for key in before} == before
        assert backend.get("g/last") == b"counts"
        assert not backend.put_group(before, "g/last", b"other")
        assert backend.get("g/last") == b"counts"
        assert list(backend.list("")) == ["g/c", "g/last", "g/one/a", "g/two/b"]
        assert backend.put_group({}, "alone", b"1")

    def test_takes_over_a_file(self, backend: Backend, tmp_path: Path) -> None:
        """Whether the key was free or not."""
        for content, won in ((b"one", True), (b"two", False)):
            path = Path(backend.staging() or tmp_path, ".tmp-file")
            path.write_bytes(content)
            assert backend.put_file_if_absent("files/f", path) is won
            assert not path.exists()
        assert backend.get("files/f") == b"one"

    def test_replaces_by_a_file(self, backend: Backend, tmp_path: Path) -> None:
        """Only what is there."""
        backend.put_if_absent("f/there", b"old and long")
        for key, there in (("f/there", True), ("f/absent", False)):
            path = Path(backend.staging() or tmp_path, ".tmp-file")
            path.write_bytes(b"new")
            assert backend.replace_file(key, path) is there
            assert not path.exists()
        assert backend.get("f/there") == b"new"
        assert backend.size("f/there") == len(b"new")
        assert list(backend.list("")) == ["f/there"]

    def test_temporary_files_are_not_values(self, backend: Backend, tmp_path: Path) -> None:
        """What lies in the staging folder is seen by nothing."""
        path = Path(backend.staging() or tmp_path, ".tmp-file")
        path.write_bytes(b"")
        backend.put_if_absent("k", b"")
        assert list(backend.list("")) == ["k"]

    def test_one_of_many_wins(self, backend: Backend) -> None:
        """Threads race for the same keys; each key has one winner, and its value."""
        wins: list[tuple[str, bytes]] = []
        start = threading.Barrier(4)

        def race(me: bytes) -> None:
            start.wait()
            keys = [f"race/{number}" for number in range(20)]
            wins.extend((key, me) for key in keys if backend.put_if_absent(key, me))

        threads = [threading.Thread(target=race, args=(b"%d" % number,)) for number in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(key for key, _ in wins) == sorted(f"race/{number}" for number in range(20))
        assert all(backend.get(key) == winner for key, winner in wins)
