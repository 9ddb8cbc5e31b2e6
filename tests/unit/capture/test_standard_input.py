"""Reading for others: a real process whose reads of descriptor 0 the kernel hands to us."""

from __future__ import annotations

import ctypes
import errno
import json
import os
import select
import signal
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from reenact.capture.redact import Redactor
from reenact.capture.redact_stream import StreamRedactor
from reenact.capture.relay import Spool
from reenact.capture.standard_input import StandardInput
from reenact.capture.trace import seccomp
from reenact.capture.trace.filter import instruction
from reenact.capture.trace.standard_input import REQUEST
from reenact.errors import CaptureError

_READ = {"x86_64": 0, "aarch64": 63}.get(os.uname().machine, -1)
_LOAD, _EQUAL, _RETURN = 0x20, 0x15, 0x06
# A notification for each read of descriptor 0, and for nothing else.
_FILTER = b"".join(
    (
        instruction(_LOAD, 0, 0, 0),
        instruction(_EQUAL, 0, 3, _READ),
        instruction(_LOAD, 0, 0, 16),
        instruction(_EQUAL, 0, 1, 0),
        instruction(_RETURN, 0, 0, 0x7FC0_0000),
        instruction(_RETURN, 0, 0, 0x7FFF_0000),
    )
)


class Job:
    """A process that runs a function with the reading end of a pipe as its standard input, and tells what came of it."""

    def __init__(self, work: Callable[[], Any], spool: Path) -> None:
        self.source, self.feed = os.pipe()
        self._answer, answer = os.pipe()
        ours, theirs = socket.socketpair()
        self.pid = os.fork()
        if not self.pid:
            self._run(work, theirs, answer)
        os.close(answer)
        theirs.close()
        try:
            _, (self.listener,), _, _ = socket.recv_fds(ours, 1, 1)
        except ValueError:
            pytest.skip("no seccomp listener can be had here")
        finally:
            ours.close()
        redactor = Redactor(b"key", patterns=(), allow=())
        self.spool = spool
        self.input = StandardInput(
            self.source, self.listener, Spool(str(spool), 1 << 20, lambda: StreamRedactor(redactor))
        )

    def _run(self, work: Callable[[], Any], theirs: socket.socket, answer: int) -> None:
        try:
            os.dup2(self.source, 0)
            os.close(self.feed)
            try:
                listener, _ = seccomp.install(_FILTER)
            except CaptureError:
                os._exit(1)
            socket.send_fds(theirs, [b"x"], [listener])
            os.close(listener)
            os.write(answer, json.dumps(work()).encode())
        finally:
            os._exit(0)

    def request(self, *, takes: bool = True) -> bytes:
        """Wait for a read, and pass it on as the supervisor does."""
        buffer = bytearray(seccomp.NOTIFICATION_BYTES)
        readable, _, _ = select.select([self.listener], [], [], 20)
        assert readable
        assert seccomp.receive(self.listener, buffer)
        notification, thread, _, _, _, _, _, address, length, *_ = seccomp.unpack(bytes(buffer))
        request = REQUEST.pack(notification, thread, 0, address, length)
        if takes:
            self.input.take(request)
        return request

    def said(self) -> Any:
        """Wait for what the function gave."""
        data = b""
        while block := os.read(self._answer, 1 << 16):
            data += block
        return json.loads(data) if data else None

    def close(self) -> None:
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
        for descriptor in (self.source, self._answer, self.listener):
            os.close(descriptor)
        if self.feed >= 0:
            os.close(self.feed)

    def end_of_input(self) -> None:
        os.close(self.feed)
        self.feed = -1


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[[Callable[[], Any]], Job]]:
    jobs: list[Job] = []

    def started(work: Callable[[], Any]) -> Job:
        jobs.append(Job(work, tmp_path / f"stdin-{len(jobs)}"))
        return jobs[-1]

    yield started
    for job in jobs:
        job.close()


def one_read(length: int = 100) -> str:
    return os.read(0, length).decode()


def test_a_reader_gets_what_it_asks_for_and_the_rest_stays_in_the_pipe(start: Callable[..., Job]) -> None:
    job = start(lambda: [one_read(4), one_read(3)])
    os.write(job.feed, b"first second third")
    for _ in range(2):
        job.request()
        assert job.input.waiting
        assert len(job.input.held) == 1
        job.input.serve()
        assert not job.input.waiting
    assert job.said() == ["firs", "t s"]
    assert os.read(job.source, 100) == b"econd third"
    job.input.finish()
    assert job.spool.read_bytes() == b"first s"


