"""Terminals, signals and standard input belong to the job."""

from __future__ import annotations

import os
import pty
import select
import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests.e2e.desk import Desk, shell_status

READY_THEN_WAIT = """
import signal, sys, time
def said(number, frame):
    open("signal.txt", "w").write(signal.Signals(number).name)
    sys.exit(9)
for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1):
    signal.signal(number, said)
print("ready", flush=True)
time.sleep(60)
"""


def wait_for(descriptor: int, text: bytes, seconds: float = 60) -> bytes:
    """Read until a text came."""
    seen, end = b"", time.monotonic() + seconds
    while text not in seen:
        readable, _, _ = select.select([descriptor], [], [], max(0.0, end - time.monotonic()))
        assert readable, f"{text!r} did not come; got {seen!r}"
        data = os.read(descriptor, 4096)
        assert data, f"the end came before {text!r}; got {seen!r}"
        seen += data
    return seen


def drain(descriptor: int) -> bytes:
    """Read to the end of a terminal."""
    seen = b""
    while True:
        try:
            data = os.read(descriptor, 4096)
        except OSError:  # EIO is how a terminal says that nobody is left on the other side
            return seen
        if not data:
            return seen
        seen += data


def on_a_terminal(desk: Desk, *argv: str) -> tuple[subprocess.Popen[bytes], int]:
    """Start a recording as the foreground job of a terminal of its own."""
    ours, theirs = pty.openpty()
    os.chown(theirs, desk.person.uid, -1)
    process = desk.start(
        ["setsid", "--ctty", "--wait", desk.person.reenact, "run", "--", *argv],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
    )
    os.close(theirs)
    return process, ours


@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT", "SIGHUP", "SIGUSR1"])
def test_a_signal_to_reenact_reaches_the_job(desk: Desk, name: str) -> None:
    desk.write("wait.py", READY_THEN_WAIT)
    with desk.start(
        [desk.person.reenact, "run", "--", desk.person.python, "wait.py"], start_new_session=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        os.kill(process.pid, signal.Signals[name])
        _, err = process.communicate(timeout=60)
    assert process.returncode == 9, err.decode()
    assert (desk.folder / "signal.txt").read_text() == name
    assert desk.show()["exit_code"] == 9


def test_a_job_that_does_not_handle_the_signal_dies_of_it(desk: Desk) -> None:
    with desk.start(
        [desk.person.reenact, "run", "--", "sh", "-c", "echo ready; exec sleep 60"], start_new_session=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        process.terminate()
        process.communicate(timeout=60)
    assert shell_status(process.returncode) == 128 + signal.SIGTERM
    assert desk.show()["status"] == "killed"


def test_ctrl_c_on_a_terminal_reaches_the_job_once(desk: Desk) -> None:
    counts = """
import signal, sys, time
count = 0
def said(number, frame):
    global count
    count += 1
signal.signal(signal.SIGINT, said)
print("ready", flush=True)
end = time.monotonic() + 60
while not count and time.monotonic() < end: time.sleep(0.01)
time.sleep(0.5)  # a second one would come meanwhile
print("interrupts:", count, flush=True)
sys.exit(6)
"""
    desk.write("counts.py", counts)
    process, terminal = on_a_terminal(desk, desk.person.python, "counts.py")
    with process:
        wait_for(terminal, b"ready")
        os.write(terminal, b"\x03")
        seen = drain(terminal)
        assert process.wait(60) == 6, seen
    os.close(terminal)
    assert b"interrupts: 1" in seen
    assert desk.show()["exit_code"] == 6


def test_the_job_has_the_terminal(desk: Desk) -> None:
    asks = """
import os, sys
print([os.isatty(n) for n in range(3)], os.get_terminal_size(0).columns, os.tcgetpgrp(0) == os.getpgrp(), flush=True)
open("typed.txt", "w").write(input("name? "))
"""
    desk.write("asks.py", asks)
    process, terminal = on_a_terminal(desk, desk.person.python, "asks.py")
    with process:
        seen = wait_for(terminal, b"name? ")
        os.write(terminal, "Zoë\n".encode())
        seen += drain(terminal)
        assert process.wait(60) == 0, seen
    os.close(terminal)
    assert b"[True, True, True]" in seen
    assert b"True\r\nname?" in seen, "the job must be in the foreground of its terminal"
    assert (desk.folder / "typed.txt").read_text() == "Zoë"
    assert "●".encode() in seen


@pytest.mark.parametrize("how", ["pipe", "file", "null", "closed"])
def test_standard_input_reaches_the_job(desk: Desk, how: str) -> None:
    data = os.urandom(300_000)
    source = desk.write("stdin.bin", data)
    redirect = {"pipe": "", "file": f"< {source}", "null": "< /dev/null", "closed": "<&-"}[how]
    done = desk.execute(
        [
            "sh",
            "-c",
            f'exec "$@" {redirect}',
            "sh",
            desk.person.reenact,
            "run",
            "--",
            "sh",
            "-c",
            "cat > got.bin; echo $?",
        ],
        stdin=data if how == "pipe" else b"",
    )
    assert done.exit_code == 0, done.stderr.decode()
    assert (desk.folder / "got.bin").read_bytes() == (data if how in {"pipe", "file"} else b"")
    assert done.stdout == (b"1\n" if how == "closed" else b"0\n")


def test_large_outputs_through_pipes_arrive_whole_and_apart(desk: Desk) -> None:
    script = "import os\nfor i in range(3000):\n    os.write(1, b'o' * 1000); os.write(2, b'e' * 500)\n"
    done = desk.record(desk.person.python, "-c", script)
    assert done.stdout == b"o" * 3_000_000
    assert done.stderr.startswith(b"e" * 1_500_000)
    assert done.stderr[1_500_000:].startswith("●".encode())


def test_a_reader_that_goes_away_ends_the_job_as_it_would_in_a_shell(desk: Desk, tmp_path: Path) -> None:
    del tmp_path
    script = 'reenact=$1; shift; "$reenact" run -- yes | head -c 4; echo " ${PIPESTATUS[0]}"'
    done = desk.execute(["bash", "-c", script, "bash", desk.person.reenact])
    assert done.stdout == b"y\ny\n " + str(128 + signal.SIGPIPE).encode() + b"\n"


@pytest.mark.parametrize(
    "script",
    ["cat /dev/stdin > got.txt", "cat /proc/self/fd/0 > got.txt", "exec 3<&0 < /dev/null; cat /dev/fd/3 > got.txt"],
)
def test_a_pipe_read_under_another_name_or_number_is_no_exact_run(desk: Desk, script: str) -> None:
    # Only whoever made a pipe may open it anew.
    words = 'echo hello | "$0" run -- sh -c "$1"'
    done = desk.execute(["sh", "-c", words, desk.person.reenact, script])
    assert done.exit_code == 0, done.stderr.decode()
    assert (desk.folder / "got.txt").read_bytes() == b"hello\n"
    hazards = desk.show()["determinism"]["hazards"]
    assert {(hazard["code"], hazard["exact"]) for hazard in hazards} == {("stdin", False)}


def test_a_script_that_puts_its_input_aside_for_a_while_stays_exact(desk: Desk) -> None:
    script = "read first; { read other; } < list.txt; read second; echo $first $other $second > got.txt"
    desk.write("list.txt", "b\n")
    done = desk.record("sh", "-c", script, stdin=b"a\nc\n")
    assert done.exit_code == 0, done.stderr.decode()
    assert (desk.folder / "got.txt").read_bytes() == b"a b c\n"
    assert desk.show()["determinism"]["hazards"] == []
