"""The supervisor: receives every observed call, books it, and lets it through.

Its own single-threaded process: next to a thread that holds the interpreter lock, an answer takes milliseconds instead of
microseconds (docs/explanation/performance.md). Order: what changes content is booked before the call goes on, plain reads
after, so that the job waits as little as possible. Whatever goes wrong here becomes a gap, never an error of the job.
"""

from __future__ import annotations

import mmap
import os
import select
import struct
import time
from collections.abc import Callable
from typing import Any, Final

from reenact.capture import exemption
from reenact.capture.trace import seccomp
from reenact.capture.trace.contacts import Contacts
from reenact.capture.trace.executions import Executions
from reenact.capture.trace.listings import Lister
from reenact.capture.trace.observer import Observer
from reenact.capture.trace.processes import Processes
from reenact.capture.trace.standard_input import StandardInput, taken
from reenact.capture.trace.stat_answers import StatAnswers
from reenact.capture.trace.syscalls import ABIS, AT_FDCWD, CALLS, Call
from reenact.capture.trace.tracee import Memory, Unreadable, absolute
from reenact.capture.walk import is_special

__all__ = ["Supervisor"]

_AT_SYMLINK_NOFOLLOW: Final = 0x100
_AT_SYMLINK_FOLLOW: Final = 0x400
_AT_EMPTY_PATH: Final = 0x1000
_CLONE_NEWNS: Final = 0x20000
_CHANGES: Final = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC
_WIDE: Final = 8
"""Bytes of a pointer in the ABIs whose struct stat we lay out."""
_IDLE_MILLISECONDS: Final = 3
"""After so long without a call the journal is flushed, and the recorder woken."""
_TICK_MILLISECONDS: Final = 20
"""How often whoever waits for something besides calls may look again."""
_MAX_COVERED: Final = 4096
"""Actors whose observers are remembered."""
_STANDARD_NAMES: Final = {"/dev/stdin": 0, "/dev/stdout": 1, "/dev/stderr": 2}

Later = Callable[[], None]


def _nothing() -> None:
    """Do nothing."""


