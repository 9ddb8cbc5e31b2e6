"""The rungs of replay, best first, and what each does not keep apart from the present machine. Pure.

``world`` closes the file tree and the network. ``rebuilt`` and ``here`` run in a fresh folder on this machine as it is: they
can show that the outputs are the same, never that nothing else went into them.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final, Literal

if TYPE_CHECKING:
    from reenact.model.bundle import Launch

__all__ = ["RUNGS", "LowerRung", "ReplayRung", "not_closed"]

ReplayRung = Literal["world", "rebuilt", "here"]
LowerRung = Literal["rebuilt", "here"]

RUNGS: Final[tuple[ReplayRung, ...]] = ("world", "rebuilt", "here")

_ENVIRONMENT: Final[dict[LowerRung, str]] = {
    "rebuilt": "Python packages were installed again in their recorded versions; the interpreter's build, system libraries"
    " and all other programs are this machine's",
    "here": "programs, libraries and packages are this machine's, not the recorded ones",
}


def not_closed(rung: LowerRung, launch: Launch, *, uid: int, hostname: str) -> Iterator[str]:
    """Name what a replay in a fresh folder does not isolate.

    Args:
        rung: Which.
        launch: The recorded one.
        uid: As whom the replay runs.
        hostname: Of this machine.
    """
    yield _ENVIRONMENT[rung]
    yield "files outside the replay's folder are this machine's: what the job reads of them is named, not prevented"
    yield "the network is open: an answer from it can have gone into the outputs"
    yield "kernel, processor, clock, users and processes are those of this machine"
    if hostname != launch.hostname:
        yield f"host name: recorded {launch.hostname}, now {hostname}"
    if uid != launch.uid:
        yield f"user: recorded {launch.uid}, now {uid}; what only one of them may do is not the same"
