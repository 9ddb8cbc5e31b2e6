"""The supervisor: receives every observed call, books it, and lets it through.

Its own single-threaded process: next to a thread that holds the interpreter lock, an answer takes milliseconds instead of
microseconds (docs/explanation/performance.md). Order: what changes content is booked before the call goes on, plain reads
after, so that the job waits as little as possible. Whatever goes wrong here becomes a gap, never an error of the job.
"""

from __future__ import annotations

import contextlib
import os
import select
import stat
import struct
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from reenact.capture.files import FileStates
from reenact.capture.journal import JournalWriter
from reenact.capture.trace import seccomp, sockets
from reenact.capture.trace.processes import ROOT, Processes
from reenact.capture.trace.programs import MAX_INTERPRETERS, interpreter_of
from reenact.capture.trace.stat_answers import StatAnswers
from reenact.capture.trace.syscalls import ABIS, AT_FDCWD, CALLS, Call
from reenact.capture.trace.tracee import Memory, Unreadable, absolute
from reenact.capture.walk import is_special

__all__ = ["REQUEST", "Observer", "Supervisor"]

_AT_SYMLINK_NOFOLLOW: Final = 0x100
_AT_SYMLINK_FOLLOW: Final = 0x400
_CLONE_NEWNS: Final = 0x20000
_CHANGES: Final = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC
_WIDE: Final = 8
"""Bytes of a pointer in the ABIs whose struct stat we lay out."""
_ANY_EXECUTE: Final = 0o111
_MAX_ARGUMENTS: Final = 4096
_MAX_ARGUMENT_BYTES: Final = 1 << 17
_IDLE_MILLISECONDS: Final = 3
"""After so long without a call the journal is flushed, and the recorder woken."""
_SOCKETCALL_BIND: Final = 2
_SOCKETCALL_CONNECT: Final = 3

_MAX_PASSED: Final = 4096
_STANDARD_NAMES: Final = {"/dev/stdin": 0, "/dev/stdout": 1, "/dev/stderr": 2}

Later = Callable[[], None]


def _taken() -> None:
    """Stand for: somebody else answers this call."""


def _answered() -> None:
    """Stand for: the answer is in the caller's memory, the call returns 0."""


REQUEST: Final = struct.Struct("=QIIQQ")
"""A read from standard input, passed to the main process: notification, thread, 0, address, length."""


@dataclass(slots=True)
class Observer:
    """One run that is being recorded: the whole tree, or the part of it below a nested `reenact run`."""

    root: str
    """The actor at the top of it."""
    states: FileStates
    journal: JournalWriter
    wake: int
    """A descriptor; a byte written to it tells the recorder that the journal has grown."""

    def __post_init__(self) -> None:
        """Have the recorder work while the job does, however busy that keeps the supervisor."""
        self.journal.after_flush = self._tell

    def covers(self, actor: str) -> bool:
        """Tell whether a process belongs to this run."""
        return actor == self.root or actor.startswith(self.root + ".")

    def flush(self) -> None:
        """Make what was seen visible to the recorder."""
        self.journal.flush()
        self._tell()

    def _tell(self) -> None:
        # It may be behind (the pipe is full) or gone (the journal is recovered later).
        with contextlib.suppress(OSError):
            os.write(self.wake, b"j")


