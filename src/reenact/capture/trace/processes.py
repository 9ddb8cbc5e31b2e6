"""Who is who in the observed process tree: threads to processes, processes to their place in the tree.

A process is called by its path in the tree (``1``, ``1.1``, ``1.2`` ...: children numbered as they first appear), never by
its pid: pids differ between two runs of the same job, places in the tree rarely do.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Final

from reenact.capture.trace.tracee import children_of, identify, started_ticks

__all__ = ["ROOT", "Processes"]

ROOT = "1"
_MOST_ENDED: Final = 4096
"""How many that have ended are remembered."""


class Processes:
    """The process table; `emit` receives ``f`` and ``q`` records."""

    def __init__(self, root: int, emit: Callable[[str, list[Any]], None]) -> None:
        self._emit = emit
        self._actors: dict[int, str] = {root: ROOT}
        """By thread id."""
        self._process_of: dict[int, int] = {root: root}
        self._threads: dict[int, set[int]] = {root: {root}}
        self._children: dict[str, int] = {}
        self._actor_of: dict[int, str] = {root: ROOT}
        """By process id."""
        self._ended: dict[int, tuple[str, int]] = {}
        """What processes were called that have ended, and when they were started, by process id.

        Until its parent has asked for it, one is still listed among the parent's children, and must not be taken for a new one.
        """

    def actor(self, thread: int) -> str:
        """Name the process a thread belongs to, entering it when it is new."""
        known = self._actors.get(thread)
        return known if known is not None else self._enter(thread)

    def _enter(self, thread: int) -> str:
        try:
            process, parent = identify(thread)
        except (OSError, ValueError):
            return ROOT
        if self._has_ended(process):
            return self._ended[process][0]  # a thread that called while another one ended them all
        if process not in self._actor_of:
            above = self._actor_of.get(parent, ROOT)
            # Siblings that were started before it but have not been heard of yet come first, whoever runs faster.
            for sibling in [*(children_of(parent) if parent in self._actor_of else ()), process]:
                self._name(sibling, above)
                if sibling == process:
                    break
        actor = self._actor_of[process]
        self._actors[thread] = actor
        self._process_of[thread] = process
        self._threads[process].add(thread)
        return actor

    def _has_ended(self, process: int) -> bool:
        if process not in self._ended:
            return False
        if self._ended[process][1] == started_ticks(process):
            return True
        del self._ended[process]  # the id is another process's by now
        return False

    def _name(self, process: int, above: str) -> None:
        if process in self._actor_of or self._has_ended(process):
            return
        number = self._children[above] = self._children.get(above, 0) + 1
        actor = self._actor_of[process] = f"{above}.{number}"
        self._threads[process] = set()
        self._emit(actor, ["f", actor, above, time.time_ns()])

    def process(self, thread: int) -> int:
        """Give the process id of a thread that :meth:`actor` has seen."""
        return self._process_of.get(thread, thread)

    def ended(self, thread: int, code: int) -> None:
        """A process calls exit_group: its ids may be used again from now on."""
        actor = self.actor(thread)
        process = self.process(thread)
        for member in self._threads.pop(process, ()):
            self._actors.pop(member, None)
            self._process_of.pop(member, None)
        self._actor_of.pop(process, None)
        self._ended[process] = actor, started_ticks(process)
        if len(self._ended) > _MOST_ENDED:
            del self._ended[next(iter(self._ended))]
        self._emit(actor, ["q", actor, code, time.time_ns()])

    def meet_children(self, process: int) -> None:
        """Name the children of a process that is about to end: afterwards nobody could tell whose they were."""
        above = self._actor_of.get(process)
        if above is not None:
            for child in children_of(process):
                self._name(child, above)

    def below(self, actor: str) -> list[int]:
        """Give the ids of the processes at and below a place in the tree whose end has not been heard of."""
        prefix = actor + "."
        return [process for process, name in self._actor_of.items() if name == actor or name.startswith(prefix)]

    def ids(self) -> list[int]:
        """Give the process ids known to live."""
        return [*self._actor_of]
