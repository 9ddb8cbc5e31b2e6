"""A process in a closed world: new namespaces, its own root, no network, the recorded user, limits and host name.

As root in plain namespaces; as anyone else in a user namespace, where the recorded user id is mapped to one's own. What is
laid out in the world is not decided here (see world.py), nor what is run in it.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
from typing import Final, Literal

from reenact.capture.roles import name_process
from reenact.capture.surroundings import WORLD
from reenact.errors import SandboxError
from reenact.replay import kernel, mounts
from reenact.replay.attendants import LINGER_SECONDS, SETUP_FAILED, attend, reap
from reenact.replay.conditions import Conditions, become, set_limits, take_affinity, usable_limits

__all__ = ["Mode", "Sandbox"]

Mode = Literal["root", "user"]
"""``root``: real root makes the namespaces. ``user``: an ordinary user does, in a user namespace of their own."""

_NAMESPACES: Final = (
    kernel.CLONE_NEWNS | kernel.CLONE_NEWNET | kernel.CLONE_NEWIPC | kernel.CLONE_NEWUTS | kernel.CLONE_NEWPID
)
_REACH_BEYOND: Final = (16, 17, 22, 25)
"""CAP_SYS_MODULE, CAP_SYS_RAWIO, CAP_SYS_BOOT, CAP_SYS_TIME: no namespace keeps their effect inside the world."""

_ENTERED: Final = b"\0"
_MESSAGE_BYTES: Final = 4096
_LONGEST_HOSTNAME: Final = 64


class Sandbox:
    """One closed world that one process can be put into.

    Prepared in the parent; :meth:`enter` is then called in a freshly forked, single-threaded child. The child the parent
    waits for ends as the job ends. Every other process calls :meth:`close_child_side` or :meth:`close`.
    """

    def __init__(
        self,
        *,
        view: mounts.View,
        conditions: Conditions,
        linger_seconds: float = LINGER_SECONDS,
    ) -> None:
        self._view = view
        self._conditions = conditions
        self._linger_seconds = linger_seconds
        self._limits = usable_limits(conditions.limits, privileged=not view.user_namespace)
        self._read_end, self._write_end = os.pipe2(os.O_CLOEXEC)

    def close_child_side(self) -> None:
        """Close the end of the pipe only the job needs, so that :meth:`wait_entered` sees a child that died."""
        if self._write_end >= 0:
            os.close(self._write_end)
            self._write_end = -1

    def close(self) -> None:
        """Release the pipe."""
        self.close_child_side()
        if self._read_end >= 0:
            os.close(self._read_end)
            self._read_end = -1

    def wait_entered(self) -> None:
        """Wait, in the parent, until the job is inside its world.

        Raises:
            SandboxError: a step failed; the message names it. The child has ended or is about to.
        """
        self.close_child_side()
        answer = os.read(self._read_end, _MESSAGE_BYTES)
        if answer != _ENTERED:
            reason = answer.decode("utf-8", "replace") or "the process ended before it was inside"
            raise SandboxError(f"cannot enter the closed world: {reason}", hint="try: reenact doctor")

    def enter(self) -> None:
        """Enter the world; RETURNS ONLY IN THE JOB, which is process 2 of a new PID namespace.

        The calling process stays outside as the attendant and never returns: it ends as the job ends. On failure it ends
        with status 125, and :meth:`wait_entered` tells the reason.
        """
        try:
            inherited = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
            self._isolate()
            status_read, status_write = os.pipe2(os.O_CLOEXEC)
            if init := os.fork():
                attend(init, status_read)
            os.close(status_read)
            kernel.die_with_parent()
            name_process(WORLD)
            mounts.build(self._view)
            socket.sethostname(self._conditions.hostname[:_LONGEST_HOSTNAME])
            kernel.loopback_up()
            if job := os.fork():
                reap(job, status_write, self._linger_seconds)
            os.close(status_write)
            self._take_conditions()
            signal.pthread_sigmask(signal.SIG_SETMASK, inherited)
            os.write(self._write_end, _ENTERED)
            self.close()
        except BaseException as error:  # noqa: BLE001 - must never run on into the caller's code
            with contextlib.suppress(OSError):
                os.write(self._write_end, str(error).encode("utf-8", "replace")[:_MESSAGE_BYTES])
            os._exit(SETUP_FAILED)

    def _isolate(self) -> None:
        if not self._view.user_namespace:
            kernel.unshare(_NAMESPACES)
            return
        own_uid, own_gid = os.geteuid(), os.getegid()
        kernel.unshare(_NAMESPACES | kernel.CLONE_NEWUSER)
        # Without this the kernel refuses a group map written without privilege. See: user_namespaces(7).
        _write("/proc/self/setgroups", "deny")
        _write("/proc/self/uid_map", f"{self._conditions.uid} {own_uid} 1")
        _write("/proc/self/gid_map", f"{self._conditions.gid} {own_gid} 1")

    def _take_conditions(self) -> None:
        """Become what the record says, in the order in which each step is still allowed."""
        conditions = self._conditions
        take_affinity(conditions.affinity)
        os.chdir(conditions.cwd)
        set_limits(self._limits)
        if not self._view.user_namespace:
            for capability in _REACH_BEYOND:
                kernel.drop_from_bounding_set(capability)
            become(conditions)
        kernel.set_dumpable()
        os.umask(conditions.umask)


def _write(path: str, text: str) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(descriptor, text.encode())
    except OSError as error:
        raise OSError(error.errno, f"write {text!r} to {path}: {error.strerror}") from error
    finally:
        os.close(descriptor)
