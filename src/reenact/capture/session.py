"""The main process of a recording: starts the job and its observers, passes signals and output through, gives the status on.

Three processes beside the job. This one waits, and is the lifeboat: should the supervisor die, it answers for it, so that no
job ever hangs. The *supervisor* answers the kernel (:mod:`reenact.capture.trace.supervisor`). The *recorder* stores what was
read while the job runs, and at the end freezes and seals the bundle. Each can be killed at any instant; what is missing is
then recovered from the journal by the next command (:mod:`reenact.capture.recover`).

What a short job waits for is the recorder's imports, so the recorder is forked first of all, and what only the job's start
needs (sockets, the filter, the supervisor) is imported here after that, while the recorder does its own.
"""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn

from reenact.capture import streams
from reenact.capture.roles import RecorderEnds, Roles, SupervisorEnds, fork_role

if TYPE_CHECKING:
    from reenact.capture.launch import Launched
    from reenact.capture.relay import Relay, StreamFilter
    from reenact.capture.standard_input import StandardInput

__all__ = ["Command", "Ending", "Session"]


class Command(NamedTuple):
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


class Ending(NamedTuple):
    """How it went."""

    status: int
    """As waitpid gives it."""
    result: dict[str, Any] | None
    """What the recorder says, None when it could not finish."""
    refused: str = ""
    """Why the job could not be observed, when it was run without."""


class _Pipes(NamedTuple):
    """Between us and the recorder; each is its reading end and its writing end."""

    wake: tuple[int, int]
    control: tuple[int, int]
    result: tuple[int, int]

    @classmethod
    def make(cls) -> _Pipes:
        pipes = cls(os.pipe(), os.pipe(), os.pipe())
        os.set_blocking(pipes.wake[1], False)
        return pipes


