"""The kernel interface of user notification: installing a filter with a listener, receiving and answering.

See: man 2 seccomp, man 2 seccomp_unotify; include/uapi/linux/seccomp.h. Everything by ctypes: no compiler, no root.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
import select
import signal
import struct
import time
from collections.abc import Container
from typing import Final

from reenact.errors import CaptureError

__all__ = [
    "NOTIFICATION_BYTES",
    "answer_blindly",
    "continue_call",
    "has_hung_up",
    "install",
    "is_waiting",
    "probe",
    "receive",
    "release_stranded",
    "respond",
    "set_synchronous",
    "unpack",
]

_SYS_SECCOMP: Final = {"x86_64": 317, "aarch64": 277}.get(os.uname().machine, -1)
_SET_MODE_FILTER: Final = 1
_NEW_LISTENER: Final = 1 << 3
_STRANDED_RANGE: Final = 4096
"""So many calls may have been made at once, and their callers killed, between two that were received."""
_WAIT_KILLABLE_RECV: Final = 1 << 5
"""Linux 5.19: a signal does not interrupt a call that is being looked at (else Go's preemption signals restart it for ever)."""
_PR_SET_NO_NEW_PRIVS: Final = 38

_IOCTL_RECEIVE: Final = 0xC050_2100
_IOCTL_SEND: Final = 0xC018_2101
_IOCTL_ID_VALID: Final = 0x4008_2102
_IOCTL_SET_FLAGS: Final = 0x4008_2104
_SYNC_WAKE_UP: Final = 1
"""Linux 6.6: run the other side on this processor; halves the cost of a notification."""

NOTIFICATION_BYTES: Final = 80
"""struct seccomp_notif: id u64, pid u32, flags u32, seccomp_data {nr i32, arch u32, ip u64, args u64 * 6}."""
unpack: Final = struct.Struct("=QIIiIQ6Q").unpack
_RESPONSE: Final = struct.Struct("=QqiI")
_FLAG_CONTINUE: Final = 1
_ZEROS: Final = bytes(NOTIFICATION_BYTES)


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_void_p))


_libc = ctypes.CDLL(None, use_errno=True)
_libc.syscall.restype = ctypes.c_long


def _load(program: bytes, flags: int) -> int:
    buffer = ctypes.create_string_buffer(program, len(program))
    header = _Program(len(program) // 8, ctypes.addressof(buffer))
    return int(_libc.syscall(_SYS_SECCOMP, _SET_MODE_FILTER, flags, ctypes.byref(header)))


def install(program: bytes) -> tuple[int, bool]:
    """Filter this process and all it will start; give the listener's descriptor.

    Without CAP_SYS_ADMIN the kernel asks for no_new_privs, which switches set-user-id programs off; it is set only then.

    Returns:
        The listener and whether no_new_privs had to be set.

    Raises:
        CaptureError: the kernel or a container refuses. EBUSY: a filter above us already has a listener.
    """
    if _SYS_SECCOMP < 0:
        raise CaptureError(f"the kernel rung does not know the {os.uname().machine} processor")
    restricted = False
    for flags in (_NEW_LISTENER | _WAIT_KILLABLE_RECV, _NEW_LISTENER):
        listener = _load(program, flags)
        if listener < 0 and ctypes.get_errno() == errno.EACCES:
            _libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
            restricted = True
            listener = _load(program, flags)
        if listener >= 0:
            return listener, restricted
        if ctypes.get_errno() != errno.EINVAL:
            break
    number = ctypes.get_errno()
    if number == errno.EBUSY:
        raise CaptureError(
            "this process is observed by another recording already, and the kernel allows one",
            hint="replay outside of `reenact run`; a run in a run is recorded with it",
        )
    raise CaptureError(
        f"the kernel refuses a seccomp listener: {os.strerror(number)}", hint="see: reenact run --rung strace"
    )


def probe(program: bytes) -> int:
    """Try in a child whether a listener can be had here; 0, or the errno of the refusal (EBUSY: inside another recording)."""
    readable, writable = os.pipe()
    process = os.fork()
    if not process:
        answer = errno.EPERM
        try:
            install(program)
            answer = 0
        except CaptureError:
            answer = ctypes.get_errno() & 0xFF or errno.EPERM
        finally:
            os.write(writable, bytes([answer]))
            # It cannot end by itself: exit_group is observed now, and nobody answers.
            while True:
                time.sleep(1)
    os.close(writable)
    said = os.read(readable, 1)
    os.close(readable)
    os.kill(process, signal.SIGKILL)
    os.waitpid(process, 0)
    return said[0] if said else errno.EPERM


def set_synchronous(listener: int) -> bool:
    """Ask for synchronous wake-ups; tell whether the kernel has them (older ones are only slower)."""
    try:
        fcntl.ioctl(listener, _IOCTL_SET_FLAGS, _SYNC_WAKE_UP)
    except OSError:
        return False
    return True


def receive(listener: int, buffer: bytearray) -> bool:
    """Receive one notification into `buffer`; False when the caller died meanwhile or a signal came."""
    buffer[:] = _ZEROS  # the kernel demands it: EINVAL otherwise
    try:
        fcntl.ioctl(listener, _IOCTL_RECEIVE, buffer)
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.EINTR, errno.EAGAIN):
            return False
        raise
    return True


