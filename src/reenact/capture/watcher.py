"""The supervisor's part of a recording: wires tracer, state machine and journal together and runs until all is over."""

from __future__ import annotations

import os
import time
from typing import Final, NoReturn

from reenact.capture.guests import Guests
from reenact.capture.observed import Observed
from reenact.capture.roles import SupervisorEnds, Watch
from reenact.capture.trace import seccomp
from reenact.capture.trace.listings import Lister
from reenact.capture.trace.processes import ROOT
from reenact.capture.trace.supervisor import Supervisor

__all__ = ["watch"]

_PATIENCE_SECONDS: Final = 0.002


def watch(watch: Watch, ends: SupervisorEnds) -> NoReturn:
    """Run the supervisor in its own process; never returns."""
    supervisor = Supervisor(ends.listener, ends.root, ends.prefix)
    supervisor.heard = ends.heard
    supervisor.stat_answers = watch.stat_answers
    if watch.listing_order is not None:
        supervisor.lister = Lister(watch.listing_order)
    run = Observed(watch, ROOT, ends.wake, prefix=ends.prefix)
    supervisor.add(run.observer)
    run.begin(restricted=ends.restricted)
    if ends.stdin is not None:
        supervisor.stdin.watch(ends.stdin, kept=ends.stdin_kept, server=ends.control)
    guests = Guests(supervisor, restricted=ends.restricted)
    if not ends.prefix:
        guests.listen(watch.folder)

    def asked() -> None:
        supervisor.leave(ends.control)
        if _has_ended(ends.control):
            supervisor.stdin.release()
            supervisor.stop()
        else:
            supervisor.stdin.abandon()

    supervisor.attend(ends.control, asked)
    # The job has ended; wait a little for what it left running (a process substitution, a log writer).
    ended = supervisor.serve() or supervisor.serve(time.monotonic() + watch.linger_seconds)
    run.finish(ended=ended)
    while run.is_needed():
        time.sleep(_PATIENCE_SECONDS)
    os.close(ends.wake)
    if not ended:
        os.close(watch.lock)  # the recording is over: the journal may be finished by others
        supervisor.remove(run.observer)
        ended = guests.see_out()
    guests.finish(ended=ended)
    if not ended:
        seccomp.answer_blindly(ends.listener)
    os._exit(0)


def _has_ended(descriptor: int) -> bool:
    """Read what the main process says: True, the job has ended; False, nothing any more (it was killed)."""
    try:
        return bool(os.read(descriptor, 1))
    except OSError:
        return False
