"""The programs that observed processes become: what the kernel opens for them, and with which words they are started."""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Callable, Sequence
from typing import Final

from reenact.capture.files import FileStates
from reenact.capture.trace.observer import Observer
from reenact.capture.trace.processes import Processes
from reenact.capture.trace.programs import MAX_INTERPRETERS, interpreter_of
from reenact.capture.trace.syscalls import ABIS, Call
from reenact.capture.trace.tracee import Memory

__all__ = ["Executions"]

_ANY_EXECUTE: Final = 0o111
_MAX_ARGUMENTS: Final = 4096
_MAX_ARGUMENT_BYTES: Final = 1 << 17


class Executions:
    """One method a kind of call, as in :class:`reenact.capture.trace.supervisor.Supervisor`."""

    def __init__(
        self,
        memory: Memory,
        processes: Processes,
        covering: Callable[[str], Sequence[tuple[Observer, str]]],
        path: Callable[[int, Call, list[int]], str],
        gap: Callable[[int, str, str, str], None],
        prefix: str,
    ) -> None:
        """Make it.

        Args:
            memory: Of the observed processes.
            processes: Who they are.
            covering: Gives the observers of an actor, each with its own name for it.
            path: Gives the absolute path that a thread's call names.
            gap: Takes the thread, the code, the message and the subject of what cannot be seen.
            prefix: Put before every path of the job's.
        """
        self._memory, self._processes = memory, processes
        self._covering, self._path, self._gap = covering, path, gap
        self._prefix = prefix
        self._pointer_bytes = {abi.audit_arch: abi.pointer_bytes for abi in ABIS}
        self._programs: dict[str, str | None] = {}
        """Path to what the kernel opens to run it."""

    def on_execve(self, thread: int, actor: str, call: Call, arguments: list[int], arch: int) -> Callable[[], None]:
        """Book a program once the call was let through; its words are read before, as they are gone after."""
        path = self._path(thread, call, arguments)
        process = self._processes.process(thread)
        argv = self._argv(process, arguments[call.flags], self._pointer_bytes[arch])
        cwd = os.readlink(f"/proc/{thread}/cwd")
        moment = time.time_ns()

        def later() -> None:
            self._memory.forget(process)
            watching = self._covering(actor)
            for observer, name in watching:
                where = self._execute(observer.states, name, path)
                if where is not None:
                    words = observer.redact(argv)
                    for other, _ in watching:
                        if other is not observer:
                            words = other.redact(words)  # what one run knows to be secret is secret in all
                    observer.journal.write(["x", name, moment, where, [*words], cwd])
                    self._note_privileged(thread, where)

        return later

    def _argv(self, process: int, address: int, pointer_bytes: int) -> list[str]:
        """Read the argument words; they have to be redacted before they are told to anybody."""
        words, total = [], 0
        for pointer in self._memory.pointers(process, address, pointer_bytes, _MAX_ARGUMENTS):
            word = self._memory.string(process, pointer)
            total += len(word)
            if total > _MAX_ARGUMENT_BYTES:
                words.append("…")
                break
            words.append(word)
        return words

    def _execute(self, states: FileStates, actor: str, path: str) -> str | None:
        """Book a program and what the kernel opens for it; give its canonical path when it can run."""
        _, state = states.walk(path)
        if state is not None and not (stat.S_ISREG(state.st_mode) and state.st_mode & _ANY_EXECUTE):
            return None  # refused with EACCES: only asked about
        first = states.executed(actor, path)
        following: str | None = first
        for _ in range(MAX_INTERPRETERS + 1):
            if following is None:
                break
            if following not in self._programs:
                self._programs[following] = interpreter_of(self._prefix + following)
            interpreter = self._programs[following]
            following = states.executed(actor, interpreter) if interpreter else None
        return first

    def _note_privileged(self, thread: int, path: str) -> None:
        try:
            mode = os.stat(self._prefix + path).st_mode
        except OSError:
            return
        if mode & (stat.S_ISUID | stat.S_ISGID) and stat.S_ISREG(mode):
            message = (
                "a set-user-id program was started: it may have run without its privileges, and cannot be looked into"
            )
            self._gap(thread, "set-user-id", message, path)
