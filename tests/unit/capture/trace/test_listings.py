"""Answers to getdents64: a real folder read by a real process, its calls answered here."""

from __future__ import annotations

import ctypes
import os
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest

from reenact.capture.trace.listings import Lister, ListingOrder

ENTRY = struct.Struct("=QqHB")


def test_recorded_folders_have_their_order_others_are_sorted_and_the_environments_left() -> None:
    order = ListingOrder({"/data": ["c", "a", "b"]}, {"/usr/lib"})
    assert order.sort("/data", ["a", "b", "c"]) == ["c", "a", "b"]
    assert order.sort("/data", ["z", "b", "new", "c"]) == ["c", "b", "new", "z"]
    assert order.sort("/other", ["b", "é", "B", "a"]) == ["B", "a", "b", "é"]
    assert order.sort("/usr/lib", ["b", "a"]) == ["b", "a"]
    assert [order.decides(path) for path in ("/data", "/other", "/usr/lib")] == [True, True, False]


class Reader:
    """Stands in for a traced process: ourselves, with a buffer that is written through /proc."""

    def __init__(self, lister: Lister, folder: Path, length: int) -> None:
        self.lister, self.folder = lister, str(folder)
        self.descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        self.buffer = ctypes.create_string_buffer(length)

    def call(self) -> int | None:
        given = [self.descriptor, ctypes.addressof(self.buffer), len(self.buffer), 0, 0, 0]
        return self.lister.answer(os.getpid(), os.getpid(), given, self.folder)

    def names(self) -> Iterator[tuple[str, int, int, int]]:
        """Give name, kind, inode and position of each, call by call."""
        while written := self.call():
            at = 0
            while at < written:
                inode, after, length, kind = ENTRY.unpack_from(self.buffer.raw, at)
                name = self.buffer.raw[at + ENTRY.size : at + length].split(b"\0")[0]
                yield os.fsdecode(name), kind, inode, after
                at += length
            assert at == written


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("b", "a", "long" * 40, "d"):
        (tmp_path / name).touch()
    (tmp_path / "sub").mkdir()
    (tmp_path / "link").symlink_to("a")
    return tmp_path


EXPECTED = [".", "..", "d", "b", "a", "link", "long" * 40, "sub"]


@pytest.mark.parametrize("length", [192, 256, 32768])
def test_names_come_in_their_order_whatever_the_buffer_holds(folder: Path, length: int) -> None:
    reader = Reader(Lister(ListingOrder({str(folder): ["d", "gone", "b"]}, ())), folder, length)
    found = list(reader.names())
    assert [name for name, *_ in found] == EXPECTED
    kinds = {name: kind for name, kind, *_ in found}
    assert (kinds["a"], kinds["sub"], kinds["link"], kinds[".."]) == (8, 4, 10, 4)
    assert {name: inode for name, _, inode, _ in found} == {name: os.lstat(folder / name).st_ino for name in EXPECTED}
    assert reader.call() == 0


def test_a_reader_may_rewind_and_seek(folder: Path) -> None:
    reader = Reader(Lister(ListingOrder({str(folder): ["d", "b"]}, ())), folder, 4096)
    positions = {name: after for name, _, _, after in reader.names()}
    for _ in range(2):
        os.lseek(reader.descriptor, 0, os.SEEK_SET)
        assert [name for name, *_ in reader.names()] == EXPECTED
    os.lseek(reader.descriptor, positions["b"], os.SEEK_SET)
    assert [name for name, *_ in reader.names()] == EXPECTED[4:]


def test_what_was_added_is_there_after_a_rewind(folder: Path) -> None:
    reader = Reader(Lister(ListingOrder({}, ())), folder, 4096)
    list(reader.names())
    (folder / "c").touch()
    os.lseek(reader.descriptor, 0, os.SEEK_SET)
    assert "c" in [name for name, *_ in reader.names()]


def test_the_kernel_answers_what_is_its_own(folder: Path) -> None:
    assert Reader(Lister(ListingOrder({}, {str(folder)})), folder, 4096).call() is None
    assert Reader(Lister(ListingOrder({}, ())), folder, 8).call() is None  # it says EINVAL


def test_a_descriptor_that_is_not_open_is_an_error(folder: Path) -> None:
    reader = Reader(Lister(ListingOrder({}, ())), folder, 4096)
    reader.descriptor = 1 << 20
    with pytest.raises(OSError, match="Bad file descriptor"):
        reader.call()
