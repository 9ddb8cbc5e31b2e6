"""Observers killed between receiving a call and answering it: whoever made the call must not wait for ever."""

from __future__ import annotations

import os
import signal
import socket
import threading
import time
from array import array
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Final, NamedTuple

import pytest

from reenact.capture.launch import Launched, launch
from reenact.capture.session import Command
from reenact.capture.trace import filter as filter_program
from reenact.capture.trace import seccomp
from reenact.capture.trace.syscalls import ABIS
from reenact.capture.waiting import Watchman

TIMEOUT_SECONDS: Final = 60
CALLERS: Final = 4
ASKING: Final = {
    (abi.audit_arch, number) for abi in ABIS for name, number in abi.numbers if name in ("access", "faccessat")
}
SCRIPT: Final = "cat < /etc/passwd > /dev/null; exit 7"


def forked(work: Callable[[], int]) -> int:
    """Do some work in another process, whose exit status it gives; give its process id."""
    process = os.fork()
    if not process:
        status = 99
        try:
            status = work()
        finally:
            os._exit(status)
    return process


def exit_code(process: int) -> int | None:
    """Wait for a child; give its exit code, None (and kill it) when it hangs."""
    until = time.monotonic() + TIMEOUT_SECONDS
    while time.monotonic() < until:
        found, status = os.waitpid(process, os.WNOHANG)
        if found:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.01)
    os.kill(process, signal.SIGKILL)
    os.waitpid(process, 0)
    return None


@pytest.fixture(autouse=True)
def listeners() -> None:
    """Go on only where listeners can be had: not inside another recording, or where a container refuses."""
    if seccomp.probe(filter_program.build()):
        pytest.skip("the kernel rung is not available here")


# --- a whole job


def die_after(launched: Launched, answered: int, *, told: bool) -> int:
    """In place of a supervisor: answer some calls, receive one more, and be killed."""
    buffer = bytearray(seccomp.NOTIFICATION_BYTES)
    for turn in range(answered + 1):
        while not seccomp.receive(launched.listener, buffer):
            pass
        notification = seccomp.unpack(buffer)[0]
        if turn < answered or told:
            launched.heard[:8] = notification.to_bytes(8, "little")
        if turn < answered:
            seccomp.continue_call(launched.listener, notification)
    os.kill(os.getpid(), signal.SIGKILL)
    return 0


def watched(folder: Path, answered: int, *, told: bool) -> int:
    """Run a job whose supervisor dies, as a session does; give its exit code."""
    command = Command(argv=("sh", "-c", SCRIPT), environment=dict(os.environ))
    launched = launch(command, {}, None, stdin=False, close=[])
    ours, theirs = socket.socketpair()
    supervisor = forked(lambda: die_after(launched, answered, told=told))
    theirs.close()
    watchman = Watchman(launched, [], supervisor, str(folder))
    watchman.route_signals()
    launched.channel.send(b"go")
    return os.waitstatus_to_exitcode(watchman.wait_for_job(ours))


@pytest.mark.parametrize("told", [False, True], ids=["not-told", "told"])
@pytest.mark.parametrize("answered", [0, 1, 7])
def test_a_job_ends_as_ever_when_its_supervisor_dies_with_a_call_in_hand(
    tmp_path: Path, answered: int, told: bool
) -> None:
    process = forked(lambda: watched(tmp_path, answered, told=told))
    assert exit_code(process) == 7
    assert (tmp_path / "exit").read_text() == str(7 << 8), "its status is left for a recovery"


# --- several calls at once


class Callers(NamedTuple):
    """A process whose threads all wait for the answer to a call."""

    listener: int
    waiting: list[int]
    """The notifications that were received, in order."""
    done: int
    """Gives one byte for each caller whose call came back."""


def ask_at_once(channel: socket.socket, done: int) -> int:
    """Install a filter, hand its listener over, and make a call in each of some threads; never end."""
    listener, _ = seccomp.install(filter_program.build())
    rights = (socket.SOL_SOCKET, socket.SCM_RIGHTS, array("i", [listener]))
    channel.sendmsg([b"x"], [rights], filter_program.PASSPORT_FLAGS)  # socket.send_fds drops the flags

    def ask() -> None:
        os.access("/", os.F_OK)
        os.write(done, b"x")

    for _ in range(CALLERS):
        threading.Thread(target=ask, daemon=True).start()
    while True:
        time.sleep(1)


@pytest.fixture
def callers() -> Iterator[Callers]:
    """Callers whose calls were received by somebody who will not answer."""
    ours, theirs = socket.socketpair()
    readable, writable = os.pipe()
    process = forked(lambda: ask_at_once(theirs, writable))
    with ExitStack() as stack:
        stack.callback(os.waitpid, process, 0)
        stack.callback(os.kill, process, signal.SIGKILL)
        stack.callback(os.close, readable)
        os.close(writable)
        theirs.close()
        with ours:
            _, (listener, *_), _, _ = socket.recv_fds(ours, 1, 1)
        stack.callback(os.close, listener)
        yield Callers(listener, receive_calls(listener), readable)


def receive_calls(listener: int) -> list[int]:
    """Receive what the threads ask, and let everything else through."""
    waiting: list[int] = []
    buffer = bytearray(seccomp.NOTIFICATION_BYTES)
    while len(waiting) < CALLERS:
        if seccomp.receive(listener, buffer):
            notification, _, _, number, arch, *_ = seccomp.unpack(buffer)
            if (arch, number) in ASKING:
                waiting.append(notification)
            else:
                seccomp.continue_call(listener, notification)
    return waiting


def test_every_call_that_was_received_and_not_answered_is_let_through(callers: Callers) -> None:
    assert seccomp.release_stranded(callers.listener, callers.waiting[0]) == CALLERS
    assert [os.read(callers.done, 1) for _ in range(CALLERS)] == [b"x"] * CALLERS


def test_calls_that_somebody_still_answers_are_left_to_them(callers: Callers) -> None:
    held = callers.waiting[1::2]
    assert seccomp.release_stranded(callers.listener, callers.waiting[0], held) == CALLERS - len(held)
    assert [seccomp.is_waiting(callers.listener, notification) for notification in held] == [True] * len(held)
    assert seccomp.release_stranded(callers.listener, callers.waiting[0]) == len(held)
    assert [os.read(callers.done, 1) for _ in range(CALLERS)] == [b"x"] * CALLERS
