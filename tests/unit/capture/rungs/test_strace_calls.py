"""Which calls strace is asked for, socket addresses as it writes them, and calls that are booked late."""

from __future__ import annotations

import mmap
import os
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from reenact.capture.files import FileStates
from reenact.capture.rungs.late import Hindsight, LateJournal, LatePreimages, birth_ns
from reenact.capture.rungs.notebook import Notebook
from reenact.capture.rungs.strace_calls import Booking, parse_address, traced
from reenact.capture.rungs.strace_lines import Call, Lines
from reenact.capture.rungs.strace_tree import Tree
from reenact.capture.trace.sockets import Address
from reenact.capture.trace.syscalls import CALLS, STAT_CALLS, STDIN_CALLS


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        (
            b'{sa_family=AF_INET, sin_port=htons(443), sin_addr=inet_addr("192.0.2.7")}',
            Address("ip", "192.0.2.7:443", 443, loopback=False),
        ),
        (
            b'{sa_family=AF_INET, sin_port=htons(80), sin_addr=inet_addr("127.0.0.1")}',
            Address("ip", "127.0.0.1:80", 80, loopback=True),
        ),
        (
            (
                b'{sa_family=AF_INET6, sin6_port=htons(1), sin6_flowinfo=htonl(0), inet_pton(AF_INET6, "::1", &sin6_addr),'
                b" sin6_scope_id=0}"
            ),
            Address("ip", "[::1]:1", 1, loopback=True),
        ),
        (b'{sa_family=AF_INET, sin_port=htons(0), sin_addr=inet_addr("192.0.2.7")}', None),
        (b'{sa_family=AF_UNIX, sun_path="/run/x.sock"}', Address("unix", "/run/x.sock")),
        (b'{sa_family=AF_UNIX, sun_path=@"name"}', Address("unix-abstract", "name")),
        (b"{sa_family=AF_UNIX}", None),
        (b"{sa_family=AF_NETLINK, nl_pid=0, nl_groups=00000000}", None),
        (b"{sa_family=AF_UNSPEC, sa_data=...}", None),
        (b"NULL", None),
        (b"{sa_family=AF_VSOCK, svm_cid=0x3}", Address("VSOCK", "address family VSOCK")),
    ],
)
def test_addresses(written: bytes, expected: Address | None) -> None:
    assert parse_address(written) == expected


def test_what_the_kernel_rung_always_looks_at_is_asked_for() -> None:
    always = frozenset(CALLS) - STDIN_CALLS - STAT_CALLS - {"exit_group", "socketcall"}
    assert always <= set(traced())
    assert {"clone", "clone3", "fork", "vfork", "fchdir"} <= set(traced())
    assert not STDIN_CALLS & set(traced()), "what a job reads is none of our business, and slow to write down"


# --- calls of a job that is ahead of us

JOB = 4711


class Behind:
    """Books what strace wrote of a job in one folder, all of it after the job has gone on."""

    def __init__(self, folder: Path) -> None:
        self.records: list[list[Any]] = []
        since = time.time_ns() - 10_000_000
        files, preimages = Hindsight(since), LatePreimages(mmap.mmap(-1, 8))
        late = LateJournal(self._write, preimages, since)
        self.states = FileStates(files, preimages, late.emit)
        files.attach(self.states)
        notebook = cast("Notebook", SimpleNamespace(states=self.states, calls=0, gap=self._gap))
        self.lines = Lines()
        self.booking = Booking(notebook, Tree(JOB, str(folder), self.records.append), self.lines, files, late)

    def _write(self, record: list[Any]) -> int:
        self.records.append(record)
        return len(self.records)

    def _gap(self, code: str, message: str, subject: str = "") -> None:
        self._write(["h", code, message, subject])

    def book(self, line: str) -> None:
        call = self.lines.read(f"{JOB} {line}".encode())
        assert isinstance(call, Call)
        self.booking.book(call)

    def of(self, path: Path) -> list[str]:
        return [record[0] for record in self.records if str(path) in record[1:3]]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    if birth_ns(str(tmp_path)) is None:
        pytest.skip("this file system does not tell when a file was created")
    (tmp_path / "in.csv").write_text("before")
    os.utime(tmp_path / "in.csv", (1_600_000_000, 1_600_000_000))
    time.sleep(0.05)  # the recording begins clearly after it was made: file times are coarse
    return tmp_path


def test_an_input_that_was_replaced_before_its_reading_is_booked_is_lost_not_absent(folder: Path) -> None:
    behind, path = Behind(folder), folder / "in.csv"
    (folder / "new").write_text("after")
    os.rename(folder / "new", path)  # sed -i
    behind.book(f'openat(AT_FDCWD<{folder}>, "in.csv", O_RDONLY) = 3<{path}>')
    behind.book(f'openat(AT_FDCWD<{folder}>, "./new", O_RDWR|O_CREAT|O_EXCL, 0600) = 4<{folder}/new>')
    behind.book('rename("./new", "in.csv") = 0')
    assert ["a", "1", str(path), "r"] in behind.records
    assert [record[1:] for record in behind.records if record[0] == "p"] == [
        [str(path), "", "changed before it could be read"]
    ]
    assert str(path) in behind.states.gone


def test_an_input_that_was_removed_before_its_reading_is_booked_is_lost_not_absent(folder: Path) -> None:
    behind, path = Behind(folder), folder / "in.csv"
    path.unlink()
    behind.book(f'openat(AT_FDCWD<{folder}>, "in.csv", O_RDONLY) = 3<{path}>')
    behind.book('unlink("in.csv") = 0')
    assert ["a", "1", str(path), "r"] in behind.records
    assert "p" in behind.of(path)
    assert str(path) in behind.states.gone


def test_a_file_that_goes_while_it_is_looked_at_was_not_there_before(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was made by the run, and renamed between two looks at it."""
    behind, made = Behind(folder), folder / "out.tmp"
    made.write_text("made")

    def rename(path: str) -> int | None:
        if path == str(made) and made.exists():
            os.rename(made, folder / "out.json")
        return birth_ns(path)

    monkeypatch.setattr("reenact.capture.rungs.late.birth_ns", rename)
    behind.book(f'openat(AT_FDCWD<{folder}>, "out.tmp", O_WRONLY|O_CREAT|O_TRUNC, 0644) = 3<{made}>')
    monkeypatch.undo()
    behind.book('rename("out.tmp", "out.json") = 0')
    assert behind.states.made == {str(folder / "out.json")}
    assert str(made) not in behind.states.entries
