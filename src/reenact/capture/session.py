"""The main process of a recording: starts the job and its observers, passes signals and output through, gives the status on.

Three processes beside the job. This one waits, and is the lifeboat: should the supervisor die, it answers for it, so that no
job ever hangs. The *supervisor* answers the kernel (:mod:`reenact.capture.trace.supervisor`). The *recorder* stores what was
read while the job runs, and at the end freezes and seals the bundle. Each can be killed at any instant; what is missing is
then recovered from the journal by the next command (:mod:`reenact.capture.recover`).
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import select
import signal
import socket
import struct
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, NoReturn

from reenact.capture import streams
from reenact.capture.relay import Relay, Spool, StreamFilter
from reenact.capture.standard_input import StandardInput
from reenact.capture.trace import filter as filter_program
from reenact.capture.trace import seccomp
from reenact.capture.trace.supervisor import REQUEST
from reenact.errors import CaptureError

__all__ = ["CLOSED", "Command", "Ending", "Roles", "Session", "name_process"]

_PR_SET_NAME: Final = 15
_FORWARDED: Final = (signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)
_KEYBOARD: Final = (signal.SIGINT, signal.SIGQUIT)
_PYTHON_IGNORES: Final = (signal.SIGPIPE, signal.SIGXFSZ)
"""Signals Python ignores from the start; the job must not inherit that."""
_CREDENTIALS: Final = struct.Struct("3i")
_SCM_CREDENTIALS: Final = 2
"""linux/socket.h; Python has no name for it everywhere."""
CLOSED: Final = -1
"""In place of a descriptor: the job finds that stream closed."""
NOT_FOUND: Final = 127
_TICK_MILLISECONDS: Final = 1000
_SIGNAL_TICK_MILLISECONDS: Final = 50
"""How long a signal to a job that waits for input may take."""
NOT_EXECUTABLE: Final = 126

_libc = ctypes.CDLL(None, use_errno=True)


def name_process(name: str) -> None:
    """Give this process a name that ps and top show (15 bytes)."""
    _libc.prctl(_PR_SET_NAME, name.encode(), 0, 0, 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """What to run, with nothing redacted: this never leaves memory."""

    argv: tuple[str, ...]
    environment: Mapping[str, str]
    cwd: str | None = None
    enter: Callable[[], None] | None = None
    """Called in the new process first; it may return in a descendant (a closed world)."""
    entered: Callable[[], None] | None = None
    """Called here after the new process was started: waits until `enter` is through, or raises."""
    observe_fstat: bool = False
    """Stat is answered from a record, so every call of its kind is observed."""
    in_world: bool = False
    """The job lives in a file tree of its own, seen from here under /proc/PID/root."""
    stdin: int | None = None
    stdout: int | None = None
    stderr: int | None = None
    """Descriptors to give it instead of ours."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Roles:
    """What the two observers do; called in freshly forked processes, and must not return."""

    recorder: Callable[[RecorderEnds], NoReturn]
    supervisor: Callable[[SupervisorEnds], NoReturn]


@dataclass(frozen=True, slots=True, kw_only=True)
class RecorderEnds:
    """The recorder's descriptors."""

    wake: int
    """Readable when the journal has grown; at its end when the supervisor is gone."""
    control: int
    """Readable when the job has ended; at its end when the main process is gone."""
    result: int
    """Where the result goes, as one JSON object."""
    relays: list[Relay]
    """To be taken over when the main process dies."""
    prefix: str
    """Put before every path of the job's; empty unless it lives in a world of its own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SupervisorEnds:
    """The supervisor's descriptors."""

    listener: int
    """-1 on rungs that observe without one."""
    control: int
    """Readable when the job's main process has ended. Observers without a listener write a byte to it when the job may start."""
    wake: int
    root: int
    """Process id of the job."""
    restricted: bool
    """no_new_privs had to be set."""
    prefix: str
    """As in RecorderEnds."""
    stdin: tuple[int, int] | None
    """Device and inode of what standard input is, when reading from it is to be noticed."""
    stdin_kept: bool
    """What is read is recorded too (a pipe), not only that something was (a terminal)."""