class Supervisor:
    """Answers notifications until every observed process has ended or it is told to stop."""

    def __init__(self, listener: int, root: int, prefix: str = "") -> None:
        self.listener = listener
        self.calls = 0
        self._buffer = bytearray(seccomp.NOTIFICATION_BYTES)
        self.stat_answers: StatAnswers | None = None
        self.lister: Lister | None = None
        self.heard: mmap.mmap | None = None
        """Shared with the main process: the number of the notification received last."""
        self.between: Callable[[bool], None] | None = None
        """While it is set: called every so often between calls, with whether nothing else was to be done."""
        self._prefix = prefix
        self._memory = Memory()
        self._processes = Processes(root, self._emit)
        self._observers: list[Observer] = []
        self._covered: dict[str, tuple[tuple[Observer, str], ...]] = {}
        self._aside: set[str] = set()
        """Actors that are not observed, nor what they started."""
        self._contacts = Contacts(self._memory, self._processes, self.covering, prefix)
        self._executions = Executions(self._memory, self._processes, self.covering, self._path, self._gap, prefix)
        self.stdin = StandardInput(listener, self.covering)
        handlers = {name: (self._handler(call), call) for name, call in CALLS.items()}
        self._handlers: dict[tuple[int, int], tuple[Callable[..., Later | int | None], Call]] = {
            (abi.audit_arch, number): handlers[name] for abi in ABIS for name, number in abi.numbers if name in handlers
        }
        self._pointer_bytes = {abi.audit_arch: abi.pointer_bytes for abi in ABIS}
        self._stopped = False
        self._attended: dict[int, Callable[[], None]] = {}
        self._poll = select.poll()
        self._poll.register(listener, select.POLLIN)

    def _handler(self, call: Call) -> Callable[..., Later | int | None]:
        found: Callable[..., Later | int | None] | None = getattr(self, f"_on_{call.kind}", None)
        for part in (self._contacts, self._executions, self.stdin):
            found = found or getattr(part, f"on_{call.kind}", None)
        if found is None:
            raise LookupError(call.kind)
        return found

    # --- who observes

    @property
    def observers(self) -> tuple[Observer, ...]:
        """The runs that are being recorded, outer ones first."""
        return tuple(self._observers)

    def add(self, observer: Observer) -> None:
        """Tell an observer of all that happens from now on in its part of the tree."""
        self._observers.append(observer)
        self._covered.clear()

    def remove(self, observer: Observer) -> None:
        """Tell an observer nothing more."""
        self._observers.remove(observer)
        self._covered.clear()

    def covering(self, actor: str) -> tuple[tuple[Observer, str], ...]:
        """Give the observers of a process, outer ones first, each with its own name for the process."""
        found = self._covered.get(actor)
        if found is None:
            if len(self._covered) >= _MAX_COVERED:
                self._covered.clear()
            found = tuple((observer, observer.local(actor)) for observer in self._observers if observer.covers(actor))
            self._covered[actor] = found
        return found

    def actor(self, process: int) -> str:
        """Name a process of the tree."""
        return self._processes.actor(process)

    def knows(self, process: int) -> bool:
        """Tell whether a process has been heard of and is observed."""
        return process in self._processes.ids() and not self._is_aside(self._processes.actor(process))

    def below(self, actor: str) -> list[int]:
        """List the processes, at and below a place in the tree, whose end has not been heard of."""
        return self._processes.below(actor)

    def ignore(self, actor: str, folder: str) -> None:
        """Leave a folder, given as a canonical path, out of all runs that a process belongs to, from now on."""
        for observer, _ in self.covering(actor):
            observer.states.ignore(folder)

    def set_aside(self, process: int) -> None:
        """Do not book what a process of the tree does from now on, nor what it starts."""
        self._aside.add(self._processes.actor(process))

    def _is_aside(self, actor: str) -> bool:
        while actor:
            if actor in self._aside:
                return True
            actor = actor.rpartition(".")[0]
        return False

    # --- the loop

    def attend(self, descriptor: int, handler: Callable[[], None]) -> None:
        """Call `handler` in the loop whenever a descriptor is readable or at its end."""
        self._attended[descriptor] = handler
        self._poll.register(descriptor, select.POLLIN)

    def leave(self, descriptor: int) -> None:
        """Attend to a descriptor no more; call before it is closed."""
        if self._attended.pop(descriptor, None) is not None:
            self._poll.unregister(descriptor)

    def stop(self) -> None:
        """Let :meth:`serve` return."""
        self._stopped = True

    def serve(self, deadline: float | None = None) -> bool:
        """Answer until all observed processes have ended (True), or :meth:`stop` is called or the time is over (False).

        Args:
            deadline: On the monotonic clock, in seconds.
        """
        self._stopped = False
        while not self._stopped:
            events = self._poll.poll(self._patience_milliseconds(deadline))
            if not events:
                self.flush()
            for descriptor, event in events:
                if descriptor != self.listener:
                    self._attended.get(descriptor, _nothing)()
                elif event & select.POLLIN:
                    self.step()
                else:
                    return True
            if self.between is not None:
                self.between(not events)
            if deadline is not None and time.monotonic() >= deadline:
                return False
        return False

    def _patience_milliseconds(self, deadline: float | None) -> float | None:
        patience: float | None = None if self.between is None else _TICK_MILLISECONDS
        for observer in self._observers:
            if observer.journal.pending:
                patience = _IDLE_MILLISECONDS
        if deadline is None:
            return patience
        left = max(deadline - time.monotonic(), 0) * 1000
        return left if patience is None else min(left, patience)

    def step(self) -> None:
        """Receive one call, book it and let it through; returns at once when its caller is gone."""
        if not seccomp.receive(self.listener, self._buffer):
            return
        notification, thread, _, number, arch, _, *arguments = seccomp.unpack(self._buffer)
        if self.heard is not None:
            # So that the main process can answer it, should we be killed.
            self.heard[:8] = self._buffer[:8]
        later = self._book(thread, number, arch, arguments)
        if isinstance(later, int):
            seccomp.respond(self.listener, notification, later)
        elif later is taken:
            self.stdin.pass_on(notification, thread, arguments)
        elif seccomp.continue_call(self.listener, notification) and later is not None:
            self._guard(thread, later)

    def flush(self) -> None:
        """Make what was seen visible to the recorders."""
        for observer in self._observers:
            observer.flush()

    def _book(self, thread: int, number: int, arch: int, arguments: list[int]) -> Later | int | None:
        self.calls += 1
        handler, call = self._handlers[arch, number]
        try:
            for observer in self._observers:
                if observer.states.unsettled:
                    observer.states.settle(thread)
            actor = self._processes.actor(thread)
            if self._aside and call.kind != "exit" and self._is_aside(actor):
                return None
            for observer, _ in self.covering(actor):
                observer.calls += 1
            later: Later | int | None = handler(thread, actor, call, arguments, arch)
        except (FileNotFoundError, ProcessLookupError):
            return None  # the process is gone, or its descriptor is not open: the call fails by itself
        except (Unreadable, PermissionError):
            self._gap(thread, "unreadable-process", "a process's memory cannot be read, so what it opens is unknown")
            return None
        except Exception as error:  # noqa: BLE001 - observing never breaks the job
            self._gap(thread, "tracer-error", f"{type(error).__name__}: {error}")
            return None
        return later

    def _guard(self, thread: int, later: Later) -> None:
        try:
            later()
        except Exception as error:  # noqa: BLE001 - observing never breaks the job
            self._gap(thread, "tracer-error", f"{type(error).__name__}: {error}")

    # --- what is told to the observers

    def _emit(self, actor: str, record: list[Any]) -> None:
        """Tell of a process: a record whose second item is an actor, and its third where it is one, too."""
        for observer, name in self.covering(actor):
            above = [observer.local(record[2])] if record[0] == "f" else [record[2]]
            observer.journal.write([record[0], name, *above, *record[3:]])

    def _gap(self, thread: int, code: str, message: str, subject: str = "") -> None:
        actor = self._processes.actor(thread)
        if not subject:
            try:
                subject = os.readlink(f"/proc/{thread}/exe")
            except OSError:
                subject = ""
        for observer, _ in self.covering(actor):
            observer.gap(code, message, subject)

    def _path(self, thread: int, call: Call, arguments: list[int], *, second: bool = False) -> str:
        """Read a path argument and make it absolute; '' where a null or empty path names nothing."""
        index, folder_index = (call.path2, call.folder2) if second else (call.path, call.folder)
        path = ""
        if index >= 0 and arguments[index]:
            path = self._memory.string(self._processes.process(thread), arguments[index])
            if path[:1] == "/":
                return path
            if not path and folder_index < 0:
                return ""
        folder = arguments[folder_index] & 0xFFFF_FFFF if folder_index >= 0 else AT_FDCWD
        found = absolute(thread, folder, path, folder == AT_FDCWD)
        return found if found.startswith("/") else ""

    @staticmethod
    def _flags(call: Call, arguments: list[int]) -> int:
        return arguments[call.flags] & 0xFFFF_FFFF if call.flags >= 0 else 0

    # --- one method a kind of call: books at once, gives what to book after the call was let through, or answers it with a number

    def _on_open(self, thread: int, actor: str, call: Call, arguments: list[int], arch: int) -> Later | None:  # noqa: ARG002
        flags = self._flags(call, arguments) if call.flags >= 0 else os.O_CREAT | os.O_TRUNC | os.O_WRONLY
        return self._open(thread, actor, self._path(thread, call, arguments), flags)

    _on_creat = _on_open

    @staticmethod
    def _through_descriptor(thread: int, path: str) -> str:
        """Resolve names that lead to a file some process has open (/dev/stdout, /proc/self/fd/3)."""
        number = _STANDARD_NAMES.get(path)
        if number is None:
            head, _, last = path.rpartition("/")
            if not last.isdigit() or not (head == "/dev/fd" or (head.startswith("/proc/") and head.endswith("/fd"))):
                return path
            owner = head[6:-3] if head.startswith("/proc/") else "self"
            link = f"/proc/{thread if owner in ('self', 'thread-self') else owner}/fd/{last}"
        else:
            link = f"/proc/{thread}/fd/{number}"
        found = os.readlink(link)
        return found if found.startswith("/") else path

    def _on_openat2(self, thread: int, actor: str, call: Call, arguments: list[int], arch: int) -> Later | None:  # noqa: ARG002
        (flags,) = struct.unpack("=Q", self._memory.read(self._processes.process(thread), arguments[call.flags], 8))
        return self._open(thread, actor, self._path(thread, call, arguments), flags)

    def _open(self, thread: int, actor: str, path: str, flags: int) -> Later | None:
        if not path:
            return None
        if path.startswith(("/proc/", "/dev/")):
            if path in _STANDARD_NAMES or "/fd/" in path:
                self.stdin.note_opened(thread, actor, path)
            path = self._through_descriptor(thread, path)
        if flags & _CHANGES:
            for observer, name in self.covering(actor):
                observer.states.opened(name, path, flags, thread)
            return None

        def later() -> None:
            for observer, name in self.covering(actor):
                observer.states.opened(name, path, flags)

        return later

    def _on_exit(self, thread: int, actor: str, call: Call, arguments: list[int], arch: int) -> None:  # noqa: ARG002
        process = self._processes.process(thread)
        self._memory.forget(process)
        if len(self._observers) > 1:
            self._processes.meet_children(process)  # orphans could not be told to be the inner run's
        self._processes.ended(thread, arguments[0] & 0xFF)

    def _on_rename(self, thread: int, actor: str, call: Call, arguments: list[int], arch: int) -> None:  # noqa: ARG002
        old, new = self._path(thread, call, arguments), self._path(thread, call, arguments, second=True)
        for observer, name in self.covering(actor):
            observer.states.renaming(thread, name, old, new, self._flags(call, arguments))

    def _on_link(self, thread: int, actor: str, call: Call, arguments: list[int], arch: int) -> None:  # noqa: ARG002
        old, new = self._path(thread, call, arguments), self._path(thread, call, arguments, second=True)
        follow = bool(self._flags(call, arguments) & _AT_SYMLINK_FOLLOW)
        for observer, name in self.covering(actor):
            observer.states.linked(name, old, new, follow, thread)

    def _on_symlink(self, thread: int, actor: str, call: Call, arguments: list[int], arch: int) -> None:  # noqa: ARG002
        path = self._path(thread, call, arguments)
        for observer, name in self.covering(actor):
            observer.states.made_node(name, path, thread)

    _on_make = _on_symlink

    def _on_unlink(self, thread: int, actor: str, call: Call, arguments: list[int], arch: int) -> None:  # noqa: ARG002
        path = self._path(thread, call, arguments)
        for observer, name in self.covering(actor):
            observer.states.removed(thread, name, path)

    def _on_truncate(self, thread: int, actor: str, call: Call, arguments: list[int], arch: int) -> None:  # noqa: ARG002
        path = self._path(thread, call, arguments)
        for observer, name in self.covering(actor):
            observer.states.truncated(name, path)

    def _on_meta(self, thread: int, actor: str, call: Call, arguments: list[int], arch: int) -> None:  # noqa: ARG002
        path = self._path(thread, call, arguments)
        follow = call.follow and not self._flags(call, arguments) & _AT_SYMLINK_NOFOLLOW
        if path:
            for observer, name in self.covering(actor):
                observer.states.changed_metadata(name, path, follow)

    def _on_probe(self, thread: int, actor: str, call: Call, arguments: list[int], arch: int) -> Later | None:  # noqa: ARG002
        path = self._path(thread, call, arguments)
        if not path:
            return None
        if is_special(path):
            if folder := exemption.granted(path, thread):
                self.ignore(actor, folder)
            return None
        follow = call.follow and not self._flags(call, arguments) & _AT_SYMLINK_NOFOLLOW

        def later() -> None:
            for observer, _ in self.covering(actor):
                observer.states.probed(path, follow)

        return later

    def _on_stat(self, thread: int, actor: str, call: Call, arguments: list[int], arch: int) -> Later | int | None:
        if self.stat_answers is None:
            if call.flags >= 0 and arguments[call.flags] & _AT_EMPTY_PATH and self._is_fstat(thread, call, arguments):
                return None
            return self._on_probe(thread, actor, call, arguments, arch)
        path = self._path(thread, call, arguments)
        if not path or is_special(path) or self._pointer_bytes[arch] != _WIDE:
            return None
        follow = call.follow and not self._flags(call, arguments) & _AT_SYMLINK_NOFOLLOW
        states = self._observers[0].states
        where, state = states.walk(path, follow)
        facts = self.stat_answers.find(where) if state is not None else None
        if facts is None:
            return None
        answer = self.stat_answers.statx(facts) if call is CALLS["statx"] else self.stat_answers.stat(facts)
        self._memory.write(thread, arguments[call.buffer], answer)
        return 0

    def _is_fstat(self, thread: int, call: Call, arguments: list[int]) -> bool:
        """Tell whether a call asks about an open file, which was booked when it was opened.

        That is how the GNU C library's fstat enters the kernel, which a job's every open is followed by; fstat itself is not even
        observed.
        """
        path = arguments[call.path]
        if arguments[call.folder] & 0xFFFF_FFFF == AT_FDCWD:
            return False  # it asks about the working folder
        return not path or self._memory.read(self._processes.process(thread), path, 1) == b"\0"

    def _on_listing(self, thread: int, actor: str, call: Call, arguments: list[int], arch: int) -> Later | int | None:
        path = os.readlink(f"/proc/{thread}/fd/{arguments[0] & 0xFFFF_FFFF}")

        def later() -> None:
            for observer, name in self.covering(actor):
                observer.states.listed(name, path)

        if self.lister is not None and call is CALLS["getdents64"] and self._pointer_bytes[arch] == _WIDE:
            written = self.lister.answer(thread, self._processes.process(thread), arguments, path)
            if written is not None:
                later()
                return written
        return later

    # --- leaving the tree of names we know

    def _on_unshare(self, thread: int, actor: str, call: Call, arguments: list[int], arch: int) -> None:
        if arguments[call.flags] & _CLONE_NEWNS:
            self._on_escape(thread, actor, call, arguments, arch)

    def _on_escape(self, thread: int, actor: str, call: Call, arguments: list[int], arch: int) -> None:  # noqa: ARG002
        message = (
            "a process changed what its paths mean (mount, chroot, namespace): what it did afterwards is not recorded"
        )
        self._gap(thread, "escaped", message)
        self._aside.add(actor)
