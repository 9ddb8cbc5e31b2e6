"""What the job's standard descriptors are called, and which of them are one."""

from __future__ import annotations

import os
import pty
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from reenact.capture.streams import describe, same_file, unnamed_content, wants_relay


@contextmanager
def opened(path: object, flags: int = os.O_RDWR | os.O_CREAT) -> Iterator[int]:
    descriptor = os.open(str(path), flags, 0o600)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


# --- what it is


def test_a_file_is_its_path_and_where_in_it(tmp_path: Path) -> None:
    (tmp_path / "in").write_bytes(b"0123456789")
    with opened(tmp_path / "in") as descriptor:
        os.lseek(descriptor, 4, os.SEEK_SET)
        assert describe(descriptor) == {
            "kind": "file",
            "path": str(tmp_path / "in"),
            "offset_bytes": 4,
            "append": False,
            "size_bytes": 10,
        }
        assert os.lseek(descriptor, 0, os.SEEK_CUR) == 4
    with opened(tmp_path / "in", os.O_WRONLY | os.O_APPEND) as descriptor:
        assert describe(descriptor)["offset_bytes"] == 10
        assert describe(descriptor)["append"]


@pytest.mark.parametrize("name", [b"plain", "Grüße".encode(), b"\xff\xfe", b"new\nline", b"x (deleted)"])
def test_a_path_may_be_any_bytes(tmp_path: Path, name: bytes) -> None:
    path = os.path.join(os.fsencode(tmp_path), name)
    with opened(os.fsdecode(path)) as descriptor:
        assert describe(descriptor)["path"] == os.fsdecode(path)


def test_a_file_without_a_name_is_not_called_by_one(tmp_path: Path) -> None:
    with tempfile.TemporaryFile(dir=tmp_path) as file:
        assert describe(file.fileno()) == {"kind": "other"}
    with opened(tmp_path / "gone") as descriptor:
        (tmp_path / "gone").unlink()
        assert describe(descriptor) == {"kind": "other"}
        (tmp_path / "gone (deleted)").write_bytes(b"somebody else's")
        assert describe(descriptor) == {"kind": "other"}
    with opened(tmp_path / "replaced") as descriptor:
        os.rename(tmp_path / "gone (deleted)", tmp_path / "replaced")
        assert describe(descriptor) == {"kind": "other"}


def test_pipes_sockets_terminals_and_devices_are_told_apart(tmp_path: Path) -> None:
    readable, writable = os.pipe()
    assert describe(readable) == describe(writable) == {"kind": "pipe"}
    os.close(readable)
    os.close(writable)
    assert describe(writable) == {"kind": "closed"}
    os.mkfifo(tmp_path / "fifo")
    with opened(tmp_path / "fifo", os.O_RDWR) as descriptor:
        assert describe(descriptor) == {"kind": "pipe"}
    one, other = socket.socketpair()
    with one, other:
        assert describe(one.fileno()) == {"kind": "socket"}
    with opened("/dev/null") as descriptor:
        assert describe(descriptor) == {"kind": "null"}
    with opened("/dev/zero") as descriptor:
        assert describe(descriptor) == {"kind": "other"}
    with opened(tmp_path, os.O_RDONLY) as descriptor:
        assert describe(descriptor) == {"kind": "other"}


def test_a_terminal_is_known_by_its_size() -> None:
    import fcntl
    import struct
    import termios

    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("4H", 33, 101, 0, 0))
    assert describe(theirs) == {"kind": "terminal", "rows": 33, "columns": 101}
    os.close(ours)
    os.close(theirs)


@pytest.mark.parametrize("refused", [os.R_OK, os.W_OK])
def test_a_log_that_somebody_with_more_rights_has_opened_is_no_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, refused: int
) -> None:
    """The user could not have made it, nor perhaps read it: a replay gives the job something else."""
    (tmp_path / "log").write_bytes(b"")
    monkeypatch.setattr(os, "access", lambda path, mode, **_: not (str(path).endswith("log") and mode & refused))
    with opened(tmp_path / "log", os.O_WRONLY | os.O_APPEND) as descriptor:
        assert describe(descriptor) == {"kind": "other"}
    with opened(tmp_path / "log", os.O_RDONLY) as descriptor:
        assert describe(descriptor)["kind"] == "file"