class Supervisor:
    """Answers notifications until every observed process has ended or it is told to stop."""

    def __init__(
        self, listener: int, root: int, redact: Callable[[Sequence[str]], Sequence[str]], prefix: str = ""
    ) -> None:
        self.listener = listener
        self.observers: list[Observer] = []
        self.calls = 0
        self._buffer = bytearray(seccomp.NOTIFICATION_BYTES)
        self.stdin: tuple[int, int] | None = None
        """Device and inode of the pipe that is recorded as standard input."""
        self.stdin_kept = False
        self.stat_answers: StatAnswers | None = None
        self.stdin_server = -1
        """A descriptor that leads to the main process, which reads for others."""
        self._passed: deque[int] = deque(maxlen=_MAX_PASSED)
        self._redact = redact
        self._prefix = prefix
        self._memory = Memory()
        self._processes = Processes(root, self._emit)
        self._escaped: set[str] = set()
        self._programs: dict[str, str | None] = {}
        self._contacts: set[tuple[str, str, str]] = set()
        self._bound: set[str] = set()
        self._gaps: set[tuple[str, str, str]] = set()
        handlers = {name: (getattr(self, f"_on_{call.kind}"), call) for name, call in CALLS.items()}
        self._handlers: dict[tuple[int, int], tuple[Callable[..., Later | None], Call]] = {
            (abi.audit_arch, number): handlers[name] for abi in ABIS for name, number in abi.numbers if name in handlers
        }
        self._pointer_bytes = {abi.audit_arch: abi.pointer_bytes for abi in ABIS}

    # --- the loop

    def serve(self, control: int, on_control: Callable[[], bool | None]) -> bool:
        """Answer until all observed processes have ended (True) or `on_control` says to stop (False).

        Args:
            control: A descriptor; when readable, `on_control` is called: True ends the loop, None means that nothing more
                will come from there.
        """
        poll = select.poll()
        poll.register(self.listener, select.POLLIN)
        poll.register(control, select.POLLIN)
        while True:
            events = poll.poll(_IDLE_MILLISECONDS if any(o.journal.pending for o in self.observers) else None)
            if not events:
                self.flush()
            for descriptor, event in events:
                if descriptor == control:
                    stop = on_control()
                    if stop:
                        return False
                    if stop is None:
                        poll.unregister(control)
                elif not event & select.POLLIN:
                    return True
                else:
                    self.step()

    def step(self) -> None:
        """Receive one call, book it and let it through; returns at once when its caller is gone."""
        if not seccomp.receive(self.listener, self._buffer):
            return
        notification, thread, _, number, arch, _, *arguments = seccomp.unpack(self._buffer)
        later = self._book(thread, number, arch, arguments)
        if later is _answered:
            seccomp.respond(self.listener, notification, 0)
        elif later is _taken:
            self._pass_on(notification, thread, arguments)
        elif seccomp.continue_call(self.listener, notification) and later is not None:
            self._guard(thread, later)

    def _pass_on(self, notification: int, thread: int, arguments: list[int]) -> None:
        """Have the main process read from standard input for a caller; should it be gone, the caller reads itself."""
        self._passed.append(notification)
        try:
            os.write(self.stdin_server, REQUEST.pack(notification, thread, 0, arguments[1], arguments[2]))
        except OSError:
            self.abandon_stdin()

    def abandon_stdin(self) -> None:
        """Nobody reads for others any more: let all callers that wait do it themselves."""
        for notification in self._passed:
            seccomp.continue_call(self.listener, notification)
        self._passed.clear()
        if self.stdin is not None:
            self.stdin = None
            self._emit(ROOT, ["h", "stdin", "the rest of standard input was not recorded", "stdin"])

    def flush(self) -> None:
        """Make what was seen visible to the recorders."""
        for observer in self.observers:
            observer.flush()

    def _book(self, thread: int, number: int, arch: int, arguments: list[int]) -> Later | None:
        self.calls += 1
        handler, call = self._handlers[arch, number]
        try:
            for observer in self.observers:
                observer.states.settle(thread)
            actor = self._processes.actor(thread)
            if self._escaped and self._has_escaped(actor):
                return None
            later: Later | None = handler(thread, actor, call, arguments, arch)
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

    def _has_escaped(self, actor: str) -> bool:
        return any(actor == top or actor.startswith(top + ".") for top in self._escaped)

    # --- what is told to the observers

    def _emit(self, actor: str, record: list[Any]) -> None:
        for observer in self.observers:
            if observer.covers(actor):
                observer.journal.write(record)

    def _gap(self, thread: int, code: str, message: str, subject: str = "") -> None:
        actor = self._processes.actor(thread)
        if not subject:
            try:
                subject = os.readlink(f"/proc/{thread}/exe")
            except OSError:
                subject = ""
        if (code, message, subject) not in self._gaps:
            self._gaps.add((code, message, subject))
            self._emit(actor, ["h", code, message, subject])

    def _states(self, actor: str) -> list[FileStates]:
        return [observer.states for observer in self.observers if observer.covers(actor)]

    def _path(self, thread: int, call: Call, arguments: list[int], *, second: bool = False) -> str:
        """Read a path argument and make it absolute; '' where a null or empty path names nothing."""
        index, folder_index = (call.path2, call.folder2) if second else (call.path, call.folder)
        path = ""
        if index >= 0 and arguments[index]:
            path = self._memory.string(self._processes.process(thread), arguments[index])
            if not path and folder_index < 0:
                return ""
        folder = arguments[folder_index] & 0xFFFF_FFFF if folder_index >= 0 else AT_FDCWD
        found = absolute(thread, folder, path, folder == AT_FDCWD)
        return found if found.startswith("/") else ""

    @staticmethod
    def _flags(call: Call, arguments: list[int]) -> int:
        return arguments[call.flags] & 0xFFFF_FFFF if call.flags >= 0 else 0

    # --- one method a kind of call: books at once, or gives what to book after the call was let through

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
            path = self._through_descriptor(thread, path)
        if flags & _CHANGES:
            for states in self._states(actor):
                states.opened(actor, path, flags, thread)
            return None

        def later() -> None:
            for states in self._states(actor):
                states.opened(actor, path, flags)

        return later

    def _on_execve(self, thread: int, actor: str, call: Call, arguments: list[int], arch: int) -> Later | None:
        path = self._path(thread, call, arguments)
        process = self._processes.process(thread)
        argv = self._argv(process, arguments[call.flags], self._pointer_bytes[arch])
        cwd = os.readlink(f"/proc/{thread}/cwd")
        moment = time.time_ns()

        def later() -> None:
            self._memory.forget(process)
            for observer in self.observers:
                if observer.covers(actor):
                    where = self._execute(observer.states, actor, path)
                    if where is not None:
                        observer.journal.write(["x", actor, moment, where, argv, cwd])
                        self._note_privileged(thread, where)

        return later

    def _argv(self, process: int, address: int, pointer_bytes: int) -> list[str]:
        """Read the argument words, redacted: nothing secret may reach the journal."""
        words, total = [], 0
        for pointer in self._memory.pointers(process, address, pointer_bytes, _MAX_ARGUMENTS):
            word = self._memory.string(process, pointer)
            total += len(word)
            if total > _MAX_ARGUMENT_BYTES:
                words.append("…")
                break
            words.append(word)
        return [*self._redact(words)]

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

    def _on_exit(self, thread: int, actor: str, call: Call, arguments: list[int], arch: int) -> None:  # noqa: ARG002
        process = self._processes.process(thread)
        self._memory.forget(process)
        self._processes.ended(thread, arguments[0] & 0xFF)

    def _on_rename(self, thread: int, actor: str, call: Call, arguments: list[int], arch: int) -> None:  # noqa: ARG002
        old, new = self._path(thread, call, arguments), self._path(thread, call, arguments, second=True)
        for states in self._states(actor):
            states.renaming(thread, actor, old, new, self._flags(call, arguments))

    def _on_link(self, thread: int, actor: str, call: Call, arguments: list[int], arch: int) -> None:  # noqa: ARG002
        old, new = self._path(thread, call, arguments), self._path(thread, call, arguments, second=True)
        follow = bool(self._flags(call, arguments) & _AT_SYMLINK_FOLLOW)
        for states in self._states(actor):
            states.linked(actor, old, new, follow)

    def _on_symlink(self, thread: int, actor: str, call: Call, arguments: list[int], arch: int) -> None:  # noqa: ARG002
        path = self._path(thread, call, arguments)
        for states in self._states(actor):
            states.made_node(actor, path)

    _on_make = _on_symlink

    def _on_unlink(self, thread: int, actor: str, call: Call, arguments: list[int], arch: int) -> None:  # noqa: ARG002
        path = self._path(thread, call, arguments)
        for states in self._states(actor):
            states.removed(thread, actor, path)

    def _on_truncate(self, thread: int, actor: str, call: Call, arguments: list[int], arch: int) -> None:  # noqa: ARG002
        path = self._path(thread, call, arguments)
        for states in self._states(actor):
            states.truncated(actor, path)

    def _on_meta(self, thread: int, actor: str, call: Call, arguments: list[int], arch: int) -> None:  # noqa: ARG002
        path = self._path(thread, call, arguments)
        follow = call.follow and not self._flags(call, arguments) & _AT_SYMLINK_NOFOLLOW
        if path:
            for states in self._states(actor):
                states.changed_metadata(actor, path, follow)

    def _on_probe(self, thread: int, actor: str, call: Call, arguments: list[int], arch: int) -> Later | None:  # noqa: ARG002
        path = self._path(thread, call, arguments)
        if not path or is_special(path):
            return None
        follow = call.follow and not self._flags(call, arguments) & _AT_SYMLINK_NOFOLLOW

        def later() -> None:
            for states in self._states(actor):
                states.probed(path, follow)

        return later

    def _on_stat(self, thread: int, actor: str, call: Call, arguments: list[int], arch: int) -> Later | None:
        if self.stat_answers is None:
            return self._on_probe(thread, actor, call, arguments, arch)
        path = self._path(thread, call, arguments)
        if not path or is_special(path) or self._pointer_bytes[arch] != _WIDE:
            return None
        follow = call.follow and not self._flags(call, arguments) & _AT_SYMLINK_NOFOLLOW
        states = self.observers[0].states
        where, state = states.walk(path, follow)
        facts = self.stat_answers.find(where) if state is not None else None
        if facts is None:
            return None
        answer = self.stat_answers.statx(facts) if call is CALLS["statx"] else self.stat_answers.stat(facts)
        self._memory.write(thread, arguments[call.buffer], answer)
        return _answered

    def _on_listing(self, thread: int, actor: str, call: Call, arguments: list[int], arch: int) -> Later | None:  # noqa: ARG002
        path = os.readlink(f"/proc/{thread}/fd/{arguments[0] & 0xFFFF_FFFF}")

        def later() -> None:
            for states in self._states(actor):
                states.listed(actor, path)

        return later

    # --- standard input

    def _is_stdin(self, thread: int) -> bool:
        try:
            found = os.stat(f"/proc/{thread}/fd/0")
        except OSError:
            return False
        return (found.st_dev, found.st_ino) == self.stdin

    def _on_read_stdin(self, thread: int, actor: str, call: Call, arguments: list[int], arch: int) -> Later | None:  # noqa: ARG002
        if self.stdin is None or not self._is_stdin(thread):
            return None
        if not self.stdin_kept:
            self._gap(thread, "stdin", "standard input was read from a terminal, which is not recorded", "stdin")
            self.stdin = None  # once is enough
            return None
        return _taken

    def _on_other_stdin(self, thread: int, actor: str, call: Call, arguments: list[int], arch: int) -> None:  # noqa: ARG002
        if self.stdin is not None and self._is_stdin(thread):
            self._gap(thread, "stdin", "standard input was read in a way that is not recorded", "stdin")

    # --- sockets

    def _on_connect(self, thread: int, actor: str, call: Call, arguments: list[int], arch: int) -> None:  # noqa: ARG002
        self._contact(thread, actor, arguments[call.path], self._flags(call, arguments))

    def _on_sendto(self, thread: int, actor: str, call: Call, arguments: list[int], arch: int) -> None:  # noqa: ARG002
        self._contact(thread, actor, arguments[call.path], self._flags(call, arguments))

    def _on_sendmsg(self, thread: int, actor: str, call: Call, arguments: list[int], arch: int) -> None:
        wide = self._pointer_bytes[arch] == 8
        header = self._memory.read(self._processes.process(thread), arguments[call.path], 16)
        if len(header) < 16:
            return
        address, length = struct.unpack_from("=QI" if wide else "=II", header)
        if address:
            self._contact(thread, actor, address, length)

    def _on_socketcall(self, thread: int, actor: str, call: Call, arguments: list[int], arch: int) -> None:  # noqa: ARG002
        block = self._memory.read(self._processes.process(thread), arguments[call.path], 12)
        _, address, length = struct.unpack("=III", block)
        if arguments[0] == _SOCKETCALL_CONNECT:
            self._contact(thread, actor, address, length)
        elif arguments[0] == _SOCKETCALL_BIND:
            self._bind(thread, actor, address, length)

    def _address(self, thread: int, address: int, length: int) -> sockets.Address | None:
        return sockets.parse(self._memory.read(self._processes.process(thread), address, min(length, 128)))

    def _contact(self, thread: int, actor: str, pointer: int, length: int) -> None:
        if not pointer:
            return
        address = self._address(thread, pointer, length)
        if address is None or (actor, address.kind, address.name) in self._contacts:
            return
        if address.kind == "unix":
            path = absolute(thread, 0, address.name, at_cwd=True)
            for states in self._states(actor):
                states.probed(path, follow=True)
            # Nobody listens where nothing is; and a socket of the run's own is not outside.
            if path.startswith("/dev/") or not os.path.exists(self._prefix + path) or self._made(actor, path):
                return
            address = sockets.Address("unix", path)
        elif address.kind == "unix-abstract":
            if address.name in self._bound:
                return
        elif address.loopback and sockets.belongs_to(address.port, thread, self._processes.ids()):
            return
        self._contacts.add((actor, address.kind, address.name))
        self._emit(actor, ["k", time.time_ns(), address.kind, address.name, actor])

    def _made(self, actor: str, path: str) -> bool:
        return any(path in states.made for states in self._states(actor))

    def _on_bind(self, thread: int, actor: str, call: Call, arguments: list[int], arch: int) -> None:  # noqa: ARG002
        self._bind(thread, actor, arguments[call.path], self._flags(call, arguments))

    def _bind(self, thread: int, actor: str, pointer: int, length: int) -> None:
        address = self._address(thread, pointer, length)
        if address is None:
            return
        if address.kind == "unix":
            path = absolute(thread, 0, address.name, at_cwd=True)
            for states in self._states(actor):
                states.made_node(actor, path)
        elif address.kind == "unix-abstract":
            self._bound.add(address.name)

    # --- leaving the tree of names we know

    def _on_unshare(self, thread: int, actor: str, call: Call, arguments: list[int], arch: int) -> None:
        if arguments[call.flags] & _CLONE_NEWNS:
            self._on_escape(thread, actor, call, arguments, arch)

    def _on_escape(self, thread: int, actor: str, call: Call, arguments: list[int], arch: int) -> None:  # noqa: ARG002
        message = (
            "a process changed what its paths mean (mount, chroot, namespace): what it did afterwards is not recorded"
        )
        self._gap(thread, "escaped", message)
        self._escaped.add(actor)