def test_the_end_of_input_is_passed_on(start: Callable[..., Job]) -> None:
    job = start(one_read)
    job.end_of_input()
    job.request()
    job.input.serve()
    assert job.said() == ""


def test_without_a_request_nothing_is_read(start: Callable[..., Job]) -> None:
    job = start(lambda: None)
    os.write(job.feed, b"kept")
    job.input.serve()
    assert os.read(job.source, 100) == b"kept"


def test_a_read_of_nothing_never_waits(start: Callable[..., Job]) -> None:
    job = start(lambda: one_read(0))
    job.request()
    assert not job.input.waiting
    assert job.said() == ""


@pytest.mark.parametrize("address", [0, 8, (1 << 64) - 4096], ids=["null", "low", "high"])
def test_a_bad_address_is_an_error_and_loses_no_input(start: Callable[..., Job], address: int) -> None:
    def bad_read() -> list[int]:
        libc = ctypes.CDLL(None, use_errno=True)
        return [libc.read(0, ctypes.c_void_p(address), 5), ctypes.get_errno()]

    job = start(bad_read)
    os.write(job.feed, b"kept")
    job.request()
    job.input.serve()
    assert job.said() == [-1, errno.EFAULT]
    assert os.read(job.source, 100) == b"kept"
    job.input.finish()
    assert job.spool.read_bytes() == b""


def test_a_reader_that_was_killed_takes_nothing(start: Callable[..., Job]) -> None:
    job = start(one_read)
    os.write(job.feed, b"kept")
    job.request()
    os.kill(job.pid, signal.SIGKILL)
    os.waitid(os.P_PID, job.pid, os.WEXITED | os.WNOWAIT)
    job.input.serve()
    assert os.read(job.source, 100) == b"kept"


def test_of_several_readers_the_first_is_served_first(start: Callable[..., Job]) -> None:
    def two() -> str:
        child = os.fork()
        if not child:
            one_read()
            os._exit(0)
        # Ours comes after the child's, which the test passes on first.
        found = one_read()
        os.waitpid(child, 0)
        return found

    job = start(two)
    first, second = job.request(takes=False), job.request(takes=False)
    job.input.take(second + first)
    assert len(job.input.held) == 2
    os.write(job.feed, b"a")
    job.input.serve()
    os.write(job.feed, b"b")
    job.input.serve()
    reader_of_a = REQUEST.unpack(second)[1]
    assert job.said() == ("a" if reader_of_a == job.pid else "b")


def test_what_does_not_block_is_answered_at_once(start: Callable[..., Job]) -> None:
    def read() -> str:
        try:
            return one_read()
        except BlockingIOError:
            return "would block"

    job = start(read)
    os.set_blocking(job.source, False)
    job.request()
    assert not job.input.waiting
    assert job.said() == "would block"


def test_a_signal_reaches_who_waits_for_input(start: Callable[..., Job]) -> None:
    def interrupted() -> list[str]:
        met: list[str] = []
        signal.signal(signal.SIGUSR1, lambda *_: met.append("signal"))
        met.append(one_read())
        return met

    job = start(interrupted)
    job.request()
    job.input.let_signals_in()
    assert job.input.waiting, "nothing to let in"
    os.kill(job.pid, signal.SIGUSR1)
    job.input.let_signals_in()
    job.request()
    os.write(job.feed, b"after it")
    job.input.serve()
    assert job.said() == ["signal", "after it"]


def test_a_signal_that_is_blocked_or_ignored_interrupts_nobody(start: Callable[..., Job]) -> None:
    def deaf() -> str:
        signal.signal(signal.SIGUSR1, signal.SIG_IGN)
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR2])
        return one_read()

    job = start(deaf)
    job.request()
    os.kill(job.pid, signal.SIGUSR1)
    os.kill(job.pid, signal.SIGUSR2)
    job.input.let_signals_in()
    assert job.input.waiting
    os.write(job.feed, b"read all the same")
    job.input.serve()
    assert job.said() == "read all the same"


def test_at_the_end_who_still_waits_reads_by_itself(start: Callable[..., Job]) -> None:
    job = start(one_read)
    job.request()
    job.input.finish()
    assert not job.input.waiting
    os.write(job.feed, b"by itself")
    assert job.said() == "by itself"
    assert job.spool.read_bytes() == b""
