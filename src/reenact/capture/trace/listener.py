"""Whether a listener can be had here, found out as cheaply as can be: every recording asks before it starts its job."""

from __future__ import annotations

import os
from functools import cache
from typing import Final

__all__ = ["refusal"]

_MACHINES: Final = frozenset({"x86_64", "aarch64"})
"""Those whose calls :mod:`reenact.capture.trace.syscalls` knows."""


@cache
def refusal() -> int:
    """Give 0, or the errno with which a listener is refused here (EBUSY: inside another recording).

    A child tries it, unless no filter is above us and the kernel says that it knows notifications: then nothing can refuse.

    Raises:
        OSError: no child can be started.
    """
    if os.uname().machine in _MACHINES and _unfiltered():
        return 0
    from reenact.capture.trace import filter as filter_program  # noqa: PLC0415 - 15 ms that most starts need not wait for
    from reenact.capture.trace import seccomp  # noqa: PLC0415 - same

    return seccomp.probe(filter_program.build())


def _unfiltered() -> bool:
    """Tell whether no filter is above us, on a kernel with notifications (Linux 5.0); False also when it cannot be told."""
    try:
        with open("/proc/self/status", "rb") as status, open("/proc/sys/kernel/seccomp/actions_avail", "rb") as actions:
            return b"\nSeccomp:\t0\n" in status.read() and b"user_notif" in actions.read().split()
    except OSError:
        return False
