"""Find out what kind of closed world this machine allows, by setting up a tiny one.

Reading sysctls or capabilities is not enough: containers, security modules and file systems refuse single steps, and only
doing them tells. Cost: some 10 ms for each way that is tried.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from reenact.errors import SandboxError
from reenact.replay.claims import claimed
from reenact.replay.conditions import Conditions
from reenact.replay.mounts import View
from reenact.replay.sandbox import Mode, Sandbox

__all__ = ["MEMORY_SCRATCH", "Probe", "probe", "ways"]

MEMORY_SCRATCH: Final = Path("/dev/shm")  # noqa: S108 - each use makes a private folder in it
"""Where the writable layer goes when the cache's own file system cannot carry one, as overlayfs on overlayfs cannot."""

_INSIDE: Final = 3
"""Exit status of the trial process that found itself inside; not a status any failure gives."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """What was found."""

    mode: Mode | None
    """None: no closed world here."""
    scratch: Path | None
    """The folder on whose file system the writable layer of a world can be."""
    reasons: tuple[str, ...]
    """Why the ways that were tried before, or all of them, did not work."""

    @property
    def possible(self) -> bool:
        """Whether any way works."""
        return self.mode is not None

    def require(self) -> tuple[Mode, Path]:
        """Give mode and scratch folder.

        Raises:
            SandboxError: no way works; the message has each reason.
        """
        if self.mode is None or self.scratch is None:
            raise SandboxError(
                f"no closed world is possible here: {'; '.join(self.reasons)}",
                hint="allow unprivileged user namespaces, or replay as root, or with: --env current",
            )
        return self.mode, self.scratch


def ways() -> tuple[Mode, ...]:
    """Give the ways this user may try, the better one first."""
    return ("root", "user") if os.geteuid() == 0 else ("user",)


def probe(scratch: Path, modes: Sequence[Mode] | None = None) -> Probe:
    """Try each way with the writable layer under `scratch`, then each with it in memory; take the first that works.

    Args:
        scratch: A folder on the file system that is to carry the writable layer; tiny folders come and go in it.
        modes: The ways to try; by default all that this user has.
    """
    modes = ways() if modes is None else modes
    reasons: list[str] = []
    for folder in dict.fromkeys((scratch, MEMORY_SCRATCH)):
        for mode in modes:
            reason = _try(mode, folder)
            if reason is None:
                return Probe(mode=mode, scratch=folder, reasons=tuple(reasons))
            reasons.append(f"{mode}, in {folder}: {reason}")
    return Probe(mode=None, scratch=None, reasons=tuple(reasons))


def _try(mode: Mode, folder: Path) -> str | None:
    """Set up and enter a world of nothing; give the reason why it failed, or None."""
    try:
        with _trial_view(mode, folder) as view:
            return _enter(view)
    except OSError as error:
        return str(error)


@contextlib.contextmanager
def _trial_view(mode: Mode, folder: Path) -> Iterator[View]:
    with claimed(folder) as top:
        for name in ("lower/proc", "lower/dev", "upper", "work", "mount"):
            os.makedirs(f"{top}/{name}")
        yield View(
            lowers=(f"{top}/lower",),
            upper=f"{top}/upper",
            work=f"{top}/work",
            mount_point=f"{top}/mount",
            user_namespace=mode == "user",
        )


def _enter(view: View) -> str | None:
    conditions = Conditions(
        uid=os.geteuid(),
        gid=os.getegid(),
        groups=tuple(os.getgroups()),
        cwd="/",
        umask=0o022,
        hostname="probe",
        limits={},
        affinity=(),
    )
    sandbox = Sandbox(view=view, conditions=conditions, linger_seconds=0)
    try:
        child = os.fork()
        if child == 0:
            sandbox.enter()
            _look_around()
        try:
            sandbox.wait_entered()
        except SandboxError as error:
            return str(error)
        finally:
            _, wait_status = os.waitpid(child, 0)
    finally:
        sandbox.close()
    status = os.waitstatus_to_exitcode(wait_status)
    return None if status == _INSIDE else f"the trial process ended with {status}"


def _look_around() -> None:
    """In the trial world: end with the agreed status if it can be written to and is our own."""
    try:
        os.close(os.open("/written", os.O_WRONLY | os.O_CREAT, 0o600))
        os.mkdir("/folder")
        os.rename("/folder", "/renamed")
        inside = os.path.isdir("/proc/self") and not os.path.exists("/etc")
        os._exit(_INSIDE if inside else 1)
    finally:
        os._exit(1)
