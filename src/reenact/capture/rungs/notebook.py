"""What the observers of the lower rungs have in common: beginning a journal, booking what is seen, ending it."""

from __future__ import annotations

import contextlib
import os
import stat
import time
from typing import Any, Final, NoReturn

from reenact.capture.files import FileStates
from reenact.capture.journal import JournalWriter
from reenact.capture.roles import SupervisorEnds, Watch
from reenact.capture.trace import sockets
from reenact.capture.trace.processes import ROOT
from reenact.capture.trace.programs import MAX_INTERPRETERS, interpreter_of

__all__ = ["IDLE_MILLISECONDS", "Notebook", "asked", "locate", "wait_for_recorder"]

IDLE_MILLISECONDS: Final = 3
"""After so long without an event the journal is flushed, and the recorder woken."""
_INHERITED: Final = {"r": os.O_RDONLY, "w": os.O_WRONLY | os.O_APPEND, "t": os.O_WRONLY | os.O_TRUNC}
_ANY_EXECUTE: Final = 0o111
_PATIENCE_SECONDS: Final = 0.002


class Notebook:
    """Writes one run's journal. One process, one thread."""

    def __init__(self, watch: Watch, ends: SupervisorEnds, journal: JournalWriter, states: FileStates) -> None:
        self.watch, self.journal, self.states = watch, journal, states
        self.calls = 0
        """Events booked."""
        self._ends = ends
        self._programs: dict[str, str | None] = {}
        self._gaps: set[tuple[str, str, str]] = set()
        self._contacts: set[tuple[str, str, str]] = set()
        self.bound: set[str] = set()
        """Abstract socket names that processes of the run serve."""

    def begin(self, gap: tuple[str, str]) -> None:
        """Write what is known before the job starts, first of all the rung's own gap: its code and message."""
        self.journal.write(["t", False])
        self.gap(*gap)
        self.states.probed(self.watch.cwd, follow=True)
        for path, how in self.watch.inherited:
            self.states.opened(ROOT, path, _INHERITED[how])
        self.flush()

    def ready(self) -> None:
        """Let the job start."""
        with contextlib.suppress(OSError):  # the main process is gone
            os.write(self._ends.control, b"R")

    def flush(self) -> None:
        """Make what was seen visible to the recorder."""
        self.journal.flush()
        with contextlib.suppress(OSError):  # it is behind (the pipe is full) or gone (the journal is recovered later)
            os.write(self._ends.wake, b"j")

    def gap(self, code: str, message: str, subject: str = "") -> None:
        """Say once that something was not seen."""
        if (code, message, subject) not in self._gaps:
            self._gaps.add((code, message, subject))
            self.journal.write(["h", code, message, subject])

    def executed(self, actor: str, path: str, argv: list[str], cwd: str) -> None:
        """Book a program that was started, and what the kernel opened for it. Words are redacted here."""
        first = self.states.executed(actor, path)
        following = first
        for _ in range(MAX_INTERPRETERS + 1):
            if following is None:
                break
            if following not in self._programs:
                self._programs[following] = interpreter_of(following)
            interpreter = self._programs[following]
            following = self.states.executed(actor, interpreter) if interpreter else None
        if first is not None:
            words = [*self.watch.redact([*argv])]
            self.journal.write(["x", actor, time.time_ns(), first, words, cwd])

    def contacted(self, actor: str, address: sockets.Address | None, process: int, processes: list[int]) -> None:
        """Book a contact with a server outside the run.

        Args:
            actor: Who.
            address: Whom; a path must be absolute.
            process: A process in whose network namespace the port is.
            processes: Those of the run: a loopback server among them is not outside.
        """
        if address is None or (actor, address.kind, address.name) in self._contacts:
            return
        if address.kind == "unix":
            self.states.probed(address.name, follow=True)
            if address.name.startswith("/dev/") or not os.path.exists(address.name) or address.name in self.states.made:
                return
        elif address.kind == "unix-abstract":
            if address.name in self.bound:
                return
        elif address.loopback and sockets.belongs_to(address.port, process, processes):
            return
        self._contacts.add((actor, address.kind, address.name))
        self.journal.write(["k", time.time_ns(), address.kind, address.name, actor])

    def write(self, record: list[Any]) -> None:
        """Write any other record."""
        self.journal.write(record)

    def finish(self, *, ended: bool) -> None:
        """Write the end of the journal.

        Args:
            ended: All processes of the run have ended.
        """
        self.states.settle()
        if self.journal.broken:
            self.journal.write(["h", "journal-cut", f"the journal could not be written: {self.journal.broken}", ""])
        if not ended:
            self.gap("outlived", "a process outlives the job: what it does from now on is not recorded")
        self.journal.write(["end", time.time_ns(), self.calls])
        self.flush()

    def leave(self, *, wait: bool) -> NoReturn:
        """End this process.

        Args:
            wait: The recorder must first have read what only this process holds open.
        """
        if wait:
            wait_for_recorder(self.watch, self._ends, self.journal.position)
        os._exit(0)


def wait_for_recorder(watch: Watch, ends: SupervisorEnds, position: int) -> None:
    """Stay until the recorder has stored what the journal asks for up to `position`, or is gone."""
    while int.from_bytes(watch.stored[:8], "little") < position:
        try:
            os.write(ends.wake, b"j")
        except BlockingIOError:
            pass
        except OSError:
            return
        time.sleep(_PATIENCE_SECONDS)


def asked(descriptor: int) -> bool | None:
    """Read what the main process says: True, the job has ended; None, nothing any more (it was killed)."""
    try:
        return True if os.read(descriptor, 1) else None
    except OSError:
        return None


def locate(program: str, variables: dict[str, str]) -> str | None:
    """Find a program as execvp would; None when there is none that can be executed."""
    if "/" in program:
        folders = [""]
    else:
        folders = [folder or "." for folder in variables.get("PATH", os.defpath).split(os.pathsep)]
    for folder in folders:
        path = os.path.abspath(os.path.join(folder, program))
        try:
            mode = os.stat(path).st_mode
        except OSError:
            continue
        if stat.S_ISREG(mode) and mode & _ANY_EXECUTE:
            return path
    return None
