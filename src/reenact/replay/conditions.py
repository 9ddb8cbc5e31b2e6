"""The conditions a job was started under, and taking them on in a freshly forked process."""

from __future__ import annotations

import os
import resource
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from reenact.model.bundle import Launch
from reenact.model.paths import from_text

__all__ = ["Conditions", "become", "conditions_of", "set_limits", "take_affinity", "usable_limits"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Conditions:
    """Under what a job is started, as the record has it."""

    uid: int
    gid: int
    groups: tuple[int, ...]
    cwd: str
    """As the job sees it, surrogate-escaped."""
    umask: int
    hostname: str
    limits: Mapping[str, tuple[int, int]]
    """Resource limits by name (``nofile`` or ``RLIMIT_NOFILE``), soft and hard; -1 is unlimited."""
    affinity: tuple[int, ...]


def conditions_of(launch: Launch) -> Conditions:
    """Give the conditions a job was started under."""
    return Conditions(
        uid=launch.uid,
        gid=launch.gid,
        groups=launch.groups,
        cwd=from_text(launch.cwd),
        umask=launch.umask,
        hostname=launch.hostname,
        limits=launch.limits,
        affinity=launch.affinity,
    )


def usable_limits(limits: Mapping[str, tuple[int, int]], *, privileged: bool) -> list[tuple[int, tuple[int, int]]]:
    """Translate limits, lowered to what this process may set; names this system does not know are left out."""
    usable = []
    for name, (soft, hard) in limits.items():
        constant = name.upper() if name.upper().startswith("RLIMIT_") else f"RLIMIT_{name.upper()}"
        number = getattr(resource, constant, None)
        if not isinstance(number, int):
            continue
        ceiling = resource.RLIM_INFINITY if privileged else resource.getrlimit(number)[1]
        highest = _lower(hard, ceiling)
        usable.append((number, (_lower(soft, highest), highest)))
    return usable


def set_limits(limits: Iterable[tuple[int, tuple[int, int]]]) -> None:
    """Set what :func:`usable_limits` gave."""
    for number, pair in limits:
        resource.setrlimit(number, pair)


def _lower(left: int, right: int) -> int:
    finite = [value for value in (left, right) if value != resource.RLIM_INFINITY]
    return min(finite) if finite else resource.RLIM_INFINITY


def take_affinity(recorded: tuple[int, ...]) -> None:
    """Use the recorded processors, or as many others where those are not there."""
    if not recorded:
        return
    available = os.sched_getaffinity(0)
    chosen = available.intersection(recorded)
    if len(chosen) < len(recorded):
        chosen = set(sorted(available)[: len(recorded)])
    os.sched_setaffinity(0, chosen)


def become(conditions: Conditions) -> None:
    """Become the recorded user; for a process of root, which cannot go back."""
    os.setgroups(conditions.groups)
    os.setresgid(conditions.gid, conditions.gid, conditions.gid)
    os.setresuid(conditions.uid, conditions.uid, conditions.uid)
