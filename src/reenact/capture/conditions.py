"""Under what a job is started: whose it is, and what it may use. Cheap, as every recording waits for it."""

from __future__ import annotations

import os
import pwd
import resource
from typing import Any

from reenact.canonical import MAX_SAFE_INTEGER

__all__ = ["affinity", "conditions", "limits"]


def conditions() -> dict[str, Any]:
    """Describe under what this process starts another; for the journal's header."""
    return {
        "user": _user(),
        "uid": os.geteuid(),
        "gid": os.getegid(),
        "groups": sorted(os.getgroups()),
        "umask": _umask(),
        "hostname": os.uname().nodename,
        "limits": limits(),
        "affinity": sorted(affinity()),
    }


def _user() -> str:
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return str(os.geteuid())


def _umask() -> int:
    mask = os.umask(0o077)
    os.umask(mask)
    return mask


def affinity() -> tuple[int, ...]:
    """Give the processors this process may run on, sorted."""
    return tuple(sorted(os.sched_getaffinity(0)))


def limits() -> dict[str, tuple[int, int]]:
    """Give every resource limit under its name in :mod:`resource` (``RLIMIT_NOFILE``): soft and hard, -1 for unlimited."""
    found: dict[str, tuple[int, int]] = {}
    for name in sorted(vars(resource)):
        if name.startswith("RLIMIT_") and name != "RLIMIT_OFILE":  # OFILE is NOFILE under its BSD name.
            try:
                soft, hard = resource.getrlimit(getattr(resource, name))
            except (OSError, ValueError):
                continue  # The C library knows it, this kernel does not.
            found[name] = (_bounded(soft), _bounded(hard))
    return found


def _bounded(limit: int) -> int:
    """Write a limit beyond what JSON numbers hold exactly as unlimited: no resource reaches it."""
    return limit if 0 <= limit <= MAX_SAFE_INTEGER else -1
