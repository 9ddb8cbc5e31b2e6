"""The choice among the ways of observing: the first that works here, or the one that was asked for."""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final

from reenact.capture.trace import listener
from reenact.errors import CaptureError, UsageError

if TYPE_CHECKING:
    from reenact.capture.rungs.interface import Rung
    from reenact.settings import Settings

__all__ = ["choose"]

_PYTHON: Final = re.compile(r"(?:python|pypy)(?:\d+(?:\.\d+)?)?")


def choose(requested: str, settings: Settings, argv: Sequence[str], variables: Mapping[str, str]) -> Rung | None:
    """Choose how to observe a job.

    Args:
        requested: ``auto`` or a rung's name.
        settings: Where declared patterns are.
        argv: The job's command line.
        variables: Its environment.

    Returns:
        None for the kernel rung, which is the session's own way and needs nothing of the others.

    Raises:
        UsageError: the rung that was asked for cannot be used here.
        CaptureError: none can; the job is then run unrecorded.
    """
    if requested in ("auto", "kernel"):
        reason = _kernel()
        if not reason:
            return None
        if requested == "kernel":
            raise _unusable(requested, reason)
    for rung in _lower(requested, settings, argv, variables):
        reason = rung.available()
        if not reason:
            return rung
        if requested != "auto":
            raise _unusable(requested, reason)
    raise CaptureError(
        "no way of observing works here", hint="declare what the job reads and writes under [declared] in reenact.toml"
    )


def _unusable(name: str, reason: str) -> UsageError:
    return UsageError(f"the rung {name} cannot be used here: {reason}", hint="let reenact choose, with: --rung auto")


def _kernel() -> str:
    try:
        number = listener.refusal()
    except OSError as error:
        return str(error)
    if number == errno.EBUSY:
        return "this runs inside another recording, and there can be one listener only"
    return f"the kernel refuses a seccomp listener: {os.strerror(number)}" if number else ""


def _lower(requested: str, settings: Settings, argv: Sequence[str], variables: Mapping[str, str]) -> list[Rung]:
    from reenact.capture.rungs.audit_hook import AuditHookRung  # noqa: PLC0415 - not on the kernel rung's way
    from reenact.capture.rungs.declared import DeclaredRung  # noqa: PLC0415 - same
    from reenact.capture.rungs.strace import StraceRung  # noqa: PLC0415 - same

    found: list[Rung] = []
    if requested in ("auto", "strace"):
        found.append(StraceRung())
    if requested == "python" or (requested == "auto" and _PYTHON.fullmatch(os.path.basename(argv[0]))):
        found.append(AuditHookRung())
    if requested in ("auto", "declared"):
        declared = settings.declared
        found.append(
            DeclaredRung(
                root=settings.root,
                inputs=declared.inputs,
                outputs=declared.outputs,
                argv=tuple(argv),
                variables=variables,
            )
        )
    return found