@dataclass(slots=True)
class Ending:
    """How it went."""

    status: int
    """As waitpid gives it."""
    result: dict[str, Any] | None
    """What the recorder says, None when it could not finish."""
    refused: str = ""
    """Why the job could not be observed, when it was run without."""


@dataclass(slots=True)
class Session:
    """One recording. Use :meth:`run` once."""

    command: Command
    folder: str
    """The run's journal folder."""
    stream_max_bytes: int
    new_filter: Callable[[], StreamFilter]
    """Makes what takes secrets out of one stream."""
    instead_of_filter: Callable[[], None] | None = None
    """Called in the job's process in place of installing the filter, on rungs that observe without a listener."""
    _job: int = 0
    _listener: int = -1
    _supervisor: int = 0
    _recorder: int = 0
    _status: int | None = None
    _relays: list[Relay] = field(default_factory=list)
    _job_ends: dict[int, int] = field(default_factory=dict)
    _close_after_fork: list[int] = field(default_factory=list)
    _stdin_pipe: tuple[int, int] | None = None
    _stdin_kept: bool = False
    _stdin: StandardInput | None = None

    def _share_the_end(self, recorder: socket.socket) -> None:
        """When a stream's reader is gone, the recorder must let go of it too: else the job would never meet SIGPIPE."""
        for number, relay in enumerate(self._relays):

            def tell(number: int = number) -> None:
                with contextlib.suppress(OSError):
                    recorder.send(b"%d" % number)

            relay.on_finish = tell

    def kill(self) -> None:
        """End the job."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self._job, signal.SIGKILL)

    def prepare(self, as_if: dict[str, dict[str, Any]] | None = None) -> dict[str, dict[str, Any]]:
        """Look at the standard streams and stand between where a copy is wanted; describe them.

        Args:
            as_if: Descriptions to use instead of looking.
        """
        given = {0: self.command.stdin, 1: self.command.stdout, 2: self.command.stderr}
        described = {}
        for number, name in enumerate(("stdin", "stdout", "stderr")):
            descriptor = number if given[number] is None else given[number]
            described[name] = as_if[name] if as_if else streams.describe(descriptor)  # type: ignore[arg-type]
            if given[number] is not None:
                self._job_ends[number] = given[number]  # type: ignore[assignment]
        if described["stdin"]["kind"] in ("pipe", "socket", "terminal") and self.command.stdin is None:
            found = os.fstat(0)
            self._stdin_pipe = (found.st_dev, found.st_ino)
            self._stdin_kept = described["stdin"]["kind"] != "terminal"
        elif described["stdin"]["kind"] == "other" and self.command.stdin is None:
            self._keep_unnamed_stdin()
        shared = described["stdout"]["kind"] != "closed" and streams.same_file(self._end(1), self._end(2))
        if as_if is not None:
            shared = "same_as" in as_if["stderr"]
        for number, name in ((1, "stdout"), (2, "stderr")):
            if name == "stderr" and shared:
                described[name]["same_as"] = "stdout"
                if 1 in self._job_ends:
                    self._job_ends[2] = self._job_ends[1]
            elif streams.wants_relay(described[name]):
                self._stand_between(number, name)
        return described

    def _keep_unnamed_stdin(self) -> None:
        content = streams.unnamed_content(0)
        first = next(content, None)
        if first is not None:
            spool = Spool(f"{self.folder}/stdin", self.stream_max_bytes, self.new_filter)
            for block in (first, *content):
                spool.write(block)
            spool.close()

    def _end(self, number: int) -> int:
        return self._job_ends.get(number, number)

    def _stand_between(self, number: int, name: str) -> None:
        sink = self._end(number)
        source, job_end = os.pipe()
        spool = Spool(f"{self.folder}/{name}", self.stream_max_bytes, self.new_filter)
        self._relays.append(Relay(source, sink, spool))
        self._job_ends[number] = job_end
        self._close_after_fork.append(job_end)

    # --- starting

    def run(self, roles: Roles, lock: int) -> Ending:
        """Run the job to its end and the recording to its own.

        Args:
            roles: The observers.
            lock: A descriptor whose file lock marks the journal as live; the observers inherit it.
        """
        del lock  # inherited over fork; named here so that callers keep it open
        wakes = os.pipe()
        os.set_blocking(wakes[1], False)
        controls = socket.socketpair()
        results = os.pipe()
        watchers = socket.socketpair()

        def start_recorder(prefix: str) -> None:
            ends = RecorderEnds(
                wake=wakes[0], control=controls[1].fileno(), result=results[1], relays=self._relays, prefix=prefix
            )
            ours = [wakes[1], controls[0].fileno(), results[0], watchers[0].fileno(), watchers[1].fileno()]
            self._recorder = self._fork_role("reenact-record", ours, lambda: roles.recorder(ends))

        if not self.command.in_world:
            start_recorder("")  # first of all: its imports take longer than the job's start
        channel, message, job = self._start_job()
        prefix = self._open_world(job) if self.command.in_world else ""
        if self.command.in_world:
            start_recorder(prefix)
        self._share_the_end(controls[0])
        controls[1].close()
        os.close(wakes[0])
        os.close(results[1])
        if self._listener >= 0 or self.instead_of_filter is not None:
            if self._listener >= 0:
                seccomp.set_synchronous(self._listener)
            ends = SupervisorEnds(
                listener=self._listener,
                control=watchers[1].fileno(),
                wake=wakes[1],
                root=job,
                restricted=message == b"restricted",
                prefix=prefix,
                stdin=self._stdin_pipe,
                stdin_kept=self._stdin_kept,
            )
            others = [controls[0].fileno(), results[0], watchers[0].fileno(), channel.fileno()]
            close = others + [relay.source for relay in self._relays]
            self._supervisor = self._fork_role("reenact-super", close, lambda: roles.supervisor(ends), detached=True)
        os.close(wakes[1])
        watchers[1].close()
        if self.instead_of_filter is not None:
            with contextlib.suppress(OSError):
                watchers[0].recv(1)  # such an observer says when it is ready; a dead one holds nothing up
        signals = self._handle_signals()  # after the last fork, and before the job can make anybody send one
        with contextlib.suppress(OSError):
            channel.send(b"go")
        channel.close()
        if self._stdin_kept and self._listener >= 0:
            spool = Spool(f"{self.folder}/stdin", self.stream_max_bytes, self.new_filter)
            self._stdin = StandardInput(0, self._listener, spool)
        status = self._wait(signals, watchers[0], controls[0])
        result = self._finish(controls[0], results[0])
        return Ending(status, result, "" if self._supervisor else message.decode(errors="replace"))

    def _let_go(self) -> None:
        """Hold nothing of the caller's: whoever reads its output must not wait for us."""
        nowhere = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
        for number in range(3):
            os.dup2(nowhere, number, inheritable=False)
        os.close(nowhere)

    def _fork_role(self, name: str, close: list[int], role: Callable[[], NoReturn], *, detached: bool = False) -> int:
        for stream in (sys.stdout, sys.stderr):
            if stream is not None:  # closed from the start
                stream.flush()
        process = os.fork()
        if process:
            return process
        try:
            os.setsid()  # out of reach of the terminal's signals and of kill on the job's group
            for number in (*_FORWARDED, *_KEYBOARD):
                signal.signal(number, signal.SIG_IGN)
            name_process(name)
            for descriptor in (*close, *self._close_after_fork):
                os.close(descriptor)
            if detached:
                self._let_go()
            role()
        except BaseException as error:  # noqa: BLE001 - nothing may run on in a forked copy of the caller
            if os.environ.get("REENACT_DEBUG"):
                import traceback  # noqa: PLC0415

                traceback.print_exc()
            with contextlib.suppress(OSError):
                descriptor = os.open(f"{self.folder}/{name}.error", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
                os.write(descriptor, f"{type(error).__name__}: {error}".encode(errors="replace"))
        finally:
            os._exit(1)

    def _start_job(self) -> tuple[socket.socket, bytes, int]:
        """Fork the job up to the moment before it becomes the command; give its channel, what it said, and its process id."""
        ours, theirs = socket.socketpair()
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        self._job = os.fork()
        if not self._job:
            ours.close()
            self._become_job(theirs)
        theirs.close()
        for descriptor in self._close_after_fork:
            os.close(descriptor)
        self._close_after_fork.clear()
        if self.command.entered is not None:
            self.command.entered()
        message, ancillary, _, _ = ours.recvmsg(256, socket.CMSG_SPACE(4) + socket.CMSG_SPACE(_CREDENTIALS.size))
        job = self._job
        for _, kind, data in ancillary:
            if kind == socket.SCM_RIGHTS:
                self._listener = struct.unpack("i", data[:4])[0]
                os.set_inheritable(self._listener, False)
            elif kind == _SCM_CREDENTIALS:
                job = _CREDENTIALS.unpack(data)[0]
        return ours, message, job

    @staticmethod
    def _open_world(job: int) -> str:
        """Hold on to the root of the job's world, which else is gone with its last process."""
        try:
            return f"/proc/self/fd/{os.open(f'/proc/{job}/root', os.O_PATH)}"
        except OSError:
            return f"/proc/{job}/root"

    def _become_job(self, channel: socket.socket) -> NoReturn:
        """In the new process: take the streams, enter the world, install the filter, become the command."""
        command = self.command
        status = NOT_EXECUTABLE
        try:
            for number, descriptor in self._job_ends.items():
                if descriptor == CLOSED:
                    os.close(number)
                else:
                    os.dup2(descriptor, number)
            if command.enter is not None:
                command.enter()
            elif command.cwd is not None:
                os.chdir(command.cwd)
            self._install(
                channel, self.instead_of_filter, stdin=self._stdin_pipe is not None, stat=command.observe_fstat
            )
            for number in _PYTHON_IGNORES:
                signal.signal(number, signal.SIG_DFL)
            os.execvpe(command.argv[0], command.argv, command.environment)
        except (FileNotFoundError, NotADirectoryError):
            status = NOT_FOUND
            os.write(2, f"reenact: {command.argv[0]}: command not found\n".encode(errors="surrogateescape"))
        except OSError as error:
            os.write(2, f"reenact: {command.argv[0]}: {error.strerror}\n".encode(errors="surrogateescape"))
        except BaseException as error:  # noqa: BLE001 - nothing may run on in a forked copy of the caller
            os.write(2, f"reenact: cannot start {command.argv[0]}: {error}\n".encode(errors="surrogateescape"))
        finally:
            os._exit(status)

    @staticmethod
    def _install(channel: socket.socket, instead: Callable[[], None] | None, *, stdin: bool, stat: bool) -> None:
        rights: list[tuple[int, int, bytes]] = []
        listener = -1
        try:
            if instead is not None:
                instead()
                message = b"elsewhere"
            else:
                listener, restricted = seccomp.install(filter_program.build(stdin=stdin, stat=stat))
                message = b"restricted" if restricted else b"installed"
                rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, struct.pack("i", listener))]
        except CaptureError as error:
            message = str(error).encode()[:256]
        rights.append((socket.SOL_SOCKET, _SCM_CREDENTIALS, _CREDENTIALS.pack(os.getpid(), os.getuid(), os.getgid())))
        channel.sendmsg([message], rights, filter_program.PASSPORT_FLAGS)
        if listener >= 0:
            os.close(listener)
        channel.recv(2)
        channel.close()

    # --- waiting

    def _forward(self, number: int, _frame: object) -> None:
        if self._status is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._job, number)

    def _keyboard(self, number: int, frame: object) -> None:
        """The terminal sends Ctrl-C to the whole group; anybody else sends it to us alone, so it is passed on."""
        try:
            terminal = os.open("/dev/tty", os.O_RDONLY | os.O_NOCTTY | os.O_CLOEXEC)
            foreground = os.tcgetpgrp(terminal)
            os.close(terminal)
        except OSError:
            foreground = -1
        if foreground != os.getpgrp():
            self._forward(number, frame)

    def _handle_signals(self) -> int:
        """Route signals to the job; give a descriptor that becomes readable with each."""
        readable, writable = os.pipe()
        os.set_blocking(readable, False)
        os.set_blocking(writable, False)
        signal.set_wakeup_fd(writable, warn_on_full_buffer=False)
        for number in _FORWARDED:
            if signal.getsignal(number) is not signal.SIG_IGN:  # nohup stays nohup
                signal.signal(number, self._forward)
        for number in _KEYBOARD:
            if signal.getsignal(number) is not signal.SIG_IGN:
                signal.signal(number, self._keyboard)
        signal.signal(signal.SIGTSTP, signal.SIG_IGN)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        return readable

    def _reap(self) -> None:
        while self._status is None:
            try:
                process, status = os.waitpid(self._job, os.WNOHANG | os.WUNTRACED)
            except ChildProcessError:
                self._status = 0
                return
            if not process:
                return
            if os.WIFSTOPPED(status):
                os.kill(os.getpid(), signal.SIGSTOP)  # stop as the job did, so that the shell sees it
                with contextlib.suppress(ProcessLookupError):
                    os.kill(self._job, signal.SIGCONT)
            else:
                self._status = status

    def _wait(self, signals: int, supervisor: socket.socket, recorder: socket.socket) -> int:
        """Wait for the job, relaying and, if need be, answering; then tell both observers."""
        poll = select.poll()
        handlers: dict[int, Callable[[int], bool]] = {signals: lambda _: _drained(signals)}
        handlers.update({relay.source: self._mover(relay) for relay in self._relays})
        watched = {relay.sink: relay for relay in self._relays if relay.one_reader}
        handlers.update({sink: self._reader_gone(relay, poll) for sink, relay in watched.items()})
        handlers[supervisor.fileno()] = lambda _: self._hear(supervisor, poll, handlers)
        if self._stdin is not None:
            handlers[self._stdin.source] = self._serve_stdin
        for descriptor in handlers:
            if self._stdin is None or descriptor != self._stdin.source:
                poll.register(descriptor, 0 if descriptor in watched else select.POLLIN)  # 0: errors alone
        self._reap()
        while self._status is None:
            if self._stdin is not None:
                _watch_while(poll, self._stdin.source, wanted=self._stdin.waiting)
            for descriptor, event in poll.poll(self._patience()):
                if not handlers[descriptor](event):
                    with contextlib.suppress(KeyError):
                        poll.unregister(descriptor)
            self._reap()
        self._write_status()
        if self._stdin is not None:
            self._stdin.finish()
        for relay in self._relays:
            relay.drain()
        for control in (supervisor, recorder):
            with contextlib.suppress(OSError):
                control.send(b"X")
        return self._status

    def _patience(self) -> int:
        """Give the milliseconds until the next look at what nobody tells us."""
        if self._stdin is None or not self._stdin.waiting:
            return _TICK_MILLISECONDS
        self._stdin.let_signals_in()
        return _SIGNAL_TICK_MILLISECONDS

    @staticmethod
    def _mover(relay: Relay) -> Callable[[int], bool]:
        def move(_event: int) -> bool:
            relay.move()
            return relay.open

        return move

    @staticmethod
    def _reader_gone(relay: Relay, poll: select.poll) -> Callable[[int], bool]:
        """A job that looks whether its reader is still there (``tail -f``) must see that it is not, also before it writes."""

        def finish(_event: int) -> bool:
            with contextlib.suppress(KeyError):
                poll.unregister(relay.source)
            relay.finish()
            return False

        return finish

    def _serve_stdin(self, _event: int) -> bool:
        if self._stdin is not None:
            self._stdin.serve()
        return True

    def _hear(self, supervisor: socket.socket, poll: select.poll, handlers: dict[int, Callable[[int], bool]]) -> bool:
        """The supervisor passes a read of standard input on; or it is gone, and is answered for from now on."""
        requests = self._requests(supervisor)
        if requests and self._stdin is not None:
            self._stdin.take(requests)
            return True
        if self._listener >= 0:
            handlers[self._listener] = self._answer_if_asked
            poll.register(self._listener, select.POLLIN)
        return False

    def _answer_if_asked(self, event: int) -> bool:
        if not event & select.POLLIN:
            return False
        self._answer()
        return True

    @staticmethod
    def _requests(supervisor: socket.socket) -> bytes:
        try:
            return supervisor.recv(REQUEST.size * 64)
        except OSError:
            return b""

    def _answer(self) -> None:
        buffer = bytearray(seccomp.NOTIFICATION_BYTES)
        if seccomp.receive(self._listener, buffer):
            seccomp.continue_call(self._listener, seccomp.unpack(buffer)[0])

    def _write_status(self) -> None:
        """Leave the job's status in the journal folder, for a recovery."""
        with contextlib.suppress(OSError):
            descriptor = os.open(f"{self.folder}/exit", os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
            os.write(descriptor, str(self._status).encode())
            os.close(descriptor)

    def _finish(self, recorder: socket.socket, result: int) -> dict[str, Any] | None:
        """Wait for the recorder's result; meanwhile what outlives the job is still served and relayed."""
        poll = select.poll()
        poll.register(result, select.POLLIN)
        by_source = {relay.source: relay for relay in self._relays if relay.open}
        for source in by_source:
            poll.register(source, select.POLLIN)
        data = b""
        serving = self._listener >= 0 and self._supervisor and self._gone(self._supervisor)
        if serving:
            poll.register(self._listener, select.POLLIN)
        while True:
            for descriptor, event in poll.poll(200):
                if descriptor == result:
                    chunk = os.read(result, 1 << 16)
                    data += chunk
                    if not chunk:
                        recorder.close()
                        self._leave_behind(by_source)
                        return self._decode(data)
                elif descriptor == self._listener:
                    if event & select.POLLIN:
                        self._answer()
                    else:
                        poll.unregister(descriptor)
                else:
                    by_source[descriptor].move()
                    if not by_source[descriptor].open:
                        poll.unregister(descriptor)
                        del by_source[descriptor]

    @staticmethod
    def _gone(process: int) -> bool:
        try:
            return os.waitpid(process, os.WNOHANG)[0] != 0
        except ChildProcessError:
            return True

    @staticmethod
    def _decode(data: bytes) -> dict[str, Any] | None:
        try:
            found = json.loads(data)
        except ValueError:
            return None
        return found if isinstance(found, dict) else None

    def _leave_behind(self, relays: dict[int, Relay]) -> None:
        """Something that outlives the job still holds its output: leave a process that passes it on, and one that answers."""
        supervisor_gone = bool(self._supervisor) and self._gone(self._supervisor)
        listening = self._listener >= 0 and supervisor_gone and not self._hung_up()
        for relay in relays.values():
            relay.drain()
        open_relays = [relay for relay in relays.values() if relay.open]
        if not open_relays and not listening:
            return
        if os.fork():
            return
        try:
            os.setsid()
            name_process("reenact-drain")
            serve_remains(open_relays, self._listener if listening else -1)
        finally:
            os._exit(0)

    def _hung_up(self) -> bool:
        poll = select.poll()
        poll.register(self._listener, select.POLLIN)
        return any(not event & select.POLLIN for _, event in poll.poll(0))


def _drained(descriptor: int) -> bool:
    with contextlib.suppress(BlockingIOError):
        os.read(descriptor, 512)
    return True


def _watch_while(poll: select.poll, descriptor: int, *, wanted: bool) -> None:
    if wanted:
        poll.register(descriptor, select.POLLIN)
    else:
        with contextlib.suppress(KeyError):
            poll.unregister(descriptor)


def serve_remains(relays: list[Relay], listener: int) -> None:
    """Relay and answer until everything that outlived the job has ended."""
    poll = select.poll()
    by_source = {relay.source: relay for relay in relays if relay.open}
    for descriptor in (*by_source, *([listener] if listener >= 0 else [])):
        poll.register(descriptor, select.POLLIN)
    left = len(by_source) + (listener >= 0)
    buffer = bytearray(seccomp.NOTIFICATION_BYTES)
    while left:
        for descriptor, event in poll.poll():
            done = False
            if descriptor == listener:
                done = not event & select.POLLIN
                if not done and seccomp.receive(listener, buffer):
                    seccomp.continue_call(listener, seccomp.unpack(buffer)[0])
            else:
                by_source[descriptor].move()
                done = not by_source[descriptor].open
            if done:
                poll.unregister(descriptor)
                left -= 1
