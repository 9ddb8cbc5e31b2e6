"""A short-lived helper program: started without waiting, its output kept in memory, killed when it takes too long.

Cheaper than :mod:`subprocess` (no import, no pipes that fill up while nobody reads): standard output and error go to memory
files. The child has its own process group, so that Ctrl-C on the job's terminal does not end it, and no standard input.
"""

from __future__ import annotations

import os
import select
import signal
from collections.abc import Mapping, Sequence
from typing import Final

__all__ = ["Child"]

_MOST_BYTES: Final = 256 << 20
"""More output than this is not read: the answer would not be what it is asked for."""


class Child:
    """A started program. Call :meth:`result` once; in the process that started it."""

    def __init__(self, argv: Sequence[str], environment: Mapping[str, str]) -> None:
        """Start a program, found on this process's PATH.

        Raises:
            OSError: there is no such program, or it cannot be executed.
        """
        self._out = os.memfd_create("out", os.MFD_CLOEXEC)
        self._err = os.memfd_create("err", os.MFD_CLOEXEC)
        try:
            self._pid = os.posix_spawnp(
                argv[0],
                list(argv),
                environment,
                file_actions=[
                    (os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0),
                    (os.POSIX_SPAWN_DUP2, self._out, 1),
                    (os.POSIX_SPAWN_DUP2, self._err, 2),
                ],
                setpgroup=0,
                setsigmask=(),
                setsigdef=(signal.SIGINT, signal.SIGTERM, signal.SIGPIPE, signal.SIGQUIT, signal.SIGHUP),
            )
        except BaseException:
            os.close(self._out)
            os.close(self._err)
            raise

    def result(self, timeout_seconds: float) -> tuple[int | None, bytes, str]:
        """Wait for the end and give exit code, output and error text.

        The exit code is negative after a signal, None when time ran out (the child is killed then).
        """
        try:
            code = self._wait(timeout_seconds)
            error = _content(self._err).decode("utf-8", "replace").strip()
            return code, _content(self._out), error
        finally:
            os.close(self._out)
            os.close(self._err)

    def _wait(self, timeout_seconds: float) -> int | None:
        handle = os.pidfd_open(self._pid)
        try:
            poll = select.poll()
            poll.register(handle, select.POLLIN)
            ended = bool(poll.poll(int(timeout_seconds * 1000)))
        finally:
            os.close(handle)
        if not ended:
            os.killpg(self._pid, signal.SIGKILL)
        _, status = os.waitpid(self._pid, 0)
        return os.waitstatus_to_exitcode(status) if ended else None


def _content(descriptor: int) -> bytes:
    size = min(os.fstat(descriptor).st_size, _MOST_BYTES)
    pieces = []
    at = 0
    while at < size and (block := os.pread(descriptor, size - at, at)):
        pieces.append(block)
        at += len(block)
    return b"".join(pieces)
