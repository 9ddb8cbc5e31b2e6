"""What was read is read from this host again: only what was there, only as it was, and only so much."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from reenact.errors import KeyAbsent
from reenact.store.backends.cache import CachingBackend
from reenact.store.backends.memory import MemoryBackend
from reenact.testing.counting import CountingBackend


class Shelf:
    def __init__(self, tmp_path: Path, most_bytes: int = 1 << 20) -> None:
        self.now = 1_000_000.0
        self.place = CountingBackend(MemoryBackend())
        self.folder = tmp_path / "copies"
        self.most_bytes = most_bytes
        self.backend = self.again()

    def again(self) -> CachingBackend:
        return CachingBackend(self.place, str(self.folder), self.most_bytes, clock=lambda: self.now)

    def files(self) -> list[Path]:
        return [path for path in self.folder.rglob("*") if path.is_file()]


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    return Shelf(tmp_path)


def test_a_value_and_its_parts_are_read_once(shelf: Shelf) -> None:
    shelf.place.put_if_absent("k", b"0123456789")
    for backend in (shelf.backend, shelf.backend, shelf.again()):
        assert backend.get("k") == b"0123456789"
        assert backend.get_range("k", 2, 3) == b"234"
        assert backend.get_range("k", 8, 9) == b"89"
    assert shelf.place.calls["get"] == 3


def test_absence_is_never_kept(shelf: Shelf) -> None:
    for _ in range(2):
        with pytest.raises(KeyAbsent):
            shelf.backend.get("k")
        assert not shelf.backend.exists("k")
    shelf.place.inner.put_if_absent("k", b"now")
    assert shelf.backend.get("k") == b"now"
    assert shelf.backend.exists("k")


def test_presence_is_never_kept(shelf: Shelf) -> None:
    """Who stores an object that is there already relies on it."""
    shelf.backend.put_if_absent("k", b"v")
    shelf.backend.get("k")
    shelf.place.inner.delete("k")
    assert not shelf.backend.exists("k")
    with pytest.raises(KeyAbsent):
        shelf.backend.size("k")


@pytest.mark.parametrize("at", [0, 31, 32, -1])
def test_a_changed_copy_is_dropped(shelf: Shelf, at: int) -> None:
    shelf.place.put_if_absent("k", b"value")
    shelf.backend.get("k")
    (copy,) = shelf.files()
    data = bytearray(copy.read_bytes())
    data[at] ^= 1
    copy.chmod(0o600)
    copy.write_bytes(data)
    os.utime(copy, (shelf.now, shelf.now))
    assert shelf.backend.get("k") == b"value"
    assert shelf.place.calls["get"] == 2
    assert shelf.backend.get("k") == b"value"
    assert shelf.place.calls["get"] == 2


@pytest.mark.parametrize("content", [b"", b"short"])
def test_a_copy_cut_short_is_dropped(shelf: Shelf, content: bytes) -> None:
    shelf.place.put_if_absent("k", b"value")
    shelf.backend.get("k")
    (copy,) = shelf.files()
    copy.chmod(0o600)
    copy.write_bytes(content)
    os.utime(copy, (shelf.now, shelf.now))
    assert shelf.backend.get("k") == b"value"


def test_a_copy_lives_for_a_day(shelf: Shelf) -> None:
    shelf.place.put_if_absent("k", b"damaged")
    assert shelf.backend.get("k") == b"damaged"
    shelf.place.inner.delete("k")
    shelf.place.inner.put_if_absent("k", b"repaired elsewhere")
    shelf.now += 86_000
    assert shelf.backend.get("k") == b"damaged"
    shelf.now += 1000
    assert shelf.backend.get("k") == b"repaired elsewhere"


def test_what_is_replaced_here_is_read_anew(shelf: Shelf) -> None:
    shelf.backend.put_if_absent("k", b"old")
    shelf.backend.get("k")
    shelf.backend.delete("k")
    shelf.backend.put_if_absent("k", b"new")
    assert shelf.backend.get("k") == b"new"


def test_room_is_bounded_and_the_least_used_goes_first(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path, most_bytes=10_000)
    for number in range(30):
        shelf.place.put_if_absent(f"k{number}", bytes([number]) * 1000)
    for number in range(30):
        shelf.now += 1
        shelf.backend.get(f"k{number}")
        shelf.now += 1
        shelf.backend.get("k0")
        assert sum(path.stat().st_size for path in shelf.files()) <= 10_000
    calls = shelf.place.calls["get"]
    shelf.backend.get("k0")
    shelf.backend.get("k29")
    assert shelf.place.calls["get"] == calls
    # Another process finds what there is, and keeps to the bound too.
    other = shelf.again()
    for number in range(30):
        other.get(f"k{number}")
    assert sum(path.stat().st_size for path in shelf.files()) <= 10_000


def test_copies_are_for_their_owner_alone(shelf: Shelf) -> None:
    shelf.place.put_if_absent("k", b"value")
    shelf.backend.get("k")
    assert stat.S_IMODE(shelf.folder.stat().st_mode) == 0o700
    assert all(stat.S_IMODE(path.stat().st_mode) == 0o600 for path in shelf.files())


def test_a_folder_that_cannot_be_used_is_done_without(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path)
    shelf.folder.write_bytes(b"a file")
    shelf.place.put_if_absent("k", b"value")
    assert shelf.backend.get("k") == b"value"
    assert shelf.backend.get("k") == b"value"
    shelf.backend.delete("k")


def test_long_pieces_are_not_kept(shelf: Shelf) -> None:
    shelf.place.put_if_absent("k", bytes(9 << 20))
    assert len(shelf.backend.get("k")) == 9 << 20
    assert len(shelf.backend.get_range("k", 0, 9 << 20)) == 9 << 20
    assert shelf.files() == []