@pytest.mark.parametrize("kind", ["file", "pipe", "terminal", "null", "socket", "closed", "other"])
def test_only_what_nobody_can_look_at_later_is_copied(kind: str) -> None:
    assert wants_relay({"kind": kind}) == (kind in ("pipe", "socket"))


# --- closed from the start

_OCCUPY = """
import os, sys
from reenact.capture import streams
closed = [int(n) for n in sys.argv[1]]
streams.occupy_closed()
kinds = [streams.describe(n)["kind"] for n in range(3)]
inherited = [os.get_inheritable(n) for n in closed]
first = os.open("/dev/null", os.O_RDONLY)
open(sys.argv[2], "w").write(repr((kinds, inherited, first > 2)))
"""


@pytest.mark.parametrize("closed", ["", "0", "1", "2", "01", "02", "12", "012"])
def test_a_closed_descriptor_stays_closed_to_the_job(tmp_path: Path, closed: str) -> None:
    said = tmp_path / "said"
    close = "".join(f" {n}>&-" for n in closed)
    subprocess.run(
        ["/bin/sh", "-c", f'exec "$0" "$@" {close}', sys.executable, "-c", _OCCUPY, closed, said],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        check=True,
    )
    kinds = ["closed" if str(n) in closed else "null" for n in range(3)]
    assert said.read_text() == repr((kinds, [False] * len(closed), True))


# --- which are one


def test_one_opening_shared_is_one(tmp_path: Path) -> None:
    with opened(tmp_path / "log") as first:
        second = os.dup(first)
        assert same_file(first, second)
        assert same_file(first, first)
        os.close(second)


@pytest.mark.parametrize("flags", [os.O_WRONLY, os.O_WRONLY | os.O_APPEND])
def test_a_file_opened_twice_is_two(tmp_path: Path, flags: int) -> None:
    with opened(tmp_path / "log", flags | os.O_CREAT) as first, opened(tmp_path / "log", flags) as second:
        os.write(first, b"offset of the first alone")
        assert not same_file(first, second)


def test_a_pipe_opened_twice_is_one_pipe(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    with opened(tmp_path / "fifo", os.O_RDWR) as first, opened(tmp_path / "fifo", os.O_RDWR) as second:
        assert same_file(first, second)


def test_different_things_are_different(tmp_path: Path) -> None:
    readable, writable = os.pipe()
    with opened(tmp_path / "a") as one, opened(tmp_path / "b") as other:
        assert not same_file(one, other)
        assert not same_file(one, writable)
    os.close(readable)
    os.close(writable)
    assert not same_file(readable, writable)


# --- a file that has no name


def test_what_is_left_of_a_nameless_file_is_given_and_not_taken(tmp_path: Path) -> None:
    data = os.urandom(3_000_000)
    with tempfile.TemporaryFile(dir=tmp_path) as file:
        file.write(data)
        file.seek(17)
        assert b"".join(unnamed_content(file.fileno())) == data[17:]
        assert os.lseek(file.fileno(), 0, os.SEEK_CUR) == 17


def test_nothing_is_taken_from_what_is_no_file(tmp_path: Path) -> None:
    readable, writable = os.pipe()
    os.write(writable, b"waits")
    assert list(unnamed_content(readable)) == []
    os.close(writable)
    assert os.read(readable, 10) == b"waits"
    os.close(readable)
    assert list(unnamed_content(readable)) == []
    with opened(tmp_path / "out", os.O_WRONLY | os.O_CREAT) as descriptor:
        assert list(unnamed_content(descriptor)) == []
    with opened("/dev/zero") as descriptor:
        assert list(unnamed_content(descriptor)) == []
