"""The supervisor's part of a recording: wires tracer, state machine and journal together and runs until all is over."""

from __future__ import annotations

import mmap
import os
import select
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, NoReturn

from reenact.capture.files import FileStates
from reenact.capture.journal import JournalWriter, leave_reason
from reenact.capture.preimage import PreimageKeeper
from reenact.capture.session import SupervisorEnds
from reenact.capture.trace import seccomp
from reenact.capture.trace.filesystem import LiveFileSystem
from reenact.capture.trace.processes import ROOT
from reenact.capture.trace.stat_answers import StatAnswers
from reenact.capture.trace.supervisor import Observer, Supervisor

__all__ = ["Watch", "watch"]

_PATIENCE_SECONDS: Final = 0.002
_INHERITED: Final = {"r": os.O_RDONLY, "w": os.O_WRONLY | os.O_APPEND, "t": os.O_WRONLY | os.O_TRUNC}


@dataclass(frozen=True, slots=True, kw_only=True)
class Watch:
    """What the supervisor needs to know."""

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


def watch(watch: Watch, ends: SupervisorEnds) -> NoReturn:
    """Run the supervisor in its own process; never returns."""
    prefix = ends.prefix
    journal = JournalWriter(watch.journal)
    supervisor = Supervisor(ends.listener, ends.root, watch.redact, prefix)
    keeper = PreimageKeeper(f"{watch.folder}/before", watch.preimage_max_bytes, watch.stored, prefix)
    states = FileStates(
        LiveFileSystem(prefix),
        keeper,
        journal.write,
        ignored=watch.ignored,
    )
    observer = Observer(ROOT, states, journal, ends.wake)
    supervisor.observers.append(observer)
    supervisor.stat_answers = watch.stat_answers
    journal.write(["t", ends.restricted])
    states.probed(watch.cwd, follow=True)
    for path, how in watch.inherited:
        states.opened(ROOT, path, _INHERITED[how])
    observer.flush()
    if ends.stdin is not None:
        supervisor.stdin, supervisor.stdin_server = ends.stdin, ends.control
        supervisor.stdin_kept = ends.stdin_kept

    def asked() -> bool | None:
        said = _asked(ends.control)
        if said is None:
            supervisor.abandon_stdin()
        return said

    ended = supervisor.serve(ends.control, asked)
    if not ended:
        ended = _linger(supervisor, watch.linger_seconds)
    states.settle()
    if not ended:
        journal.write(["h", "outlived", "a process outlives the job: what it does from now on is not recorded", ""])
    journal.write(["end", time.time_ns(), supervisor.calls])
    observer.flush()
    if journal.broken:
        leave_reason(watch.folder, f"the journal could not be written: {journal.broken}")
    if keeper.holding:
        _wait_for_recorder(watch.stored, journal.position, ends.wake)
    os.close(ends.wake)
    if not ended:
        os.close(watch.lock)  # the recording is over: the journal may be finished by others
        seccomp.answer_blindly(ends.listener)
    os._exit(0)


def _wait_for_recorder(stored: mmap.mmap, position: int, wake: int) -> None:
    """Stay until the recorder has read what is kept only in descriptors of this process, or is gone."""
    while int.from_bytes(stored[:8], "little") < position:
        try:
            os.write(wake, b"j")
        except BlockingIOError:
            pass
        except OSError:
            return
        time.sleep(_PATIENCE_SECONDS)


def _asked(descriptor: int) -> bool | None:
    """Read what the main process says: True, the job has ended; None, nothing any more (it was killed)."""
    try:
        return True if os.read(descriptor, 1) else None
    except OSError:
        return None


def _linger(supervisor: Supervisor, seconds: float) -> bool:
    """The job has ended; wait a little for what it left running (a process substitution, a log writer)."""
    deadline = time.monotonic() + seconds
    poll = select.poll()
    poll.register(supervisor.listener, select.POLLIN)
    while True:
        left = deadline - time.monotonic()
        events = poll.poll(max(left, 0) * 1000)
        if any(not event & select.POLLIN for _, event in events):
            return True
        if left <= 0:
            return False
        if events:
            supervisor.step()
