"""Helper programs: started at once, heard later, never waited for beyond their time."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from reenact.capture.child import Child

ENVIRONMENT = {"PATH": os.environ["PATH"]}


def shell(script: str) -> Child:
    return Child(["sh", "-c", script], ENVIRONMENT)


def running(process: int) -> bool:
    try:
        state = Path(f"/proc/{process}/stat").read_text().rpartition(") ")[2][:1]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state not in ("Z", "X")


def test_output_error_and_status_are_told() -> None:
    assert shell("echo out; echo err >&2; exit 3").result(10) == (3, b"out\n", "err")


def test_output_larger_than_a_pipe_does_not_block_it() -> None:
    code, output, _ = shell("head -c 3000000 /dev/zero").result(10)
    assert (code, len(output)) == (0, 3_000_000)


def test_it_sees_no_input_and_only_the_environment_it_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LEAK", "x")
    assert shell("cat; echo ${LEAK-none}").result(10)[1] == b"none\n"


def test_one_that_takes_too_long_is_killed_with_its_own_children() -> None:
    child = shell("sleep 60 & echo $!; wait")
    while not os.fstat(child._out).st_size:
        os.sched_yield()
    code, output, _ = child.result(0)
    assert code is None
    while running(int(output)):  # The kernel ends it when it can.
        os.sched_yield()


def test_one_that_was_killed_says_so() -> None:
    assert shell("kill -TERM $$").result(10)[0] == -signal.SIGTERM


def test_nothing_stays_open_and_no_process_is_left() -> None:
    before = sorted(os.listdir("/proc/self/fd"))
    child = shell("true")
    assert child.result(10)[0] == 0
    with pytest.raises(FileNotFoundError):
        Child(["/no/such/program"], ENVIRONMENT)
    assert sorted(os.listdir("/proc/self/fd")) == before
    with pytest.raises(ChildProcessError):
        os.waitpid(child._pid, os.WNOHANG)
