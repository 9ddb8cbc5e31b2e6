"""What every way of observing is: usable here or not, how it starts the job, and what its observing process does.

A rung's observer runs in the supervisor's place (see :mod:`reenact.capture.session`): a process of its own, which writes the
journal from the records of :mod:`reenact.capture.journal` and ends it with ``end``. What a rung cannot see it says as a gap.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NoReturn, Protocol

from reenact.capture.roles import SupervisorEnds, Watch

__all__ = ["Rung"]


class Rung(Protocol):
    """One way of observing without a listener."""

    @property
    def name(self) -> str:
        """What the bundle calls it, in ``capture.method``."""

    def available(self) -> str:
        """Find out by trying whether it works here: empty, or the reason why not."""

    def environment(self, variables: Mapping[str, str]) -> dict[str, str]:
        """Give the job's environment with what this rung adds to it."""

    def enter(self) -> None:
        """Prepare the job's own process, right before it becomes the command."""

    def observe(self, watch: Watch, ends: SupervisorEnds) -> NoReturn:
        """Observe the job until it and what it left behind have ended; never returns.

        A byte written to ``ends.control`` lets the job start.
        """
