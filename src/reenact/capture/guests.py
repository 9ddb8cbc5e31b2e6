"""The supervisor's side of nesting: runs inside the recorded one that ask to be observed, too.

A process tree can have one listener only, so a nested ``reenact run`` cannot watch its job itself. It connects to the socket
``join`` in the outer run's journal folder instead (:mod:`reenact.capture.nesting`), hands its journal over, and the supervisor
writes it along with the outer one's, from the same calls.

Nothing here may wait for a guest: its processes are observed themselves, and get on only while their calls are answered.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import mmap
import os
import socket
import struct
import time
from collections.abc import Callable
from typing import Any, Final

from reenact.capture.nesting import JOIN, MESSAGE_BYTES, PROTOCOL, READY, Said, unpack
from reenact.capture.observed import Observed
from reenact.capture.redact import Redactor
from reenact.capture.roles import Watch
from reenact.capture.trace.supervisor import Supervisor
from reenact.capture.trace.tracee import identify, is_running

__all__ = ["Guests"]

_BACKLOG: Final = 1024
_CREDENTIALS: Final = struct.Struct("3i")
_RIGHTS: Final = 8
"""More descriptors than any message brings."""
_WORDS_MAX_BYTES: Final = 1 << 26
_OURS_ALONE: Final = 0o177


class _Refused(Exception):
    """A guest that cannot be taken in; it then observes by a lower rung."""


class _Guest:
    __slots__ = ("alone", "connection", "deadline", "descriptors", "greeted", "recording", "run")

    def __init__(self, connection: socket.socket) -> None:
        self.connection = connection
        self.greeted = False
        """It is known to be part of the tree that is observed here."""
        self.run: Observed | None = None
        self.recording = False
        """Its last record has not been written."""
        self.deadline: float | None = None
        """Monotonic; set when its job has ended: what it left running has until then."""
        self.alone = False
        """Its main process is gone and will not say when the job has ended."""
        self.descriptors: list[int] = []
        """Received and not yet owned by `run`."""

    @property
    def leaving(self) -> bool:
        return self.run is not None and (not self.recording or self.alone or self.deadline is not None)


class Guests:
    """All nested runs of one supervisor."""

    def __init__(self, supervisor: Supervisor, *, restricted: bool) -> None:
        """Take nobody in yet.

        Args:
            supervisor: Tells them what happens.
            restricted: See :class:`reenact.capture.session.SupervisorEnds`.
        """
        self._supervisor = supervisor
        self._restricted = restricted
        self._server: socket.socket | None = None
        self._path = ""
        self._guests: list[_Guest] = []
        self._seeing_out = False

    def listen(self, folder: str) -> None:
        """Open the socket in a journal folder; where that does not work, nested runs observe by a lower rung."""
        server = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        try:
            # A socket's path has 107 bytes at most, the folder's may be longer.
            descriptor = os.open(folder, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
            mask = os.umask(_OURS_ALONE)
            try:
                server.bind(f"/proc/self/fd/{descriptor}/{JOIN}")
            finally:
                os.umask(mask)
                os.close(descriptor)
            server.listen(_BACKLOG)
            server.setblocking(False)
        except OSError:
            server.close()
            return
        self._path = f"{os.path.realpath(folder)}/{JOIN}"
        self._server = server
        self._supervisor.attend(server.fileno(), self._accept)

    def _accept(self) -> None:
        if self._server is None:
            return
        try:
            connection, _ = self._server.accept()
        except OSError:
            return
        connection.setblocking(False)
        guest = _Guest(connection)
        self._guests.append(guest)
        self._supervisor.attend(connection.fileno(), lambda: self._hear(guest))

    # --- what a guest says

    def _hear(self, guest: _Guest) -> None:
        try:
            data, descriptors, _, _ = socket.recv_fds(guest.connection, MESSAGE_BYTES, _RIGHTS)
        except BlockingIOError:
            return
        except OSError:
            data, descriptors = b"", []
        guest.descriptors += descriptors
        try:
            if not data:
                self._lost(guest)
            elif data == Said.ENDED.value:
                self._job_ended(guest)
            elif data == Said.JOIN.value:
                self._take_in(guest)
                guest.connection.send(READY)
            else:
                said = json.loads(data)
                if "recorder" in said:
                    self._set_aside(guest, said["recorder"])
                else:
                    self._greet(guest, said)
                guest.connection.send(READY)
        except Exception:  # noqa: BLE001 - whatever a guest does, the outer run is observed on
            self._turn_away(guest)

    def _greet(self, guest: _Guest, said: dict[str, Any]) -> None:
        """Check who asks; from now on its store is no part of the runs around it, even if it is not taken in."""
        process, user = _peer(guest.connection)
        if user != os.geteuid() or said["process"] != process or not self._supervisor.knows(process):
            raise _Refused("it is another user's, or not part of the tree that is observed here")
        for folder in said["ignored"]:
            self._supervisor.ignore(self._supervisor.actor(process), folder)
        if said["protocol"] != PROTOCOL:
            raise _Refused("it is another version")
        guest.greeted = True

    def _set_aside(self, guest: _Guest, recorder: int) -> None:
        """Observe its recorder no more: it is no part of what the job does."""
        self._supervisor.set_aside(self._own(guest, recorder))

    @staticmethod
    def _own(guest: _Guest, process: int) -> int:
        """Give a process that a guest names, if it is one it started."""
        main, _ = _peer(guest.connection)
        if not guest.greeted or identify(process) != (process, main):
            raise _Refused("it names a process that is not its own")
        return process

    def _take_in(self, guest: _Guest) -> None:
        """Observe its job from now on."""
        received = guest.descriptors
        journal, lock, wake, stored, words = received
        said = unpack(words, _WORDS_MAX_BYTES)
        os.close(received.pop())
        actor = self._supervisor.actor(self._own(guest, said["job"]))
        os.set_blocking(wake, False)
        if not fcntl.fcntl(stored, fcntl.F_GET_SEALS) & fcntl.F_SEAL_SHRINK:
            raise _Refused("its memory could be cut, and a look at it would kill us")
        watch = Watch(
            folder=said["folder"],
            journal=journal,
            lock=lock,
            stored=mmap.mmap(stored, 8, prot=mmap.PROT_READ),
            redact=Redactor.from_state(said["secrets"]).argv,
            ignored=tuple(said["ignored"]),
            preimage_max_bytes=said["preimage_max_bytes"],
            linger_seconds=said["linger_seconds"],
            inherited=tuple((path, how) for path, how in said["inherited"]),
            cwd=said["cwd"],
            pointers=_pointers(said["pointers"]),
        )
        around = [observer for observer, _ in self._supervisor.covering(actor)]
        if not around:
            raise _Refused("nobody observes it")
        ignored = [folder for observer in around for folder in observer.states.ignored]
        guest.run = Observed(watch, actor, wake, ignored=ignored)
        received.clear()
        os.close(stored)
        self._supervisor.add(guest.run.observer)
        guest.recording = True
        guest.run.begin(restricted=self._restricted)
        self._watch_stdin(guest.run, **said["stdin"])
        with contextlib.suppress(OSError):
            os.symlink(self._path, f"{watch.folder}/{JOIN}")  # for runs inside this one

    def _watch_stdin(self, run: Observed, kind: str, source: list[int]) -> None:
        """Standard input that nobody reads is recorded as empty; one that is read is not recorded, and named as such."""
        spool = f"{run.watch.folder}/stdin"

        def read() -> None:
            if kind == "terminal":
                run.observer.gap("stdin", "standard input was read from a terminal, which is not recorded", "stdin")
            else:
                os.unlink(spool)

        if kind not in ("pipe", "socket", "terminal"):
            return
        if not self._supervisor.stdin.notices:
            if kind == "terminal":
                read()
            return
        if kind != "terminal":
            os.close(os.open(spool, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
        device, inode = source
        run.observer.stdin, run.observer.stdin_read = (device, inode), read

    # --- how it ends

    def _job_ended(self, guest: _Guest) -> None:
        if guest.run is None:
            raise _Refused("it has not joined")
        guest.deadline = time.monotonic() + guest.run.watch.linger_seconds
        self._between(idle=True)

    def _lost(self, guest: _Guest) -> None:
        """A guest's main process is gone: its job goes on, and is observed to the end of its last process."""
        if guest.run is None:
            self._turn_away(guest)
            return
        self._hang_up(guest)
        guest.alone = guest.recording and guest.deadline is None
        self._between(idle=True)

    def _turn_away(self, guest: _Guest) -> None:
        for descriptor in guest.descriptors:
            with contextlib.suppress(OSError):
                os.close(descriptor)
        guest.descriptors.clear()
        if guest.recording:
            self._end(guest, ended=False)
        if guest.run is not None:
            guest.run.close()
        self._hang_up(guest)
        self._guests.remove(guest)
        self._schedule()

    def _hang_up(self, guest: _Guest) -> None:
        if guest.connection.fileno() >= 0:
            self._supervisor.leave(guest.connection.fileno())
            guest.connection.close()

    def _between(self, idle: bool) -> None:
        """See who has come to an end; between calls, while anybody is about to."""
        for guest in [guest for guest in self._guests if guest.leaving]:
            if guest.recording:
                late = guest.deadline is not None and time.monotonic() >= guest.deadline
                if (idle or late) and not self._is_running(guest):
                    self._end(guest, ended=True)
                elif late:
                    self._end(guest, ended=False)
            if not guest.recording and guest.run is not None and not guest.run.is_needed():
                guest.run.close()
                self._hang_up(guest)
                self._guests.remove(guest)
        self._schedule()

    def _schedule(self) -> None:
        waiting = any(guest.leaving for guest in self._guests)
        self._supervisor.between = self._between if waiting else None
        if self._seeing_out and not any(guest.run is not None for guest in self._guests):
            self._supervisor.stop()

    def _is_running(self, guest: _Guest) -> bool:
        if guest.run is None:
            return False
        return any(is_running(process) for process in self._supervisor.below(guest.run.observer.root))

    def _end(self, guest: _Guest, *, ended: bool) -> None:
        guest.recording = False
        if guest.run is not None:
            guest.run.finish(ended=ended)
            self._supervisor.remove(guest.run.observer)

    def see_out(self) -> bool:
        """The outer run is over: go on until the last guest has left, or all processes have ended (True)."""
        self._stop_listening()
        for guest in [guest for guest in self._guests if guest.run is None]:
            self._turn_away(guest)
        self._seeing_out = True
        self._schedule()
        return bool(self._guests) and self._supervisor.serve()

    def finish(self, *, ended: bool) -> None:
        """End what is still recorded, and let nobody in any more."""
        self._stop_listening()
        for guest in self._guests:
            if guest.recording:
                self._end(guest, ended=ended)
            self._hang_up(guest)

    def _stop_listening(self) -> None:
        if self._server is not None:
            self._supervisor.leave(self._server.fileno())
            self._server.close()
            self._server = None


def _pointers(header: dict[str, Any]) -> Callable[[str], bool]:
    if not header:
        return lambda _: False
    from reenact.capture.pointers import Pointers  # noqa: PLC0415 - few runs keep any

    return Pointers(header).means


def _peer(connection: socket.socket) -> tuple[int, int]:
    """Give the process at the other end, as it is seen from here, and its user."""
    found = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    process, user, _ = _CREDENTIALS.unpack(found)
    return process, user
