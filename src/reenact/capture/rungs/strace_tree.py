"""Who is who among the processes strace reports: threads to processes, processes to places in the tree and working folders.

As :mod:`reenact.capture.trace.processes`, but told of births by the calls that give them, since whoever is reported may be gone.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from reenact.capture.trace.processes import ROOT
from reenact.capture.trace.tracee import identify

__all__ = ["Tree"]


class Tree:
    """The process table; `emit` receives ``f`` and ``q`` records."""

    def __init__(self, root: int, cwd: str, emit: Callable[[list[Any]], None]) -> None:
        self._emit = emit
        self._process_of: dict[int, int] = {root: root}
        """By thread id."""
        self._actor_of: dict[int, str] = {root: ROOT}
        """By process id."""
        self._cwd_of: dict[int, str] = {root: cwd}
        self._children: dict[str, int] = {}

    def actor(self, thread: int, births: list[int]) -> str:
        """Name the process a thread belongs to.

        Args:
            thread: Its id.
            births: Threads that are starting another one right now: one of them is the parent of a newcomer.
        """
        process = self._process_of.get(thread)
        if process is not None:
            return self._actor_of[process]
        try:
            process, parent = identify(thread)
        except (OSError, ValueError):
            process, parent = thread, births[-1] if births else 0
        if process in self._actor_of and process != thread:
            self._process_of[thread] = process
            return self._actor_of[process]
        if parent not in self._process_of and births:
            parent = births[-1]
        return self._enter(thread, parent)

    def _enter(self, process: int, parent: int) -> str:
        above_process = self._process_of.get(parent)
        above = self._actor_of[above_process] if above_process is not None else ROOT
        number = self._children[above] = self._children.get(above, 0) + 1
        actor = f"{above}.{number}"
        self._process_of[process] = process
        self._actor_of[process] = actor
        self._cwd_of[process] = self._cwd_of.get(above_process if above_process is not None else 0, "/")
        self._emit(["f", actor, above, time.time_ns()])
        return actor

    def born(self, parent: int, thread: int, *, same_process: bool) -> None:
        """A call that starts another thread or process has returned its id."""
        if thread in self._process_of:
            return
        if same_process:
            self._process_of[thread] = self._process_of.get(parent, parent)
        else:
            self._enter(thread, parent)

    def cwd(self, thread: int) -> str:
        """Give the working folder of a thread's process."""
        return self._cwd_of.get(self._process_of.get(thread, thread), "/")

    def moved(self, thread: int, folder: str) -> None:
        """A process changed its working folder."""
        self._cwd_of[self._process_of.get(thread, thread)] = folder

    def ended(self, thread: int, code: int) -> None:
        """A thread has ended: its id may be used again from now on."""
        process = self._process_of.pop(thread, None)
        if process != thread:
            return
        actor = self._actor_of.pop(process)
        self._cwd_of.pop(process, None)
        for other in [other for other, its in self._process_of.items() if its == process]:
            del self._process_of[other]
        self._emit(["q", actor, code, time.time_ns()])

    def ids(self) -> list[int]:
        """Give the process ids known to live."""
        return [*self._actor_of]
