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

    def take(self, data: bytes) -> None:
        """Take requests as the supervisor sends them."""
        for start in range(0, len(data) - REQUEST.size + 1, REQUEST.size):
            notification, thread, _, address, length = REQUEST.unpack_from(data, start)
            self._requests.append((notification, thread, address, length))
        if self._requests and not os.get_blocking(self.source):
            self.serve()  # nobody waits on a descriptor that does not block

    def serve(self) -> None:
        """Answer the oldest request; call when the pipe is readable, at its end, or does not block."""
        notification, thread, address, length = self._requests.popleft()
        if not seccomp.is_waiting(self._listener, notification):
            return
        try:
            memory = os.open(f"/proc/{thread}/mem", os.O_RDWR | os.O_CLOEXEC)
        except OSError:
            seccomp.continue_call(self._listener, notification)  # it reads itself; the supervisor cannot see it either
            return
        try:
            data = os.read(self.source, min(length, _MOST_BYTES))
            fits = not data or os.pwrite(memory, data, address) == len(data)
            self._spool.write(data)
            seccomp.respond(self._listener, notification, len(data) if fits else 0, 0 if fits else errno.EFAULT)
        except OSError as error:
            seccomp.respond(self._listener, notification, 0, error.errno or errno.EIO)
        finally:
            os.close(memory)

    def finish(self) -> None:
        """The job has ended: close the copy, and let whoever still waits read by itself."""
        for notification, *_ in self._requests:
            seccomp.continue_call(self._listener, notification)
        self._requests.clear()
        self._spool.close()
