"""Starting the job: a process that installs the filter, hands its listener over, waits for leave, and becomes the command."""

from __future__ import annotations

import mmap
import os
import select
import signal
import socket
import struct
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Final, NamedTuple, NoReturn

from reenact.capture.trace import filter as filter_program
from reenact.capture.trace import libc, seccomp
from reenact.errors import CaptureError

if TYPE_CHECKING:
    from reenact.capture.session import Command

__all__ = ["CLOSED", "Launched", "launch"]

CLOSED: Final = -1
"""In place of a descriptor: the job finds that stream closed."""
NOT_FOUND: Final = 127
NOT_EXECUTABLE: Final = 126
_PYTHON_IGNORES: Final = (signal.SIGPIPE, signal.SIGXFSZ)
"""Signals Python ignores from the start; the job must not inherit that."""
_CREDENTIALS: Final = struct.Struct("3i")
_SCM_CREDENTIALS: Final = 2
"""linux/socket.h; Python has no name for it everywhere."""


class Launched(NamedTuple):
    """A job that is ready to become its command."""

    process: int
    """Our child."""
    job: int
    """The process that becomes the command: the child, or a descendant in a closed world."""
    channel: socket.socket
    """Send on it to let the job go."""
    listener: int
    """-1 without one."""
    heard: mmap.mmap
    """8 bytes shared with who receives notifications: the number of the last one received; see `seccomp.release_stranded`."""
    message: str
    """``installed``, ``restricted`` (no_new_privs had to be set), ``elsewhere``, or why there is no listener."""


def launch(
    command: Command,
    streams: Mapping[int, int],
    instead: Callable[[], None] | None,
    *,
    stdin: bool,
    close: Sequence[int],
) -> Launched:
    """Fork the job up to the moment before it becomes the command.

    Args:
        command: What it becomes.
        streams: Its standard descriptors, by number, where they are not ours.
        instead: Called in place of installing the filter.
        stdin: Whether reading from its standard input is observed.
        close: Descriptors that are only the job's, closed here.
    """
    ours, theirs = socket.socketpair()
    ours.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
    process = os.fork()
    if not process:
        ours.close()
        _become(command, streams, theirs, instead, stdin=stdin)
    theirs.close()
    for descriptor in close:
        os.close(descriptor)
    if command.entered is not None:
        command.entered()
    message, ancillary, _, _ = ours.recvmsg(256, socket.CMSG_SPACE(4) + socket.CMSG_SPACE(_CREDENTIALS.size))
    job, listener = process, -1
    for _, kind, data in ancillary:
        if kind == socket.SCM_RIGHTS:
            listener = struct.unpack("i", data[:4])[0]
            os.set_inheritable(listener, False)
        elif kind == _SCM_CREDENTIALS:
            job = _CREDENTIALS.unpack(data)[0]
    heard = mmap.mmap(-1, 8)
    if listener >= 0:
        heard[:8] = _first_heard(listener).to_bytes(8, "little")
    return Launched(process, job, ours, listener, heard, message.decode(errors="replace"))


def _first_heard(listener: int) -> int:
    """Answer the first call, which the job makes for just that, and give its number; 0 when the job is gone."""
    poll = select.poll()
    poll.register(listener, select.POLLIN)
    buffer = bytearray(seccomp.NOTIFICATION_BYTES)
    while any(event & select.POLLIN for _, event in poll.poll()):
        if seccomp.receive(listener, buffer):
            notification = int(seccomp.unpack(buffer)[0])
            seccomp.continue_call(listener, notification)
            return notification
    return 0


def _become(
    command: Command,
    streams: Mapping[int, int],
    channel: socket.socket,
    instead: Callable[[], None] | None,
    *,
    stdin: bool,
) -> NoReturn:
    """In the new process: take the streams, enter the world, install the filter, become the command."""
    status = NOT_EXECUTABLE
    try:
        for number, descriptor in streams.items():
            if descriptor == CLOSED:
                os.close(number)
            else:
                os.dup2(descriptor, number)
        if command.enter is not None:
            command.enter()
        elif command.cwd is not None:
            os.chdir(command.cwd)
        _install(channel, instead, stdin=stdin, stat=command.observe_fstat)
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


def _install(channel: socket.socket, instead: Callable[[], None] | None, *, stdin: bool, stat: bool) -> None:
    rights: list[tuple[int, int, bytes]] = []
    listener = -1
    try:
        if instead is not None:
            instead()
            message = b"elsewhere"
        else:
            program = filter_program.build(stdin=stdin, stat=stat, empty_path=libc.empty_path_offset())
            listener, restricted = seccomp.install(program)
            message = b"restricted" if restricted else b"installed"
            rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, struct.pack("i", listener))]
    except CaptureError as error:
        message = str(error).encode()[:256]
    rights.append((socket.SOL_SOCKET, _SCM_CREDENTIALS, _CREDENTIALS.pack(os.getpid(), os.getuid(), os.getgid())))
    try:
        channel.sendmsg([message], rights, filter_program.PASSPORT_FLAGS)
    except OSError:
        _vanish()
    if listener >= 0:
        os.close(listener)
        os.access("/", os.F_OK)  # the call whose number the main process learns
    if not channel.recv(2):
        _vanish()
    channel.close()


def _vanish() -> NoReturn:
    """End at once: the main process was killed before it let the job go.

    By a signal, because ending by a call may wait for an answer that nobody gives: this process holds the listener.
    """
    os.kill(os.getpid(), signal.SIGKILL)
    raise SystemExit  # never reached
