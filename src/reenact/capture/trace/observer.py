"""One run that is being recorded, as the supervisor sees it: whose calls belong to it, and where they are told."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from reenact.capture.files import FileStates
from reenact.capture.journal import JournalWriter
from reenact.capture.trace.processes import ROOT

__all__ = ["Observer"]


@dataclass(slots=True, kw_only=True)
class Observer:
    """The whole tree, or the part of it below a nested ``reenact run``.

    In its own journal the process at the top is always ``1``: a nested run is recorded, and replayed, as if it were alone.
    """

    root: str
    """The actor at the top of it, in the whole tree."""
    states: FileStates
    journal: JournalWriter
    wake: int
    """A descriptor; a byte written to it tells the recorder that the journal has grown."""
    redact: Callable[[Sequence[str]], Sequence[str]]
    """Takes the secrets out of a command line."""
    calls: int = 0
    """Notifications that came from its part of the tree."""
    contacts: set[tuple[str, str, str]] = field(default_factory=set)
    """Actor, kind and name of the contacts that have been told of."""
    bound: set[str] = field(default_factory=set)
    """Abstract socket names that its own processes serve."""
    _gaps: set[tuple[str, str, str]] = field(default_factory=set)

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

    def flush(self) -> None:
        """Make what was seen visible to the recorder."""
        self.journal.flush()
        self._tell()

    def __post_init__(self) -> None:
        """Have the recorder work while the job does, however busy that keeps the supervisor."""
        self.journal.after_flush = self._tell

    def _tell(self) -> None:
        # It may be behind (the pipe is full) or gone (the journal is recovered later).
        with contextlib.suppress(OSError):
            os.write(self.wake, b"j")
