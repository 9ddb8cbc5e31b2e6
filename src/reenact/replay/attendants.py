"""The two processes that wait for a job in its own PID namespace, and how its end becomes theirs.

    caller ─ fork ─> attendant ─ fork ─> init (pid 1) ─ fork ─> the job (pid 2)

The *attendant* is the process the caller forked, so the caller waits for an ordinary child; it ends as the job ended: with
its exit status, or by its signal. *Init* adopts and reaps whatever the job leaves behind, and gives it some seconds to
finish, because a JVM killed in its clean-up leaves files that a recorded run did not. Both pass signals on to the job,
except those the terminal sends to the whole foreground group, which the job gets by itself. Both close every descriptor
they inherited: a reader of the job's output must see its end.
"""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import struct
import time
from typing import Final, NoReturn

__all__ = ["LINGER_SECONDS", "SETUP_FAILED", "attend", "close_all_but", "reap"]

LINGER_SECONDS: Final = 5.0
"""How long processes that outlive the main one may go on."""

SETUP_FAILED: Final = 125
"""Exit status when the world could not be entered; the reason travels by the sandbox's own pipe."""

_SI_KERNEL: Final = 0x80
_STATUS: Final = struct.Struct("=i")
_HIGHEST_DESCRIPTOR: Final = 1 << 20


def close_all_but(keep: int) -> None:
    """Close every descriptor except one."""
    os.closerange(0, keep)
    os.closerange(keep + 1, _HIGHEST_DESCRIPTOR)


def _pass_on(info: signal.struct_siginfo, process: int) -> None:
    if info.si_code != _SI_KERNEL and info.si_signo != signal.SIGCHLD:
        with contextlib.suppress(ProcessLookupError):
            os.kill(process, info.si_signo)


def attend(init: int, status_descriptor: int) -> NoReturn:
    """Wait for init, passing signals on, and end as the job did. All signals are blocked when this is called."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    close_all_but(status_descriptor)
    everything = signal.valid_signals()
    while True:
        ended, wait_status = os.waitpid(init, os.WNOHANG)
        if ended:
            break
        _pass_on(signal.sigwaitinfo(everything), init)
    data = os.read(status_descriptor, _STATUS.size)
    if len(data) == _STATUS.size:
        (wait_status,) = _STATUS.unpack(data)
    _end_as(wait_status)


def _end_as(wait_status: int) -> NoReturn:
    if os.WIFSIGNALED(wait_status):
        number = os.WTERMSIG(wait_status)
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # the job dumped core, not this process
        if number not in {signal.SIGKILL, signal.SIGSTOP}:
            signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {number})
        os.kill(os.getpid(), number)
        os._exit(128 + number)
    os._exit(os.waitstatus_to_exitcode(wait_status))


def reap(job: int, status_descriptor: int, linger_seconds: float) -> NoReturn:
    """Be pid 1: pass signals on, report how the job ended, reap everything, leave after `linger_seconds` at the latest.

    When this process ends, the kernel kills what is left in its namespace.
    """
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    close_all_but(status_descriptor)
    everything = signal.valid_signals()
    deadline: float | None = None
    while True:
        if _reap_ended(job, status_descriptor):
            deadline = time.monotonic() + linger_seconds
        if deadline is None:
            _pass_on(signal.sigwaitinfo(everything), job)
        elif (left := deadline - time.monotonic()) <= 0:
            os._exit(0)
        else:
            signal.sigtimedwait(everything, left)


def _reap_ended(job: int, status_descriptor: int) -> bool:
    """Reap all that ended; tell whether the job was among them. Ends the process when nothing is left to wait for."""
    job_ended = False
    while True:
        try:
            process, wait_status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            os._exit(0)
        if process == 0:
            return job_ended
        if process == job:
            job_ended = True
            os.write(status_descriptor, _STATUS.pack(wait_status))
