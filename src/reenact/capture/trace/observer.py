"""One run that is being recorded, as the supervisor sees it: whose calls belong to it, and where they are told."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Sequence

from reenact.capture.files import FileStates
from reenact.capture.journal import JournalWriter
from reenact.capture.trace.processes import ROOT

__all__ = ["Observer"]


class Observer:
    """The whole tree, or the part of it below a nested ``reenact run``.

    In its own journal the process at the top is always ``1``: a nested run is recorded, and replayed, as if it were alone.
    """

    __slots__ = (
        "_gaps",
        "bound",
        "calls",
        "contacts",
        "journal",
        "redact",
        "root",
        "states",
        "stdin",
        "stdin_read",
        "wake",
    )

    def __init__(
        self,
        *,
        root: str,
        states: FileStates,
        journal: JournalWriter,
        wake: int,
        redact: Callable[[Sequence[str]], Sequence[str]],
    ) -> None:
        """Make one, which has the recorder work while the job does, however busy that keeps the supervisor.

        Args:
            root: The actor at the top of it, in the whole tree.
            states: What became of its files.
            journal: Where it is told.
            wake: A descriptor; a byte written to it tells the recorder that the journal has grown.
            redact: Takes the secrets out of a command line.
        """
        self.root, self.states, self.journal, self.wake, self.redact = root, states, journal, wake, redact
        self.calls = 0
        """Notifications that came from its part of the tree."""
        self.contacts: set[tuple[str, str, str]] = set()
        """Actor, kind and name of the contacts that have been told of."""
        self.bound: set[str] = set()
        """Abstract socket names that its own processes serve."""
        self.stdin: tuple[int, int] | None = None
        """Device and inode of its own standard input, while nobody was seen to read from it."""
        self.stdin_read: Callable[[], None] | None = None
        """Called when somebody does."""
        self._gaps: set[tuple[str, str, str]] = set()
        journal.after_flush = self._tell

    def covers(self, actor: str) -> bool:
        """Tell whether a process belongs to this run."""
        return actor == self.root or actor.startswith(self.root + ".")

    def local(self, actor: str) -> str:
        """Give the name of a process that belongs to this run within it."""
        return ROOT + actor[len(self.root) :]

    def gap(self, code: str, message: str, subject: str) -> None:
        """Tell once of something that could not be seen."""
        if (code, message, subject) not in self._gaps:
            self._gaps.add((code, message, subject))
            self.journal.write(["h", code, message, subject])

    def note_stdin(self, source: tuple[int, int]) -> None:
        """Note that one of its processes reads from its standard input."""
        if source == self.stdin and self.stdin_read is not None:
            self.stdin = None
            self.stdin_read()

    def flush(self) -> None:
        """Make what was seen visible to the recorder."""
        self.journal.flush()
        self._tell()

    def _tell(self) -> None:
        # It may be behind (the pipe is full) or gone (the journal is recovered later).
        with contextlib.suppress(OSError):
            os.write(self.wake, b"j")
