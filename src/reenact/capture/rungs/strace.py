"""The rung `strace`: where listeners are refused but ptrace works and strace is installed.

strace is attached to the job's process before that becomes the command, so that the job starts, ends and takes signals as if
nobody looked: it is nobody's child but ours, and has every number and exit status it would have. strace's own seccomp filter
(``--seccomp-bpf``, two to four times faster) is deliberately not used: it cannot be combined with attaching, and when strace
is killed or has to let go of a process that outlives the job, every filtered call of that process would fail with ENOSYS.

What strace writes holds whole command lines: it goes through a pipe and never to a disk. The pipe is kept short, so that the
job waits for us now and then, and what is reported is looked at while it is fresh.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import select
import shutil
import signal
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, NoReturn

from reenact.capture.files import FileStates
from reenact.capture.journal import JournalWriter
from reenact.capture.roles import SupervisorEnds, Watch
from reenact.capture.rungs.late import Hindsight, LateJournal, LatePreimages
from reenact.capture.rungs.notebook import IDLE_MILLISECONDS, Notebook, asked
from reenact.capture.rungs.strace_calls import Booking, traced
from reenact.capture.rungs.strace_lines import Call, Ended, Lines
from reenact.capture.rungs.strace_tree import Tree

__all__ = ["StraceRung"]

_GAP: Final = (
    "strace-late",
    "calls are seen after they happened: old content of files that were changed in place may be missing",
)
_PR_SET_PTRACER: Final = 0x59616D61
_ANYBODY: Final = 0xFFFF_FFFF_FFFF_FFFF
_STRING_BYTES: Final = 4096
"""PATH_MAX; longer words of a command line are cut, and marked."""
_PIPE_BYTES: Final = 4096
_READ_BYTES: Final = 1 << 16
_START_SECONDS: Final = 10.0
_CLOCK_GRAIN_NS: Final = 10_000_000
"""File times come from a clock that may be one tick (10 ms at 100 Hz) behind."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StraceRung:
    """See the module."""

    name: str = "strace"

    def available(self) -> str:
        """Try strace on a process of ours."""
        program = shutil.which("strace")
        if program is None:
            return "strace is not installed"
        process = os.fork()
        if not process:
            self.enter()
            signal.pause()
            os._exit(0)
        tracer = _Strace(program, process)
        reason = "" if tracer.attached() else tracer.complaint()
        tracer.stop()
        os.kill(process, signal.SIGKILL)
        os.waitpid(process, 0)
        return reason

    def environment(self, variables: Mapping[str, str]) -> dict[str, str]:
        """Add nothing."""
        return dict(variables)

    def enter(self) -> None:
        """Let a process that is not our parent trace us, where only parents may (Yama); it ends with exec."""
        ctypes.CDLL(None).prctl(_PR_SET_PTRACER, ctypes.c_ulong(_ANYBODY), 0, 0, 0)

    def observe(self, watch: Watch, ends: SupervisorEnds) -> NoReturn:
        """Attach, let the job run, read to the end."""
        since = time.time_ns() - _CLOCK_GRAIN_NS
        journal = JournalWriter(watch.journal)
        files, preimages = Hindsight(since), LatePreimages(watch.stored)
        late = LateJournal(journal.write, preimages, since)
        states = FileStates(files, preimages, late.emit, ignored=watch.ignored)
        notebook = Notebook(watch, ends, journal, states)
        notebook.begin(_GAP)
        late.settle(states)
        files.attach(states)
        tracer = _Strace(shutil.which("strace") or "strace", ends.root)
        if not tracer.attached():
            notebook.gap("strace-failed", f"nothing was observed: {tracer.complaint()}")
        notebook.flush()
        notebook.ready()
        lines = Lines()
        reader = _Reader(
            notebook, Booking(notebook, Tree(ends.root, watch.cwd, notebook.write), lines, files, late), lines
        )
        ended = reader.serve(tracer, ends.control, watch.linger_seconds)
        notebook.finish(ended=ended)
        if not ended:
            tracer.stop()
        notebook.leave(wait=preimages.holding)


