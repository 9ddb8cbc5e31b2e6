"""What outlives the job: it is served and relayed until it ends, by whoever of us is still there."""

from __future__ import annotations

import os
import select
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from reenact.capture.roles import name_process
from reenact.capture.trace import seccomp

if TYPE_CHECKING:
    from reenact.capture.relay import Relay

__all__ = ["answer", "gone", "leave_behind", "serve_remains"]


def answer(listener: int) -> None:
    """Let one call through without looking."""
    buffer = bytearray(seccomp.NOTIFICATION_BYTES)
    if seccomp.receive(listener, buffer):
        seccomp.continue_call(listener, seccomp.unpack(buffer)[0])


def gone(process: int) -> bool:
    """Tell whether a child has ended, reaping it."""
    try:
        return os.waitpid(process, os.WNOHANG)[0] != 0
    except ChildProcessError:
        return True


def leave_behind(relays: Mapping[int, Relay], listener: int) -> None:
    """Leave a process that passes on what outlives the job still writes, and answers for it, if there is any such thing.

    Args:
        relays: Those that are open.
        listener: The listener nobody answers on any more; -1 when somebody does.
    """
    listening = listener >= 0 and not seccomp.has_hung_up(listener)
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
        serve_remains(open_relays, listener if listening else -1)
    finally:
        os._exit(0)


def serve_remains(relays: Sequence[Relay], listener: int) -> None:
    """Relay and answer until everything that outlived the job has ended; -1 is no listener."""
    poll = select.poll()
    by_source = {relay.source: relay for relay in relays if relay.open}
    for descriptor in (*by_source, *([listener] if listener >= 0 else [])):
        poll.register(descriptor, select.POLLIN)
    left = len(by_source) + (listener >= 0)
    while left:
        for descriptor, event in poll.poll():
            done = False
            if descriptor == listener:
                done = not event & select.POLLIN
                if not done:
                    answer(listener)
            else:
                by_source[descriptor].move()
                done = not by_source[descriptor].open
            if done:
                poll.unregister(descriptor)
                left -= 1
