"""Recording what the job reads from a pipe on its standard input, byte for byte and not one byte more.

The job keeps its own descriptor. Each ``read`` of descriptor 0 is answered by the main process: it reads from the pipe as much
as was asked for, puts it into the caller's memory, and keeps a copy. What the job does not read stays in the pipe for whoever
comes next (``ls | while read f; do reenact run -- job "$f"; done``).
"""

from __future__ import annotations

import errno
import os
from collections import deque
from typing import TYPE_CHECKING, Final

from reenact.capture.trace import seccomp
from reenact.capture.trace.standard_input import REQUEST

if TYPE_CHECKING:
    from reenact.capture.relay import Spool

__all__ = ["StandardInput"]

_MOST_BYTES: Final = 1 << 20
"""A read may always give less than was asked for."""
_ERESTARTSYS: Final = 512
"""linux/errno.h: never seen by a program, as the kernel turns it into a restart or EINTR."""


class StandardInput:
    """Reads for others. `source` is our own descriptor of the same pipe."""

    def __init__(self, source: int, listener: int, spool: Spool) -> None:
        self.source = source
        self._listener = listener
        self._spool = spool
        self._requests: deque[tuple[int, int, int, int]] = deque()

    @property
    def waiting(self) -> bool:
        """Whether anybody waits for input: only then is the pipe looked at."""
        return bool(self._requests)

    @property
    def held(self) -> frozenset[int]:
        """The notifications that are still to be answered."""
        return frozenset(request[0] for request in self._requests)

    def take(self, data: bytes) -> None:
        """Take requests as the supervisor sends them."""
        for start in range(0, len(data) - REQUEST.size + 1, REQUEST.size):
            notification, thread, _, address, length = REQUEST.unpack_from(data, start)
            if length:
                self._requests.append((notification, thread, address, length))
            else:
                seccomp.continue_call(self._listener, notification)  # it asks for nothing, so it never waits
        while self._requests and not os.get_blocking(self.source):
            self.serve()  # nobody waits on a descriptor that does not block

    def serve(self) -> None:
        """Answer the oldest request, if any; call when the pipe is readable, at its end, or does not block."""
        if not self._requests:
            return
        notification, thread, address, length = self._requests.popleft()
        if not seccomp.is_waiting(self._listener, notification):
            return
        try:
            memory = os.open(f"/proc/{thread}/mem", os.O_RDWR | os.O_CLOEXEC)
        except OSError:
            seccomp.continue_call(self._listener, notification)  # it reads itself; the supervisor cannot see it either
            return
        try:
            if not _is_mapped(memory, address):
                seccomp.respond(
                    self._listener, notification, 0, errno.EFAULT
                )  # as the kernel, which takes nothing then
                return
            data = os.read(self.source, min(length, _MOST_BYTES))
            self._spool.write(data)
            error = 0 if _put(memory, address, data) else errno.EFAULT
            seccomp.respond(self._listener, notification, 0 if error else len(data), error)
        except OSError as error:
            seccomp.respond(self._listener, notification, 0, error.errno or errno.EIO)
        finally:
            os.close(memory)

    def let_signals_in(self) -> None:
        """Interrupt the callers that a signal is waiting for; call every now and then while anybody waits.

        The kernel holds a signal with a handler back until the call is answered, and input may never come. The answer is what
        the kernel itself gives a read that a signal meets: the handler runs, and the call is restarted or fails with EINTR.
        """
        for request in list(self._requests):
            if _is_signalled(request[1]):
                self._requests.remove(request)
                seccomp.respond(self._listener, request[0], 0, _ERESTARTSYS)

    def finish(self) -> None:
        """The job has ended: close the copy, and let whoever still waits read by itself."""
        for notification, *_ in self._requests:
            seccomp.continue_call(self._listener, notification)
        self._requests.clear()
        self._spool.close()


def _is_mapped(memory: int, address: int) -> bool:
    try:
        return len(os.pread(memory, 1, address)) == 1
    except (OSError, OverflowError):  # an address of the upper half is beyond what a file position can be
        return False


def _put(memory: int, address: int, data: bytes) -> bool:
    try:
        return not data or os.pwrite(memory, data, address) == len(data)
    except OSError:
        return False


def _is_signalled(thread: int) -> bool:
    """Tell whether a signal waits for this thread and no other.

    One sent to its whole process is the first thread's, unless that one blocks it. Taken for the wrong thread's, the call
    would fail with a number that no program knows.
    """
    try:
        with open(f"/proc/{thread}/status", "rb") as file:
            lines = dict(line.split(b":", 1) for line in file.read().splitlines())
    except OSError:
        return False
    waiting = int(lines[b"SigPnd"], 16)
    if int(lines[b"Tgid"]) == thread:
        waiting |= int(lines[b"ShdPnd"], 16)
    return bool(waiting & ~int(lines[b"SigBlk"], 16) & ~int(lines[b"SigIgn"], 16))