class _Strace:
    """A running strace that is attached to a process, and what it writes."""

    def __init__(self, program: str, process: int) -> None:
        self.lines, lines = os.pipe()
        self.messages, messages = os.pipe()
        for short in (lines,):
            fcntl.fcntl(short, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
        os.set_blocking(self.messages, False)
        self._said = b""
        nothing = os.open("/dev/null", os.O_RDWR)
        # -y: the path behind each descriptor.  -q twice would hide exit statuses, and the word that it is attached.
        argv = [program, "-f", "-y", "-s", str(_STRING_BYTES), "-o", "/dev/fd/3", "-p", str(process)]
        argv += ["-e", "signal=none", "-e", "trace=" + ",".join(f"?{name}" for name in traced())]
        copies = [(os.POSIX_SPAWN_DUP2, given, number) for given, number in ((nothing, 0), (nothing, 1), (messages, 2))]
        self._pid = os.posix_spawn(
            program,
            argv,
            {"PATH": os.defpath, "LC_ALL": "C"},
            file_actions=[*copies, (os.POSIX_SPAWN_DUP2, lines, 3)],
            setsigdef=(signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGPIPE),
        )
        for descriptor in (lines, messages, nothing):
            os.close(descriptor)

    def attached(self) -> bool:
        """Wait until it holds the process; False when it cannot."""
        deadline = time.monotonic() + _START_SECONDS
        poll = select.poll()
        poll.register(self.messages, select.POLLIN)
        while b" attached" not in self._said:
            left = deadline - time.monotonic()
            if left <= 0:
                return False
            poll.poll(left * 1000)
            if not self.hear():
                return b" attached" in self._said
        return True

    def hear(self) -> bool:
        """Read its messages; False at their end."""
        try:
            data = os.read(self.messages, _READ_BYTES)
        except BlockingIOError:
            return True
        self._said = (self._said + data)[-_STRING_BYTES:]
        return bool(data)

    def complaint(self) -> str:
        """Say why it could not attach, in its own words."""
        return (
            self._said.decode(errors="replace").strip().splitlines()[-1]
            if self._said.strip()
            else "strace gave no reason"
        )

    def stop(self) -> None:
        """Make it let go of whatever it holds, and end."""
        try:
            os.kill(self._pid, signal.SIGTERM)
        except ProcessLookupError:
            return
        while os.read(self.lines, _READ_BYTES):
            pass  # it may be waiting for us to read
        os.waitpid(self._pid, 0)


class _Reader:
    """Reads what strace writes and books it."""

    def __init__(self, notebook: Notebook, booking: Booking, lines: Lines) -> None:
        self._notebook, self._booking, self._lines = notebook, booking, lines
        self._rest = b""

    def serve(self, tracer: _Strace, control: int, linger_seconds: float) -> bool:
        """Read until strace has ended (True), or time ran out after the end of the job (False)."""
        deadline: float | None = None
        poll = select.poll()
        for descriptor in (tracer.lines, tracer.messages, control):
            poll.register(descriptor, select.POLLIN)
        while True:
            wait: float | None = IDLE_MILLISECONDS if self._notebook.journal.pending else None
            if deadline is not None:
                left = (deadline - time.monotonic()) * 1000
                if left <= 0:
                    return False
                wait = left if wait is None else min(wait, left)
            events = dict(poll.poll(wait))
            if not events:
                self._notebook.flush()
            if control in events:
                told = asked(control)
                if told:
                    deadline = time.monotonic() + linger_seconds
                poll.unregister(control)
            if tracer.messages in events and not tracer.hear():
                poll.unregister(tracer.messages)
            if tracer.lines in events and not self._read(tracer.lines):
                return True

    def _read(self, descriptor: int) -> bool:
        data = os.read(descriptor, _READ_BYTES)
        lines = (self._rest + data).split(b"\n")
        self._rest = lines.pop()
        for line in lines:
            try:
                self._take(line)
            except Exception as error:  # noqa: BLE001 - observing never breaks the job
                self._notebook.gap("tracer-error", f"{type(error).__name__}: {error}")
        return bool(data)

    def _take(self, line: bytes) -> None:
        event = self._lines.read(line)
        if isinstance(event, Call):
            self._booking.book(event)
        elif isinstance(event, Ended):
            self._booking.ended(event)
