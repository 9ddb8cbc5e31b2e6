"""A recording inside a recording: asking the supervisor of the outer one to observe the inner job as well.

A process has one seccomp listener above it at most. So the inner run hands its journal to the outer run's supervisor
(:mod:`reenact.capture.guests`), becomes a run of its own, and names the outer one as its parent; the outer one sees all of it,
too. Where the outer supervisor cannot be asked (another user, another version), a lower rung observes. Whether there is an
outer recording at all, :mod:`reenact.capture.surroundings` finds out.

The conversation, over a socket that keeps messages apart: the inner run says who it is, and which folders are its own
(JSON); the answer is READY. It names its recorder (JSON) before that does anything; the answer is READY. When its job is about
to start it says JOIN, with descriptors: journal, lock, wake-up pipe, ``stored`` memory, and a memory file with all else as
JSON; the answer is READY. When the job has ended it says ENDED. Anything else that happens, in particular the end of the
connection, means: not from here.
"""

from __future__ import annotations

import contextlib
import enum
import fcntl
import json
import mmap
import os
import socket
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import reenact

if TYPE_CHECKING:
    from reenact.capture.roles import Watch

__all__ = ["JOIN", "MESSAGE_BYTES", "PROTOCOL", "READY", "Outer", "Said", "shared", "unpack"]

JOIN: Final = "join"
"""Name of the socket in a journal folder."""
PROTOCOL: Final = f"1 {reenact.__version__}"
"""Both sides must be of one version: they write one journal together."""
READY: Final = b"ready"
MESSAGE_BYTES: Final = 1 << 16
_PATIENCE_SECONDS: Final = 60.0
"""The supervisor may be copying a large file; our own calls wait for that, too."""
_SHARED_BYTES: Final = 8


class Said(enum.Enum):
    """The messages that are one word."""

    JOIN = b"J"
    ENDED = b"X"
    """As :class:`reenact.capture.session.Session` says it to any observer."""


def shared() -> tuple[int, mmap.mmap]:
    """Make eight bytes of memory that can be shared with a process that is no child: a descriptor, and the memory."""
    descriptor = os.memfd_create("stored", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    os.ftruncate(descriptor, _SHARED_BYTES)
    return descriptor, mmap.mmap(descriptor, _SHARED_BYTES)


def unpack(descriptor: int, limit_bytes: int) -> dict[str, Any]:
    """Read the JSON object in a memory file; ValueError when it is none, or too large."""
    size = os.fstat(descriptor).st_size
    found = json.loads(os.pread(descriptor, size, 0)) if size <= limit_bytes else None
    if not isinstance(found, dict):
        raise ValueError("no JSON object")  # noqa: TRY004 - the bytes are wrong, not a type
    return found


def _pack(values: Mapping[str, Any]) -> int:
    """Put JSON into a memory file: it holds secrets, which must not reach the disk."""
    descriptor = os.memfd_create("join", os.MFD_CLOEXEC)
    with open(descriptor, "wb", closefd=False) as file:
        file.write(json.dumps(values).encode("ascii"))
    return descriptor


class Outer:
    """The supervisor of the recording around this process, ready to observe one job of ours."""

    def __init__(self, connection: socket.socket) -> None:
        self.connection = connection

    @classmethod
    def reach(cls, folder: str, ignored: Sequence[str]) -> Outer | None:
        """Ask the supervisor of the recording in a journal folder; None where it cannot or will not.

        Args:
            folder: The journal folder.
            ignored: Folders of ours, as canonical paths, which are no part of any job; it ignores them from now on.
        """
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        connection.settimeout(_PATIENCE_SECONDS)
        hello = {"protocol": PROTOCOL, "process": os.getpid(), "ignored": [*ignored]}
        try:
            # A socket's path has 107 bytes at most, the folder's may be longer.
            descriptor = os.open(folder, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                connection.connect(f"/proc/self/fd/{descriptor}/{JOIN}")
            finally:
                os.close(descriptor)
            outer = cls(connection)
            if outer._ask(hello):
                return outer
        except OSError:
            pass
        connection.close()
        return None

    def set_aside(self, recorder: int) -> None:
        """Have it ignore what our recorder does, which has not begun yet: when it does what, differs from run to run.

        Where the supervisor is gone nothing happens: :meth:`join` will notice.
        """
        with contextlib.suppress(OSError):
            self._ask({"recorder": recorder})

    def _ask(self, what: Mapping[str, Any]) -> bool:
        self.connection.send(json.dumps(what).encode("ascii"))
        return self.connection.recv(len(READY)) == READY

    def join(self, watch: Watch, descriptors: Sequence[int], facts: Mapping[str, Any]) -> bool:
        """Have the job observed from now on; call when it has been forked, and before it becomes the command.

        Args:
            watch: The run.
            descriptors: Of its journal, its lock, its wake-up pipe (to write to), and its shared memory.
            facts: ``job``, its process id; ``stdin``, its kind and its device and inode; ``secrets``, see
                :meth:`reenact.capture.redact.Redactor.state`; ``pointers``, what :class:`reenact.capture.pointers.Pointers` needs
                of the run's header, or nothing.

        Returns:
            False when the supervisor is gone: the job then runs unobserved.
        """
        values = {
            **facts,
            "folder": os.path.realpath(watch.folder),
            "ignored": watch.ignored,
            "preimage_max_bytes": watch.preimage_max_bytes,
            "linger_seconds": watch.linger_seconds,
            "inherited": watch.inherited,
            "cwd": watch.cwd,
        }
        with contextlib.suppress(OSError):
            # The supervisor maps it: were it cut, the next look would kill it, and with it the outer recording.
            fcntl.fcntl(descriptors[-1], fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK)
            words = _pack(values)
            try:
                socket.send_fds(self.connection, [Said.JOIN.value], [*descriptors, words])
            finally:
                os.close(words)
            return self.connection.recv(len(READY)) == READY
        return False

    def close(self) -> None:
        """Let go of the connection, in a process that has no part in it."""
        self.connection.close()
