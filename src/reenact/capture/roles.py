"""The observers of a recording: what the main process gives each of them, and how they are forked.

Imports next to nothing: the recorder is forked before the main process imports what only the job's start needs.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final, NamedTuple, NoReturn

if TYPE_CHECKING:
    import mmap
    import socket

    from reenact.capture.relay import Relay
    from reenact.capture.trace.listings import ListingOrder
    from reenact.capture.trace.stat_answers import StatAnswers

__all__ = ["FORWARDED", "KEYBOARD", "RecorderEnds", "Roles", "SupervisorEnds", "Watch", "fork_role", "name_process"]

FORWARDED: Final = (signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)
"""Signals that are the job's business, whoever gets them."""
KEYBOARD: Final = (signal.SIGINT, signal.SIGQUIT)
"""Signals that a terminal sends to the job too."""


class RecorderEnds(NamedTuple):
    """The recorder's descriptors."""

    wake: int
    """Readable when the journal has grown; at its end when the supervisor is gone."""
    control: int
    """Readable when the job has ended; at its end when the main process is gone."""
    result: int
    """Where the result goes, as one JSON object."""
    relays: Sequence[Relay]
    """To be taken over when the main process dies."""
    prefix: str
    """Put before every path of the job's; empty unless it lives in a world of its own."""


class SupervisorEnds(NamedTuple):
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
    heard: mmap.mmap
    """Shared with the main process: the number of the notification received last, in 8 bytes."""


class Watch(NamedTuple):
    """What the supervisor needs to know of a run."""

    folder: str
    """The journal folder."""
    journal: int
    """Descriptor of the journal, open for appending; the header is already in it."""
    lock: int
    stored: mmap.mmap
    """Shared with the recorder: how far it has stored what the journal asks for."""
    redact: Callable[[Sequence[str]], Sequence[str]]
    """Takes the secrets out of a command line."""
    ignored: tuple[str, ...]
    """Folders of ours (the store), which are no part of the run."""
    preimage_max_bytes: int
    linger_seconds: float
    inherited: tuple[tuple[str, str], ...]
    """Files the job was given already open: path, and ``r`` read, ``w`` on top of what is there, or ``t`` from empty."""
    cwd: str
    stat_answers: StatAnswers | None = None
    """In a replay: what stat is answered."""
    pointers: Callable[[str], bool] = lambda _: False
    """Tells which files the recorder does not store, so that what destroys one has to keep its bytes."""
    listing_order: ListingOrder | None = None
    """In a replay: in which order the names in folders are given."""


class Roles(NamedTuple):
    """Who observes the job."""

    supervisor: Callable[[SupervisorEnds], NoReturn]
    """Called in a freshly forked process, and must not return."""
    join: Callable[[int, int], socket.socket] | None = None
    """In place of a supervisor of our own: has the one of the recording around this one observe the job, given its process id
    and the writable end of the recorder's wake-up pipe; gives the connection to it."""


def name_process(name: str) -> None:
    """Give this process a name that ps and top show (15 bytes)."""
    with contextlib.suppress(OSError), open("/proc/self/comm", "wb", buffering=0) as file:
        file.write(name.encode())


def fork_role(name: str, folder: str, close: Sequence[int], role: Callable[[], NoReturn], *, detached: bool) -> int:
    """Start an observer; give its process id.

    Args:
        name: What the process is called.
        folder: The journal folder: what it fails with is left there, in ``NAME.error``.
        close: Descriptors that are not for it.
        role: What it does.
        detached: It holds nothing of the caller's: whoever reads the caller's output must not wait for it.
    """
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:  # closed from the start
            stream.flush()
    process = os.fork()
    if process:
        return process
    try:
        os.setsid()  # out of reach of the terminal's signals and of kill on the job's group
        for number in (*FORWARDED, *KEYBOARD):
            signal.signal(number, signal.SIG_IGN)
        name_process(name)
        for descriptor in close:
            os.close(descriptor)
        if detached:
            _let_go()
        role()
    except BaseException as error:  # noqa: BLE001 - nothing may run on in a forked copy of the caller
        if os.environ.get("REENACT_DEBUG"):
            import traceback  # noqa: PLC0415 - for whoever looks for a mistake

            traceback.print_exc()
        with contextlib.suppress(OSError):
            descriptor = os.open(f"{folder}/{name}.error", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            os.write(descriptor, f"{type(error).__name__}: {error}".encode(errors="replace"))
    finally:
        os._exit(1)


def _let_go() -> None:
    nowhere = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
    for number in range(3):
        os.dup2(nowhere, number, inheritable=False)
    os.close(nowhere)