def continue_call(listener: int, notification: int) -> bool:
    """Let the kernel execute the call; False when the caller is gone."""
    try:
        fcntl.ioctl(listener, _IOCTL_SEND, _RESPONSE.pack(notification, 0, 0, _FLAG_CONTINUE))
    except OSError:
        return False
    return True


def respond(listener: int, notification: int, value: int, error: int = 0) -> bool:
    """Answer a call ourselves: it returns `value`, or fails with the errno `error`; False when the caller is gone."""
    try:
        fcntl.ioctl(listener, _IOCTL_SEND, _RESPONSE.pack(notification, value, -error, 0))
    except OSError:
        return False
    return True


def is_waiting(listener: int, notification: int) -> bool:
    """Tell whether the caller of a notification still waits for its answer."""
    try:
        fcntl.ioctl(listener, _IOCTL_ID_VALID, struct.pack("=Q", notification))
    except OSError:
        return False
    return True


def has_hung_up(listener: int) -> bool:
    """Tell whether all filtered processes have ended, and no call of theirs waits."""
    poll = select.poll()
    poll.register(listener, select.POLLIN)
    return any(not event & select.POLLIN for _, event in poll.poll(0))


def release_stranded(listener: int, heard: int, held: Container[int] = ()) -> int:
    """Let the calls through that somebody who is gone had received and not answered; give their number.

    Where no filtered process is left there can be none, and nobody is asked: that is how most recordings end. Else the kernel is
    asked some thousand times. It hands a notification out once, and numbers them one after the other (kernel/seccomp.c, next_id), so what was
    received last is at or soon after the number heard last.

    Args:
        listener: The listener.
        heard: A number that is known to have been received, and nothing before it stranded.
        held: Numbers that somebody still answers.
    """
    if has_hung_up(listener):
        return 0
    found = 0
    for notification in range(heard, heard + _STRANDED_RANGE):
        if notification not in held and is_waiting(listener, notification % (1 << 64)):
            found += continue_call(listener, notification % (1 << 64))
    return found


def answer_blindly(listener: int, stop: int = -1) -> bool:
    """Let every call through without looking, until all filtered processes have ended.

    Args:
        listener: The listener; other processes may be answering on it too.
        stop: A descriptor; when it becomes readable, return early.

    Returns:
        True when all filtered processes have ended.
    """
    poll = select.poll()
    poll.register(listener, select.POLLIN)
    if stop >= 0:
        poll.register(stop, select.POLLIN)
    buffer = bytearray(NOTIFICATION_BYTES)
    while True:
        for descriptor, event in poll.poll():
            if descriptor == stop:
                return False
            if event & (select.POLLHUP | select.POLLERR | select.POLLNVAL):
                return True
            if receive(listener, buffer):
                continue_call(listener, unpack(buffer)[0])