class Session:
    """One recording. Use :meth:`run` once."""

    def __init__(
        self,
        command: Command,
        folder: str,
        stream_max_bytes: int,
        new_filter: Callable[[], StreamFilter],
        instead_of_filter: Callable[[], None] | None = None,
    ) -> None:
        """Make one.

        Args:
            command: What to run.
            folder: The run's journal folder.
            stream_max_bytes: How much of a stream is kept.
            new_filter: Makes what takes secrets out of one stream.
            instead_of_filter: Called in the job's process in place of installing the filter, on rungs that observe without
                a listener.
        """
        self.command = command
        self.folder = folder
        self.stream_max_bytes = stream_max_bytes
        self.new_filter = new_filter
        self.instead_of_filter = instead_of_filter
        self._job = 0
        self._recorder = 0
        self._relays: list[Relay] = []
        self._job_ends: dict[int, int] = {}
        self._only_the_jobs: list[int] = []
        self._stdin_pipe: tuple[int, int] | None = None
        self._stdin_kept = False
        self._pipes = _Pipes.make()
        self._record: Callable[[RecorderEnds], NoReturn] | None = None

    def kill(self) -> None:
        """End the job."""
        if self._job:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._job, signal.SIGKILL)

    def give_up(self) -> None:
        """End the recorder: the job will not be recorded, and must not find a child it did not start."""
        if self._recorder:
            with contextlib.suppress(ProcessLookupError, ChildProcessError):
                os.kill(self._recorder, signal.SIGKILL)
                os.waitpid(self._recorder, 0)
            self._recorder = 0

    @property
    def recorder(self) -> int:
        """The recorder's process id; 0 while there is none."""
        return self._recorder

    # --- the streams

    def prepare(self, as_if: dict[str, dict[str, Any]] | None = None) -> dict[str, dict[str, Any]]:
        """Look at the standard streams and stand between where a copy is wanted; describe them.

        Args:
            as_if: Descriptions to use instead of looking.
        """
        given = {0: self.command.stdin, 1: self.command.stdout, 2: self.command.stderr}
        described = {}
        for number, name in enumerate(("stdin", "stdout", "stderr")):
            descriptor = given[number]
            if descriptor is not None:
                self._job_ends[number] = descriptor
            described[name] = as_if[name] if as_if else streams.describe(self._end(number))
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
            from reenact.capture.relay import Spool  # noqa: PLC0415 - only where there is such a file

            spool = Spool(f"{self.folder}/stdin", self.stream_max_bytes, self.new_filter)
            for block in (first, *content):
                spool.write(block)
            spool.close()

    def _end(self, number: int) -> int:
        return self._job_ends.get(number, number)

    def _stand_between(self, number: int, name: str) -> None:
        from reenact.capture.relay import Relay, Spool  # noqa: PLC0415 - only where a stream goes through us

        sink = self._end(number)
        source, job_end = os.pipe()
        spool = Spool(f"{self.folder}/{name}", self.stream_max_bytes, self.new_filter)
        self._relays.append(Relay(source, sink, spool))
        self._job_ends[number] = job_end
        self._only_the_jobs.append(job_end)

    # --- the run

    def start_recorder(self, role: Callable[[RecorderEnds], NoReturn]) -> None:
        """Fork the recorder, after :meth:`prepare`; or, where the job gets a world of its own, when that is there.

        Args:
            role: What it does; must not return.
        """
        self._record = role
        if not self.command.in_world:
            self._fork_recorder(role, "")

    def run(self, roles: Roles, lock: int) -> Ending:
        """Run the job to its end and the recording to its own, after :meth:`start_recorder`.

        Args:
            roles: The observers.
            lock: A descriptor whose file lock marks the journal as live; the observers inherit it.
        """
        del lock  # inherited over fork; named here so that callers keep it open
        from reenact.capture.launch import launch  # noqa: PLC0415 - now, while the recorder imports: see the module

        reads_stdin = self._stdin_pipe is not None
        launched = launch(
            self.command, self._job_ends, self.instead_of_filter, stdin=reads_stdin, close=self._only_the_jobs
        )
        self._only_the_jobs.clear()
        self._job = launched.process
        prefix = ""
        if self.command.in_world and self._record is not None:
            prefix = _open_world(launched.job)
            self._fork_recorder(self._record, prefix)
        self._share_the_end(self._pipes.control[1])
        return self._observe(roles, self._pipes, launched, prefix)

    def _fork_recorder(self, role: Callable[[RecorderEnds], NoReturn], prefix: str) -> None:
        pipes = self._pipes
        ends = RecorderEnds(pipes.wake[0], pipes.control[0], pipes.result[1], self._relays, prefix)
        ours = [pipes.wake[1], pipes.control[1], pipes.result[0], *self._only_the_jobs]
        self._recorder = fork_role("reenact-record", self.folder, ours, lambda: role(ends), detached=False)
        for descriptor in (pipes.wake[0], pipes.control[0], pipes.result[1]):
            os.close(descriptor)

    def _share_the_end(self, recorder: int) -> None:
        """When a stream's reader is gone, the recorder must let go of it too: else the job would never meet SIGPIPE."""
        for number, relay in enumerate(self._relays):

            def tell(number: int = number) -> None:
                with contextlib.suppress(OSError):
                    os.write(recorder, b"%d" % number)

            relay.on_finish = tell

    def _observe(self, roles: Roles, pipes: _Pipes, launched: Launched, prefix: str) -> Ending:
        """Start the supervisor, let the job go, and wait for all."""
        import socket  # noqa: PLC0415 - late, see the module

        from reenact.capture.waiting import Watchman  # noqa: PLC0415 - same

        ours, theirs = socket.socketpair()
        watcher, supervisor = ours, 0
        if roles.join is not None:
            watcher = roles.join(launched.job, pipes.wake[1])
        elif launched.listener >= 0 or self.instead_of_filter is not None:
            supervisor = self._start_supervisor(roles, pipes, launched, prefix, ours.fileno(), theirs.fileno())
        os.close(pipes.wake[1])
        theirs.close()
        if self.instead_of_filter is not None and roles.join is None:
            with contextlib.suppress(OSError):
                ours.recv(1)  # such an observer says when it is ready; a dead one holds nothing up
        watchman = Watchman(launched, self._relays, supervisor, self.folder)
        watchman.route_signals()
        with contextlib.suppress(OSError):
            launched.channel.send(b"go")
        launched.channel.close()
        if self._stdin_kept and launched.listener >= 0:
            watchman.stdin = self._standard_input(launched.listener)
        status = watchman.wait_for_job(watcher)
        with contextlib.suppress(OSError):
            watcher.send(b"X")
        with contextlib.suppress(OSError):
            os.write(pipes.control[1], b"X")
        result = watchman.wait_for_recorder(pipes.result[0])
        os.close(pipes.control[1])
        watchman.leave()
        return Ending(status, result, "" if supervisor or roles.join is not None else launched.message)

    def _start_supervisor(
        self, roles: Roles, pipes: _Pipes, launched: Launched, prefix: str, ours: int, theirs: int
    ) -> int:
        from reenact.capture.trace import seccomp  # noqa: PLC0415 - late, see the module

        if launched.listener >= 0:
            seccomp.set_synchronous(launched.listener)
        ends = SupervisorEnds(
            listener=launched.listener,
            control=theirs,
            wake=pipes.wake[1],
            root=launched.job,
            restricted=launched.message == "restricted",
            prefix=prefix,
            stdin=self._stdin_pipe,
            stdin_kept=self._stdin_kept,
            heard=launched.heard,
        )
        others = [pipes.control[1], pipes.result[0], ours, launched.channel.fileno()]
        close = others + [relay.source for relay in self._relays]
        return fork_role("reenact-super", self.folder, close, lambda: roles.supervisor(ends), detached=True)

    def _standard_input(self, listener: int) -> StandardInput:
        from reenact.capture.relay import Spool  # noqa: PLC0415 - only where a stream goes through us
        from reenact.capture.standard_input import StandardInput  # noqa: PLC0415 - same

        spool = Spool(f"{self.folder}/stdin", self.stream_max_bytes, self.new_filter)
        return StandardInput(0, listener, spool)


def _open_world(job: int) -> str:
    """Hold on to the root of the job's world, which else is gone with its last process."""
    try:
        return f"/proc/self/fd/{os.open(f'/proc/{job}/root', os.O_PATH)}"
    except OSError:
        return f"/proc/{job}/root"
