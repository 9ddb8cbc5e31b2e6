"""Noticing reads from standard input: a pipe's are passed to the main process, which reads for the caller and keeps a copy.

The other half is :mod:`reenact.capture.standard_input`.
"""

from __future__ import annotations

import contextlib
import os
import struct
from collections import deque
from collections.abc import Callable, Sequence
from typing import Final

from reenact.capture.trace import seccomp
from reenact.capture.trace.observer import Observer
from reenact.capture.trace.processes import ROOT
from reenact.capture.trace.syscalls import Call

__all__ = ["REQUEST", "StandardInput", "taken"]

REQUEST: Final = struct.Struct("=QIIQQ")
"""A read from standard input, passed to the main process: notification, thread, 0, address, length."""

_MAX_PASSED: Final = 4096


def taken() -> None:
    """Stand for: somebody else answers this call."""


class StandardInput:
    """One method a kind of call, as in :class:`reenact.capture.trace.supervisor.Supervisor`."""

    def __init__(self, listener: int, covering: Callable[[str], Sequence[tuple[Observer, str]]]) -> None:
        """Make one that knows of no standard input yet; see :meth:`watch`.

        Args:
            listener: Where calls are answered.
            covering: Gives the observers of an actor.
        """
        self._listener = listener
        self._covering = covering
        self._source: tuple[int, int] | None = None
        self._kept = False
        self._server = -1
        self.notices = False
        """Whether the filter asks about reads from descriptor 0, of whatever it is."""
        self._passed: deque[int] = deque(maxlen=_MAX_PASSED)

    def watch(self, source: tuple[int, int], *, kept: bool, server: int) -> None:
        """Notice reads.

        Args:
            source: Device and inode of what standard input is.
            kept: It is a pipe, and what is read is recorded; else it is a terminal.
            server: A descriptor that leads to the main process, which reads for others.
        """
        self._source, self._kept, self._server = source, kept, server
        self.notices = True

    def pass_on(self, notification: int, thread: int, arguments: list[int]) -> None:
        """Have the main process read from standard input for a caller; should it be gone, the caller reads itself."""
        self._passed.append(notification)
        try:
            os.write(self._server, REQUEST.pack(notification, thread, 0, arguments[1], arguments[2]))
        except OSError:
            self.abandon()

    def release(self) -> None:
        """The main process reads for nobody any more: what it was asked for last it may not have heard."""
        self._server = -1
        passed, self._passed = self._passed, deque(maxlen=_MAX_PASSED)
        waited = [notification for notification in passed if seccomp.continue_call(self._listener, notification)]
        if waited:
            self.abandon()

    def abandon(self) -> None:
        """Nobody reads for others any more: let all callers that wait do it themselves, and say that it is not recorded."""
        for notification in self._passed:
            seccomp.continue_call(self._listener, notification)
        self._passed.clear()
        if self._source is not None:
            self._source = None
            for observer, _ in self._covering(ROOT):
                observer.gap("stdin", "the rest of standard input was not recorded", "stdin")

    def _is_meant(self, thread: int, actor: str) -> bool:
        """Tell whether what a thread has as its descriptor 0 is the standard input that is watched."""
        try:
            found = os.stat(f"/proc/{thread}/fd/0")
        except OSError:
            return False
        source = (found.st_dev, found.st_ino)
        for observer, _ in self._covering(actor):
            observer.note_stdin(source)
        return source == self._source

    def on_read_stdin(
        self,
        thread: int,
        actor: str,
        call: Call,  # noqa: ARG002
        arguments: list[int],  # noqa: ARG002
        arch: int,  # noqa: ARG002
    ) -> Callable[[], None] | None:
        """Take a read of a pipe over; name one of a terminal as a gap, once a run."""
        if not self._is_meant(thread, actor):
            return None
        if self._kept:
            return taken
        self._gap(actor, "standard input was read from a terminal, which is not recorded")
        return None

    def on_other_stdin(
        self,
        thread: int,
        actor: str,
        call: Call,  # noqa: ARG002
        arguments: list[int],  # noqa: ARG002
        arch: int,  # noqa: ARG002
    ) -> None:
        """Name a way of reading that is not taken over as a gap."""
        if self._is_meant(thread, actor):
            self._gap(actor, "standard input was read in a way that is not recorded")

    def note_opened(self, thread: int, actor: str, path: str) -> None:
        """Name standard input that is opened anew by a name (``/dev/stdin``) as a gap: reads from there are not noticed."""
        if self._source is None:
            return
        owner, _, number = path.removeprefix("/proc/").rpartition("/fd/")
        if not owner.isdigit():
            owner = str(thread)  # /proc/self, and what leads there from /dev
        path = f"/proc/{owner}/fd/{number.removeprefix('/dev/').replace('stdin', '0')}"
        with contextlib.suppress(OSError):
            found = os.stat(path)
            if (found.st_dev, found.st_ino) == self._source:
                self._gap(actor, "standard input was opened anew and read in a way that is not recorded")

    def _gap(self, actor: str, message: str) -> None:
        for observer, _ in self._covering(actor):
            observer.gap("stdin", message, "stdin")
