"""Passing the job's output on while keeping a copy, so that no byte is lost even if this process is killed.

The job writes into a pipe of ours. ``tee`` copies what waits there into a second pipe; it leaves the first only when it is where
the job's output was meant to go. See: man 2 tee, man 2 splice.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import select
from collections.abc import Callable
from typing import Final, Protocol

__all__ = ["Relay", "Spool", "StreamFilter"]

_SPLICE_NONBLOCK: Final = 2
_CHUNK_BYTES: Final = 1 << 16
"""A pipe's default capacity: what one tee can copy."""

_libc = ctypes.CDLL(None, use_errno=True)
_libc.tee.restype = ctypes.c_ssize_t
_libc.tee.argtypes = (ctypes.c_int, ctypes.c_int, ctypes.c_size_t, ctypes.c_uint)


class StreamFilter(Protocol):
    """Takes secrets out of a stream that comes in pieces."""

    def feed(self, data: bytes) -> bytes:
        """Take the next piece; give what can be written now."""

    def close(self) -> bytes:
        """Give the rest."""


class Spool:
    """A growing file of what went through a stream: redacted before it is written, and capped.

    What is missing from it, for the cap or because the disk is full, is told by a file beside it: ``<path>.truncated``.
    """

    def __init__(self, path: str, max_bytes: int, new_filter: Callable[[], StreamFilter]) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        self._left = max_bytes
        self._new_filter = new_filter
        self._filter: StreamFilter | None = None
        self._over = path + ".truncated"

    def write(self, data: bytes) -> None:
        """Take the next bytes of the stream."""
        if self._left:
            if self._filter is None:
                self._filter = self._new_filter()
            self._put(self._filter.feed(data))
        elif data:
            self._cut()

    def flush(self) -> None:
        """Write what was held back: nothing more is expected.

        Should more come all the same (from a process that outlives the job), it is kept only where the stream was cut between
        lines: the two halves of a secret would not be known for one.
        """
        rest = self._filter.close() if self._filter is not None else b""
        self._put(rest)
        if rest:
            self._left = 0
        self._filter = None

    def close(self) -> None:
        """Write what was held back, and close the file."""
        self.flush()
        os.close(self._file)

    def _put(self, data: bytes) -> None:
        if len(data) > self._left:
            self._cut()
            data = data[: self._left]
        self._left -= len(data)
        try:
            while data:
                data = data[os.write(self._file, data) :]
        except OSError:
            # The disk is full: the job's output still goes on, the copy is marked as cut.
            self._left = 0
            self._cut()

    def _cut(self) -> None:
        with contextlib.suppress(OSError):
            os.close(os.open(self._over, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600))


class Relay:
    """Moves one stream. `source` is the reading end of the job's pipe, `sink` the descriptor its output was meant for."""

    def __init__(self, source: int, sink: int, spool: Spool) -> None:
        self.source, self.sink, self._spool = source, sink, spool
        self._copy_out, self._copy_in = os.pipe()
        os.set_blocking(source, False)
        self.open = True
        self.on_finish: Callable[[], None] = lambda: None
        """Called when nothing more is moved; whoever else holds `source` has to close it then."""
        self._waiting = select.poll()
        self._waiting.register(sink, select.POLLOUT)
        self.one_reader = _is_unnamed(sink)
        """Once its reader is gone no other can come, as one could to a named pipe."""

    def move(self) -> bool:
        """Move what waits now; False when there is nothing (or the end)."""
        if not self.open:
            return False
        count = _libc.tee(self.source, self._copy_in, _CHUNK_BYTES, _SPLICE_NONBLOCK)
        if count < 0 and ctypes.get_errno() == errno.EAGAIN:
            return False
        if count <= 0:
            self.finish()
            return False
        data = os.read(self._copy_out, count)
        self._spool.write(data)
        self._pass_on(memoryview(data))
        return True

    def _pass_on(self, rest: memoryview) -> None:
        while rest and self.open:
            self._waiting.poll()
            try:
                moved = self._pass_some(rest)
            except BlockingIOError:
                continue
            except OSError:
                self.finish()  # nobody reads any more: the job meets SIGPIPE as it would without us
                return
            rest = rest[moved:]

    def _pass_some(self, rest: memoryview) -> int:
        """Move a full pipe by splice, less by hand.

        A spliced line takes as much room in the reader's pipe as a full page: sixteen of them would fill it, and a reader that
        first waits for our end would wait for ever.
        """
        if len(rest) == _CHUNK_BYTES:
            try:
                return os.splice(self.source, self.sink, len(rest), flags=_SPLICE_NONBLOCK)
            except OSError as error:
                if error.errno != errno.EINVAL:  # a file opened for appending takes no splice
                    raise
        written = os.write(self.sink, rest[: select.PIPE_BUF])  # all or nothing
        os.read(self.source, written)
        return written

    def drain(self) -> None:
        """Move everything that is there."""
        while self.open and self.move():
            pass
        if self.open:
            self._spool.flush()

    def finish(self) -> None:
        """Stop: close our end, so that a job that still writes meets a broken pipe."""
        if self.open:
            self.open = False
            os.close(self.source)
            self.on_finish()
            self._spool.close()
            os.close(self._copy_in)
            os.close(self._copy_out)


def _is_unnamed(descriptor: int) -> bool:
    try:
        return os.readlink(f"/proc/self/fd/{descriptor}").startswith(("pipe:", "socket:"))
    except OSError:
        return False
