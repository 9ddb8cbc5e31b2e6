"""The main process while the job runs: signals and output go through it; should the supervisor die, it answers instead.

Then it waits for the recorder, and still relays and answers for what outlives the job.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import socket
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final

from reenact.capture.remains import answer, gone, leave_behind
from reenact.capture.roles import FORWARDED, KEYBOARD
from reenact.capture.trace.standard_input import REQUEST

if TYPE_CHECKING:
    from reenact.capture.launch import Launched
    from reenact.capture.relay import Relay
    from reenact.capture.standard_input import StandardInput

__all__ = ["Watchman"]

_TICK_MILLISECONDS: Final = 1000
_LOOK_AGAIN_MILLISECONDS: Final = 200
_READ_BYTES: Final = 1 << 16


class Watchman:
    """Waits for one job. Make it, `route_signals`, let the job go, then wait for its end and for the recorder's."""

    def __init__(self, launched: Launched, relays: Sequence[Relay], supervisor: int, folder: str) -> None:
        """Make one.

        Args:
            launched: The job.
            relays: Its streams that go through us.
            supervisor: Process id of the supervisor; 0 without one.
            folder: The journal folder, where the job's status is left for a recovery.
        """
        self._job = launched.process
        self._listener = launched.listener
        self._relays = relays
        self._supervisor = supervisor
        self._folder = folder
        self._status: int | None = None
        self._signals = -1
        self.stdin: StandardInput | None = None

    # --- signals

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

    def route_signals(self) -> None:
        """Route signals to the job. After the last fork, and before the job can make anybody send one."""
        self._signals, writable = os.pipe()
        os.set_blocking(self._signals, False)
        os.set_blocking(writable, False)
        signal.set_wakeup_fd(writable, warn_on_full_buffer=False)
        for number in FORWARDED:
            if signal.getsignal(number) is not signal.SIG_IGN:  # nohup stays nohup
                signal.signal(number, self._forward)
        for number in KEYBOARD:
            if signal.getsignal(number) is not signal.SIG_IGN:
                signal.signal(number, self._keyboard)
        signal.signal(signal.SIGTSTP, signal.SIG_IGN)
        signal.signal(signal.SIGCHLD, lambda *_: None)

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

    # --- while the job runs

    def wait_for_job(self, supervisor: socket.socket) -> int:
        """Wait for the job, relaying and, if need be, answering; give its status as waitpid does."""
        poll = select.poll()
        handlers: dict[int, Callable[[int], bool]] = {self._signals: lambda _: _drained(self._signals)}
        handlers.update({relay.source: self._mover(relay) for relay in self._relays})
        handlers[supervisor.fileno()] = lambda _: self._hear(supervisor, poll, handlers)
        for descriptor in handlers:
            poll.register(descriptor, select.POLLIN)
        if self.stdin is not None:
            handlers[self.stdin.source] = self._serve_stdin
        self._reap()
        while self._status is None:
            if self.stdin is not None:
                _watch_while(poll, self.stdin.source, wanted=self.stdin.waiting)
            for descriptor, event in poll.poll(_TICK_MILLISECONDS):
                if not handlers[descriptor](event):
                    poll.unregister(descriptor)
            self._reap()
        self._write_status()
        if self.stdin is not None:
            self.stdin.finish()
        for relay in self._relays:
            relay.drain()
        return self._status

    @staticmethod
    def _mover(relay: Relay) -> Callable[[int], bool]:
        def move(_event: int) -> bool:
            relay.move()
            return relay.open

        return move

    def _serve_stdin(self, _event: int) -> bool:
        if self.stdin is not None:
            self.stdin.serve()
        return True

    def _hear(self, supervisor: socket.socket, poll: select.poll, handlers: dict[int, Callable[[int], bool]]) -> bool:
        """The supervisor passes a read of standard input on; or it is gone, and is answered for from now on."""
        requests = _requests(supervisor)
        if requests and self.stdin is not None:
            self.stdin.take(requests)
            return True
        if self._listener >= 0:
            handlers[self._listener] = self._answer_if_asked
            poll.register(self._listener, select.POLLIN)
        return False

    def _answer_if_asked(self, event: int) -> bool:
        if not event & select.POLLIN:
            return False
        answer(self._listener)
        return True

    def _write_status(self) -> None:
        """Leave the job's status in the journal folder, for a recovery."""
        with contextlib.suppress(OSError):
            descriptor = os.open(f"{self._folder}/exit", os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
            os.write(descriptor, str(self._status).encode())
            os.close(descriptor)

    # --- while the recording is finished

    def wait_for_recorder(self, result: int) -> dict[str, Any] | None:
        """Wait for the recorder's result; meanwhile what outlives the job is still served and relayed.

        Args:
            result: Where the result comes from.
        """
        poll = select.poll()
        poll.register(result, select.POLLIN)
        by_source = {relay.source: relay for relay in self._relays if relay.open}
        for source in by_source:
            poll.register(source, select.POLLIN)
        data = b""
        if self._listener >= 0 and self._supervisor and gone(self._supervisor):
            poll.register(self._listener, select.POLLIN)
        while True:
            for descriptor, event in poll.poll(_LOOK_AGAIN_MILLISECONDS):
                if descriptor == result:
                    chunk = os.read(result, _READ_BYTES)
                    data += chunk
                    if not chunk:
                        self._relays = list(by_source.values())
                        return _decode(data)
                elif descriptor == self._listener:
                    if event & select.POLLIN:
                        answer(self._listener)
                    else:
                        poll.unregister(descriptor)
                else:
                    by_source[descriptor].move()
                    if not by_source[descriptor].open:
                        poll.unregister(descriptor)
                        del by_source[descriptor]

    def leave(self) -> None:
        """All is over but for what outlives the job: leave a process that looks after it."""
        unanswered = bool(self._supervisor) and gone(self._supervisor)
        leave_behind({relay.source: relay for relay in self._relays}, self._listener if unanswered else -1)


def _requests(supervisor: socket.socket) -> bytes:
    try:
        return supervisor.recv(REQUEST.size * 64)
    except OSError:
        return b""


def _decode(data: bytes) -> dict[str, Any] | None:
    try:
        found = json.loads(data)
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


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
